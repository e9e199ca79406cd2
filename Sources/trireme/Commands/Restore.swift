import ArgumentParser
import Client
import EventLoop
import Replica
import Storage
import TLS
import World

struct Restore: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make the first server of a new cluster from a backup.",
    discussion: """
      The new cluster has an id of its own: its servers and those of the old one never speak with each other. Its revision \
      is a billion ahead, so that no watch sees time go back: clients list again. Objects and their UIDs stay.

        trireme restore /backup/monday.trireme --key /safe/place/backup.key --pki /safe/place/pki \\
          --home /var/lib/trireme --name server-1 --listen 10.0.0.1:6443
        trireme server --home /var/lib/trireme
        trireme token create --home /var/lib/trireme       # the others join

      --pki is a copy of a server's pki folder (ca.crt, ca.key, sa.key): with it, kubeconfigs, nodes and service account \
      tokens stay good. Without it everything is made anew, and the folder gets a kubeconfig.
      """)

  @Argument(help: "The backup.")
  var file: String
  @Option(help: "Folder of the new server; must not hold one.")
  var home: String
  @Option(help: "Name of the new server.")
  var name = "server-1"
  @Option(help: "Address that it will listen on: 10.0.0.1:6443.")
  var listen: String
  @Option(help: "Address under which other servers reach it (default: --listen).")
  var advertise: String?
  @Option(help: "Address under which clients reach the cluster (default: --listen).")
  var endpoint: String?
  @Option(help: "Network of the Services' addresses, as it was.")
  var serviceNetwork = ServerDefaults.serviceNetwork
  @Option(help: "File with the backup key (default: backup.key in the --pki folder).")
  var key: String?
  @Option(help: "Folder with ca.crt, ca.key and sa.key of the old cluster.")
  var pki: String?

  private static let leafLifetime = Duration.seconds(365 * 86_400)
  private static let authorityLifetime = Duration.seconds(10 * 365 * 86_400)

  func validate() throws {
    for (option, address) in [("--listen", listen), ("--advertise", advertise ?? listen)]
    where !Addresses.isUsable(address) {
      throw ValidationError("\(option) \(address) is not of the form address:port")
    }
    if ServerAddress.isWildcard(advertise ?? listen) {
      throw ValidationError("others cannot connect to \(listen): say where they can, with --advertise")
    }
    if let problem = ServerName.problem(name) { throw ValidationError(problem) }
  }

  func run() throws {
    let home = ServerHome(path: try FileSystemPaths.absolute(home))
    let now = MainLoop.shared.wallClock
    if let record = try home.record() {
      throw CommandFailure(
        "\(home.path) holds the server \(record.name) of cluster \(record.cluster). Nothing was changed")
    }
    let key = try backupKey()
    // Read whole before anything is made.
    let backup = try BackupFile.read(file, key: key)
    let authority = try self.authority(now: now)
    let cluster = Crypto.hexadecimal(Crypto.random(16))
    let report: RestoreReport
    do {
      try FileSystem.createDirectory(home.path, permissions: 0o700)
      report = try backup.restore(into: home.data, as: StorageIdentity(cluster: cluster, node: 1))
    } catch let error as RestoreError {
      throw CommandFailure("\(error). Nothing was changed")
    }
    try writeCertificates(home, authority, key, now: now)
    let address = advertise ?? listen
    var record = ServerRecord(
      name: name, listen: listen, advertise: address, endpoint: endpoint ?? address, serviceNetwork: serviceNetwork,
      cluster: cluster, node: 1, members: [Member(id: 1, name: name, address: address)])
    record.phase = .started
    try home.write(record)
    say(report, home, record)
  }

  private func backupKey() throws -> BackupKey? {
    if let key { return try BackupFile.key(at: key) }
    guard let pki, FileSystem.exists("\(pki)/backup.key") || FileSystem.exists("\(pki)/ca.key") else { return nil }
    return try ServerCertificates.backupKey(in: pki)
  }

  /// The old cluster's, or a new one, and the key that signs service account tokens.
  private func authority(now: WallTime) throws -> (authority: CertificateAuthority, tokenKey: PrivateKey) {
    guard let pki else {
      return (
        try .generate(commonName: "trireme-ca", lifetime: Self.authorityLifetime, now: now), try .generateP256()
      )
    }
    return (
      try CertificateAuthority(
        certificatePEM: FileSystem.readText("\(pki)/ca.crt"), privateKeyPEM: FileSystem.readText("\(pki)/ca.key")),
      try PrivateKey(pem: FileSystem.readText("\(pki)/sa.key"))
    )
  }

  private func writeCertificates(
    _ home: ServerHome, _ made: (authority: CertificateAuthority, tokenKey: PrivateKey), _ key: BackupKey?,
    now: WallTime
  ) throws {
    let folder = home.certificates
    try FileSystem.createDirectory(folder, permissions: 0o700)
    let (authority, tokenKey) = made
    let address = advertise ?? listen
    let identity = try authority.issue(
      ServerIdentity.template(
        name: name, hosts: [ServerAddress.host(of: address), ServerAddress.host(of: endpoint ?? address)],
        lifetime: Self.leafLifetime), now: now)
    let administrator = try authority.issue(
      CertificateTemplate(
        commonName: "trireme-admin", organizations: ["system:masters"], usages: [.clientAuthentication],
        lifetime: Self.leafLifetime), now: now)
    for (name, text) in [
      ("ca.key", authority.privateKey.pem), ("sa.key", tokenKey.pem), ("server.key", identity.privateKey.pem),
      ("backup.key", (key ?? BackupKey(secret: Crypto.random(32))).text),
    ] {
      try FileSystem.write(text, to: "\(folder)/\(name)", permissions: 0o600)
    }
    try FileSystem.write(authority.certificate.pem, to: "\(folder)/ca.crt")
    try FileSystem.write(identity.certificatePEM, to: "\(folder)/server.crt")
    let kubeconfig = Kubeconfig(
      server: "https://\(endpoint ?? address)", certificateAuthorityPEM: authority.certificate.pem,
      clientCertificatePEM: administrator.certificatePEM, clientKeyPEM: administrator.privateKey.pem)
    try FileSystem.write(kubeconfig.yaml { Crypto.base64($0.utf8) }, to: "\(home.path)/kubeconfig", permissions: 0o600)
  }

  private func say(_ report: RestoreReport, _ home: ServerHome, _ record: ServerRecord) {
    Terminal.say(
      """
      \(home.path) holds \(record.name), the first server of the new cluster \(record.cluster)
        \(report.objects) objects; the backup's revision \(report.backupRevision) has become \(report.revision)
        \(report.freedLeases.count) leases of the old scheduler and controllers are free
        \(pki == nil ? "a new authority: agents and service accounts need new credentials" : "the old cluster's authority: kubeconfigs and tokens stay good")

      Start it, and let others join:
        trireme server --home \(home.path)
        trireme token create --home \(home.path)
        export KUBECONFIG=\(home.path)/kubeconfig
      """)
  }
}
