// The client of the Kubernetes API that every loop uses, inside a server (no socket) and outside it alike.
import HTTP
import JSON
import Schema
import World

/// Query options of LIST, WATCH and deletecollection (spec/1 §1.5).
public struct ListOptions: Sendable {
  public var labelSelector = ""
  public var fieldSelector = ""
  /// "" for most recent, "0" for any, else not older than.
  public var resourceVersion = ""
  public var limit = 0
  public var continueToken = ""
  public init(
    labelSelector: String = "", fieldSelector: String = "", resourceVersion: String = "", limit: Int = 0,
    continueToken: String = ""
  ) {
    self.labelSelector = labelSelector
    self.fieldSelector = fieldSelector
    self.resourceVersion = resourceVersion
    self.limit = limit
    self.continueToken = continueToken
  }

  var query: [(String, String)] {
    var query: [(String, String)] = []
    if !labelSelector.isEmpty { query.append(("labelSelector", labelSelector)) }
    if !fieldSelector.isEmpty { query.append(("fieldSelector", fieldSelector)) }
    if !resourceVersion.isEmpty { query.append(("resourceVersion", resourceVersion)) }
    if limit > 0 { query.append(("limit", String(limit))) }
    if !continueToken.isEmpty { query.append(("continue", continueToken)) }
    return query
  }
}

public struct DeleteOptions: Sendable {
  public enum Propagation: String, Sendable {
    case background = "Background", foreground = "Foreground", orphan = "Orphan"
  }
  public var gracePeriodSeconds: Int64?
  public var propagation: Propagation?
  /// The object must still be this one.
  public var uid: String?
  public var resourceVersion: String?
  public init(
    gracePeriodSeconds: Int64? = nil, propagation: Propagation? = nil, uid: String? = nil,
    resourceVersion: String? = nil
  ) {
    self.gracePeriodSeconds = gracePeriodSeconds
    self.propagation = propagation
    self.uid = uid
    self.resourceVersion = resourceVersion
  }

  var json: JSONValue {
    var options: JSONValue = ["kind": "DeleteOptions", "apiVersion": "v1"]
    if let gracePeriodSeconds { options["gracePeriodSeconds"] = .integer(gracePeriodSeconds) }
    if let propagation { options["propagationPolicy"] = .string(propagation.rawValue) }
    if let uid { options["preconditions"]["uid"] = .string(uid) }
    if let resourceVersion { options["preconditions"]["resourceVersion"] = .string(resourceVersion) }
    return options
  }
}

public enum PatchType: String, Sendable {
  case json = "application/json-patch+json"
  case merge = "application/merge-patch+json"
  case strategic = "application/strategic-merge-patch+json"
  case apply = "application/apply-patch+yaml"
}

/// One page or all of a list.
public struct ObjectList: Sendable {
  public var items: [JSONValue]
  public var resourceVersion: String
  public var continueToken: String
}

/// Requests against the Kubernetes API. A value: copies are cheap; any thread.
///
/// Every call throws `APIStatus` for an answer that is an error, and what the transport throws when there was none.
public struct APIClient: Sendable {
  /// Largest answer that is read into memory at once: lists of 100,000 pods fit, a runaway does not.
  public static let maximumAnswerBytes = 1 << 30

  public let transport: any HTTPTransport
  public let world: any World
  /// "name/version (platform)": what stands before the slash becomes the field manager.
  public let userAgent: String
  /// Bounds what this client and others with the same gate have under way; nil: no bound.
  public let gate: RequestGate?
  /// What it has in common with others whose watches are of the same server, in the same process; nil: nothing.
  public let reading: SharedReading?

  public init(
    transport: any HTTPTransport, world: any World, userAgent: String, gate: RequestGate? = nil,
    reading: SharedReading? = nil
  ) {
    self.transport = transport
    self.world = world
    self.userAgent = userAgent
    self.gate = gate
    self.reading = reading
  }

  public func get(_ resource: ResourceReference, namespace: String = "", name: String, resourceVersion: String = "")
    async throws -> JSONValue
  {
    let query = resourceVersion.isEmpty ? [] : [("resourceVersion", resourceVersion)]
    return try await json("GET", resource.path(namespace: namespace, name: name), query)
  }

