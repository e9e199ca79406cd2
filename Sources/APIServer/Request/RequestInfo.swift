// From method and path to verb, resource and name (spec/2 §2.1): what authorization and routing both go by.

/// What a request is about.
struct RequestInfo: Sendable, Hashable {
  var path = ""
  /// A path below /api/{version}/ or /apis/{group}/{version}/.
  var isResourceRequest = false
  /// create, get, list, watch, update, patch, delete, deletecollection, or none; the method in lower case
  /// for other paths.
  var verb = ""
  var group = ""
  var version = ""
  var namespace = ""
  var resource = ""
  var name = ""
  var subresource = ""
  /// What follows the subresource: the path of a proxy request.
  var rest: [String] = []
  /// The old prefix /api/v1/watch/…: the name, if any, selects instead of addressing an item.
  var isLegacyWatch = false

  /// Subresources of a namespace object; any other third segment is a resource within the namespace.
  private static let namespaceSubresources: Set<String> = ["status", "finalize"]

  init(method: String, path target: RequestPath) {
    path = target.path
    var parts = target.segments[...]
    verb = method.lowercased()
    guard let prefix = parts.popFirst(), prefix == "api" || prefix == "apis" else { return }
    if prefix == "apis" {
      guard parts.count >= 3 else { return }
      group = parts.removeFirst()
    } else {
      guard parts.count >= 2 else { return }
    }
    isResourceRequest = true
    version = parts.removeFirst()
    verb = Self.verb(of: method)
    if parts.first == "watch", parts.count > 1 {
      parts.removeFirst()
      isLegacyWatch = true
      verb = "watch"
    }
    if parts.first == "namespaces", parts.count > 1 {
      namespace = parts[parts.startIndex + 1]
      if parts.count > 2, !Self.namespaceSubresources.contains(parts[parts.startIndex + 2]) {
        parts = parts.dropFirst(2)
      }
    }
    resource = parts.popFirst() ?? ""
    name = parts.popFirst() ?? ""
    subresource = parts.popFirst() ?? ""
    rest = Array(parts)
    guard name.isEmpty else { return }
    switch verb {
    case "get":
      verb = target.query.flag("watch") == true ? "watch" : "list"
    case "delete": verb = "deletecollection"
    default: break
    }
  }

  private static func verb(of method: String) -> String {
    switch method {
    case "POST": "create"
    case "GET", "HEAD": "get"
    case "PUT": "update"
    case "PATCH": "patch"
    case "DELETE": "delete"
    // No verb: nobody but who may do everything is allowed it.
    default: ""
    }
  }

  /// Whether the request may last as long as the client likes: no deadline, no place in the in-flight limit.
  func isLongRunning(_ query: Query) -> Bool {
    switch subresource {
    case "proxy", "attach", "exec", "portforward": true
    case "log": query.flag("follow") == true
    default: verb == "watch"
    }
  }

  var isMutating: Bool {
    switch verb {
    case "create", "update", "patch", "delete", "deletecollection": true
    default: false
    }
  }
}
