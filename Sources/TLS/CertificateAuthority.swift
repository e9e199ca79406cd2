// The cluster's own certificate authority: makes itself, issues leaves, signs requests (CertificateRequest.swift).

import COpenSSL
import World

/// What a certificate's key may be used for in TLS.
public enum ExtendedKeyUsage: Sendable, Hashable {
  case serverAuthentication
  case clientAuthentication

  fileprivate var identifier: Int32 {
    switch self {
    case .serverAuthentication: NID_server_auth
    case .clientAuthentication: NID_client_auth
    }
  }
}

/// What a leaf certificate shall say.
public struct CertificateTemplate: Sendable {
  public var subject: DistinguishedName
  public var names: SubjectAlternativeNames
  public var usages: [ExtendedKeyUsage]
  /// From now on; never beyond the end of the authority itself.
  public var lifetime: Duration

  public init(
    commonName: String, organizations: [String] = [], dnsNames: [String] = [], ipAddresses: [String] = [],
    usages: [ExtendedKeyUsage], lifetime: Duration
  ) {
    subject = DistinguishedName(commonName: commonName, organizations: organizations)
    names = SubjectAlternativeNames(dnsNames: dnsNames, ipAddresses: ipAddresses)
    self.usages = usages
    self.lifetime = lifetime
  }
}

/// A certificate (with the chain to its authority, if any) and its private key: what one side of TLS shows.
public struct Identity: Sendable {
  public var certificateChain: [Certificate]
  public var privateKey: PrivateKey

  public init(certificateChain: [Certificate], privateKey: PrivateKey) {
    self.certificateChain = certificateChain
    self.privateKey = privateKey
  }

  /// The leaf comes first in the PEM text.
  public init(certificatePEM: String, privateKeyPEM: String) throws(TLSError) {
    certificateChain = try Certificate.all(inPEM: certificatePEM)
    privateKey = try PrivateKey(pem: privateKeyPEM)
    guard let leaf = certificateChain.first else { throw .unusable("no certificate in the PEM text") }
    guard leaf.publicKey.der == privateKey.publicKey.der else {
      throw .unusable("the private key does not belong to the certificate")
    }
  }

  public var certificate: Certificate {
    guard let leaf = certificateChain.first else { preconditionFailure("an identity has a certificate") }
    return leaf
  }
  public var certificatePEM: String { certificateChain.map(\.pem).joined() }
}

/// An authority with its key.
public struct CertificateAuthority: Sendable {
  public let certificate: Certificate
  public let privateKey: PrivateKey

  /// Certificates are good from a little before now: the clocks of a cluster differ.
  private static let backdating = Duration.seconds(300)

  public init(certificate: Certificate, privateKey: PrivateKey) throws(TLSError) {
    guard certificate.isCertificateAuthority else { throw .unusable("\(certificate.subject) is not an authority") }
    guard certificate.publicKey.der == privateKey.publicKey.der else {
      throw .unusable("the private key does not belong to the authority's certificate")
    }
    self.certificate = certificate
    self.privateKey = privateKey
  }

  public init(certificatePEM: String, privateKeyPEM: String) throws(TLSError) {
    try self.init(certificate: Certificate(pem: certificatePEM), privateKey: PrivateKey(pem: privateKeyPEM))
  }

  /// A new authority with a new P-256 key.
  public static func generate(
    commonName: String, lifetime: Duration, now: WallTime
  ) throws(TLSError) -> CertificateAuthority {
    let key = try PrivateKey.generateP256()
    let subject = DistinguishedName(commonName: commonName)
    let builder = try CertificateBuilder(
      subject: subject, publicKey: key.publicKey, issuer: nil, notBefore: now - backdating,
      notAfter: now + lifetime)
    try builder.add(NID_basic_constraints, "critical,CA:TRUE")
    try builder.add(NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign")
    try builder.add(NID_subject_key_identifier, "hash")
    return try CertificateAuthority(certificate: builder.sign(with: key), privateKey: key)
  }

  /// A new P-256 key and its certificate.
  public func issue(_ template: CertificateTemplate, now: WallTime) throws(TLSError) -> Identity {
    let key = try PrivateKey.generateP256()
    let leaf = try certificate(for: key.publicKey, template, now: now)
    return Identity(certificateChain: [leaf], privateKey: key)
  }

  /// Signs a request as it stands (subject, names, key); whether it deserves that is for the caller to decide.
  public func sign(
    _ request: CertificateRequest, usages: [ExtendedKeyUsage], lifetime: Duration, now: WallTime
  ) throws(TLSError) -> Certificate {
    var template = CertificateTemplate(commonName: "", usages: usages, lifetime: lifetime)
    template.subject = request.subject
    template.names = request.names
    return try certificate(for: request.publicKey, template, now: now)
  }

  /// A certificate for a key held elsewhere.
  public func certificate(
    for key: PublicKey, _ template: CertificateTemplate, now: WallTime
  ) throws(TLSError) -> Certificate {
    let builder = try CertificateBuilder(
      subject: template.subject, publicKey: key, issuer: certificate, notBefore: now - Self.backdating,
      notAfter: min(now + template.lifetime, certificate.notAfter))
    try builder.add(NID_basic_constraints, "critical,CA:FALSE")
    // TLS 1.3 signs only; RSA keys of TLS 1.2 clients may also wrap the session's key.
    let isRSA = key.handle.family == .rsa
    try builder.add(NID_key_usage, "critical,digitalSignature" + (isRSA ? ",keyEncipherment" : ""))
    try builder.add(NID_subject_key_identifier, "hash")
    try builder.add(NID_authority_key_identifier, "keyid")
    try builder.add(usages: template.usages)
    try builder.add(names: template.names)
    return try builder.sign(with: privateKey)
  }
}

extension WallTime {
  fileprivate static func - (time: WallTime, duration: Duration) -> WallTime { time + (.zero - duration) }
}

/// A certificate under construction.
private final class CertificateBuilder {
  private let pointer: OpaquePointer
  private let issuer: Certificate?

