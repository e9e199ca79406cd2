// What a Deployment's rollout does next, as values (spec/5 §5.3). No clock, no client: tests turn these by hand.
import Client
import JSON
import Schema
import World

/// Labels and annotations of the rollout.
enum DeploymentNames {
  static let podTemplateHash = "pod-template-hash"
  static let revision = "deployment.kubernetes.io/revision"
  static let revisionHistory = "deployment.kubernetes.io/revision-history"
  static let desiredReplicas = "deployment.kubernetes.io/desired-replicas"
  static let maxReplicas = "deployment.kubernetes.io/max-replicas"
  /// Annotations of a Deployment that its ReplicaSets do not inherit.
  static let notInherited: Set<String> = [
    "kubectl.kubernetes.io/last-applied-configuration", revision, revisionHistory, desiredReplicas, maxReplicas,
    "deprecated.deployment.rollback.to",
  ]
}

/// The ReplicaSets of a Deployment, told apart.
struct DeploymentSets {
  /// Has the Deployment's template; the oldest, should there be several.
  var new: ReplicaSet?
  /// All others, oldest first.
  var old: [ReplicaSet]

  init(deployment: Deployment, sets: [ReplicaSet]) {
    let ordered = sets.sorted { left, right in
      if let one = left.metadata.creationTimestamp, let other = right.metadata.creationTimestamp, one != other {
        return one < other
      }
      return left.name < right.name
    }
    let template = deployment.template.withoutHash
    new = ordered.first { $0.template.withoutHash == template }
    let uid = new?.metadata.uid
    old = ordered.filter { $0.metadata.uid != uid }
  }

  /// The new set was made in this turn.
  var madeNew = false

  var all: [ReplicaSet] { old + (new.map { [$0] } ?? []) }
  var active: [ReplicaSet] { all.filter { $0.replicas > 0 } }

  /// One more than the highest revision among the old sets. Anybody may write the annotation that has it: after the last
  /// number there is only the last.
  var nextRevision: Int64 { (old.map(\.revision).max() ?? 0).addingSaturated(1) }
}

extension ReplicaSet {
  var revision: Int64 { metadata.annotations[DeploymentNames.revision].flatMap { Int64($0) } ?? 0 }
  var desiredReplicas: Int64? { metadata.annotations[DeploymentNames.desiredReplicas].flatMap { Int64($0) } }
  var maxReplicas: Int64? { metadata.annotations[DeploymentNames.maxReplicas].flatMap { Int64($0) } }
}

extension PodTemplate {
  /// Without the hash label that tells one ReplicaSet's pods from another's.
  var withoutHash: PodTemplate {
    var copy = json
    if var labels = copy["metadata"]["labels"].object {
      labels[DeploymentNames.podTemplateHash] = nil
      copy["metadata"]["labels"] = labels.isEmpty ? .null : .object(labels)
    }
    copy["metadata"]["creationTimestamp"] = .null
    if copy["metadata"].object?.isEmpty == true { copy["metadata"] = .null }
    return PodTemplate(json: copy)
  }
}

extension Deployment {
  /// Surge rounds up, unavailability down; when both come to nothing, one pod may be missing, or nothing could move.
  var rollingBounds: (surge: Int64, unavailable: Int64) {
    let surge = maxSurge.resolved(of: replicas, roundingUp: true)
    let unavailable = maxUnavailable.resolved(of: replicas, roundingUp: false)
    return surge == 0 && unavailable == 0 ? (0, 1) : (surge, unavailable)
  }
  var maximumReplicas: Int64 { isRecreate ? replicas : replicas + rollingBounds.surge }
  /// How many pods must be available: during a rolling update, and for the condition of that name.
  var minimumAvailable: Int64 { isRecreate ? replicas : replicas - min(replicas, rollingBounds.unavailable) }
  var annotatedRevision: String { metadata.annotations[DeploymentNames.revision] ?? "" }
}

/// Sizes that ReplicaSets should have, by uid; sets that are not named keep theirs.
enum RollingUpdate {
  /// How large the new set may become now.
  static func newReplicas(_ deployment: Deployment, _ sets: DeploymentSets) -> Int64 {
    let current = sets.new?.replicas ?? 0
    guard !deployment.isRecreate else { return deployment.replicas }
    guard current < deployment.replicas else { return deployment.replicas }
    // What a set was to lose counts for as long as it has it: no pod is too many even for a moment.
    let total = sets.all.reduce(0) { $0 + max($1.replicas, $1.status.replicas) }
    let room = deployment.maximumReplicas - total
    guard room > 0 else { return current }
    return current + min(room, deployment.replicas - current)
  }

