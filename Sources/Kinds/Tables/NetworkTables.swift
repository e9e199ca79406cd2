// The tables of services, endpoints and ingresses (spec/3 §3.3).
import JSON
import Schema

extension TableLayout {
  static let service = TableLayout(
    "Name, Type, Cluster-IP, External-IP, Port(s), Age | Selector"
  ) { object, now in
    let spec = object["spec"]
    var address = spec["clusterIPs"][0]
    if address.isNull { address = spec["clusterIP"] }
    return [
      Cells.name(object), spec["type"], Cells.textOr(address, Cells.none), externalAddress(object),
      servicePorts(spec["ports"].elements), Cells.age(object, now), Cells.labels(spec["selector"]),
    ]
  }

  private static func externalAddress(_ object: JSONValue) -> JSONValue {
    let spec = object["spec"]
    let external = spec["externalIPs"].elements.map(\.text)
    switch spec["type"].text {
    case "ExternalName": return spec["externalName"]
    case "LoadBalancer":
      let balancer = object["status"]["loadBalancer"]["ingress"].elements.map {
        $0["ip"].isEmptyValue ? $0["hostname"].text : $0["ip"].text
      }
      let all = Set(balancer + external).filter { !$0.isEmpty }.sorted()
      return all.isEmpty ? "<pending>" : .string(all.joined(separator: ","))
    default: return external.isEmpty ? Cells.none : .string(external.joined(separator: ","))
    }
  }

  private static func servicePorts(_ ports: [JSONValue]) -> JSONValue {
    if ports.isEmpty { return Cells.none }
    return .string(
      ports.map { port in
        let node = Cells.number(port["nodePort"])
        let number = "\(Cells.number(port["port"]))"
        return "\(node > 0 ? "\(number):\(node)" : number)/\(port["protocol"].text)"
      }.joined(separator: ","))
  }

  static let endpoints = TableLayout("Name, Endpoints, Age") { object, now in
    var texts: [String] = []
    for subset in object["subsets"].elements {
      let ports = subset["ports"].elements
      for address in subset["addresses"].elements {
        let host = address["ip"].text
        // Addresses without ports count as well.
        texts +=
          ports.isEmpty
          ? [host]
          : ports.map { "\(host.contains(":") ? "[\(host)]" : host):\(Cells.number($0["port"]))" }
      }
    }
    return [Cells.name(object), Cells.shortened(texts, limit: 3), Cells.age(object, now)]
  }

  static let endpointSlice = TableLayout("Name, AddressType, Ports, Endpoints, Age") { object, now in
    let ports = object["ports"].elements.map { $0["port"].integer.map(String.init) ?? "*" }
    let addresses = object["endpoints"].elements.flatMap { $0["addresses"].elements.map(\.text) }
    return [
      Cells.name(object), object["addressType"], Cells.shortened(ports, limit: 3, ifEmpty: Cells.unset),
      Cells.shortened(addresses, limit: 3, ifEmpty: Cells.unset), Cells.age(object, now),
    ]
  }

  static let ingress = TableLayout("Name, Class, Hosts, Address, Ports, Age") { object, now in
    let spec = object["spec"]
    let hosts = spec["rules"].elements.map { $0["host"].isEmptyValue ? "*" : $0["host"].text }
    let addresses = object["status"]["loadBalancer"]["ingress"].elements.map {
      $0["ip"].isEmptyValue ? $0["hostname"].text : $0["ip"].text
    }
    return [
      Cells.name(object), Cells.textOr(spec["ingressClassName"], Cells.none),
      Cells.shortened(hosts, limit: 3, ifEmpty: "*"), .string(addresses.joined(separator: ",")),
      spec["tls"].isEmptyValue ? "80" : "80, 443", Cells.age(object, now),
    ]
  }

  static let ingressClass = TableLayout("Name, Controller, Parameters, Age") { object, now in
    let parameters = object["spec"]["parameters"]
    var text = Cells.none
    if !parameters.isNull {
      let kind = parameters["kind"].text
      let group = parameters["apiGroup"].text
      text = .string("\(group.isEmpty ? kind : "\(kind).\(group)")/\(parameters["name"].text)")
    }
    return [Cells.name(object), object["spec"]["controller"], text, Cells.age(object, now)]
  }

  static let networkPolicy = TableLayout("Name, Pod-Selector, Age") { object, now in
    [Cells.name(object), Cells.selector(object["spec"]["podSelector"]), Cells.age(object, now)]
  }
}