  /// The object, or nil when there is none. `resourceVersion` "0": as the server has it, which asks no other.
  public func find(
    _ resource: ResourceReference, namespace: String = "", name: String, resourceVersion: String = ""
  ) async throws -> JSONValue? {
    do {
      return try await get(resource, namespace: namespace, name: name, resourceVersion: resourceVersion)
    } catch let status as APIStatus where status.code == 404 {
      return nil
    }
  }

  public func list(_ resource: ResourceReference, namespace: String = "", _ options: ListOptions = ListOptions())
    async throws -> ObjectList
  {
    try await list(path: resource.path(namespace: namespace), options)
  }

  /// `accept` asks for another form of the items (PartialObjectMetadataList).
  public func list(path: String, _ options: ListOptions = ListOptions(), accept: String = "application/json")
    async throws -> ObjectList
  {
    let answer = try await json("GET", path, options.query, accept: accept)
    return ObjectList(
      items: Self.typedItems(of: answer), resourceVersion: answer["metadata"]["resourceVersion"].string ?? "",
      continueToken: answer["metadata"]["continue"].string ?? "")
  }

  /// The items of a list; those of built-in kinds leave to their list to say what they are.
  private static func typedItems(of list: JSONValue) -> [JSONValue] {
    guard let listKind = list["kind"].string, listKind.hasSuffix("List"), list["items"][0]["kind"].isNull else {
      return list["items"].elements
    }
    let kind = JSONValue.string(String(listKind.dropLast("List".count)))
    return list["items"].elements.map { item in
      var item = item
      item["kind"] = kind
      item["apiVersion"] = list["apiVersion"]
      return item
    }
  }

  @discardableResult
  public func create(
    _ resource: ResourceReference, namespace: String = "", _ object: JSONValue, name: String = "",
    subresource: String = ""
  ) async throws -> JSONValue {
    try await json(
      "POST", resource.path(namespace: namespace, name: name, subresource: subresource), [], body: object)
  }

  /// PUT: replaces the object; its resourceVersion, where it has one, must be the current one.
  @discardableResult
  public func update(
    _ resource: ResourceReference, namespace: String = "", name: String, _ object: JSONValue, subresource: String = ""
  ) async throws -> JSONValue {
    try await json("PUT", resource.path(namespace: namespace, name: name, subresource: subresource), [], body: object)
  }

  @discardableResult
  public func patch(
    _ resource: ResourceReference, namespace: String = "", name: String, _ patch: JSONValue, type: PatchType,
    subresource: String = "", fieldManager: String = "", force: Bool = false
  ) async throws -> JSONValue {
    var query: [(String, String)] = []
    if !fieldManager.isEmpty { query.append(("fieldManager", fieldManager)) }
    if force { query.append(("force", "true")) }
    return try await json(
      "PATCH", resource.path(namespace: namespace, name: name, subresource: subresource), query, body: patch,
      contentType: type.rawValue)
  }

  @discardableResult
  public func delete(
    _ resource: ResourceReference, namespace: String = "", name: String, _ options: DeleteOptions = DeleteOptions()
  ) async throws -> JSONValue {
    try await json("DELETE", resource.path(namespace: namespace, name: name), [], body: options.json)
  }

  /// Reads the object, edits it and writes it back under its resourceVersion, again when another was faster. For who may
  /// update, but not patch (most controllers' roles). Nil when the object is gone, or is another by now (`uid`).
  @discardableResult
  public func modify(
    _ resource: ResourceReference, namespace: String = "", name: String, uid: String, subresource: String = "",
    _ edit: (inout JSONValue) -> Void
  ) async throws -> JSONValue? {
    var attempts = 5
    while true {
      guard var object = try await find(resource, namespace: namespace, name: name),
        object["metadata"]["uid"].string == uid
      else { return nil }
      edit(&object)
      do {
        return try await update(resource, namespace: namespace, name: name, object, subresource: subresource)
      } catch let status as APIStatus where status.code == 409 && attempts > 1 {
        attempts -= 1
      } catch let status as APIStatus where status.code == 404 {
        return nil
      }
    }
  }

