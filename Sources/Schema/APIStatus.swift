import JSON

/// A request's failure as Kubernetes tells it: `meta/v1 Status` (spec/1 §1.6). Every error of the request path ends as
/// one.
public struct APIStatus: Error, Sendable {
  public struct Cause: Sendable, Hashable {
    public var reason: String
    public var message: String
    public var field: String
    public init(reason: String, message: String, field: String = "") {
      self.reason = reason
      self.message = message
      self.field = field
    }
  }
  /// HTTP status.
  public var code: Int
  public var reason: String
  public var message: String
  public var name = ""
  public var group = ""
  /// The plural resource, or the kind for Invalid.
  public var kind = ""
  public var uid = ""
  public var causes: [Cause] = []
  public var retryAfterSeconds: Int?
  /// `metadata.continue` of a 410: a token to go on with, inconsistently.
  public var continueToken = ""
  /// The details are told even if there is nothing in them: what the reference's router answers has `details: {}`.
  public var hasDetails = false
  /// What the client is told beside, in headers.
  public var warnings: [String] = []
  /// Answered as text, not as a Status.
  public var isPlainText = false

  public init(code: Int, reason: String, message: String) {
    self.code = code
    self.reason = reason
    self.message = message
  }

  /// The same, and beside it what was to be told before it came to this.
  public func telling(_ warnings: [String]) -> Self {
    guard !warnings.isEmpty else { return self }
    var told = self
    told.warnings = warnings + told.warnings
    return told
  }

  public static func badRequest(_ message: String) -> Self { Self(code: 400, reason: "BadRequest", message: message) }
  public static let unauthorized = Self(code: 401, reason: "Unauthorized", message: "Unauthorized")

  public static func notFound(_ resource: GroupResource, _ name: String) -> Self {
    Self(code: 404, reason: "NotFound", message: "\(resource) \"\(name)\" not found").about(resource, name)
  }
  /// No such path in a group version that the server has.
  public static let unknownResource = generic(
    code: 404, reason: "NotFound", message: "the server could not find the requested resource")
  /// No such path: it leads to nothing that the server has. Clients make an `unknownResource` of it.
  public static let unknownPath = {
    var status = Self(code: 404, reason: "NotFound", message: "404 page not found")
    status.isPlainText = true
    return status
  }()
  /// What custom resources answer to a verb that they do not have.
  public static func methodNotSupported(_ resource: GroupResource, _ verb: String) -> Self {
    let message = "\(verb) is not supported on resources of kind \"\(resource)\""
    return Self(code: 405, reason: "MethodNotAllowed", message: message).about(resource, "")
  }
  public static let methodNotAllowed = generic(
    code: 405, reason: "MethodNotAllowed", message: "the server does not allow this method on the requested resource")

  /// What is refused before anything is known of an object.
  public static func generic(code: Int, reason: String, message: String) -> Self {
    var status = Self(code: code, reason: reason, message: message)
    status.hasDetails = true
    return status
  }

