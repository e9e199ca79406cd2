// Why a node cannot take a pod, in the words of kube-scheduler (spec/6 §6.6).
import Client
import Schema

/// A node's refusal.
enum Refusal: Hashable, Sendable {
  case unschedulable
  case otherNodeRequested
  case untolerated(Taint)
  case nodeAffinity
  /// The profile's `addedAffinity`.
  case enforcedAffinity
  case hostPorts
  case tooManyPods
  /// `everEnough`: the node has as much when it is empty.
  case insufficient(String, everEnough: Bool)
  case topologySpread
  case topologyLabelMissing
  case podAffinity
  case podAntiAffinity
  case othersAntiAffinity
  case volumeNodeAffinity
  case volumesNotFound
  /// A volume could be made there, were there room for it.
  case notEnoughStorage
  case diskConflict
  case claimInUse
  case volumeCount
  case volumeZone
  /// In the words of an extender.
  case extender(String, isResolvable: Bool)

  var reason: String {
    switch self {
    case .unschedulable: "node(s) were unschedulable"
    case .otherNodeRequested: "node(s) didn't match the requested node name"
    case .untolerated(let taint): "node(s) had untolerated taint {\(taint.key): \(taint.value)}"
    case .nodeAffinity: "node(s) didn't match Pod's node affinity/selector"
    case .enforcedAffinity: "node(s) didn't match scheduler-enforced node affinity"
    case .hostPorts: "node(s) didn't have free ports for the requested pod ports"
    case .tooManyPods: "Too many pods"
    case .insufficient(let resource, _): "Insufficient \(resource)"
    case .topologySpread: "node(s) didn't match pod topology spread constraints"
    case .topologyLabelMissing: "node(s) didn't match pod topology spread constraints (missing required label)"
    case .podAffinity: "node(s) didn't match pod affinity rules"
    case .podAntiAffinity: "node(s) didn't match pod anti-affinity rules"
    case .othersAntiAffinity: "node(s) didn't satisfy existing pods anti-affinity rules"
    case .volumeNodeAffinity: "node(s) had volume node affinity conflict"
    case .extender(let reason, _): reason
    case .diskConflict: "node(s) had no available disk"
    case .claimInUse: "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
    case .volumeCount: "node(s) exceed max volume count"
    case .volumeZone: "node(s) had no available volume zone"
    case .notEnoughStorage: "node(s) did not have enough free storage"
    case .volumesNotFound: "node(s) didn't find available persistent volumes to bind"
    }
  }

  /// Removing pods from the node may cure it (Unschedulable; otherwise UnschedulableAndUnresolvable).
  var isResolvable: Bool {
    switch self {
    case .diskConflict, .claimInUse, .volumeCount, .hostPorts, .tooManyPods, .topologySpread, .podAntiAffinity,
      .othersAntiAffinity:
      true
    case .insufficient(_, let everEnough): everEnough
    case .extender(_, let isResolvable): isResolvable
    case .unschedulable, .otherNodeRequested, .untolerated, .nodeAffinity, .enforcedAffinity, .topologyLabelMissing,
      .podAffinity,
      .volumeNodeAffinity, .volumesNotFound, .notEnoughStorage, .volumeZone:
      false
    }
  }

  /// The changes after which it may not hold any more.
  var cures: ClusterChange {
    switch self {
    case .podAffinity, .topologySpread: [.nodes, .podPlaced, .podRemoved]
    case .volumeNodeAffinity, .volumesNotFound, .notEnoughStorage, .volumeZone: [.nodes, .volumes]
    case .claimInUse, .volumeCount: [.nodes, .podRemoved, .volumes]
    // Nobody knows what an extender waits for.
    case .extender: [.nodes, .podPlaced, .podRemoved, .volumes]
    default: isResolvable ? [.nodes, .podRemoved] : .nodes
    }
  }
}

/// Refusals that say nothing of their own: a set of them is a number, so that a node is asked without allocating.
struct RefusalSet: OptionSet, Sendable, BitwiseCopyable {
  let rawValue: UInt32

  static let unschedulable = Self(rawValue: 1 << 0)
  static let otherNodeRequested = Self(rawValue: 1 << 1)
  static let nodeAffinity = Self(rawValue: 1 << 2)
  static let hostPorts = Self(rawValue: 1 << 3)
  static let tooManyPods = Self(rawValue: 1 << 4)
  static let insufficientCPU = Self(rawValue: 1 << 5)
  static let neverEnoughCPU = Self(rawValue: 1 << 6)
  static let insufficientMemory = Self(rawValue: 1 << 7)
  static let neverEnoughMemory = Self(rawValue: 1 << 8)
  static let insufficientEphemeralStorage = Self(rawValue: 1 << 9)
  static let neverEnoughEphemeralStorage = Self(rawValue: 1 << 10)
  static let topologySpread = Self(rawValue: 1 << 11)
  static let topologyLabelMissing = Self(rawValue: 1 << 12)
  static let podAffinity = Self(rawValue: 1 << 13)
  static let podAntiAffinity = Self(rawValue: 1 << 14)
  static let othersAntiAffinity = Self(rawValue: 1 << 15)
  static let enforcedAffinity = Self(rawValue: 1 << 16)

  /// By bit.
  static let refusals: [Refusal] = [
    .unschedulable, .otherNodeRequested, .nodeAffinity, .hostPorts, .tooManyPods,
    .insufficient("cpu", everEnough: true), .insufficient("cpu", everEnough: false),
    .insufficient("memory", everEnough: true), .insufficient("memory", everEnough: false),
    .insufficient("ephemeral-storage", everEnough: true), .insufficient("ephemeral-storage", everEnough: false),
    .topologySpread, .topologyLabelMissing, .podAffinity, .podAntiAffinity, .othersAntiAffinity,
    .enforcedAffinity,
  ]

  private static let unresolvable = refusals.indices.filter { !refusals[$0].isResolvable }
    .reduce(into: RefusalSet()) { $0.insert(Self(rawValue: 1 << UInt32($1))) }

  /// Removing pods from the node may cure all of them.
  var isResolvable: Bool { isDisjoint(with: Self.unresolvable) }

  func forEach(_ body: (_ bit: Int) -> Void) {
    var left = rawValue
    while left != 0 {
      body(left.trailingZeroBitCount)
      left &= left - 1
    }
  }
}

/// What a node says to a pod.
enum NodeAnswer: Sendable {
  case fits
  case refused(RefusalSet)
  /// With refusals that have words of their own.
  case explained([Refusal])

  var fits: Bool { if case .fits = self { true } else { false } }

  var refusals: [Refusal] {
    switch self {
    case .fits: return []
    case .explained(let refusals): return refusals
    case .refused(let set):
      var list: [Refusal] = []
      set.forEach { list.append(RefusalSet.refusals[$0]) }
      return list
    }
  }
}