  /// How far the old sets may shrink now: first pods that do not work, then as many as availability allows.
  static func oldReplicas(_ deployment: Deployment, _ sets: DeploymentSets) -> [String: Int64] {
    let old = sets.old.filter { $0.replicas > 0 }
    guard let new = sets.new, !old.isEmpty, !ControllerMutant.oldReplicasKept.isActive else { return [:] }
    let total = sets.all.reduce(0) { $0 + $1.replicas }
    let newUnavailable = new.replicas - new.status.availableReplicas
    var maximum = total - deployment.minimumAvailable - newUnavailable
    guard maximum > 0 else { return [:] }

    var sizes: [String: Int64] = [:]
    for set in old {
      sizes[set.metadata.uid] = set.replicas
      guard set.replicas > set.status.availableReplicas, maximum > 0 else { continue }
      let step = min(maximum, set.replicas - set.status.availableReplicas)
      sizes[set.metadata.uid] = set.replicas - step
      maximum -= step
    }

    // Of what a set has, it will keep no more than it shall: what was taken from it is not there to be taken again.
    let available = sets.all.reduce(0) { $0 + min($1.replicas, $1.status.availableReplicas) }
    var removable = available - deployment.minimumAvailable
    for set in old where removable > 0 {
      let size = sizes[set.metadata.uid] ?? set.replicas
      let step = min(size, removable)
      sizes[set.metadata.uid] = size - step
      removable -= step
    }
    return sizes.filter { entry in old.contains { $0.metadata.uid == entry.key && $0.replicas != entry.value } }
  }
}

/// Old sets that history no longer needs.
enum RevisionHistory {
  /// Beyond the limit the oldest revisions go, but none that still has pods, or whose controller has yet to look at it.
  static func surplus(_ deployment: Deployment, _ sets: DeploymentSets) -> [ReplicaSet] {
    let old = sets.old.filter { !$0.metadata.isBeingDeleted }.sorted { $0.revision < $1.revision }
    return old.prefix(max(0, old.count - Int(deployment.revisionHistoryLimit))).filter { set in
      set.replicas == 0 && set.status.replicas == 0 && set.metadata.generation <= set.status.observedGeneration
    }
  }
}

/// Resizing a Deployment in the middle of a rollout: every set grows or shrinks in proportion, so that the rollout goes
/// on from where it stood.
enum ProportionalScaling {
  /// The size was changed since the sets were last sized.
  static func isNeeded(_ deployment: Deployment, _ sets: DeploymentSets) -> Bool {
    sets.active.contains { set in set.desiredReplicas.map { $0 != deployment.replicas } ?? false }
  }

  static func sizes(_ deployment: Deployment, _ sets: DeploymentSets) -> [String: Int64] {
    let active = sets.active
    // One set alone, or the newest when all are empty: it takes the whole size.
    if active.count <= 1 {
      guard let only = active.first ?? sets.new ?? sets.old.last else { return [:] }
      return [only.metadata.uid: deployment.replicas]
    }
    // The new set is complete: what is left of the old ones goes.
    if let new = sets.new, new.replicas == deployment.replicas, new.status.availableReplicas == deployment.replicas {
      return Dictionary(uniqueKeysWithValues: sets.old.filter { $0.replicas > 0 }.map { ($0.metadata.uid, 0) })
    }
    guard !deployment.isRecreate else { return [:] }
    let total = active.reduce(0) { $0 + $1.replicas }
    let allowed = deployment.replicas > 0 ? deployment.maximumReplicas : 0
    var remaining = allowed - total
    // Growing begins with the newest, shrinking with the oldest; larger sets first either way.
    let order = active.sorted { left, right in
      if left.replicas != right.replicas { return left.replicas > right.replicas }
      let newer =
        (left.metadata.creationTimestamp ?? WallTime(secondsSinceEpoch: 0))
        > (right.metadata.creationTimestamp ?? WallTime(secondsSinceEpoch: 0))
      return remaining > 0 ? newer : !newer
    }
    var sizes: [String: Int64] = [:]
    let toAdd = remaining
    for set in order {
      var size = set.replicas
      if toAdd != 0 {
        let share = proportion(set, deployment, toAdd: toAdd, remaining: remaining)
        size += share
        remaining -= share
      }
      sizes[set.metadata.uid] = max(0, size)
    }
    if let first = order.first, remaining != 0 {
      sizes[first.metadata.uid] = max(0, (sizes[first.metadata.uid] ?? 0) + remaining)
    }
    return sizes
  }

  private static func proportion(_ set: ReplicaSet, _ deployment: Deployment, toAdd: Int64, remaining: Int64) -> Int64 {
    guard set.replicas > 0, toAdd != 0 else { return 0 }
    if deployment.replicas == 0 { return -set.replicas }
    let basis = set.maxReplicas ?? 0
    let annotated = basis > 0 ? basis : max(deployment.status["replicas"].integer ?? 1, 1)
    let scaled = (Double(set.replicas) * Double(deployment.maximumReplicas) / Double(annotated)).rounded()
    let share = Int64(min(max(scaled, 0), Double(Int32.max))) - set.replicas
    return toAdd > 0 ? min(max(share, 0), remaining) : max(min(share, 0), remaining)
  }
}
