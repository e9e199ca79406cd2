// What a cluster on machines is given before its first start: certificates, kubeconfig, the load balancer's configuration.
import Client
import EventLoop
import TLS
import World

struct MachineFolder: Sendable {
  private static let lifetime = Duration.seconds(365 * 86_400)
  private static let servers = "system:trireme:servers"

  let plan: ClusterPlan
  private let authority: CertificateAuthority
  private let signingKey: String
  private let now: WallTime

  /// Certificates are older than clocks go back.
  private static let age = Duration.seconds(2 * 86_400)

  init(plan: ClusterPlan, now: WallTime) throws {
    self.plan = plan
    self.now = now + (.zero - Self.age)
    authority = try CertificateAuthority.generate(
      commonName: "trireme-chaos-ca", lifetime: Self.lifetime, now: self.now)
    signingKey = try PrivateKey.generateP256().pem
  }

  /// For clients and the administrator.
  func writeShared() throws {
    let folder = "\(plan.home)/pki"
    try FileSystem.createDirectory(folder, permissions: 0o700)
    try FileSystem.write(authority.certificate.pem, to: "\(folder)/ca.crt")
    let administrator = try write(
      CertificateTemplate(
        commonName: "trireme-admin", organizations: ["system:masters"], usages: [.clientAuthentication],
        lifetime: Self.lifetime), to: folder, "admin")
    let kubeconfig = Kubeconfig(
      server: "https://\(plan.endpoint)", certificateAuthorityPEM: authority.certificate.pem,
      clientCertificatePEM: administrator.certificatePEM, clientKeyPEM: administrator.privateKey.pem)
    try FileSystem.write(kubeconfig.yaml { Crypto.base64($0.utf8) }, to: plan.kubeconfig, permissions: 0o600)
    try FileSystem.write(balancer, to: "\(plan.home)/haproxy.cfg")
  }

  /// Into the folder of a server that begins the cluster.
  func writeServer(_ member: ClusterPlan.Member, to home: String) throws {
    let folder = "\(home)/pki"
    try FileSystem.createDirectory(folder, permissions: 0o700)
    try writeCertificate(member, to: home, lifetime: Self.lifetime, now: now)
    try FileSystem.write(authority.certificate.pem, to: "\(folder)/ca.crt")
    try FileSystem.write(authority.privateKey.pem, to: "\(folder)/ca.key", permissions: 0o600)
    try FileSystem.write(signingKey, to: "\(folder)/sa.key", permissions: 0o600)
  }

  /// A server's certificate, in place of the one that it has; for as long as usual where no lifetime is given.
  func renew(_ member: ClusterPlan.Member, in home: String, lifetime: Duration?, now: WallTime) throws {
    try writeCertificate(member, to: home, lifetime: lifetime ?? Self.lifetime, now: now)
  }

  private func writeCertificate(
    _ member: ClusterPlan.Member, to home: String, lifetime: Duration, now: WallTime
  ) throws {
    let host = { (address: String) in String(address.prefix { $0 != ":" }) }
    _ = try write(
      CertificateTemplate(
        commonName: "system:trireme:server:\(member.name)", organizations: [Self.servers],
        dnsNames: [
          "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
          "localhost", member.name,
        ], ipAddresses: ["127.0.0.1", host(member.address), host(plan.endpoint)],
        usages: [.serverAuthentication, .clientAuthentication], lifetime: lifetime), to: "\(home)/pki", "server", now)
  }

  func writeNodes(to home: String) throws {
    let folder = "\(home)/pki"
    try FileSystem.createDirectory(folder, permissions: 0o700)
    for number in 1...plan.nodes {
      _ = try write(
        CertificateTemplate(
          commonName: "system:node:node-\(number)", organizations: ["system:nodes"], usages: [.clientAuthentication],
          lifetime: Self.lifetime), to: folder, "node-\(number)")
    }
    try FileSystem.write(authority.certificate.pem, to: "\(folder)/ca.crt")
  }

  private func write(
    _ template: CertificateTemplate, to folder: String, _ name: String, _ issued: WallTime? = nil
  ) throws -> Identity {
    let identity = try authority.issue(template, now: issued ?? now)
    try FileSystem.write(identity.privateKey.pem, to: "\(folder)/\(name).key", permissions: 0o600)
    try FileSystem.write(identity.certificatePEM, to: "\(folder)/\(name).crt")
    return identity
  }

  /// As `trireme up` writes it.
  private var balancer: String {
    HAProxyConfiguration(
      bind: plan.hasBalancerPair ? ":\(plan.port)" : plan.endpoint, servers: plan.members.map { ($0.name, $0.address) }
    ).text
  }
}
