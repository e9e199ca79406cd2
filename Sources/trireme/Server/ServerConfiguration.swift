import APIServer
import ControlPlane
import Controllers
import EventLoop
import Replica
import Scheduler
import TLS
import World

/// What one server runs with.
struct ServerConfiguration: Sendable {
  var home: ServerHome
  var record: ServerRecord
  var listen: Address
  /// What is recorded of requests, and where.
  var audit: AuditLog?
  /// Who is believed and asked beside the cluster itself; made on the loop on which others are asked.
  var security: @Sendable (EventLoop) throws -> SecurityOptions = { _ in SecurityOptions() }
  /// Loops that serve the API.
  var apiLoops: Int
  /// Resources whose objects are encrypted on this server's disk.
  var encryptedResources = EncryptionKeyring.defaultResources
  /// Admission plugins beside the usual ones.
  var enabledPlugins: Set<String> = []
  /// What the scheduler goes by when this server's is elected.
  var scheduler = SchedulerConfiguration()
  /// The networks of the pods that nodes get blocks of.
  var podNetworks: [PodNetwork] = []

  /// How the loops work on `loop`. Throws when a file that the scheduler's extenders need cannot be used.
  func loopSettings(on loop: EventLoop) throws -> LoopSettings {
    var settings = LoopSettings()
    settings.scheduler = scheduler
    settings.podNetworks = podNetworks
    if !scheduler.extenders.isEmpty {
      settings.extenders = try ExtenderConnections(scheduler.extenders, loop: loop).sender
    }
    return settings
  }
}

/// The certificates of one server, read from its folder.
struct ServerCertificates: Sendable {
  var authority: CertificateAuthority
  var identity: Identity
  /// Signs service account tokens; the same on every server.
  var tokenKey: PrivateKey
  /// Seals backups; the same on every server.
  var backupKey: BackupKey

  /// Throws with the path of what cannot be read.
  init(folder: String) throws {
    authority = try CertificateAuthority(
      certificatePEM: FileSystem.readText("\(folder)/ca.crt"), privateKeyPEM: FileSystem.readText("\(folder)/ca.key"))
    identity = try Identity(
      certificatePEM: FileSystem.readText("\(folder)/server.crt"),
      privateKeyPEM: FileSystem.readText("\(folder)/server.key"))
    tokenKey = try PrivateKey(pem: FileSystem.readText("\(folder)/sa.key"))
    backupKey = try Self.backupKey(in: folder)
  }

  /// Reads `backup.key`. Every server of a cluster that has none yet makes the same, from the authority's secret.
  static func backupKey(in folder: String) throws -> BackupKey {
    let path = "\(folder)/backup.key"
    if FileSystem.exists(path) {
      guard let key = BackupKey(text: try FileSystem.readText(path)) else {
        throw CommandFailure("\(path) holds no backup key")
      }
      return key
    }
    let secret = Crypto.sha256(Array(try FileSystem.readText("\(folder)/ca.key").utf8))
    let derived = Crypto.hexadecimal(Crypto.hmacSHA256(key: secret, Array("trireme backup key".utf8)))
    guard let key = BackupKey(text: "trireme-backup-key-1:\(derived)") else {
      throw CommandFailure("the backup key cannot be made")
    }
    try FileSystem.write(key.text, to: path, permissions: 0o600)
    return key
  }

  /// The id of a cluster that begins with this authority. One that was restored from a backup has another: its servers
  /// and the old ones must never meet, though their clients trust both.
  var firstClusterID: String { String(authority.certificate.fingerprint.prefix(32)) }
}
