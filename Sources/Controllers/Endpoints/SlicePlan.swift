// What the EndpointSlices of a Service should hold, as values.
import Client
import JSON

/// What each slice should hold: endpoints stay in the slice they are in, so that few slices are written; freed places
/// are filled before new slices are made.
struct SlicePlan {
  struct Content: Hashable {
    var endpoints: [JSONValue]
    var ports: [JSONValue]
    /// Its endpoints have the hints that the slice has, and keep them.
    var keepsHints = false
  }
  var updates: [(EndpointSlice, Content)] = []
  var creations: [Content] = []
  var deletions: [EndpointSlice] = []

  init(existing: [EndpointSlice], groups: EndpointGroups, maximum: Int) {
    var unused = existing
    // A Service without endpoints keeps one empty slice: watchers learn that it exists.
    let wanted = groups.groups.isEmpty ? [(ports: [EndpointPort](), addresses: [EndpointAddress]())] : groups.groups
    for group in wanted {
      let ports = group.ports.map(Self.portJSON)
      let matching = unused.filter { groups.groups.isEmpty || $0.ports.elements == ports }
      let slices = groups.groups.isEmpty ? Array(matching.prefix(1)) : matching
      unused.removeAll { candidate in slices.contains { $0.name == candidate.name } }
      plan(group.addresses, ports, slices, maximum)
    }
    deletions += unused
  }

  var contents: [Content] { updates.map(\.1) + creations }

  /// Changes the endpoints of all slices; `onlyOpen`: of those that do not keep their hints.
  mutating func rewrite(onlyOpen: Bool = false, _ change: (inout [JSONValue]) -> Void) {
    for index in updates.indices where !(onlyOpen && updates[index].1.keepsHints) {
      change(&updates[index].1.endpoints)
    }
    for index in creations.indices { change(&creations[index].endpoints) }
  }

  /// Slices whose endpoints stay as they are keep their hints, if `keeps` says so of the endpoints with them.
  mutating func keepHints(_ keeps: ([JSONValue]) -> Bool) {
    for index in updates.indices {
      let (slice, content) = updates[index]
      let bare = slice.endpoints.elements.map { endpoint in
        guard var object = endpoint.object else { return endpoint }
        object["hints"] = nil
        return JSONValue.object(object)
      }
      guard bare == content.endpoints, keeps(slice.endpoints.elements) else { continue }
      updates[index].1.endpoints = slice.endpoints.elements
      updates[index].1.keepsHints = true
    }
  }

  private mutating func plan(
    _ addresses: [EndpointAddress], _ ports: [JSONValue], _ slices: [EndpointSlice], _ maximum: Int
  ) {
    var remaining = addresses
    var contents: [(EndpointSlice, [EndpointAddress])] = slices.map { slice in
      let uids = Set(slice.endpoints.elements.compactMap { $0["targetRef"]["uid"].string })
      let kept = remaining.filter { uids.contains($0.podUID) }.prefix(maximum)
      let keptUIDs = Set(kept.map(\.podUID))
      remaining.removeAll { keptUIDs.contains($0.podUID) }
      return (slice, Array(kept))
    }
    for index in contents.indices {
      let room = maximum - contents[index].1.count
      contents[index].1 += remaining.prefix(room)
      remaining = Array(remaining.dropFirst(room))
    }
    let hasOther = contents.contains { !$0.1.isEmpty } || !remaining.isEmpty
    for (index, (slice, addresses)) in contents.enumerated() {
      if addresses.isEmpty && (hasOther || index > 0) {
        deletions.append(slice)
      } else {
        updates.append((slice, Content(endpoints: addresses.map(Self.endpointJSON), ports: ports)))
      }
    }
    if slices.isEmpty && addresses.isEmpty { creations.append(Content(endpoints: [], ports: ports)) }
    while !remaining.isEmpty {
      creations.append(Content(endpoints: remaining.prefix(maximum).map(Self.endpointJSON), ports: ports))
      remaining = Array(remaining.dropFirst(maximum))
    }
  }

  private static func endpointJSON(_ address: EndpointAddress) -> JSONValue {
    var value: JSONValue = [
      "addresses": [.string(address.ip)],
      "conditions": [
        "ready": .bool(address.isReady), "serving": .bool(address.isServing),
        "terminating": .bool(address.isTerminating),
      ],
    ]
    if !address.hostname.isEmpty { value["hostname"] = .string(address.hostname) }
    value["targetRef"] = address.targetReference
    if !address.nodeName.isEmpty { value["nodeName"] = .string(address.nodeName) }
    if !address.zone.isEmpty { value["zone"] = .string(address.zone) }
    return value
  }

  /// Slices name every port, with "" for the only one.
  private static func portJSON(_ port: EndpointPort) -> JSONValue {
    var value: JSONValue = [
      "name": .string(port.name), "protocol": .string(port.protocolName), "port": .integer(port.port),
    ]
    if !port.appProtocol.isEmpty { value["appProtocol"] = .string(port.appProtocol) }
    return value
  }
}
