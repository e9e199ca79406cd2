// The options of lists and watches (spec/2 §2.2): read from the query, checked together.
import JSON
import Schema

enum ResourceVersionMatch: String, Sendable, Hashable {
  case exact = "Exact"
  case notOlderThan = "NotOlderThan"
}

struct ListOptions: Sendable {
  var labelSelector = ""
  var fieldSelector = ""
  var isWatch = false
  var allowsWatchBookmarks = false
  /// As sent; "" when absent.
  var resourceVersion = ""
  var resourceVersionMatch = ""
  var timeoutSeconds: Int64?
  var limit = 0
  var continueToken = ""
  var sendInitialEvents: Bool?

  private static let kind = GroupVersionKind(group: "meta.k8s.io", version: "v1", kind: "ListOptions")

  /// `isWatch` is decided by the verb: the legacy path prefix watches without the parameter.
  init(_ query: Query, isWatch: Bool) throws(APIStatus) {
    labelSelector = query["labelSelector"] ?? ""
    fieldSelector = query["fieldSelector"] ?? ""
    self.isWatch = isWatch
    allowsWatchBookmarks = query.flag("allowWatchBookmarks") ?? false
    resourceVersion = query["resourceVersion"] ?? ""
    resourceVersionMatch = query["resourceVersionMatch"] ?? ""
    timeoutSeconds = try Self.integer(query, "timeoutSeconds")
    limit = Int(clamping: max(0, try Self.integer(query, "limit") ?? 0))
    continueToken = query["continue"] ?? ""
    sendInitialEvents = query.flag("sendInitialEvents")
    let errors = isWatch ? watchErrors() : listErrors()
    guard errors.isEmpty else { throw .invalid(Self.kind, "", errors) }
  }

  /// The revision asked for; nil when none was.
  func revision() throws(APIStatus) -> UInt64? {
    guard !resourceVersion.isEmpty else { return nil }
    guard let revision = UInt64(resourceVersion) else {
      let error = Self.malformedRevision(resourceVersion)
      if isWatch { throw .invalid(Self.kind, "", [error]) }
      throw .badRequest("\(error.field): \(error.message)")
    }
    return revision
  }

  /// What is wrong with a resource version that is no number.
  static func malformedRevision(_ text: String) -> FieldError {
    let isNumber = !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    let why = isNumber ? "value out of range" : "invalid syntax"
    return .invalid("resourceVersion", .string(text), "strconv.ParseUint: parsing \"\(text)\": \(why)")
  }

  private static func integer(_ query: Query, _ name: String) throws(APIStatus) -> Int64? {
    guard let text = query[name], !text.isEmpty else { return nil }
    guard let value = Int64(text) else {
      throw .badRequest("strconv.ParseInt: parsing \"\(text)\": invalid syntax")
    }
    return value
  }

  private func listErrors() -> [FieldError] {
    var errors: [FieldError] = []
    if !resourceVersionMatch.isEmpty {
      if resourceVersion.isEmpty {
        errors.append(
          .forbidden(
            "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"))
      }
      if !continueToken.isEmpty {
        errors.append(
          .forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"))
      }
      switch ResourceVersionMatch(rawValue: resourceVersionMatch) {
      case nil:
        errors.append(
          .notSupported(
            "resourceVersionMatch", .string(resourceVersionMatch),
            supported: [
              ResourceVersionMatch.exact.rawValue, ResourceVersionMatch.notOlderThan.rawValue, "",
            ]))
      case .exact where resourceVersion == "0":
        errors.append(
          .forbidden(
            "resourceVersionMatch", "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""))
      default: break
      }
    }
    if sendInitialEvents != nil {
      errors.append(.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    }
    return errors
  }

  private func watchErrors() -> [FieldError] {
    var errors: [FieldError] = []
    let isNotOlderThan = resourceVersionMatch == ResourceVersionMatch.notOlderThan.rawValue
    if sendInitialEvents != nil, !isNotOlderThan {
      errors.append(
        .forbidden(
          "resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
    }
    if !resourceVersionMatch.isEmpty {
      if sendInitialEvents == nil {
        errors.append(
          .forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
      }
      if !isNotOlderThan {
        errors.append(
          .notSupported(
            "resourceVersionMatch", .string(resourceVersionMatch),
            supported: [ResourceVersionMatch.notOlderThan.rawValue]))
      }
      if !continueToken.isEmpty {
        errors.append(
          .forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"))
      }
    }
    return errors
  }
}
