// What the certificate controllers need of cryptography, and what the built-in signers ask of a request (spec/5 §5.1).
import JSON

/// The names in a certificate request.
public struct CertificateNames: Sendable, Hashable {
  public var commonName: String
  public var organizations: [String]
  public var dnsNames: [String]
  public var ipAddresses: [String]
  public var emailAddresses: [String]
  public var uris: [String]

  public init(
    commonName: String, organizations: [String] = [], dnsNames: [String] = [], ipAddresses: [String] = [],
    emailAddresses: [String] = [], uris: [String] = []
  ) {
    self.commonName = commonName
    self.organizations = organizations
    self.dnsNames = dnsNames
    self.ipAddresses = ipAddresses
    self.emailAddresses = emailAddresses
    self.uris = uris
  }

  var hasAlternativeNames: Bool {
    !dnsNames.isEmpty || !ipAddresses.isEmpty || !emailAddresses.isEmpty || !uris.isEmpty
  }
}

/// The cluster's authority, as its controllers use it. Any thread; must not block for long.
public protocol CertificateSigner: Sendable {
  /// The names of a request (PEM). Throws what is wrong with it.
  func names(inRequest pem: String) throws -> CertificateNames
  /// The certificate (PEM) for a request, for these uses.
  func sign(request pem: String, forServers: Bool, forClients: Bool, seconds: Int64) throws -> String
  /// Seconds since the epoch at which a certificate ends; nil for what is no certificate.
  func expiry(ofCertificate pem: String) -> Int64?
}

/// The signers of the cluster (spec/8 §8.7).
enum BuiltInSigner: String, CaseIterable {
  case client = "kubernetes.io/kube-apiserver-client"
  case kubeletClient = "kubernetes.io/kube-apiserver-client-kubelet"
  case kubeletServing = "kubernetes.io/kubelet-serving"
  case legacyUnknown = "kubernetes.io/legacy-unknown"

  private static let common: Set<String> = ["digital signature", "key encipherment"]

  /// Why a request is not signed; nil when it may be.
  func refusal(_ names: CertificateNames, usages: Set<String>) -> String? {
    switch self {
    case .client:
      guard usages.contains("client auth"), usages.isSubset(of: Self.common.union(["client auth"])) else {
        return "invalid usage for client certificate: \(Self.list(usages))"
      }
      return nil
    case .kubeletClient: return Self.kubeletClientRefusal(names, usages)
    case .kubeletServing: return Self.kubeletServingRefusal(names, usages)
    case .legacyUnknown: return nil
    }
  }

  private static func list(_ usages: Set<String>) -> String { "[\(usages.sorted().joined(separator: " "))]" }

  private static func isNode(_ names: CertificateNames) -> String? {
    guard names.organizations == ["system:nodes"] else { return "subject organization is not system:nodes" }
    guard names.commonName.hasPrefix("system:node:") else {
      return "subject common name does not begin with system:node: "
    }
    return nil
  }

  static func kubeletClientRefusal(_ names: CertificateNames, _ usages: Set<String>) -> String? {
    if let refusal = isNode(names) { return refusal }
    if !names.dnsNames.isEmpty { return "DNS subjectAltNames are not allowed" }
    if !names.emailAddresses.isEmpty { return "email subjectAltNames are not allowed" }
    if !names.ipAddresses.isEmpty { return "IP subjectAltNames are not allowed" }
    if !names.uris.isEmpty { return "URI subjectAltNames are not allowed" }
    guard usages == ["digital signature", "client auth"] || usages == common.union(["client auth"]) else {
      return "usages did not match [client auth digital signature key encipherment]: \(list(usages))"
    }
    return nil
  }

  private static func kubeletServingRefusal(_ names: CertificateNames, _ usages: Set<String>) -> String? {
    if let refusal = isNode(names) { return refusal }
    if names.dnsNames.isEmpty, names.ipAddresses.isEmpty { return "DNS or IP subjectAltName is required" }
    if !names.emailAddresses.isEmpty { return "email subjectAltNames are not allowed" }
    if !names.uris.isEmpty { return "URI subjectAltNames are not allowed" }
    guard usages == ["digital signature", "server auth"] || usages == common.union(["server auth"]) else {
      return "usages did not match [digital signature key encipherment server auth]: \(list(usages))"
    }
    return nil
  }
}
