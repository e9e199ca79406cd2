import APIServer
import EventLoop
import TLS
import World

/// What one server is told at its start.
struct ServerConfiguration: Sendable {
  var name: String
  /// Holds data/, pki/ and the log.
  var home: String
  var listen: Address
  /// All servers of the group, this one among them, in the order of their numbers.
  var members: [(name: String, address: String)]
  /// Where clients find the cluster: the load balancer.
  var endpoint: String
  var serviceNetwork: String
  /// What is recorded of requests, and where.
  var audit: AuditLog?
  /// Loops that serve the API.
  var apiLoops: Int

  var dataFolder: String { "\(home)/data" }
  /// 1 for the first of the members.
  var node: UInt64 {
    guard let index = members.firstIndex(where: { $0.name == name }) else {
      preconditionFailure("server \(name) is not among the members")
    }
    return UInt64(index + 1)
  }
}

/// The certificates of one server, read from its folder.
struct ServerCertificates: Sendable {
  var authority: CertificateAuthority
  var identity: Identity
  /// Signs service account tokens; the same on every server.
  var tokenKey: PrivateKey

  /// Throws with the path of what cannot be read.
  init(folder: String) throws {
    authority = try CertificateAuthority(
      certificatePEM: FileSystem.readText("\(folder)/ca.crt"), privateKeyPEM: FileSystem.readText("\(folder)/ca.key"))
    identity = try Identity(
      certificatePEM: FileSystem.readText("\(folder)/server.crt"),
      privateKeyPEM: FileSystem.readText("\(folder)/server.key"))
    tokenKey = try PrivateKey(pem: FileSystem.readText("\(folder)/sa.key"))
  }

  /// Names the cluster: a disk, and a peer, of another authority is of another cluster.
  var clusterID: String { String(authority.certificate.fingerprint.prefix(32)) }
}