  public static func alreadyExists(_ resource: GroupResource, _ name: String) -> Self {
    Self(code: 409, reason: "AlreadyExists", message: "\(resource) \"\(name)\" already exists").about(resource, name)
  }
  public static func conflict(_ resource: GroupResource, _ name: String, _ why: String) -> Self {
    Self(
      code: 409, reason: "Conflict", message: "Operation cannot be fulfilled on \(resource) \"\(name)\": \(why)"
    ).about(resource, name)
  }
  /// The optimistic lock failed.
  public static func modified(_ resource: GroupResource, _ name: String) -> Self {
    conflict(
      resource, name,
      "the object has been modified; please apply your changes to the latest version and try again")
  }
  /// `resource "name" is forbidden: why`.
  public static func forbidden(_ resource: GroupResource, _ name: String, _ why: String) -> Self {
    let subject = name.isEmpty ? "\(resource)" : "\(resource) \"\(name)\""
    return Self(code: 403, reason: "Forbidden", message: "\(subject) is forbidden: \(why)").about(resource, name)
  }
  public static func invalid(_ kind: GroupVersionKind, _ name: String, _ errors: [FieldError]) -> Self {
    // The message says each thing once, the causes as often as it was found.
    var seen: Set<String> = []
    let texts = errors.map { "\($0.field): \($0.message)" }.filter { seen.insert($0).inserted }
    let list = texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ", "))]"
    let qualified = kind.group.isEmpty ? kind.kind : "\(kind.kind).\(kind.group)"
    var status = Self(code: 422, reason: "Invalid", message: "\(qualified) \"\(name)\" is invalid: \(list)")
    status.name = name
    status.group = kind.group
    status.kind = kind.kind
    status.causes = errors.map { Cause(reason: $0.reason.rawValue, message: $0.message, field: $0.field) }
    return status
  }
  public static func unsupportedMediaType(_ accepted: [String]) -> Self {
    Self(
      code: 415, reason: "UnsupportedMediaType",
      message:
        "the body of the request was in an unknown format - accepted media types include: \(accepted.joined(separator: ", "))"
    )
  }
  public static func notAcceptable(_ accepted: [String]) -> Self {
    Self(
      code: 406, reason: "NotAcceptable",
      message: "only the following media types are accepted: \(accepted.joined(separator: ", "))")
  }
  /// Metadata of one object was asked for where there is a list, or the other way round.
  public static func shapeNotAcceptable(isList: Bool, type: String) -> Self {
    let (shape, what) = isList ? ("", "a list") : ("List", "not a list")
    return Self(
      code: 406, reason: "NotAcceptable",
      message: "you requested PartialObjectMetadata\(shape), but the requested object is \(what) (\(type))")
  }
  public static func expired(_ message: String) -> Self { Self(code: 410, reason: "Expired", message: message) }
  public static func tooLarge(limit: Int) -> Self {
    Self(code: 413, reason: "RequestEntityTooLarge", message: "Request entity too large: limit is \(limit)")
  }
  public static func tooManyRequests(_ message: String, retryAfter: Int) -> Self {
    var status = Self(code: 429, reason: "TooManyRequests", message: message)
    status.retryAfterSeconds = retryAfter
    return status
  }
  public static func internalError(_ message: String) -> Self {
    var status = Self(code: 500, reason: "InternalError", message: "Internal error occurred: \(message)")
    status.causes = [Cause(reason: "", message: message)]
    return status
  }
  public static func serviceUnavailable(_ message: String, retryAfter: Int = 1) -> Self {
    var status = Self(code: 503, reason: "ServiceUnavailable", message: message)
    status.retryAfterSeconds = retryAfter
    return status
  }
  /// Kubernetes passes on what its store says of a full disk as a 500 without a reason; HTTP has a code for it.
  public static func insufficientStorage(_ message: String) -> Self {
    Self(code: 507, reason: "InsufficientStorage", message: message)
  }
  public static func timeout(_ message: String, retryAfter: Int = 1) -> Self {
    var status = Self(code: 504, reason: "Timeout", message: "Timeout: \(message)")
    status.retryAfterSeconds = retryAfter
    return status
  }
  /// The client is ahead of this server (spec/2 §2.2).
  public static func tooLargeResourceVersion(_ wanted: UInt64, current: UInt64) -> Self {
    var status = timeout("Too large resource version: \(wanted), current: \(current)")
    status.causes = [Cause(reason: "ResourceVersionTooLarge", message: "Too large resource version")]
    return status
  }

  /// This status with its details naming the object.
  public func about(_ resource: GroupResource, _ name: String) -> Self {
    var status = self
    status.group = resource.group
    status.kind = resource.resource
    status.name = name
    return status
  }

  /// The Status object.
  public var json: JSONValue {
    var details: JSONValue = hasDetails ? [:] : .null
    if !name.isEmpty { details["name"] = .string(name) }
    if !group.isEmpty { details["group"] = .string(group) }
    if !kind.isEmpty { details["kind"] = .string(kind) }
    if !uid.isEmpty { details["uid"] = .string(uid) }
    if !causes.isEmpty {
      details["causes"] = .array(
        causes.map { cause in
          var value: JSONValue = [:]
          if !cause.reason.isEmpty { value["reason"] = .string(cause.reason) }
          if !cause.message.isEmpty { value["message"] = .string(cause.message) }
          if !cause.field.isEmpty { value["field"] = .string(cause.field) }
          return value
        })
    }
    if let retryAfterSeconds { details["retryAfterSeconds"] = .integer(Int64(retryAfterSeconds)) }
    var metadata: JSONValue = [:]
    if !continueToken.isEmpty { metadata["continue"] = .string(continueToken) }
    var status: JSONValue = [
      "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure", "message": .string(message),
    ]
    if !reason.isEmpty { status["reason"] = .string(reason) }
    status["details"] = details
    status["code"] = .integer(Int64(code))
    return status
  }
}
