// What can go wrong with TLS, in words that say what to look at; OpenSSL's error queue and its translation.

import COpenSSL
import EventLoop

/// Why a handshake failed, or why keys and certificates could not be used.
public enum TLSError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The other side's certificate was not accepted here: "certificate has expired".
  case peerCertificateRejected(String)
  /// The other side did not accept ours: "the peer refused our certificate: unknown CA".
  case ownCertificateRejected(String)
  /// A client spoke plain HTTP.
  case plainHTTPRequest
  /// The bytes were not TLS, or no version, cipher or protocol was common to both.
  case handshakeFailed(String)
  /// The handshake took too long.
  case timedOut
  /// The connection ended during the handshake.
  case connectionLost(StreamError?)
  /// A key, certificate, request or signature could not be read or made.
  case unusable(String)

  public var description: String {
    switch self {
    case .peerCertificateRejected(let reason): "the peer's certificate was not accepted: \(reason)"
    case .ownCertificateRejected(let reason): "the peer refused our certificate: \(reason)"
    case .plainHTTPRequest: "plain HTTP request sent to TLS port"
    case .handshakeFailed(let reason): "TLS handshake failed: \(reason)"
    case .timedOut: "TLS handshake timed out"
    case .connectionLost(let error): "connection lost during the TLS handshake\(error.map { ": \($0)" } ?? "")"
    case .unusable(let text): text
    }
  }
}

/// OpenSSL's error queue of this thread.
enum ErrorQueue {
  /// Takes the first (root) error and empties the queue.
  static func take() -> UInt {
    let first = ERR_get_error()
    ERR_clear_error()
    return first
  }

  /// OpenSSL's own words for an error.
  static func text(of code: UInt) -> String {
    guard code != 0 else { return "unexpected end" }
    return ERR_reason_error_string(code).map { String(cString: $0) } ?? "OpenSSL error \(code)"
  }

  /// The error of a failed key or certificate operation.
  static func unusable(_ what: String) -> TLSError { .unusable("\(what): \(text(of: take()))") }

  /// The error of a failed handshake, read or write of `ssl`.
  static func sessionError(_ ssl: OpaquePointer) -> TLSError {
    let code = take()
    guard code != 0 else { return .connectionLost(nil) }
    if ERR_GET_LIB(code) == ERR_LIB_SSL {
      let reason = ERR_GET_REASON(code)
      if let refusal = alertsAboutOurCertificate[reason] { return .ownCertificateRejected(refusal) }
      switch reason {
      case SSL_R_HTTP_REQUEST: return .plainHTTPRequest
      case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return .peerCertificateRejected(text(ofVerification: SSL_get_verify_result(ssl)))
      case SSL_R_WRONG_VERSION_NUMBER, SSL_R_UNEXPECTED_MESSAGE:
        return .handshakeFailed("the peer does not speak TLS here")
      case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return .handshakeFailed("no TLS version in common")
      case SSL_R_NO_APPLICATION_PROTOCOL, SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
        return .handshakeFailed("no application protocol (ALPN) in common")
      default: break
      }
    }
    return .handshakeFailed(text(of: code))
  }

  /// Why a certificate was not accepted; the several ways to have no path to a trusted authority are one.
  private static func text(ofVerification result: Int) -> String {
    switch Int32(truncatingIfNeeded: result) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
      X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
      X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_SIGNATURE_FAILURE:
      "unknown CA"
    case X509_V_ERR_INVALID_PURPOSE: "its extended key usage does not allow this use"
    default: String(cString: X509_verify_cert_error_string(result))
    }
  }

  private static let alertsAboutOurCertificate: [Int32: String] = [
    SSL_R_TLSV1_ALERT_UNKNOWN_CA: "unknown CA",
    SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED: "certificate has expired",
    SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED: "certificate revoked",
    SSL_R_SSLV3_ALERT_BAD_CERTIFICATE: "bad certificate",
    SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN: "certificate unknown",
    SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE: "unsupported certificate",
    SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: "a certificate is required",
    SSL_R_TLSV1_ALERT_ACCESS_DENIED: "access denied",
  ]
}
