// admission.k8s.io AdmissionReview: what webhooks are asked, and what they may answer (spec/2 §2.16).
import JSON
import Schema

enum AdmissionReview {
  /// What a webhook said.
  struct Verdict: Sendable {
    var isAllowed = false
    var status: JSONValue = .null
    /// JSON Patch, nil when nothing is to be changed.
    var patch: [UInt8]?
    var warnings: [String] = []
    var auditAnnotations: [String: String] = [:]
  }

  /// An answer that is none.
  struct Malformed: Error, CustomStringConvertible {
    let description: String
  }

  private static let known = ["v1", "v1beta1"]

  /// The version of AdmissionReview that the webhook likes best of those that are known here.
  static func version(_ accepted: [String]) -> String? { accepted.first { known.contains($0) } }

  /// `seen`: the version of the resource in which the webhook sees the objects.
  static func request(_ request: AdmissionRequest, version: String, seen: String, uid: String) -> JSONValue {
    let descriptor = request.descriptor
    let own =
      request.subresource.isEmpty
      ? descriptor.kind : descriptor.subresource(request.subresource)?.kind ?? descriptor.kind
    var shown = own
    if own == descriptor.kind { shown.version = seen }
    var body: JSONValue = [
      "uid": .string(uid), "kind": kind(shown), "resource": resource(descriptor, seen), "requestKind": kind(own),
      "requestResource": resource(descriptor, descriptor.kind.version),
    ]
    if !request.subresource.isEmpty {
      body["subResource"] = .string(request.subresource)
      body["requestSubResource"] = .string(request.subresource)
    }
    if !request.name.isEmpty { body["name"] = .string(request.name) }
    let isNamespace = descriptor.groupResource == GroupResource(group: "", resource: "namespaces")
    let namespace = isNamespace ? request.name : request.namespace
    if !namespace.isEmpty { body["namespace"] = .string(namespace) }
    body["operation"] = .string(request.operation.rawValue)
    body["userInfo"] = user(request.user)
    var members = body.object ?? JSONObject()
    members["object"] = converted(request.object, to: shown, descriptor)
    members["oldObject"] = converted(request.oldObject, to: shown, descriptor)
    members["dryRun"] = .bool(request.isDryRun)
    members["options"] = request.options
    return [
      "kind": "AdmissionReview", "apiVersion": .string("admission.k8s.io/\(version)"), "request": .object(members),
    ]
  }

  /// An object in the version a webhook sees, or back in its own.
  static func converted(_ object: JSONValue, to kind: GroupVersionKind, _ descriptor: KindDescriptor) -> JSONValue {
    guard let custom = descriptor.custom, object.object != nil, object["kind"].string == kind.kind else {
      return object
    }
    return CustomConversion.renamed(object, to: kind, custom)
  }

  private static func kind(_ kind: GroupVersionKind) -> JSONValue {
    ["group": .string(kind.group), "version": .string(kind.version), "kind": .string(kind.kind)]
  }
  private static func resource(_ descriptor: KindDescriptor, _ version: String) -> JSONValue {
    [
      "group": .string(descriptor.kind.group), "version": .string(version), "resource": .string(descriptor.resource),
    ]
  }
  private static func user(_ user: RequestUser) -> JSONValue {
    var info: JSONValue = ["username": .string(user.name)]
    if !user.uid.isEmpty { info["uid"] = .string(user.uid) }
    info["groups"] = .array(user.groups.map { .string($0) })
    if !user.extra.isEmpty {
      let extra = user.extra.sorted { $0.key < $1.key }
      info["extra"] = .object(
        JSONObject(uniqueMembers: extra.map { ($0.key, .array($0.value.map { .string($0) })) }))
    }
    return info
  }

  /// Reads an answer; the reference's words for what is wrong with one.
  static func verdict(_ body: [UInt8], version: String, uid: String, mayPatch: Bool) throws(Malformed) -> Verdict {
    guard let review = try? JSONValue(parsing: body), review.object != nil else {
      throw Malformed(description: "webhook response is no JSON object")
    }
    let expected = "admission.k8s.io/\(version)"
    let given = (review["apiVersion"].string ?? "", review["kind"].string ?? "")
    if version == "v1" || !given.0.isEmpty || !given.1.isEmpty {
      guard given.0 == expected, given.1 == "AdmissionReview" else {
        throw Malformed(
          description: "expected webhook response of \(expected), Kind=AdmissionReview, got \(given.0), Kind=\(given.1)"
        )
      }
    }
    let response = review["response"]
    guard response.object != nil else { throw Malformed(description: "webhook response was absent") }
    let answered = response["uid"].string ?? ""
    guard answered == uid || version == "v1beta1" else {
      throw Malformed(description: "expected response.uid=\"\(uid)\", got \"\(answered)\"")
    }
    var verdict = Verdict()
    verdict.isAllowed = response["allowed"] == true
    verdict.status = response["status"]
    verdict.warnings = response["warnings"].elements.compactMap(\.string)
    verdict.auditAnnotations = response["auditAnnotations"].stringMap
    if let text = response["patch"].string, !text.isEmpty {
      guard mayPatch else { throw Malformed(description: "validating webhook may not return response.patch") }
      let type = response["patchType"].string ?? ""
      guard !type.isEmpty || version == "v1beta1" else {
        throw Malformed(description: "webhook returned response.patch but not response.patchType")
      }
      guard type.isEmpty || type == "JSONPatch" else {
        throw Malformed(description: "invalid value of response.patchType \"\(type)\"")
      }
      guard let bytes = try? Base64.decode(text) else {
        throw Malformed(description: "webhook response.patch is no base64")
      }
      verdict.patch = bytes
    }
    return verdict
  }

  /// The error that a refusal becomes.
  static func denial(_ name: String, _ status: JSONValue) -> APIStatus {
    let denied = "admission webhook \"\(name)\" denied the request"
    let code = Int(status["code"].integer ?? 0)
    let reason = status["reason"].string ?? ""
    let message = status["message"].string ?? ""
    var result = APIStatus(
      code: max(code, 400), reason: reason,
      message: !message.isEmpty
        ? "\(denied): \(message)" : !reason.isEmpty ? "\(denied): \(reason)" : "\(denied) without explanation")
    let details = status["details"]
    result.name = details["name"].string ?? ""
    result.group = details["group"].string ?? ""
    result.kind = details["kind"].string ?? ""
    result.causes = details["causes"].elements.map {
      APIStatus.Cause(
        reason: $0["reason"].string ?? "", message: $0["message"].string ?? "", field: $0["field"].string ?? "")
    }
    result.retryAfterSeconds = details["retryAfterSeconds"].integer.map { Int($0) }
    return result
  }
}
