// X.509 certificates: reading them. Making them is CertificateAuthority.swift.

import COpenSSL
import World

/// Owns one `X509`; immutable after creation, so any thread may use it.
final class CertificateHandle: @unchecked Sendable {
  let pointer: OpaquePointer
  init(_ pointer: OpaquePointer) { self.pointer = pointer }
  deinit { X509_free(pointer) }
}

/// One certificate.
public struct Certificate: Sendable {
  let handle: CertificateHandle
  private var pointer: OpaquePointer { handle.pointer }

  init(_ handle: CertificateHandle) { self.handle = handle }

  /// The first certificate of a PEM text.
  public init(pem: String) throws(TLSError) {
    guard let first = try Certificate.all(inPEM: pem).first else { throw .unusable("no certificate in the PEM text") }
    self = first
  }

  public init(der: [UInt8]) throws(TLSError) {
    let certificate = der.withUnsafeBufferPointer { bytes in
      var next = bytes.baseAddress
      return d2i_X509(nil, &next, bytes.count)
    }
    guard let certificate else { throw ErrorQueue.unusable("not a DER certificate") }
    handle = CertificateHandle(certificate)
  }

  /// Every certificate of a PEM text, in order: a chain, or a bundle of authorities.
  public static func all(inPEM pem: String) throws(TLSError) -> [Certificate] {
    let found = withInput(pem.utf8) { bio in
      var found: [Certificate] = []
      while let next = PEM_read_bio_X509(bio, nil, nil, nil) { found.append(Certificate(CertificateHandle(next))) }
      return found
    }
    let error = ErrorQueue.take()
    guard ERR_GET_REASON(error) == PEM_R_NO_START_LINE || error == 0 else {
      throw .unusable("certificate: \(ErrorQueue.text(of: error))")
    }
    return found
  }

  public var der: [UInt8] { encodedDER { i2d_X509(pointer, $0) } }

  public var pem: String { String(decoding: output { PEM_write_bio_X509($0, pointer) } ?? [], as: UTF8.self) }

  public var subject: DistinguishedName { DistinguishedName(X509_get_subject_name(pointer)) }
  public var issuer: DistinguishedName { DistinguishedName(X509_get_issuer_name(pointer)) }

  public var notBefore: WallTime { Self.time(X509_get0_notBefore(pointer)) }
  public var notAfter: WallTime { Self.time(X509_get0_notAfter(pointer)) }

  /// SHA-256 of the DER form, lower-case hexadecimal.
  public var fingerprint: String {
    var digest = [UInt8](repeating: 0, count: 32)
    X509_digest(pointer, EVP_sha256(), &digest, nil)
    return Crypto.hexadecimal(digest)
  }

  public var publicKey: PublicKey {
    guard let key = X509_get_pubkey(pointer) else { preconditionFailure("a certificate holds a key") }
    return PublicKey(KeyHandle(key))
  }

  public var names: SubjectAlternativeNames {
    let names = X509_get_ext_d2i(pointer, NID_subject_alt_name, nil, nil)
    defer { GENERAL_NAMES_free(names.map { OpaquePointer($0) }) }
    return SubjectAlternativeNames(names.map { OpaquePointer($0) })
  }

  public var isCertificateAuthority: Bool { X509_check_ca(pointer) > 0 }

  /// Whether `authority` signed this certificate (names, dates and usages are not looked at).
  public func isSigned(by authority: Certificate) -> Bool {
    defer { ERR_clear_error() }
    return X509_verify(pointer, authority.publicKey.handle.pointer) == 1
  }

  private static func time(_ time: UnsafePointer<ASN1_TIME>?) -> WallTime {
    var parts = tm()
    ASN1_TIME_to_tm(time, &parts)
    return WallTime(
      year: Int64(parts.tm_year) + 1900, month: Int64(parts.tm_mon) + 1, day: Int64(parts.tm_mday),
      hour: Int64(parts.tm_hour), minute: Int64(parts.tm_min), second: Int64(parts.tm_sec))
  }
}

