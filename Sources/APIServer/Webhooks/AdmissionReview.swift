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

  /// `kind`: as which the webhook sees the request's resource.
  static func request(
    _ request: AdmissionRequest, as kind: GroupVersionKind, version: String, uid: String
  ) -> JSONValue {
    let descriptor = request.descriptor
    let own =
      request.subresource.isEmpty
      ? descriptor.kind : descriptor.subresource(request.subresource)?.kind ?? descriptor.kind
    let shown = own == descriptor.kind ? kind : own
    var body: JSONValue = [
      "uid": .string(uid), "kind": self.kind(shown), "resource": resource(descriptor, kind),
      "requestKind": self.kind(own), "requestResource": resource(descriptor, descriptor.kind),
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
    members["object"] = EquivalentKinds.converted(request.object, from: own, to: shown, descriptor)
    members["oldObject"] = EquivalentKinds.converted(request.oldObject, from: own, to: shown, descriptor)
    members["dryRun"] = .bool(request.isDryRun)
    members["options"] = request.options
    return [
      "kind": "AdmissionReview", "apiVersion": .string("admission.k8s.io/\(version)"), "request": .object(members),
    ]
  }

  private static func kind(_ kind: GroupVersionKind) -> JSONValue {
    ["group": .string(kind.group), "version": .string(kind.version), "kind": .string(kind.kind)]
  }
  private static func resource(_ descriptor: KindDescriptor, _ kind: GroupVersionKind) -> JSONValue {
    ["group": .string(kind.group), "version": .string(kind.version), "resource": .string(descriptor.resource)]
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
    let response = review["response"]
    guard response.object != nil else { throw Malformed(description: "webhook response was absent") }
    let answered = response["uid"].string ?? ""
    guard answered == uid || version == "v1beta1" else {
      throw Malformed(description: "expected response.uid=\"\(uid)\", got \"\(answered)\"")
    }
    let expected = "admission.k8s.io/\(version), Kind=AdmissionReview"
    let given = GroupVersionKind(apiVersion: review["apiVersion"].string ?? "", kind: review["kind"].string ?? "")
    let isUnnamed = given.version.isEmpty && given.kind.isEmpty
    // What says nothing of its kind reads "/, Kind=", as the reference prints it.
    let text = "\(given.group.isEmpty ? "/\(given.version)" : given.apiVersion), Kind=\(given.kind)"
    guard text == expected || (version == "v1beta1" && isUnnamed) else {
      throw Malformed(description: "expected webhook response of \(expected), got \(text)")
    }
    var verdict = Verdict()
    verdict.isAllowed = response["allowed"] == true
    verdict.status = response["status"]
    verdict.warnings = response["warnings"].elements.compactMap(\.string)
    verdict.auditAnnotations = response["auditAnnotations"].stringMap
    verdict.patch = try patch(response, version: version, mayPatch: mayPatch)
    return verdict
  }

  private static func patch(_ response: JSONValue, version: String, mayPatch: Bool) throws(Malformed) -> [UInt8]? {
    let text = response["patch"].string ?? ""
    let type = response["patchType"].string
    guard mayPatch else {
      if !text.isEmpty { throw Malformed(description: "validating webhook may not return response.patch") }
      if type != nil, version == "v1" {
        throw Malformed(description: "validating webhook may not return response.patchType")
      }
      return nil
    }
    if version == "v1" {
      if !text.isEmpty, type == nil {
        throw Malformed(description: "webhook returned response.patch but not response.patchType")
      }
      if text.isEmpty, type != nil {
        throw Malformed(description: "webhook returned response.patchType but not response.patch")
      }
    }
    guard !text.isEmpty else { return nil }
    guard type == nil || type == "JSONPatch" else {
      throw Malformed(description: "webhook returned invalid response.patchType of \"\(type ?? "")\"")
    }
    guard let bytes = try? Base64.decode(text) else {
      throw Malformed(description: "webhook response.patch is no base64")
    }
    return bytes
  }

  /// The error that a refusal becomes.
  static func denial(_ name: String, _ status: JSONValue) -> APIStatus {
    let denied = "admission webhook \"\(name)\" denied the request"
    let code = Int(status["code"].integer ?? 0)
    let reason = status["reason"].string ?? ""
    let message = status["message"].string ?? ""
    var result = APIStatus(
      // (What has more than three digits is no status.)
      code: code > 999 ? 500 : max(code, 400), reason: reason,
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
