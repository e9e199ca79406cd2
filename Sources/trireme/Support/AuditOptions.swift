import APIServer
import ArgumentParser
import EventLoop

/// The options of the audit log, named as kube-apiserver names them.
struct AuditOptions: ParsableArguments {
  @Option(help: "Audit policy (audit.k8s.io/v1 Policy); without it --audit-log-path records every request's metadata.")
  var auditPolicyFile: String?
  @Option(help: "File the audit log is written to; - is standard output. Without it nothing is recorded.")
  var auditLogPath: String?
  @Option(help: "Size in MiB at which the file is turned over.")
  var auditLogMaxsize = 100
  @Option(help: "Number of old files that are kept; 0 keeps all.")
  var auditLogMaxbackup = 10

  func validate() throws {
    guard auditLogMaxsize > 0 else { throw ValidationError("--audit-log-maxsize must be at least 1 (MiB)") }
    guard auditLogMaxbackup >= 0 else { throw ValidationError("--audit-log-maxbackup must not be negative") }
    guard auditPolicyFile == nil || auditLogPath != nil else {
      throw ValidationError("--audit-policy-file needs --audit-log-path: where is the log to be written?")
    }
  }

  /// The log, opened; nil when none is wanted. Throws what is wrong with the policy or the file.
  func open() throws -> AuditLog? {
    guard let auditLogPath else { return nil }
    var policy = AuditPolicy.metadata
    if let auditPolicyFile {
      do { policy = try AuditPolicy(parsing: Array(FileSystem.readText(auditPolicyFile).utf8)) } catch {
        throw CommandFailure("\(auditPolicyFile): \(error)")
      }
    }
    return AuditLog(
      policy: policy,
      sink: try AuditFile(
        path: auditLogPath, bytesMaximum: auditLogMaxsize << 20, backupsMaximum: auditLogMaxbackup))
  }
}
