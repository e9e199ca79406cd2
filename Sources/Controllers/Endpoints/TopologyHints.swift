// For which zones endpoints are, as hints that proxies follow: their own zone's (trafficDistribution PreferClose), or so
// that each zone has as many as it has of the cluster's CPU (annotation service.kubernetes.io/topology-mode: Auto).
import Client
import JSON
import Schema

/// What part of the CPU of all ready nodes each zone has.
struct ZoneShares: Hashable {
  private static let excluded = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"]

  /// Empty when a node does not say where it is or what it has, and when all are in one zone.
  private(set) var ratios: [String: Double] = [:]

  /// What a node contributes; nil when it does not count.
  struct Part: Hashable {
    var zone: String
    var milliCPU: Int64
  }

  static func part(of node: Node) -> Part? {
    guard node.isReady, !excluded.contains(where: { node.metadata.labels[$0] != nil }) else { return nil }
    return Part(
      zone: node.metadata.labels["topology.kubernetes.io/zone"] ?? "",
      milliCPU: node.allocatable["cpu"]?.milliValue ?? 0)
  }

  init(_ nodes: [Node]) {
    let parts = nodes.compactMap(Self.part)
    guard parts.allSatisfy({ !$0.zone.isEmpty && $0.milliCPU > 0 }) else { return }
    // (Not as integers: nodes say that they have any number of CPUs.)
    var zones: [String: Double] = [:]
    for part in parts { zones[part.zone, default: 0] += Double(part.milliCPU) }
    guard zones.count > 1 else { return }
    let total = zones.values.reduce(0, +)
    ratios = zones.mapValues { $0 / total }
  }
}

enum TopologyHints {
  /// No endpoint should have more than this part above its share of the load.
  private static let overload = 0.2
  private static let modeAnnotations = [
    "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode",
  ]

  /// How many endpoints a zone should have.
  private struct Allocation {
    var maximum: Int
    var desired: Double
  }

  static func areByCapacity(_ service: Service) -> Bool {
    let mode = modeAnnotations.lazy.compactMap { service.metadata.annotations[$0] }.first
    return mode == "Auto" || mode == "auto"
  }

  private static func isReady(_ endpoint: JSONValue) -> Bool { endpoint["conditions"]["ready"].bool == true }
  private static func zones(of endpoint: JSONValue) -> [String] {
    endpoint["hints"]["forZones"].elements.compactMap { $0["name"].string }
  }
  private static func hint(_ zone: String) -> JSONValue { ["forZones": [["name": .string(zone)]]] }

  // MARK: Near

  /// Every ready endpoint is for its own zone.
  static func preferClose(_ plan: inout SlicePlan) {
    plan.rewrite { endpoints in
      for index in endpoints.indices where isReady(endpoints[index]) {
        if let zone = endpoints[index]["zone"].string { endpoints[index]["hints"] = hint(zone) }
      }
    }
  }

  // MARK: By capacity

  /// Nil when all have hints, else why none has.
  static func byCapacity(_ plan: inout SlicePlan, _ shares: ZoneShares) -> String? {
    let ready = plan.contents.reduce(0) { $0 + $1.endpoints.count(where: isReady) }
    guard !shares.ratios.isEmpty else {
      return "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
    }
    let size = "(\(ready) endpoints, \(shares.ratios.count) zones)"
    guard shares.ratios.count <= ready else { return "Insufficient number of endpoints \(size)" }
    guard let allocations = allocations(ready, shares) else {
      return "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold \(size)"
    }
    guard plan.contents.allSatisfy({ $0.endpoints.allSatisfy { !isReady($0) || $0["zone"].string != nil } }) else {
      return "One or more endpoints do not have a zone specified"
    }
    // Slices that need not be written keep the hints that they have, as long as these leave room for all zones.
    var given: [String: Int] = [:]
    plan.keepHints { endpoints in
      guard let hints = validHints(endpoints, given, allocations) else { return false }
      given.merge(hints, uniquingKeysWith: +)
      return true
    }
    plan.rewrite { endpoints in
      for index in endpoints.indices where isReady(endpoints[index]) && zones(of: endpoints[index]).isEmpty {
        guard let zone = endpoints[index]["zone"].string else { continue }
        endpoints[index]["hints"] = hint(zone)
        given[zone, default: 0] += 1
      }
    }
    var (giving, receiving) = moves(allocations, given)
    plan.rewrite(onlyOpen: true) { endpoints in
      for index in endpoints.indices where isReady(endpoints[index]) {
        guard let zone = endpoints[index]["zone"].string, giving[zone] ?? 0 > 0,
          let other = receiving.filter({ $0.value > 0 }).keys.min()
        else { continue }
        giving[zone, default: 0] -= 1
        receiving[other, default: 0] -= 1
        endpoints[index]["hints"] = hint(other)
      }
    }
    return nil
  }

  /// Nil when there are too few endpoints for every zone to have its share.
  private static func allocations(_ count: Int, _ shares: ZoneShares) -> [String: Allocation]? {
    let minima = shares.ratios.mapValues { Int(($0 * Double(count) / (1 + overload)).rounded(.up)) }
    let spare = count - minima.values.reduce(0, +)
    guard spare >= 0 else { return nil }
    return minima.reduce(into: [:]) { result, zone in
      let desired = (shares.ratios[zone.key] ?? 0) * Double(count)
      result[zone.key] = Allocation(maximum: zone.value + spare, desired: max(desired, Double(zone.value)))
    }
  }

  /// How many endpoints of a slice are for each zone; nil when one is for none, or they are more than a zone may have.
  private static func validHints(
    _ endpoints: [JSONValue], _ given: [String: Int], _ allocations: [String: Allocation]
  ) -> [String: Int]? {
    var hints: [String: Int] = [:]
    for endpoint in endpoints where isReady(endpoint) {
      let zones = zones(of: endpoint)
      guard !zones.isEmpty, zones.allSatisfy({ allocations[$0] != nil }) else { return nil }
      for zone in zones { hints[zone, default: 0] += 1 }
    }
    let fits = hints.allSatisfy { $0.value + (given[$0.key] ?? 0) <= allocations[$0.key]?.maximum ?? 0 }
    return fits ? hints : nil
  }

  /// How many endpoints zones that have more than they should give to zones that have less.
  private static func moves(
    _ allocations: [String: Allocation], _ given: [String: Int]
  ) -> (giving: [String: Int], receiving: [String: Int]) {
    var surplus: [String: Double] = [:]
    var shortage: [String: Double] = [:]
    for (zone, allocation) in allocations {
      let difference = Double(given[zone] ?? 0) - allocation.desired
      if difference > 0 { surplus[zone] = difference }
      if difference < 0 { shortage[zone] = -difference }
    }
    func most(_ zones: [String: Double]) -> (key: String, value: Double)? {
      zones.max { ($0.value, $1.key) < ($1.value, $0.key) }
    }
    var giving: [String: Int] = [:]
    var receiving: [String: Int] = [:]
    while let giver = most(surplus), let receiver = most(shortage), giver.value >= 0.5, receiver.value >= 0.5,
      giver.value >= 1 || receiver.value >= 1
    {
      giving[giver.key, default: 0] += 1
      receiving[receiver.key, default: 0] += 1
      surplus[giver.key] = giver.value - 1
      shortage[receiver.key] = receiver.value - 1
    }
    return (giving, receiving)
  }
}
