// Cluster IPs and node ports of Services (spec/3 §3.7): each that is taken is an object of its own in the store, under a
// resource no path leads to, written or removed by the same command as the Service. Two services never share one,
// whichever servers they were created through.
import JSON
import Replica
import Schema
import World

/// Where Services get addresses and ports from.
struct ServiceRanges: Sendable {
  let network: CIDR
  let nodePorts: ClosedRange<Int>

  static let addressResource = "_clusterip"
  static let portResource = "_nodeport"
  /// Random picks before the range is searched from its beginning.
  private static let randomPicks = 32

  static func addressKey(_ address: String) -> ObjectKey {
    ObjectKey(resource: addressResource, namespace: "", name: address)
  }
  static func portKey(_ port: Int) -> ObjectKey {
    ObjectKey(resource: portResource, namespace: "", name: String(port))
  }

  /// Usable addresses: neither the network's own nor the broadcast address.
  private var addressCount: UInt64 { network.count > 2 ? network.count - 2 : 0 }

  func contains(_ address: IPAddress) -> Bool {
    network.contains(address) && address != network.network && address != network.last
  }

  /// A free address; the lower part of the range is left to those who ask for a certain one.
  func freeAddress(_ state: any StateView, except taken: Set<ObjectKey>, _ world: any World) -> String? {
    let count = addressCount
    let reserved = min(max(16, count / 16), 256)
    let offset = Self.pick(count, reserved: count > reserved ? reserved : 0, world) { offset in
      guard let address = network.address(at: offset + 1) else { return false }
      return Self.isFree(Self.addressKey(address.description), state, taken)
    }
    return offset.flatMap { network.address(at: $0 + 1)?.description }
  }

  func freePort(_ state: any StateView, except taken: Set<ObjectKey>, _ world: any World) -> Int? {
    let count = UInt64(nodePorts.count)
    let reserved = min(max(16, count / 32), 128)
    let offset = Self.pick(count, reserved: count > reserved ? reserved : 0, world) { offset in
      Self.isFree(Self.portKey(nodePorts.lowerBound + Int(offset)), state, taken)
    }
    return offset.map { nodePorts.lowerBound + Int($0) }
  }

  private static func isFree(_ key: ObjectKey, _ state: any StateView, _ taken: Set<ObjectKey>) -> Bool {
    !taken.contains(key) && state.object(key) == nil
  }

  private static func pick(
    _ count: UInt64, reserved: UInt64, _ world: any World, isFree: (UInt64) -> Bool
  ) -> UInt64? {
    guard count > 0 else { return nil }
    for _ in 0..<randomPicks {
      let offset = reserved + world.randomBits() % (count - reserved)
      if isFree(offset) { return offset }
    }
    return (reserved..<count).first(where: isFree) ?? (0..<reserved).first(where: isFree)
  }
}

/// What a Service holds and what it should hold.
struct ServiceHoldings: Sendable, Hashable {
  var addresses: Set<String> = []
  var ports: Set<Int> = []

  init(_ service: JSONValue) {
    let spec = service["spec"]
    if spec["type"].string != "ExternalName" {
      let all = [spec["clusterIP"]] + spec["clusterIPs"].elements
      for address in all.compactMap(\.string) where !address.isEmpty && address != "None" { addresses.insert(address) }
    }
    for port in spec["ports"].elements {
      if let number = port["nodePort"].integer, number > 0 { ports.insert(Int(number)) }
    }
    if let number = spec["healthCheckNodePort"].integer, number > 0 { ports.insert(Int(number)) }
  }

  var keys: Set<ObjectKey> {
    Set(addresses.map { ServiceRanges.addressKey($0) } + ports.map { ServiceRanges.portKey($0) })
  }
}

/// Fills in what a Service lacks. A value: it decides against one state; the command's conditions prove it right.
struct ServiceAllocator {
  let ranges: ServiceRanges
  let state: any StateView
  let world: any World
  private var taken: Set<ObjectKey>
  /// What the service held before.
  private let held: Set<ObjectKey>
  private let old: JSONValue?

  init(ranges: ServiceRanges, state: any StateView, world: any World, old: JSONValue?) {
    self.ranges = ranges
    self.state = state
    self.world = world
    self.old = old
    held = old.map { ServiceHoldings($0).keys } ?? []
    taken = []
  }

  /// Addresses and ports for `service`; throws the field errors of those it asks for and cannot have.
  mutating func allocate(_ service: inout JSONValue) throws(AllocationFailure) {
    let type = service["spec"]["type"].string ?? "ClusterIP"
    if type != "ExternalName" {
      let errors = ServiceFamilies.settle(&service["spec"], old: old?["spec"], cluster: ranges.network.address.family)
      guard errors.isEmpty else { throw .fields(errors) }
    }
    try allocateAddress(&service, type)
    try allocatePorts(&service, type)
  }

