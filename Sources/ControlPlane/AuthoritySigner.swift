// The cluster's authority as the certificate controllers use it.
import Controllers
import TLS
import World

/// Signs certificate requests with the authority's key.
public struct AuthoritySigner: CertificateSigner {
  private let authority: CertificateAuthority
  private let world: any World

  public init(authority: CertificateAuthority, world: any World) {
    self.authority = authority
    self.world = world
  }

  public func names(inRequest pem: String) throws -> CertificateNames {
    let request = try CertificateRequest(pem: pem)
    return CertificateNames(
      commonName: request.subject.commonName, organizations: request.subject.organizations,
      dnsNames: request.names.dnsNames, ipAddresses: request.names.ipAddresses,
      emailAddresses: request.names.emailAddresses, uris: request.names.uris)
  }

  public func sign(request pem: String, forServers: Bool, forClients: Bool, seconds: Int64) throws -> String {
    var usages: [ExtendedKeyUsage] = []
    if forServers { usages.append(.serverAuthentication) }
    if forClients { usages.append(.clientAuthentication) }
    return try authority.sign(
      try CertificateRequest(pem: pem), usages: usages, lifetime: .seconds(seconds), now: world.wallClock
    ).pem
  }

  public func expiry(ofCertificate pem: String) -> Int64? { (try? Certificate(pem: pem))?.notAfter.secondsSinceEpoch }
}
