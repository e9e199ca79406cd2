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

  init(plan: ClusterPlan, now: WallTime) throws {
    self.plan = plan
    self.now = now
    authority = try CertificateAuthority.generate(commonName: "trireme-chaos-ca", lifetime: Self.lifetime, now: now)
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
    let host = { (address: String) in String(address.prefix { $0 != ":" }) }
    _ = try write(
      CertificateTemplate(
        commonName: "system:trireme:server:\(member.name)", organizations: [Self.servers],
        dnsNames: [
          "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
          "localhost", member.name,
        ], ipAddresses: ["127.0.0.1", host(member.address), host(plan.endpoint)],
        usages: [.serverAuthentication, .clientAuthentication], lifetime: Self.lifetime), to: folder, "server")
    try FileSystem.write(authority.certificate.pem, to: "\(folder)/ca.crt")
    try FileSystem.write(authority.privateKey.pem, to: "\(folder)/ca.key", permissions: 0o600)
    try FileSystem.write(signingKey, to: "\(folder)/sa.key", permissions: 0o600)
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

  private func write(_ template: CertificateTemplate, to folder: String, _ name: String) throws -> Identity {
    let identity = try authority.issue(template, now: now)
    try FileSystem.write(identity.privateKey.pem, to: "\(folder)/\(name).key", permissions: 0o600)
    try FileSystem.write(identity.certificatePEM, to: "\(folder)/\(name).crt")
    return identity
  }

  /// As `trireme up` writes it.
  private var balancer: String {
    let servers = plan.members.map { member in
      "  server \(member.name) \(member.address) check inter 250ms fastinter 100ms fall 2 rise 2 "
        + "on-marked-down shutdown-sessions"
    }
    return """
      global
        maxconn 8192

      defaults
        mode tcp
        timeout connect 1s
        timeout client 4h
        timeout server 4h
        timeout check 2s
        option clitcpka
        option srvtcpka
        retries 3
        option redispatch 1

      frontend kubernetes
        bind \(plan.endpoint)
        default_backend servers

      backend servers
        balance leastconn
        option httpchk GET /readyz
        http-check expect status 200
        default-server check-ssl verify none
      \(servers.joined(separator: "\n"))

      """
  }
}
