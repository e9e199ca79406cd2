// What one side of TLS shows and trusts: an `SSL_CTX`, made once and shared by every connection on every loop.
// Certificates are renewed by making a new configuration for the connections to come.

import COpenSSL
import EventLoop

public enum TLSVersion: Sendable { case tls12, tls13 }

/// One side's identity, trust and protocols. Immutable; any thread may use it.
public final class TLSConfiguration: Sendable {
  /// Whose certificates are accepted.
  public enum Trust: Sendable {
    /// Those that lead to one of these certificates.
    case certificates([Certificate])
    /// Those that lead to the operating system's authorities.
    case system
    /// Any: for people who ask for it in writing (`insecure-skip-tls-verify`).
    case anything
  }

  enum Side { case server, client }

  // OpenSSL locks inside; nothing here is changed after init.
  nonisolated(unsafe) let context: OpaquePointer
  let side: Side
  private let protocolList: ProtocolList
  let verifiesPeer: Bool

  /// Key exchange: the fast one first, and what FIPS-minded clients offer.
  private static let groups = "X25519:P-256"
  /// How long a ticket resumes a session; a client's certificate is not verified again within it.
  private static let ticketSeconds = 3600

  /// A server's side. With `clientTrust`, clients are asked for a certificate, which they may decline to show but which
  /// must be good if they do. `protocols` (ALPN) come in order of preference; a client that offers none gets none.
  public static func server(
    identity: Identity, clientTrust: [Certificate]? = nil, protocols: [String] = [],
    minimumVersion: TLSVersion = .tls13
  ) throws(TLSError) -> TLSConfiguration {
    let configuration = try TLSConfiguration(
      side: .server, identity: identity, trust: clientTrust.map { .certificates($0) } ?? .anything,
      protocols: protocols, minimumVersion: minimumVersion)
    let context = configuration.context
    // Sessions resume by ticket alone: the server remembers nothing. One ticket, most clients use none.
    trireme_SSL_CTX_set_session_cache_mode(context, Int(SSL_SESS_CACHE_OFF))
    SSL_CTX_set_num_tickets(context, 1)
    SSL_CTX_set_timeout(context, ticketSeconds)
    let identifier = Array("trireme".utf8)
    SSL_CTX_set_session_id_context(context, identifier, UInt32(identifier.count))
    for authority in clientTrust ?? [] { SSL_CTX_add_client_CA(context, authority.handle.pointer) }
    if !protocols.isEmpty {
      SSL_CTX_set_alpn_select_cb(
        context,
        { _, chosen, chosenLength, offered, offeredLength, list in
          let list = Unmanaged<ProtocolList>.fromOpaque(list.unsafelyUnwrapped).takeUnretainedValue()
          let offered = UnsafeBufferPointer(start: offered, count: Int(offeredLength))
          guard let range = list.preferred(among: offered) else { return SSL_TLSEXT_ERR_ALERT_FATAL }
          chosen?.pointee = offered.baseAddress! + range.lowerBound
          chosenLength?.pointee = UInt8(range.count)
          return SSL_TLSEXT_ERR_OK
        }, Unmanaged.passUnretained(configuration.protocolList).toOpaque())
    }
    return configuration
  }

  /// A client's side: what it trusts, and what it shows if the server asks.
  public static func client(
    trust: Trust, identity: Identity? = nil, protocols: [String] = [], minimumVersion: TLSVersion = .tls13
  ) throws(TLSError) -> TLSConfiguration {
    let configuration = try TLSConfiguration(
      side: .client, identity: identity, trust: trust, protocols: protocols, minimumVersion: minimumVersion)
    if !protocols.isEmpty {
      let wire = configuration.protocolList.wire
      // Zero means success, in this call only.
      guard SSL_CTX_set_alpn_protos(configuration.context, wire, UInt32(wire.count)) == 0 else {
        throw ErrorQueue.unusable("protocols \(protocols)")
      }
    }
    return configuration
  }

  private init(
    side: Side, identity: Identity?, trust: Trust, protocols: [String], minimumVersion: TLSVersion
  ) throws(TLSError) {
    guard let context = SSL_CTX_new(side == .server ? TLS_server_method() : TLS_client_method()) else {
      throw ErrorQueue.unusable("TLS context")
    }
    self.context = context
    self.side = side
    protocolList = ProtocolList(protocols)
    verifiesPeer = if case .anything = trust { false } else { true }
    let version = minimumVersion == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION
    guard trireme_SSL_CTX_set_min_proto_version(context, version) == 1,
      trireme_SSL_CTX_set1_groups_list(context, Self.groups) == 1
    else { throw ErrorQueue.unusable("TLS context") }
    // Idle connections give their buffers back; nobody renegotiates.
    trireme_SSL_CTX_set_mode(context, Int(SSL_MODE_RELEASE_BUFFERS))
    SSL_CTX_set_options(context, trireme_ssl_options())
    if let identity { try show(identity) }
    try accept(trust)
  }

  deinit { SSL_CTX_free(context) }

  private func show(_ identity: Identity) throws(TLSError) {
    guard SSL_CTX_use_certificate(context, identity.certificate.handle.pointer) == 1,
      SSL_CTX_use_PrivateKey(context, identity.privateKey.handle.pointer) == 1,
      SSL_CTX_check_private_key(context) == 1
    else { throw ErrorQueue.unusable("certificate and private key") }
    for link in identity.certificateChain.dropFirst() {
      guard trireme_SSL_CTX_add1_chain_cert(context, link.handle.pointer) == 1 else {
        throw ErrorQueue.unusable("certificate chain")
      }
    }
  }

  private func accept(_ trust: Trust) throws(TLSError) {
    switch trust {
    case .anything:
      SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nil)
      return
    case .system:
      guard SSL_CTX_set_default_verify_paths(context) == 1 else { throw ErrorQueue.unusable("system trust") }
    case .certificates(let authorities):
      let store = SSL_CTX_get_cert_store(context)
      // A certificate that is trusted need not be a root.
      X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN))
      for authority in authorities {
        guard X509_STORE_add_cert(store, authority.handle.pointer) == 1 else { throw ErrorQueue.unusable("trust") }
      }
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
  }
}

/// Application protocols in order of preference, in the form of the wire (RFC 7301): each after its length.
private final class ProtocolList: Sendable {
  let wire: [UInt8]
  private let names: [[UInt8]]

  init(_ protocols: [String]) {
    names = protocols.map { Array($0.utf8) }
    precondition(names.allSatisfy { (1...255).contains($0.count) }, "a protocol's name has 1 to 255 bytes")
    wire = names.flatMap { [UInt8($0.count)] + $0 }
  }

  /// Where our first protocol stands that is among the offered.
  func preferred(among offered: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
    for name in names {
      var at = 0
      while at < offered.count {
        let range = (at + 1)..<(at + 1 + Int(offered[at]))
        guard range.upperBound <= offered.count else { break }
        if offered[range].elementsEqual(name) { return range }
        at = range.upperBound
      }
    }
    return nil
  }
}
