// What is to be done about one certificate request: a value in, a decision out.
import Client
import JSON
import Schema
import World

/// A CertificateSigningRequest as the controllers see it.
public struct CertificateSigningRequest: APIObject {
  public static let reference = ResourceReference.certificateSigningRequests
  public var metadata: ObjectMeta
  var signerName: String
  var username: String
  var requestPEM: [UInt8]
  var usages: Set<String>
  var expirationSeconds: Int64?
  var certificate: [UInt8]
  /// Types and when they were last updated.
  var conditions: [String: WallTime?]
  /// For a review of the requester's permissions.
  var requester: JSONValue

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    let (spec, status) = (json["spec"], json["status"])
    signerName = spec["signerName"].string ?? ""
    username = spec["username"].string ?? ""
    requestPEM = (try? Base64.decode(spec["request"].string ?? "")) ?? []
    usages = Set(spec["usages"].elements.compactMap(\.string))
    expirationSeconds = spec["expirationSeconds"].integer
    certificate = (try? Base64.decode(status["certificate"].string ?? "")) ?? []
    conditions = [:]
    for condition in status["conditions"].elements {
      conditions[condition["type"].string ?? ""] = .some(
        condition["lastUpdateTime"].string.flatMap { WallTime(rfc3339: $0) })
    }
    requester = ["user": spec["username"]]
    for key in ["uid", "groups", "extra"] where !spec[key].isNull { requester[key] = spec[key] }
  }

  var isApproved: Bool { conditions["Approved"] != nil }
  var isDenied: Bool { conditions["Denied"] != nil }
  var isFailed: Bool { conditions["Failed"] != nil }
}

/// Decides about a request.
enum CertificatePlan {
  /// Requests that a kubelet makes for itself, and what asking for them takes.
  enum Recognition: Hashable {
    /// For the node that asks: it renews.
    case selfNodeClient
    /// For any node: it joins.
    case nodeClient

    var subresource: String { self == .selfNodeClient ? "selfnodeclient" : "nodeclient" }
    var message: String {
      self == .selfNodeClient
        ? "Auto approving self kubelet client certificate after SubjectAccessReview."
        : "Auto approving kubelet client certificate after SubjectAccessReview."
    }
  }

  /// As what a request may be approved without a person, in the order it is tried.
  static func recognitions(
    _ request: CertificateSigningRequest, _ names: CertificateNames
  ) -> [Recognition] {
    guard request.signerName == BuiltInSigner.kubeletClient.rawValue,
      BuiltInSigner.kubeletClientRefusal(names, request.usages) == nil
    else { return [] }
    return names.commonName == request.username ? [.selfNodeClient, .nodeClient] : [.nodeClient]
  }

  /// Certificates last a year at most (spec/5: --cluster-signing-duration).
  static let maximumSeconds: Int64 = 365 * 86_400

  static func seconds(_ request: CertificateSigningRequest) -> Int64 {
    min(max(request.expirationSeconds ?? maximumSeconds, 600), maximumSeconds)
  }

  private static let settledLifetime = Duration.seconds(3600)
  private static let pendingLifetime = Duration.seconds(24 * 3600)

  /// Whether a request has served its purpose: settled an hour ago, forgotten for a day, or its certificate has ended.
  static func isStale(_ request: CertificateSigningRequest, now: WallTime, expiry: Int64?) -> Bool {
    if let expiry, now.secondsSinceEpoch >= expiry { return true }
    func isOlder(_ type: String, _ lifetime: Duration) -> Bool {
      guard let entry = request.conditions[type], let since = entry else { return false }
      return now >= since + lifetime
    }
    if request.isApproved, !request.certificate.isEmpty, isOlder("Approved", settledLifetime) { return true }
    if isOlder("Denied", settledLifetime) || isOlder("Failed", settledLifetime) { return true }
    guard request.conditions.isEmpty, let created = request.metadata.creationTimestamp else { return false }
    return now >= created + pendingLifetime
  }
}
