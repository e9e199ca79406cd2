// What a client asks of a pod's streams, and how a kubelet is asked for it (spec/7 §7.1).
import HTTP
import JSON
import Schema

/// The options of exec and attach (core/v1 PodExecOptions, PodAttachOptions).
struct CommandStreams: Sendable, Equatable {
  var hasInput: Bool
  var isTerminal: Bool
  var command: [String]

  init(_ query: Query) {
    hasInput = query.flag("stdin") ?? false
    isTerminal = query.flag("tty") ?? false
    command = query.values("command")
  }

  /// A terminal has one stream for output and errors.
  var hasErrors: Bool { !isTerminal }

  /// As kubelets understand it. Output and errors are always asked for: the reference's defaults for these options have
  /// it so, whatever the client says.
  var kubeletQuery: [(name: String, value: String)] {
    var items = command.map { (name: "command", value: $0) }
    if hasInput { items.append(("input", "1")) }
    items += [("output", "1"), ("error", "1")]
    if isTerminal { items.append(("tty", "1")) }
    return items
  }
}

/// The options of a log (core/v1 PodLogOptions), checked.
struct LogOptions: Sendable {
  private(set) var kubeletQuery: [(name: String, value: String)] = []

  /// Throws 400 for what is no number, 422 for what is out of bounds.
  init(_ query: Query, pod: String) throws(APIStatus) {
    for name in ["follow", "previous", "timestamps"] where query.flag(name) == true {
      kubeletQuery.append((name, "true"))
    }
    var errors: [FieldError] = []
    let isTwofold = query["sinceSeconds"] != nil && query["sinceTime"] != nil
    for (name, minimum) in [("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)] as [(String, Int64)] {
      guard let text = query[name] else { continue }
      guard let number = Int64(text) else {
        throw .badRequest("strconv.ParseInt: parsing \(JSONValue.string(text)): invalid syntax")
      }
      if number < minimum, name != "sinceSeconds" || !isTwofold {
        let bound = minimum == 0 ? "greater than or equal to 0" : "greater than 0"
        errors.append(.invalid(name, .integer(number), "must be \(bound)"))
      }
      kubeletQuery.append((name, String(number)))
    }
    if isTwofold { errors.append(.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified")) }
    if let time = query["sinceTime"] { kubeletQuery.append(("sinceTime", time)) }
    guard errors.isEmpty else {
      throw .invalid(GroupVersionKind(group: "", version: "v1", kind: "PodLogOptions"), pod, errors)
    }
  }
}
