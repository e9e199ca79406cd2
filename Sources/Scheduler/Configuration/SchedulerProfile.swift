// What a profile comes down to: which plugins have a say, how much they weigh, and their arguments.
import Client
import JSON
import Schema

/// A resource in a scoring strategy.
struct WeighedResource: Hashable, Sendable {
  var name: String
  var weight: Int64
}

/// How NodeResourcesFit scores.
enum ScoringStrategy: Hashable, Sendable {
  case leastAllocated
  case mostAllocated
  /// Points of a function from utilization in percent to a score, brought from 0…10 to 0…100.
  case requestedToCapacityRatio([ShapePoint])

  struct ShapePoint: Hashable, Sendable {
    var utilization: Int64
    var score: Int64
  }
}

/// The profile of one schedulerName; by default the reference's own.
struct SchedulerProfile: Sendable {
  var name = Scheduler.defaultName
  private(set) var enabled: [ExtensionPoint: Set<SchedulerPlugin>] = [:]
  private var weights: [SchedulerPlugin: Int64] = [:]

  /// 0: adaptive.
  var percentageOfNodesToScore: Int64 = 0

  // NodeResourcesFit
  var ignoredResources: Set<String> = []
  var ignoredResourceGroups: Set<String> = []
  var strategy = ScoringStrategy.leastAllocated
  var scoredResources = SchedulerProfile.cpuAndMemory
  // NodeResourcesBalancedAllocation
  var balancedResources = ["cpu", "memory"]
  // InterPodAffinity: required affinity of running pods pulls a little, too.
  var hardPodAffinityWeight: Int64 = 1
  var ignoresPreferredTermsOfExistingPods = false
  // PodTopologySpread: nil: the system's own.
  var defaultConstraints: [JSONValue]?
  // NodeAffinity
  var addedAffinity: NodeAffinity?
  // DefaultPreemption
  var candidateNodesPercent = 10
  var minimumCandidateNodes = 100
  // VolumeBinding
  var bindTimeout = Duration.seconds(600)

  static let cpuAndMemory = [WeighedResource(name: "cpu", weight: 1), WeighedResource(name: "memory", weight: 1)]
  static let standard = SchedulerProfile()

  init() {
    for plugin in SchedulerPlugin.allCases { for point in plugin.points { enabled[point, default: []].insert(plugin) } }
    for plugin in SchedulerPlugin.allCases where plugin.points.contains(.score) {
      weights[plugin] = plugin.defaultWeight ?? 1
    }
  }

  /// With these plugins at each point, and these weights.
  init(name: String, enabled: [ExtensionPoint: Set<SchedulerPlugin>], weights: [SchedulerPlugin: Int64]) {
    self.name = name
    self.enabled = enabled
    self.weights = weights
  }

  func has(_ plugin: SchedulerPlugin, at point: ExtensionPoint) -> Bool {
    enabled[point]?.contains(plugin) ?? false
  }

  /// 0: it has no say.
  func weight(_ plugin: SchedulerPlugin) -> Int64 { has(plugin, at: .score) ? weights[plugin] ?? 1 : 0 }

  /// Nodes need not have room for it.
  func ignores(resource name: String) -> Bool {
    if ignoredResources.contains(name) { return true }
    guard !ignoredResourceGroups.isEmpty, let slash = name.firstIndex(of: "/") else { return false }
    return ignoredResourceGroups.contains(String(name[..<slash]))
  }
}
