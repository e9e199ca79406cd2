// Requests for certificates (PKCS #10), and how names get into requests and certificates.

import COpenSSL

/// A request for a certificate (PKCS #10): a subject, names and a public key, signed with the private key.
public struct CertificateRequest: Sendable {
  public let subject: DistinguishedName
  public let names: SubjectAlternativeNames
  public let publicKey: PublicKey
  public let pem: String

  /// Reads a request and checks that its sender holds the key.
  public init(pem: String) throws(TLSError) {
    guard let request = withInput(pem.utf8, { PEM_read_bio_X509_REQ($0, nil, nil, nil) }) else {
      throw ErrorQueue.unusable("not a PEM certificate request")
    }
    defer { X509_REQ_free(request) }
    guard let key = X509_REQ_get_pubkey(request) else { throw ErrorQueue.unusable("certificate request without a key") }
    publicKey = PublicKey(KeyHandle(key))
    guard X509_REQ_verify(request, key) == 1 else {
      throw ErrorQueue.unusable("the certificate request is not signed with its own key")
    }
    subject = DistinguishedName(X509_REQ_get_subject_name(request))
    let extensions = X509_REQ_get_extensions(request)
    defer { OPENSSL_sk_pop_free(extensions) { X509_EXTENSION_free(OpaquePointer($0)) } }
    let found = X509V3_get_d2i(extensions, NID_subject_alt_name, nil, nil).map { OpaquePointer($0) }
    defer { GENERAL_NAMES_free(found) }
    names = SubjectAlternativeNames(found)
    self.pem = pem
  }

  /// Makes a request, signed with `privateKey`.
  public init(
    subject: DistinguishedName, names: SubjectAlternativeNames = SubjectAlternativeNames(), privateKey: PrivateKey
  ) throws(TLSError) {
    guard let request = X509_REQ_new() else { throw ErrorQueue.unusable("certificate request") }
    defer { X509_REQ_free(request) }
    let name = X509_NAME_new()
    defer { X509_NAME_free(name) }
    try subject.write(to: name)
    X509_REQ_set_version(request, 0)
    X509_REQ_set_subject_name(request, name)
    X509_REQ_set_pubkey(request, privateKey.handle.pointer)
    if !names.isEmpty {
      let list = try names.generalNames()
      defer { GENERAL_NAMES_free(list) }
      let extensions = OPENSSL_sk_new_null()
      defer { OPENSSL_sk_pop_free(extensions) { X509_EXTENSION_free(OpaquePointer($0)) } }
      let made = X509V3_EXT_i2d(NID_subject_alt_name, 0, UnsafeMutableRawPointer(list))
      OPENSSL_sk_push(extensions, made.map { UnsafeRawPointer($0) })
      X509_REQ_add_extensions(request, extensions)
    }
    guard X509_REQ_sign(request, privateKey.handle.pointer, EVP_sha256()) > 0,
      let text = output({ PEM_write_bio_X509_REQ($0, request) })
    else { throw ErrorQueue.unusable("cannot sign the certificate request") }
    self.subject = subject
    self.names = names
    publicKey = privateKey.publicKey
    pem = String(decoding: text, as: UTF8.self)
  }
}

extension DistinguishedName {
  func write(to name: OpaquePointer?) throws(TLSError) {
    for (identifier, text) in organizations.map({ (NID_organizationName, $0) }) + [(NID_commonName, commonName)]
    where !text.isEmpty {
      let bytes = Array(text.utf8)
      guard X509_NAME_add_entry_by_NID(name, identifier, MBSTRING_UTF8, bytes, Int32(bytes.count), -1, 0) == 1 else {
        throw ErrorQueue.unusable("\"\(text)\" cannot stand in a certificate's name")
      }
    }
  }
}

extension SubjectAlternativeNames {
  /// OpenSSL's list, built name by name: no text is parsed, so no name can smuggle in another.
  func generalNames() throws(TLSError) -> OpaquePointer {
    guard let list = OPENSSL_sk_new_null() else { throw ErrorQueue.unusable("certificate names") }
    func append(_ type: Int32, _ value: UnsafeMutableRawPointer?) {
      let name = GENERAL_NAME_new()
      GENERAL_NAME_set0_value(name, type, value)
      OPENSSL_sk_push(list, name)
    }
    for (type, texts) in [(GEN_DNS, dnsNames), (GEN_EMAIL, emailAddresses), (GEN_URI, uris)] {
      for text in texts {
        let bytes = Array(text.utf8)
        let string = ASN1_STRING_type_new(V_ASN1_IA5STRING)
        ASN1_STRING_set(string, bytes, Int32(bytes.count))
        append(type, string)
      }
    }
    for text in ipAddresses {
      guard let bytes = IPAddressText.bytes(of: text) else {
        GENERAL_NAMES_free(list)
        throw .unusable("\"\(text)\" is not an IP address")
      }
      let string = ASN1_OCTET_STRING_new()
      ASN1_OCTET_STRING_set(string, bytes, Int32(bytes.count))
      append(GEN_IPADD, string)
    }
    return list
  }
}
