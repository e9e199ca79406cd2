// The port on which a loop beside the servers is watched: flags as kube-scheduler and kube-controller-manager have them.
import ArgumentParser
import Client
import ControlPlane
import EventLoop
import HTTP
import Logging
import Schema
import TLS
import World

struct LoopEndpointOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Port of /metrics, /healthz, /livez and /readyz over TLS; 0: none (default: 10259 of the usual scheduler, none of one of another name, 10257 of controllers).",
      valueName: "port"))
  var securePort: UInt16?
  @Option(help: "Address of that port.")
  var bindAddress = "0.0.0.0"
  @Option(help: "Certificate of that port, PEM (default: one that it signs itself).")
  var tlsCertFile: String?
  @Option(help: "Its private key.")
  var tlsPrivateKeyFile: String?
  @Option(
    name: .customLong("client-ca-file"),
    help: "Authorities whose certificates are believed there (default: that of the kubeconfig).")
  var clientAuthorityFile: String?
  @Option(help: "As whom the cluster is asked about tokens (default: --kubeconfig).")
  var authenticationKubeconfig: String?
  @Option(help: "As whom the cluster is asked about permissions (default: --kubeconfig).")
  var authorizationKubeconfig: String?
  @Option(help: "Paths that need no permission, with commas.")
  var authorizationAlwaysAllowPaths = LoopEndpoint.openPaths.joined(separator: ",")

  func validate() throws {
    if (tlsCertFile == nil) != (tlsPrivateKeyFile == nil) {
      throw ValidationError("--tls-cert-file and --tls-private-key-file are given together")
    }
    if securePort != 0, Address(address(port: 1)) == nil {
      throw ValidationError("--bind-address \(bindAddress) is no address")
    }
  }

  private func address(port: UInt16) -> String {
    bindAddress.contains(":") ? "[\(bindAddress)]:\(port)" : "\(bindAddress):\(port)"
  }

  /// Listens, unless no port is wanted. Throws when the port is not to be had or a file is no good.
  func serve(
    defaultPort: UInt16, _ kubeconfig: Kubeconfig, connect: (Kubeconfig) throws -> APIClient, metrics: LoopMetrics,
    on loop: EventLoop
  ) async throws {
    let port = securePort ?? defaultPort
    guard port != 0, let address = Address(address(port: port)) else { return }
    let reviewer = try (authenticationKubeconfig ?? authorizationKubeconfig).map(Kubeconfig.read) ?? kubeconfig
    let authorities = try clientAuthorityFile.map(FileSystem.readText) ?? kubeconfig.certificateAuthorityPEM
    let tls = try TLSConfiguration.server(
      identity: try identity(now: loop.wallClock), clientTrust: try Certificate.all(inPEM: authorities),
      protocols: ["h2", "http/1.1"], minimumVersion: .tls12)
    _ = ProcessMetrics.startTime
    let build = MetricFamily(
      "kubernetes_build_info", .gauge, help: "What this process is: 1.", labels: ["git_version", "platform"])
    build.set(1, [Version.kubernetes, "linux/amd64"])
    let server = HTTPServer(
      loops: [loop], address: address, tls: tls,
      handler: LoopEndpoint(
        client: try connect(reviewer),
        open: authorizationAlwaysAllowPaths.split(separator: ",").map(String.init),
        metrics: {
          var text = metrics.render()
          build.render(to: &text)
          return text + ProcessMetrics.text()
        }))
    let bound = try await server.start()
    Logger(label: "endpoint").info("metrics and health", metadata: ["address": "\(bound)"])
  }

  private static let selfSignedLifetime = Duration.seconds(365 * 86_400)

  private func identity(now: WallTime) throws -> Identity {
    if let tlsCertFile, let tlsPrivateKeyFile {
      return try Identity(
        certificatePEM: FileSystem.readText(tlsCertFile), privateKeyPEM: FileSystem.readText(tlsPrivateKeyFile))
    }
    let authority = try CertificateAuthority.generate(
      commonName: "localhost-ca", lifetime: Self.selfSignedLifetime, now: now)
    let name = bindAddress.contains(":") || bindAddress == "0.0.0.0" ? "127.0.0.1" : bindAddress
    return try authority.issue(
      CertificateTemplate(
        commonName: "localhost", dnsNames: ["localhost"], ipAddresses: [name], usages: [.serverAuthentication],
        lifetime: Self.selfSignedLifetime), now: now)
  }
}

extension Kubeconfig {
  static func read(_ path: String) throws -> Kubeconfig {
    try Kubeconfig(
      parsing: try FileSystem.read(path), base64Decode: { try? Base64.decode($0) },
      readFile: { try FileSystem.read($0) })
  }
}
