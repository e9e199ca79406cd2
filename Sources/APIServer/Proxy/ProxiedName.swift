// Pods and services as proxy requests name them: "web", "web:8080", "https:web:tls".
import JSON
import Replica
import Schema

struct ProxiedName {
  var isSecure: Bool
  var name: String
  /// A number, the name of a service's port, or empty.
  var port: String

  /// nil when it is of none of the forms.
  init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    switch parts.count {
    case 1: (isSecure, name, port) = (false, parts[0], "")
    case 2: (isSecure, name, port) = (false, parts[0], parts[1])
    case 3 where ["", "http", "https"].contains(parts[0]):
      (isSecure, name, port) = (parts[0] == "https", parts[1], parts[2])
    default: return nil
    }
    guard !name.isEmpty else { return nil }
  }

  /// The pod's address, and the port asked for or the first that it names.
  func place(ofPod pod: JSONValue) throws(APIStatus) -> (host: String, port: UInt16) {
    guard let host = pod["status"]["podIP"].string, !host.isEmpty else {
      throw .badRequest("pod \"\(name)\" has no address")
    }
    if port.isEmpty {
      let named = pod["spec"]["containers"].elements.lazy.compactMap { $0["ports"][0]["containerPort"].integer }.first
      return (host, UInt16(clamping: named ?? (isSecure ? 443 : 80)))
    }
    guard let number = UInt16(port), number > 0 else { throw .badRequest("invalid pod request \"\(name):\(port)\"") }
    return (host, number)
  }

  /// An endpoint of the service's port that is ready.
  func place(
    ofService service: JSONValue, namespace: String, _ objects: ObjectLookup, choice: UInt64
  ) throws(APIStatus) -> (host: String, port: UInt16) {
    let ports = service["spec"]["ports"].elements
    let wanted =
      port.isEmpty
      ? (ports.count == 1 ? ports[0] : ports.first { ($0["name"].string ?? "").isEmpty })
      : ports.first { $0["name"].string == port || $0["port"].integer.map(String.init) == port }
    guard let number = wanted?["port"].integer else {
      throw .serviceUnavailable("no endpoints available for service \"\(name)\"")
    }
    do {
      return try ServiceResolution.endpoint(
        namespace: namespace, name: name, port: number, objects: objects, choice: choice)
    } catch {
      throw .serviceUnavailable(error.description)
    }
  }
}
