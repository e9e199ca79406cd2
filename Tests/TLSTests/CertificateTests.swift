import TLS
import Testing
import World

let testNow = WallTime(year: 2026, month: 1, day: 2, hour: 3, minute: 4, second: 5)

@Suite struct CertificateTests {
  private let authority: CertificateAuthority

  init() throws {
    authority = try CertificateAuthority.generate(commonName: "test-ca", lifetime: .seconds(86_400 * 365), now: testNow)
  }

  @Test func anIssuedCertificateSaysWhatItWasAskedToSay() throws {
    let identity = try authority.issue(
      CertificateTemplate(
        commonName: "system:node:n1", organizations: ["system:nodes", "O, with=comma"],
        dnsNames: ["n1.example", "a,DNS:evil"], ipAddresses: ["10.0.0.1", "::1", "2001:db8::5"],
        usages: [.serverAuthentication, .clientAuthentication], lifetime: .seconds(3600)), now: testNow)
    let certificate = identity.certificate
    #expect(certificate.subject.commonName == "system:node:n1")
    #expect(certificate.subject.organizations == ["system:nodes", "O, with=comma"])
    #expect(certificate.names.dnsNames == ["n1.example", "a,DNS:evil"])
    #expect(certificate.names.ipAddresses == ["10.0.0.1", "::1", "2001:db8::5"])
    #expect(certificate.issuer.commonName == "test-ca")
    #expect(certificate.notAfter == testNow + .seconds(3600))
    #expect(certificate.notBefore == testNow + .seconds(-300))
    #expect(certificate.isSigned(by: authority.certificate))
    #expect(!certificate.isCertificateAuthority)
    #expect(certificate.fingerprint == Crypto.hexadecimal(Crypto.sha256(certificate.der)))
    #expect(certificate.publicKey.der == identity.privateKey.publicKey.der)
    let peer = PeerCertificate(certificate)
    #expect(peer.commonName == "system:node:n1")
    #expect(peer.notAfter == certificate.notAfter)
  }

  @Test func textsComeBackAsTheSameCertificates() throws {
    let identity = try authority.issue(
      CertificateTemplate(commonName: "x", usages: [.clientAuthentication], lifetime: .seconds(60)), now: testNow)
    let again = try Identity(certificatePEM: identity.certificatePEM, privateKeyPEM: identity.privateKey.pem)
    #expect(again.certificate.der == identity.certificate.der)
    #expect(try Certificate(der: identity.certificate.der).fingerprint == identity.certificate.fingerprint)
    let bundle = try Certificate.all(inPEM: "# a comment\n" + authority.certificate.pem + identity.certificatePEM)
    #expect(bundle.map(\.subject.commonName) == ["test-ca", "x"])
    let restored = try CertificateAuthority(
      certificatePEM: authority.certificate.pem, privateKeyPEM: authority.privateKey.pem)
    #expect(restored.certificate.isCertificateAuthority)
    let other = try PrivateKey.generateP256()
    #expect(throws: TLSError.self) {
      _ = try Identity(certificatePEM: identity.certificatePEM, privateKeyPEM: other.pem)
    }
    #expect(throws: TLSError.self) {
      _ = try CertificateAuthority(certificate: identity.certificate, privateKey: identity.privateKey)
    }
  }

  @Test func noCertificateOutlivesItsAuthority() throws {
    let identity = try authority.issue(
      CertificateTemplate(commonName: "x", usages: [], lifetime: .seconds(86_400 * 3650)), now: testNow)
    #expect(identity.certificate.notAfter == authority.certificate.notAfter)
  }

  @Test func aRequestIsReadCheckedAndSigned() throws {
    let key = try PrivateKey.generateP256()
    let made = try CertificateRequest(
      subject: DistinguishedName(commonName: "system:node:n2", organizations: ["system:nodes"]),
      names: SubjectAlternativeNames(dnsNames: ["n2"], ipAddresses: ["10.0.0.2"]), privateKey: key)
    let request = try CertificateRequest(pem: made.pem)
    #expect(request.subject == made.subject)
    #expect(request.names == made.names)
    #expect(request.publicKey.der == key.publicKey.der)
    let certificate = try authority.sign(
      request, usages: [.clientAuthentication], lifetime: .seconds(60), now: testNow)
    #expect(certificate.subject == made.subject)
    #expect(certificate.names == made.names)
    #expect(certificate.publicKey.der == key.publicKey.der)
    let plain = try CertificateRequest(
      pem: CertificateRequest(subject: DistinguishedName(commonName: "x"), privateKey: key).pem)
    #expect(plain.names.isEmpty)
  }

  @Test func aRequestThatWasChangedIsRefused() throws {
    let key = try PrivateKey.generateP256()
    let pem = try CertificateRequest(subject: DistinguishedName(commonName: "abc"), privateKey: key).pem
    let lines = pem.split(separator: "\n")
    var der = try #require(Crypto.decodeBase64(lines.dropFirst().dropLast().joined()))
    let at = try #require(der.firstRange(of: Array("abc".utf8))).lowerBound
    der[at] = UInt8(ascii: "x")
    let changed = "\(lines.first!)\n\(Crypto.base64(der))\n\(lines.last!)\n"
    #expect(throws: TLSError.self) { _ = try CertificateRequest(pem: changed) }
    #expect(throws: TLSError.self) { _ = try CertificateRequest(pem: "") }
  }

  @Test func wrongAddressesAreRefused() {
    #expect(throws: TLSError.unusable("\"10.0.0\" is not an IP address")) {
      _ = try authority.issue(
        CertificateTemplate(commonName: "x", ipAddresses: ["10.0.0"], usages: [], lifetime: .seconds(1)), now: testNow)
    }
  }
}
