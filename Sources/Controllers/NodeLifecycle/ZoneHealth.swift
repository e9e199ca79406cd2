// How fast nodes may lose their pods, as values (spec/5 §5.1, node-lifecycle): the more nodes of a zone are silent, the
// likelier it is that they are not dead, but out of reach.
import Client
import World

/// The nodes of each zone, as one look at all of them found them.
struct ZoneSurvey {
  /// A zone most of whose nodes are silent; these many at least.
  private static let unhealthyFraction = 0.55
  private static let unhealthyMinimum = 3
  /// Zones up to this size are left alone then.
  private static let largeZone = 50
  /// One node of a zone in so long.
  private static let usualPace = Duration.seconds(10)
  private static let slowPace = Duration.seconds(100)

  private struct Zone {
    var ready = 0
    var unhealthy = 0
  }
  private var zones: [String: Zone] = [:]
  private(set) var unhealthy: Set<String> = []

  init() {}

  init(_ nodes: [(node: Node, health: NodeHealth)]) {
    for (node, health) in nodes {
      if health == .ready {
        zones[Self.zone(of: node), default: Zone()].ready += 1
      } else {
        zones[Self.zone(of: node), default: Zone()].unhealthy += 1
        unhealthy.insert(node.name)
      }
    }
  }

  static func zone(of node: Node) -> String {
    func label(_ name: String) -> String {
      node.metadata.labels["topology.kubernetes.io/\(name)"]
        ?? node.metadata.labels["failure-domain.beta.kubernetes.io/\(name)"] ?? ""
    }
    let (region, zone) = (label("region"), label("zone"))
    // A node that says neither is in a zone without a name, in metrics as well.
    return region.isEmpty && zone.isEmpty ? "" : "\(region)/\(zone)"
  }

  /// As metrics tell of them.
  var counts: [LoopMetrics.Zone] {
    zones.map { name, zone in
      LoopMetrics.Zone(name: name, size: zone.ready + zone.unhealthy, unhealthy: zone.unhealthy)
    }
  }

  /// No zone has a node that is well: whoever finds that is likely to be the one that is cut off.
  var isEverythingDown: Bool { !zones.isEmpty && zones.values.allSatisfy { $0.ready == 0 } }

  /// How much time must be between two nodes of the zone that begin to lose their pods; nil: none may.
  func pace(_ zone: String) -> Duration? {
    guard !isEverythingDown, let zone = zones[zone] else { return nil }
    let count = zone.ready + zone.unhealthy
    // A zone that is down altogether is believed to be, while others are up.
    guard zone.ready > 0, zone.unhealthy >= Self.unhealthyMinimum,
      Double(zone.unhealthy) / Double(count) >= Self.unhealthyFraction
    else { return Self.usualPace }
    return count > Self.largeZone ? Self.slowPace : nil
  }
}

extension Taint {
  /// By which this controller has pods leave nodes that are not well.
  var evictsFromSilentNode: Bool {
    effect == "NoExecute" && (key == NodeTaints.notReady || key == NodeTaints.unreachable)
  }
}
