// The certificates of a cluster on this machine: one authority, one identity per server, administrator and node.
import EventLoop
import Glibc
import TLS
import World

struct ClusterCertificates {
  let home: ClusterHome
  let plan: ClusterPlan

  private static let authorityLifetime = Duration.seconds(10 * 365 * 86_400)
  private static let leafLifetime = Duration.seconds(365 * 86_400)
  /// Leaves with less than this left are made anew at the next start.
  private static let renewBefore = Duration.seconds(30 * 86_400)

  /// Makes what is missing or about to expire; leaves everything else as it is.
  func ensure(now: WallTime) throws {
    try FileSystem.createDirectory(home.certificates, permissions: 0o700)
    let authority = try ensureAuthority(now: now)
    let signingKey = "\(home.certificates)/sa.key"
    if !FileSystem.exists(signingKey) {
      try FileSystem.write(try PrivateKey.generateP256().pem, to: signingKey, permissions: 0o600)
    }
    for (name, address) in plan.members { try ensureServer(name, address: address, authority, now: now) }
    try FileSystem.createDirectory("\(home.nodes)/pki", permissions: 0o700)
    for node in plan.nodeNames {
      try ensureLeaf(
        "\(home.nodes)/pki", node,
        CertificateTemplate(
          commonName: "system:node:\(node)", organizations: ["system:nodes"], usages: [.clientAuthentication],
          lifetime: Self.leafLifetime), authority, now: now)
    }
    try FileSystem.write(authority.certificate.pem, to: "\(home.nodes)/pki/ca.crt")
  }

  /// The administrator's certificate and key as PEM; cluster-admin by its group.
  func administrator(now: WallTime) throws -> (certificate: String, key: String) {
    let authority = try ensureAuthority(now: now)
    try ensureLeaf(
      home.certificates, "admin",
      CertificateTemplate(
        commonName: "trireme-admin", organizations: ["system:masters"], usages: [.clientAuthentication],
        lifetime: Self.leafLifetime), authority, now: now)
    return (
      try FileSystem.readText("\(home.certificates)/admin.crt"),
      try FileSystem.readText("\(home.certificates)/admin.key")
    )
  }

  var authorityPEM: String { get throws { try FileSystem.readText("\(home.certificates)/ca.crt") } }

  private func ensureAuthority(now: WallTime) throws -> CertificateAuthority {
    let certificate = "\(home.certificates)/ca.crt"
    let key = "\(home.certificates)/ca.key"
    if FileSystem.exists(certificate) && FileSystem.exists(key) {
      return try CertificateAuthority(
        certificatePEM: FileSystem.readText(certificate), privateKeyPEM: FileSystem.readText(key))
    }
    let authority = try CertificateAuthority.generate(
      commonName: "trireme-ca", lifetime: Self.authorityLifetime, now: now)
    try FileSystem.write(authority.privateKey.pem, to: key, permissions: 0o600)
    try FileSystem.write(authority.certificate.pem, to: certificate)
    return authority
  }

  /// Everything a server needs to know of the cluster's certificates, in its own folder.
  private func ensureServer(_ name: String, address: String, _ authority: CertificateAuthority, now: WallTime) throws {
    let folder = "\(home.server(name))/pki"
    let host = String(address.prefix { $0 != ":" })
    try ensureLeaf(
      folder, "server",
      ServerIdentity.template(name: name, hosts: [host], lifetime: Self.leafLifetime), authority, now: now)
    for file in ["ca.crt", "ca.key", "sa.key"] {
      let source = "\(home.certificates)/\(file)"
      try FileSystem.write(
        try FileSystem.readText(source), to: "\(folder)/\(file)", permissions: file.hasSuffix(".key") ? 0o600 : 0o644)
    }
  }

  private func ensureLeaf(
    _ folder: String, _ name: String, _ template: CertificateTemplate, _ authority: CertificateAuthority,
    now: WallTime
  ) throws {
    try FileSystem.createDirectory(folder, permissions: 0o700)
    if let text = try? FileSystem.readText("\(folder)/\(name).crt"), let old = try? Certificate(pem: text),
      old.notAfter > now + Self.renewBefore, old.isSigned(by: authority.certificate)
    {
      return
    }
    let identity = try authority.issue(template, now: now)
    try FileSystem.write(identity.privateKey.pem, to: "\(folder)/\(name).key", permissions: 0o600)
    try FileSystem.write(identity.certificatePEM, to: "\(folder)/\(name).crt")
  }
}

/// How servers know each other: by certificates of this form, signed by the cluster's authority.
enum ServerIdentity {
  static let organization = "system:trireme:servers"
  static func commonName(_ server: String) -> String { "system:trireme:server:\(server)" }

  /// The certificate of a server that clients reach under `hosts` (names or IP addresses).
  static func template(name: String, hosts: [String], lifetime: Duration) -> CertificateTemplate {
    let isAddress: (String) -> Bool = { $0.contains(":") || $0.allSatisfy { $0.isNumber || $0 == "." } }
    var (names, addresses) = (
      [
        "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
        "localhost", name,
      ], ["127.0.0.1", ServerDefaults.kubernetesServiceIP]
    )
    for host in hosts where !names.contains(host) && !addresses.contains(host) {
      if isAddress(host) { addresses.append(host) } else { names.append(host) }
    }
    return CertificateTemplate(
      commonName: commonName(name), organizations: [organization], dnsNames: names, ipAddresses: addresses,
      usages: [.serverAuthentication, .clientAuthentication], lifetime: lifetime)
  }
}

enum ServerDefaults {
  static let serviceNetwork = "10.96.0.0/16"
  /// The first address of the service network: `kubernetes.default.svc`.
  static let kubernetesServiceIP = "10.96.0.1"

  /// Event loops that serve the API, for each of so many servers that share this machine's processors. Requests of more
  /// loops than processors are spread over more, smaller batches for the log: at three servers on two processors
  /// a seventh of the writes are lost to it.
  static func apiLoops(servers: Int) -> Int {
    min(16, max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)) / servers))
  }
}
