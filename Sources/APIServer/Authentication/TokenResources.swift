// Tokens asked for and tokens shown: serviceaccounts/token, TokenReview, SelfSubjectReview.
import JSON
import Replica
import Schema
import World

/// POST serviceaccounts/{name}/token.
public struct TokenRequestResource: ComputedResource {
  private let tokens: ServiceAccountTokens
  public init(tokens: ServiceAccountTokens) { self.tokens = tokens }

  private static let resource = GroupResource(group: "", resource: "serviceaccounts")
  /// Kubelets ask for 3607 s; old clients never reload theirs, so such tokens live a year (spec/8 §8.2).
  private static let kubeletSeconds: Int64 = 3607
  private static let extendedSeconds: Int64 = 365 * 86_400

  public func create(_ object: JSONValue, context: RequestContext, objects: ObjectLookup) async throws(APIStatus)
    -> JSONValue
  {
    var objects = objects
    if objects.stored(Self.resource, namespace: context.namespace, name: context.name) == nil
      || !object["spec"]["boundObjectRef"].isNull
    {
      // The account or the pod may have been made through another server a moment ago.
      objects = try await objects.fresh()
    }
    try checkPlace(object["metadata"], context)
    guard let account = objects.stored(Self.resource, namespace: context.namespace, name: context.name) else {
      throw .notFound(Self.resource, context.name)
    }
    let spec = object["spec"]
    let seconds = spec["expirationSeconds"].integer ?? ServiceAccountTokens.defaultSeconds
    try validate(seconds)
    let asked = spec["audiences"].elements.compactMap(\.string)
    let audiences = asked.isEmpty ? [ServiceAccountTokens.issuer] : asked
    let bound = try bound(spec["boundObjectRef"], context: context, objects: objects)
    let isExtended =
      seconds == Self.kubeletSeconds && audiences == [ServiceAccountTokens.issuer]
      && bound.contains { $0.kind == "Pod" }
    let token = try tokens.sign(
      namespace: context.namespace, account: context.name, accountUID: account.uid, audiences: audiences,
      bound: bound, tokenID: context.world.uuid(), issuedAt: context.now,
      seconds: isExtended ? Self.extendedSeconds : seconds, warnAfterSeconds: isExtended ? seconds : nil)
    var answer = object
    answer["metadata"]["name"] = .string(context.name)
    answer["metadata"]["namespace"] = .string(context.namespace)
    answer["metadata"]["creationTimestamp"] = .string(context.now.rfc3339)
    answer["spec"]["audiences"] = .array(audiences.map { .string($0) })
    answer["spec"]["expirationSeconds"] = .integer(seconds)
    answer["status"] = [
      "token": .string(token), "expirationTimestamp": .string((context.now + .seconds(seconds)).rfc3339),
    ]
    return answer
  }

  private static let kind = GroupVersionKind(group: "authentication.k8s.io", version: "v1", kind: "TokenRequest")

  /// A request that says whose token it wants says it right.
  private func checkPlace(_ metadata: JSONValue, _ context: RequestContext) throws(APIStatus) {
    for (member, wanted) in [("name", context.name), ("namespace", context.namespace)] {
      let said = metadata[member].string ?? ""
      guard said.isEmpty || said == wanted else {
        throw .invalid(
          Self.kind, context.name,
          [
            .invalid("metadata.\(member)", .string(said), "must match the service account \(member) if specified")
          ])
      }
    }
  }

  private func validate(_ seconds: Int64) throws(APIStatus) {
    if seconds < ServiceAccountTokens.minimumSeconds {
      throw .invalid(
        Self.kind, "",
        [.invalid("spec.expirationSeconds", .integer(seconds), "may not specify a duration less than 10 minutes")])
    }
    if seconds > ServiceAccountTokens.maximumSeconds {
      throw .invalid(
        Self.kind, "",
        [.invalid("spec.expirationSeconds", .integer(seconds), "may not specify a duration larger than 2^32 seconds")])
    }
  }