  private mutating func allocateAddress(_ service: inout JSONValue, _ type: String) throws(AllocationFailure) {
    let wanted = service["spec"]["clusterIP"].string ?? ""
    guard type != "ExternalName" else { return }
    if wanted == "None" {
      service["spec"]["clusterIPs"] = ["None"]
      return
    }
    if !wanted.isEmpty {
      let key = ServiceRanges.addressKey(wanted)
      defer { taken.insert(key) }
      guard !held.contains(key) else { return }
      guard let address = IPAddress(wanted), ranges.contains(address) else {
        throw .field(
          .invalid(
            "spec.clusterIPs", [.string(wanted)],
            "failed to allocate IP \(wanted): the provided IP (\(wanted)) is not in the valid range. "
              + "The range of valid IPs is \(ranges.network)"))
      }
      guard state.object(key) == nil else {
        throw .field(
          .invalid(
            "spec.clusterIPs", [.string(wanted)],
            "failed to allocate IP \(wanted): provided IP is already allocated"))
      }
      return
    }
    guard let address = ranges.freeAddress(state, except: taken, world) else {
      throw .exhausted("failed to allocate a serviceIP: range is full")
    }
    taken.insert(ServiceRanges.addressKey(address))
    service["spec"]["clusterIP"] = .string(address)
    service["spec"]["clusterIPs"] = [.string(address)]
  }

  private mutating func allocatePorts(_ service: inout JSONValue, _ type: String) throws(AllocationFailure) {
    let isLoadBalancer = type == "LoadBalancer"
    let allocates = type == "NodePort" || (isLoadBalancer && service["spec"]["allocateLoadBalancerNodePorts"] != false)
    var ports = service["spec"]["ports"].elements
    /// Ports of one number and several protocols share a node port.
    var byPort: [Int64: Int] = [:]
    for index in ports.indices {
      guard let number = ports[index]["nodePort"].integer, number > 0 else { continue }
      try take(Int(number), "spec.ports[\(index)].nodePort")
      if let port = ports[index]["port"].integer { byPort[port] = Int(number) }
    }
    for index in ports.indices where allocates && (ports[index]["nodePort"].integer ?? 0) == 0 {
      let port = ports[index]["port"].integer ?? 0
      let isShared = byPort[port].map { number in
        !ports.contains { $0["nodePort"].integer == Int64(number) && $0["protocol"] == ports[index]["protocol"] }
      }
      let number = isShared == true ? byPort[port]! : try freePort()
      byPort[port] = number
      ports[index]["nodePort"] = .integer(Int64(number))
    }
    if !ports.isEmpty { service["spec"]["ports"] = .array(ports) }
    if isLoadBalancer, service["spec"]["externalTrafficPolicy"] == "Local" {
      let wanted = service["spec"]["healthCheckNodePort"].integer ?? 0
      if wanted > 0 {
        try take(Int(wanted), "spec.healthCheckNodePort")
      } else {
        service["spec"]["healthCheckNodePort"] = .integer(Int64(try freePort()))
      }
    }
  }

  private mutating func freePort() throws(AllocationFailure) -> Int {
    guard let port = ranges.freePort(state, except: taken, world) else {
      throw .exhausted("failed to allocate a nodePort: range is full")
    }
    taken.insert(ServiceRanges.portKey(port))
    return port
  }

  private mutating func take(_ port: Int, _ field: String) throws(AllocationFailure) {
    let key = ServiceRanges.portKey(port)
    guard !held.contains(key), taken.insert(key).inserted else { return }
    guard ranges.nodePorts.contains(port) else {
      throw .field(
        .invalid(
          field, .integer(Int64(port)),
          "provided port is not in the valid range. The range of valid ports is "
            + "\(ranges.nodePorts.lowerBound)-\(ranges.nodePorts.upperBound)"))
    }
    guard state.object(key) == nil else {
      throw .field(.invalid(field, .integer(Int64(port)), "provided port is already allocated"))
    }
  }
}

enum AllocationFailure: Error {
  case fields([FieldError])

  static func field(_ error: FieldError) -> Self { .fields([error]) }
  case exhausted(String)
}

extension APIServer {
  private static let service = GroupVersionKind(group: "", version: "v1", kind: "Service")

  /// Fills in what a Service lacks, and adds what it takes and gives back to the command. Returns whether the object may
  /// have changed. Does nothing to other kinds.
  func allocate(
    for object: inout JSONValue, old: JSONValue?, key: ObjectKey, write: inout PendingWrite,
    _ request: ResourceRequest
  ) throws(APIStatus) -> Bool {
    guard request.kind.kind == Self.service, request.info.subresource.isEmpty else { return false }
    var allocator = ServiceAllocator(
      ranges: serviceRanges, state: store.current, world: request.world, old: old)
    do throws(AllocationFailure) { try allocator.allocate(&object) } catch {
      switch error {
      case .fields(let errors): throw .invalid(request.kind.kind, key.name, errors)
      case .exhausted(let why): throw .internalError(why)
      }
    }
    object = TypedDecoder.canonicalized(object, as: request.kind.structure)
    let before = old.map { ServiceHoldings($0).keys } ?? []
    let after = ServiceHoldings(object).keys
    for taken in after.subtracting(before).sorted() {
      if !APIMutant.addressUnguarded.isActive { write.preconditions.append(.absent(taken)) }
      write.mutations.append(.put(taken, Self.holding(taken, of: key)))
    }
    for freed in before.subtracting(after).sorted() { write.mutations.append(.delete(freed)) }
    return true
  }

  /// Adds what a removed Service gives back to the command.
  func release(_ old: JSONValue, key: ObjectKey, write: inout PendingWrite, _ request: ResourceRequest) {
    guard request.kind.kind == Self.service else { return }
    for freed in ServiceHoldings(old).keys.sorted() { write.mutations.append(.delete(freed)) }
  }

  /// The object that says who holds an address or port.
  static func holding(_ key: ObjectKey, of service: ObjectKey) -> UnversionedObject {
    UnversionedObject(tree: [
      "kind": "Allocation", "metadata": ["name": .string(key.name)],
      "service": .string("\(service.namespace)/\(service.name)"),
    ])
  }
}