/// The parts of an X.500 name that Kubernetes uses: the common name is the user, the organizations are its groups.
public struct DistinguishedName: Sendable, Hashable, CustomStringConvertible {
  public var commonName: String
  public var organizations: [String]

  public init(commonName: String, organizations: [String] = []) {
    self.commonName = commonName
    self.organizations = organizations
  }

  init(_ name: OpaquePointer?) {
    func values(_ identifier: Int32) -> [String] {
      var values: [String] = []
      var index: Int32 = -1
      while true {
        index = X509_NAME_get_index_by_NID(name, identifier, index)
        guard index >= 0, let entry = X509_NAME_get_entry(name, index) else { return values }
        if let text = utf8(X509_NAME_ENTRY_get_data(entry)) { values.append(text) }
      }
    }
    commonName = values(NID_commonName).last ?? ""
    organizations = values(NID_organizationName)
  }

  public var description: String {
    (organizations.map { "O=\($0)" } + (commonName.isEmpty ? [] : ["CN=\(commonName)"])).joined(separator: ",")
  }
}

/// Names beside the subject, for which a server's certificate is good.
public struct SubjectAlternativeNames: Sendable, Hashable {
  public var dnsNames: [String]
  /// IPv4 and IPv6 addresses in text.
  public var ipAddresses: [String]
  public var emailAddresses: [String]
  public var uris: [String]

  public init(
    dnsNames: [String] = [], ipAddresses: [String] = [], emailAddresses: [String] = [], uris: [String] = []
  ) {
    self.dnsNames = dnsNames
    self.ipAddresses = ipAddresses
    self.emailAddresses = emailAddresses
    self.uris = uris
  }

  public var isEmpty: Bool { dnsNames.isEmpty && ipAddresses.isEmpty && emailAddresses.isEmpty && uris.isEmpty }

  init(_ names: OpaquePointer?) {
    self.init()
    for element in elements(names) {
      var type: Int32 = 0
      let value = GENERAL_NAME_get0_value(UnsafePointer<GENERAL_NAME>(element), &type)
      guard let string = value?.assumingMemoryBound(to: ASN1_STRING.self) else { continue }
      switch type {
      case GEN_DNS: dnsNames.append(utf8(string) ?? "")
      case GEN_EMAIL: emailAddresses.append(utf8(string) ?? "")
      case GEN_URI: uris.append(utf8(string) ?? "")
      case GEN_IPADD:
        let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string)))
        if let text = IPAddressText.text(of: Array(bytes)) { ipAddresses.append(text) }
      default: break
      }
    }
  }
}

/// The text of any of X.509's strings; nil if it cannot be UTF-8 or hides a zero byte, by which "good\0.evil" would
/// pass for "good".
func utf8(_ string: UnsafePointer<ASN1_STRING>?) -> String? {
  var bytes: UnsafeMutablePointer<UInt8>?
  let count = ASN1_STRING_to_UTF8(&bytes, string)
  guard count >= 0, let bytes else { return nil }
  defer { CRYPTO_free(bytes, nil, 0) }
  let buffer = UnsafeBufferPointer(start: bytes, count: Int(count))
  guard !buffer.contains(0) else { return nil }
  return String(validating: buffer, as: UTF8.self)
}

/// Who is at the other end of a TLS stream: its certificate, verified against the configuration's trust.
public struct PeerCertificate: Sendable, Hashable {
  public let commonName: String
  public let organizations: [String]
  /// SHA-256 of the DER form, lower-case hexadecimal.
  public let fingerprint: String
  public let notAfter: WallTime
  public let dnsNames: [String]
  public let ipAddresses: [String]

  public init(_ certificate: Certificate) {
    let subject = certificate.subject
    let names = certificate.names
    commonName = subject.commonName
    organizations = subject.organizations
    fingerprint = certificate.fingerprint
    notAfter = certificate.notAfter
    dnsNames = names.dnsNames
    ipAddresses = names.ipAddresses
  }
}