  /// GET of any path, as bytes: discovery, health.
  public func raw(_ path: String, accept: String = "application/json") async throws -> [UInt8] {
    try await gated {
      let response = try await send("GET", path, [], accept: accept)
      return try await response.body.collect(upTo: Self.maximumAnswerBytes)
    }
  }

  /// A place in the gate is held until the answer has been read; the body is encoded when there is one.
  func gated<Answer>(_ request: () async throws -> Answer) async throws -> Answer {
    guard let gate else { return try await request() }
    return try await gate.pass(userAgent, request)
  }

  /// Any request with a JSON answer.
  public func json(
    _ method: String, _ path: String, _ query: [(String, String)], body: JSONValue? = nil,
    contentType: String = "application/json", accept: String = "application/json"
  ) async throws -> JSONValue {
    let bytes = try await answer(
      method, path, query, body: body?.bytes, contentType: contentType, accept: accept)
    return bytes.isEmpty ? .null : try JSONValue(parsing: bytes)
  }

  /// As `json`, for answers of which not everything is looked at.
  func tape(_ path: String, _ query: [(String, String)], accept: String) async throws -> JSONTape {
    try JSONTape(parsing: try await answer("GET", path, query, accept: accept))
  }

  /// Any request whose answer is of no interest unless it is an error: it is not kept.
  public func submit(
    _ method: String, _ path: String, _ query: [(String, String)] = [], body: JSONValue,
    contentType: String = "application/json"
  ) async throws {
    try await gated {
      try await send(method, path, query, body: body.bytes, contentType: contentType).body.discard()
    }
  }

  private func answer(
    _ method: String, _ path: String, _ query: [(String, String)], body: [UInt8]? = nil,
    contentType: String = "application/json", accept: String = "application/json"
  ) async throws -> [UInt8] {
    try await gated {
      let response = try await send(method, path, query, body: body, contentType: contentType, accept: accept)
      return try await response.body.collect(upTo: Self.maximumAnswerBytes)
    }
  }

  /// Sends a request; throws the Status of an answer that is an error.
  func send(
    _ method: String, _ path: String, _ query: [(String, String)], body: [UInt8]? = nil,
    contentType: String = "application/json", accept: String = "application/json"
  ) async throws -> HTTPResponse {
    var target = path
    for (index, item) in query.enumerated() {
      target += index == 0 ? "?" : "&"
      target += "\(item.0)=\(QueryEncoding.encode(item.1))"
    }
    var headers: HTTPHeaders = ["accept": accept, "user-agent": userAgent]
    if body != nil { headers.add("content-type", contentType) }
    let response = try await transport.send(
      HTTPRequest(method: method, target: target, headers: headers, body: body.map { .bytes($0) } ?? .empty))
    guard response.status >= 400 else { return response }
    let bytes = try await response.body.collect(upTo: 1 << 20)
    throw APIStatus(answer: bytes, code: response.status)
  }
}

extension APIStatus {
  /// The Status that an error answer carries, or one made of its text.
  public init(answer bytes: [UInt8], code: Int) {
    guard let json = try? JSONValue(parsing: bytes), json["kind"].string == "Status" else {
      self.init(code: code, reason: "", message: String(decoding: bytes.prefix(1024), as: UTF8.self))
      return
    }
    self.init(json: json)
  }

  /// A Status object, as an answer or in a watch's ERROR event.
  public init(json: JSONValue) {
    self.init(
      code: Int(json["code"].integer ?? 500), reason: json["reason"].string ?? "", message: json["message"].string ?? ""
    )
    let details = json["details"]
    name = details["name"].string ?? ""
    group = details["group"].string ?? ""
    kind = details["kind"].string ?? ""
    uid = details["uid"].string ?? ""
    retryAfterSeconds = details["retryAfterSeconds"].integer.map(Int.init)
    causes = details["causes"].elements.map {
      Cause(reason: $0["reason"].string ?? "", message: $0["message"].string ?? "", field: $0["field"].string ?? "")
    }
  }
}