  init(
    subject: DistinguishedName, publicKey: PublicKey, issuer: Certificate?, notBefore: WallTime, notAfter: WallTime
  ) throws(TLSError) {
    guard let pointer = X509_new() else { throw ErrorQueue.unusable("certificate") }
    self.pointer = pointer
    self.issuer = issuer
    X509_set_version(pointer, Int(X509_VERSION_3))
    // 127 random bits: unique without a register, and positive.
    let serial = BN_new()
    defer { BN_free(serial) }
    BN_rand(serial, 127, -1, 0)
    BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(pointer))
    ASN1_TIME_set(X509_getm_notBefore(pointer), Int(notBefore.secondsSinceEpoch))
    ASN1_TIME_set(X509_getm_notAfter(pointer), Int(notAfter.secondsSinceEpoch))
    let name = X509_NAME_new()
    defer { X509_NAME_free(name) }
    try subject.write(to: name)
    X509_set_subject_name(pointer, name)
    X509_set_issuer_name(pointer, issuer.map { X509_get_subject_name($0.handle.pointer) } ?? name)
    guard X509_set_pubkey(pointer, publicKey.handle.pointer) == 1 else { throw ErrorQueue.unusable("certificate key") }
  }

  deinit { X509_free(pointer) }

  /// Adds an extension from OpenSSL's notation; for constant text only.
  func add(_ identifier: Int32, _ text: String) throws(TLSError) {
    var context = X509V3_CTX()
    X509V3_set_ctx(&context, issuer?.handle.pointer ?? pointer, pointer, nil, nil, 0)
    guard let made = X509V3_EXT_conf_nid(nil, &context, identifier, text) else {
      throw ErrorQueue.unusable("certificate extension \(text)")
    }
    defer { X509_EXTENSION_free(made) }
    guard X509_add_ext(pointer, made, -1) == 1 else { throw ErrorQueue.unusable("certificate extension \(text)") }
  }

  func add(usages: [ExtendedKeyUsage]) throws(TLSError) {
    guard !usages.isEmpty else { return }
    let list = OPENSSL_sk_new_null()
    // The objects are OpenSSL's own constants: only the list is freed.
    defer { OPENSSL_sk_free(list) }
    for usage in usages { OPENSSL_sk_push(list, UnsafeRawPointer(OBJ_nid2obj(usage.identifier))) }
    guard X509_add1_ext_i2d(pointer, NID_ext_key_usage, list.map { UnsafeMutableRawPointer($0) }, 0, 0) == 1 else {
      throw ErrorQueue.unusable("certificate usages")
    }
  }

  func add(names: SubjectAlternativeNames) throws(TLSError) {
    guard !names.isEmpty else { return }
    let list = try names.generalNames()
    defer { GENERAL_NAMES_free(list) }
    guard X509_add1_ext_i2d(pointer, NID_subject_alt_name, UnsafeMutableRawPointer(list), 0, 0) == 1 else {
      throw ErrorQueue.unusable("certificate names")
    }
  }

  func sign(with key: PrivateKey) throws(TLSError) -> Certificate {
    guard X509_sign(pointer, key.handle.pointer, EVP_sha256()) > 0 else { throw ErrorQueue.unusable("cannot sign") }
    X509_up_ref(pointer)
    return Certificate(CertificateHandle(pointer))
  }
}
