// From a reference to a service to an address that answers for it: the API servers are no nodes, so nothing translates
// a service's address for them.
import JSON
import Replica
import Schema

enum ServiceResolution {
  /// Why a service cannot be reached.
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// An endpoint that is ready, by the service's port. `choice` picks one of several.
  static func endpoint(
    namespace: String, name: String, port: Int64, objects: ObjectLookup, choice: UInt64
  ) throws(Failure) -> (host: String, port: UInt16) {
    let resource = GroupResource(group: "", resource: "services")
    guard let service = objects.object(resource, namespace: namespace, name: name) else {
      throw Failure(description: "service \"\(name)\" not found")
    }
    let spec = service["spec"]
    if spec["type"] == "ExternalName", let host = spec["externalName"].string {
      return (host, UInt16(clamping: port))
    }
    guard let servicePort = spec["ports"].elements.first(where: { $0["port"].integer == port }) else {
      throw Failure(description: "no service port \(port) found for service \"\(name)\"")
    }
    var found: [(host: String, port: UInt16)] = []
    let endpoints = objects.object(GroupResource(group: "", resource: "endpoints"), namespace: namespace, name: name)
    for subset in endpoints?["subsets"].elements ?? [] {
      let target = subset["ports"].elements.first { ($0["name"].string ?? "") == (servicePort["name"].string ?? "") }
      guard let number = target?["port"].integer else { continue }
      for address in subset["addresses"].elements {
        if let host = address["ip"].string { found.append((host, UInt16(clamping: number))) }
      }
    }
    guard !found.isEmpty else { throw Failure(description: "no endpoints available for service \"\(name)\"") }
    return found[Int(choice % UInt64(found.count))]
  }
}
