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
      let all = balancerAddresses(object) + external
      return all.isEmpty ? "<pending>" : .string(all.joined(separator: ","))
    case "ClusterIP", "NodePort": return external.isEmpty ? Cells.none : .string(external.joined(separator: ","))
    default: return Cells.unknown
    }
  }

  /// Where a load balancer listens: each address, or name, once.
  private static func balancerAddresses(_ object: JSONValue) -> [String] {
    let texts = object["status"]["loadBalancer"]["ingress"].elements.map {
      $0["ip"].isEmptyValue ? $0["hostname"].text : $0["ip"].text
    }
    return Set(texts.filter { !$0.isEmpty }).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
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
      let hosts = subset["addresses"].elements.map { $0["ip"].text }
      // Addresses without ports count as well.
      if ports.isEmpty { texts += hosts }
      for port in ports {
        texts += hosts.map { "\($0.contains(":") ? "[\($0)]" : $0):\(Cells.number(port["port"]))" }
      }
    }
    // Addresses of which none is ready are neither shown nor nothing.
    let ifEmpty = object["subsets"].elements.isEmpty ? Cells.none : ""
    return [Cells.name(object), Cells.shortened(texts, limit: 3, ifEmpty: ifEmpty), Cells.age(object, now)]
  }

  static let endpointSlice = TableLayout("Name, AddressType, Ports, Endpoints, Age") { object, now in
    let ports = object["ports"].elements.map {
      $0["port"].integer.map(String.init) ?? $0["name"].string ?? "*"
    }
    let addresses = object["endpoints"].elements.flatMap { $0["addresses"].elements.map(\.text) }
    return [
      Cells.name(object), object["addressType"], Cells.shortened(ports, limit: 3, ifEmpty: Cells.unset),
      Cells.shortened(addresses, limit: 3, ifEmpty: Cells.unset), Cells.age(object, now),
    ]
  }

  static let ingress = TableLayout("Name, Class, Hosts, Address, Ports, Age") { object, now in
    let spec = object["spec"]
    return [
      Cells.name(object), Cells.textOr(spec["ingressClassName"], Cells.none), .string(ingressHosts(spec["rules"])),
      .string(balancerAddresses(object).joined(separator: ",")),
      spec["tls"].isEmptyValue ? "80" : "80, 443", Cells.age(object, now),
    ]
  }

  /// Three hosts and how many rules more there are; rules for all hosts show only where no other does.
  private static func ingressHosts(_ rules: JSONValue) -> String {
    var hosts: [String] = []
    var isCut = false
    for rule in rules.elements {
      if hosts.count == 3 { isCut = true }
      if !isCut, !rule["host"].isEmptyValue { hosts.append(rule["host"].text) }
    }
    if hosts.isEmpty { return "*" }
    return hosts.joined(separator: ",") + (isCut ? " + \(rules.elements.count - 3) more..." : "")
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
