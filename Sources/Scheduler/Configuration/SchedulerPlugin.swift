// The scheduler's plugins and where each has a say (spec/6 §6.1): what profiles turn on and off.

/// The steps of scheduling, named as in configuration files.
enum ExtensionPoint: String, CaseIterable, Sendable {
  // In the order in which kube-scheduler looks for plugins that do not exist.
  case preFilter, filter, postFilter, reserve, preScore, score, preBind, bind, postBind, permit, preEnqueue, queueSort

  /// As the reference calls it in errors: "FilterPlugin".
  var interfaceName: String { rawValue.prefix(1).uppercased() + rawValue.dropFirst() + "Plugin" }
}

enum SchedulerPlugin: String, CaseIterable, Sendable {
  // In the default profile's order.
  case schedulingGates = "SchedulingGates"
  case prioritySort = "PrioritySort"
  case nodeUnschedulable = "NodeUnschedulable"
  case nodeName = "NodeName"
  case taintToleration = "TaintToleration"
  case nodeAffinity = "NodeAffinity"
  case nodePorts = "NodePorts"
  case nodeResourcesFit = "NodeResourcesFit"
  case volumeRestrictions = "VolumeRestrictions"
  case nodeVolumeLimits = "NodeVolumeLimits"
  case volumeBinding = "VolumeBinding"
  case volumeZone = "VolumeZone"
  case podTopologySpread = "PodTopologySpread"
  case interPodAffinity = "InterPodAffinity"
  case defaultPreemption = "DefaultPreemption"
  case balancedAllocation = "NodeResourcesBalancedAllocation"
  case imageLocality = "ImageLocality"
  case defaultBinder = "DefaultBinder"

  var points: Set<ExtensionPoint> {
    switch self {
    case .schedulingGates: [.preEnqueue]
    case .prioritySort: [.queueSort]
    case .nodeUnschedulable, .nodeName: [.filter]
    case .taintToleration: [.filter, .preScore, .score]
    case .nodePorts, .volumeRestrictions, .nodeVolumeLimits, .volumeZone: [.preFilter, .filter]
    case .nodeAffinity, .nodeResourcesFit, .podTopologySpread, .interPodAffinity:
      [.preFilter, .filter, .preScore, .score]
    case .volumeBinding: [.preFilter, .filter, .reserve, .preBind, .preScore, .score]
    case .defaultPreemption: [.postFilter, .preEnqueue]
    case .balancedAllocation: [.preScore, .score]
    case .imageLocality: [.score]
    case .defaultBinder: [.bind]
    }
  }

  /// In the default profile; nil: one.
  var defaultWeight: Int64? {
    switch self {
    case .taintToleration: 3
    case .nodeAffinity, .podTopologySpread, .interPodAffinity: 2
    case .nodeResourcesFit, .balancedAllocation, .imageLocality: 1
    default: nil
    }
  }

  /// Plugins that there were once: naming them is an error of its own.
  static let removed: Set<String> = ["AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"]
}