  private func bound(_ reference: JSONValue, context: RequestContext, objects: ObjectLookup) throws(APIStatus)
    -> [ServiceAccountTokens.Bound]
  {
    guard !reference.isNull else { return [] }
    let kind = reference["kind"].string ?? ""
    let name = reference["name"].string ?? ""
    let resources = ["Pod": "pods", "Secret": "secrets", "Node": "nodes"]
    let given = GroupVersionKind(apiVersion: reference["apiVersion"].string ?? "", kind: kind)
    guard given.group.isEmpty, let plural = resources[kind] else {
      throw .badRequest(
        "cannot bind token to object of type \(given.group)/\(given.version), Kind=\(given.kind)")
    }
    let resource = GroupResource(group: "", resource: plural)
    guard
      let object = objects.stored(resource, namespace: kind == "Node" ? "" : context.namespace, name: name)
    else { throw .notFound(resource, name) }
    let pod = kind == "Pod" ? (try? JSONValue(parsing: object.bytes)) ?? .null : .null
    guard pod.isNull || pod["spec"]["serviceAccountName"].string == context.name else {
      throw .badRequest(
        "cannot bind token for serviceaccount \"\(context.name)\" to pod running with different serviceaccount name.")
    }
    if let uid = reference["uid"].string, !uid.isEmpty, uid != object.uid {
      throw .conflict(
        GroupResource(group: "", resource: kind), name,
        "the UID in the bound object reference (\(uid)) does not match the UID in record. The object might have been deleted and then recreated"
      )
    }
    var bound = [ServiceAccountTokens.Bound(kind: kind, name: name, uid: object.uid)]
    if let nodeName = pod["spec"]["nodeName"].string, !nodeName.isEmpty,
      let node = objects.stored(GroupResource(group: "", resource: "nodes"), name: nodeName)
    {
      bound.append(ServiceAccountTokens.Bound(kind: "Node", name: nodeName, uid: node.uid))
    }
    return bound
  }
}

/// POST tokenreviews.
public struct TokenReviewResource: ComputedResource {
  private let tokens: ServiceAccountTokens
  private let others: TokenAuthenticators

  /// `others`: as of `RequestAuthenticator`.
  public init(tokens: ServiceAccountTokens, others: [any TokenAuthenticator] = []) {
    self.tokens = tokens
    self.others = TokenAuthenticators(all: others)
  }

  public func create(_ object: JSONValue, context: RequestContext, objects: ObjectLookup) async throws(APIStatus)
    -> JSONValue
  {
    let token = object["spec"]["token"].string ?? ""
    guard !token.isEmpty else {
      throw .badRequest("token is required for TokenReview in authentication")
    }
    let asked = object["spec"]["audiences"].elements.compactMap(\.string)
    let audiences = asked.isEmpty ? [ServiceAccountTokens.issuer] : asked
    var answer = object
    switch await review(token, audiences, context, try await objects.fresh()) {
    case .user(let user, let granted):
      answer["status"] = [
        "authenticated": true, "user": user.json, "audiences": .array((granted ?? []).map { .string($0) }),
      ]
    case .refused(let reason): answer["status"] = ["user": [:], "error": .string("[invalid bearer token, \(reason)]")]
    case .foreign: answer["status"] = ["user": [:], "error": "[invalid bearer token]"]
    }
    return answer
  }

  /// The user of a token, and those of the audiences that it is for.
  private func review(
    _ token: String, _ audiences: [String], _ context: RequestContext, _ objects: ObjectLookup
  ) async -> TokenVerdict {
    do throws(ServiceAccountTokens.Refusal) {
      let claims = try tokens.verify(token, audiences: audiences, now: context.now, state: objects.state)
      return .user(claims.user, audiences: claims.audiences)
    } catch {
      guard error == .foreign else { return .foreign }
    }
    // Tokens that know no audiences are for the cluster itself and nobody else.
    let own = audiences.contains(ServiceAccountTokens.issuer) ? [ServiceAccountTokens.issuer] : []
    if !own.isEmpty, let user = BootstrapTokens.user(of: token, now: context.now, state: objects.state) {
      return .user(user, audiences: own)
    }
    let verdict = await others.verdict(on: token, audiences: audiences, now: context.now)
    guard case .user(let user, let granted) = verdict else { return verdict }
    let common = granted ?? own
    return common.isEmpty ? .foreign : .user(user, audiences: common)
  }
}

/// POST selfsubjectreviews: kubectl auth whoami.
public struct SelfSubjectReviewResource: ComputedResource {
  public init() {}
  public func create(_ object: JSONValue, context: RequestContext, objects: ObjectLookup) async throws(APIStatus)
    -> JSONValue
  {
    var answer = object
    answer["metadata"]["creationTimestamp"] = .string(context.now.rfc3339)
    answer["status"] = ["userInfo": context.user.json]
    return answer
  }
}

extension RequestUser {
  /// authentication.k8s.io UserInfo.
  var json: JSONValue {
    var value: JSONValue = ["username": .string(name)]
    if !uid.isEmpty { value["uid"] = .string(uid) }
    if !groups.isEmpty { value["groups"] = .array(groups.map { .string($0) }) }
    var extras = JSONObject()
    for (key, values) in extra.sorted(by: { $0.key < $1.key }) {
      extras[key] = .array(values.map { .string($0) })
    }
    if !extras.isEmpty { value["extra"] = .object(extras) }
    return value
  }
}
