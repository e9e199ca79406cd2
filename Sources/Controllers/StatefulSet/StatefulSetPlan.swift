// What a StatefulSet does next, as values (spec/5 §5.4). No clock, no client: tests turn these by hand.
import Client
import World

/// What is known of a StatefulSet at one moment.
struct StatefulSetObservation {
  var set: StatefulSet
  /// The revision that the set comes from, and the one it is going to.
  var current: ControllerRevision
  var update: ControllerRevision
  /// Its pods; who has no number of the set's is none.
  var pods: [Pod]
  /// The claim of a name in its namespace: asked for those that the plan has to look at.
  var claim: (String) -> PersistentVolumeClaim?
  /// Pods (by uid) whose deletion was asked for and is not seen yet.
  var deletionsAsked: Set<String> = []
  var collisions: Int64 = 0
  var now: WallTime
}

struct StatefulSetPlan {
  enum Step {
    /// Makes the pod of a number, after its claims.
    case create(ordinal: Int64, revision: ControllerRevision)
    /// Makes claims that a pod waits for, and gives claims their owners.
    case provideClaims(Pod, ordinal: Int64)
    /// Makes a pod what its name says: labels, volumes, the owners of its claims.
    case conform(Pod, ordinal: Int64)
    /// Gives the claims of a pod that is one too many their owners.
    case handOverClaims(Pod, ordinal: Int64)
    case delete(Pod)
    /// Deletes a pod that has ended, to make it anew.
    case replace(Pod)
  }

  /// At most this many steps in one turn: a set may ask for two thousand million pods. What they make brings the next.
  static let burst = 500

  /// Steps of one phase may be taken together in a parallel set; a phase that fails is not followed by another.
  private(set) var phases: [[Step]] = []
  private(set) var status: StatefulSetStatus
  /// When a ready pod becomes available: nothing else will tell.
  private(set) var recheck: Duration?

  private let observation: StatefulSetObservation
  private var set: StatefulSet { observation.set }
  private var waits: Bool { !set.isParallel }

  init(_ observation: StatefulSetObservation) {
    self.observation = observation
    status = Self.count(observation)
    recheck = Self.nextAvailability(observation)
    if !observation.set.metadata.isBeingDeleted { decide() }
    Self.complete(&status, observation.set)
  }

  // MARK: Deciding

  private mutating func decide() {
    var replicas: [Int64: Pod] = [:]
    var condemned: [(ordinal: Int64, pod: Pod)] = []
    for pod in observation.pods {
      guard let ordinal = set.ordinal(of: pod.name) else { continue }
      if set.ordinals.contains(ordinal) { replicas[ordinal] = pod } else { condemned.append((ordinal, pod)) }
    }
    condemned.sort { $0.ordinal > $1.ordinal }
    guard tendReplicas(replicas) else { return }
    phases.append(
      condemned.filter { claimsNeedOwners($0.pod, $0.ordinal) }
        .map { .handOverClaims($0.pod, ordinal: $0.ordinal) })
    guard condemn(condemned, replicas) else { return }
    if !set.updatesOnDelete { updateOne(replicas) }
  }

  /// Every pod it should have is made, or made anew. False when the rest of the work has to wait.
  private mutating func tendReplicas(_ replicas: [Int64: Pod]) -> Bool {
    var steps: [Step] = []
    defer { phases.append(steps) }
    for ordinal in set.ordinals {
      if steps.count >= Self.burst { return false }
      guard let pod = replicas[ordinal] else {
        if !hasStaleClaim(ordinal) { steps.append(.create(ordinal: ordinal, revision: revision(for: ordinal))) }
        if waits { return false }
        continue
      }
      if pod.isTerminal {
        if !isTerminating(pod) { steps.append(.replace(pod)) }
        if waits { return false }
        continue
      }
      if pod.status.phase == "Pending", lacksClaims(ordinal) || claimsNeedOwners(pod, ordinal) {
        steps.append(.provideClaims(pod, ordinal: ordinal))
      }
      if waits && (isTerminating(pod) || !isAvailable(pod)) { return false }
      if !set.hasIdentity(pod) || !set.hasStorage(pod, ordinal) || claimsNeedOwners(pod, ordinal) {
        steps.append(.conform(pod, ordinal: ordinal))
      }
    }
    return true
  }

  /// Pods beyond the number go, the highest first; in order, one at a time, and only while all others are well but the
  /// first that is not.
  private mutating func condemn(_ condemned: [(ordinal: Int64, pod: Pod)], _ replicas: [Int64: Pod]) -> Bool {
    var steps: [Step] = []
    defer { phases.append(steps) }
    let inOrder = set.ordinals.compactMap { replicas[$0] } + condemned.reversed().map(\.pod)
    let firstUnavailable = inOrder.first { isTerminating($0) || !isAvailable($0) }
    for (_, pod) in condemned {
      if isTerminating(pod) {
        if waits { return false }
        continue
      }
      if waits && !isAvailable(pod) && pod.metadata.uid != firstUnavailable?.metadata.uid { return false }
      steps.append(.delete(pod))
      if waits { return false }
    }
    return true
  }

  /// The pod of the highest number that is not of the update revision goes, when all above it are well.
  private mutating func updateOne(_ replicas: [Int64: Pod]) {
    let lowest = set.startOrdinal + (set.partition ?? 0)
    for ordinal in set.ordinals.reversed() where ordinal >= lowest {
      // One that is being made has to become available first.
      guard let pod = replicas[ordinal] else { return }
      if pod.revisionName != observation.update.name && !isTerminating(pod) {
        phases.append([.delete(pod)])
        if pod.revisionName == observation.current.name { status.currentReplicas -= 1 }
        return
      }
      if isTerminating(pod) || !isAvailable(pod) { return }
    }
  }

  // MARK: Looking

  /// What a missing pod is made of: below the partition, what there was before.
  private func revision(for ordinal: Int64) -> ControllerRevision {
    if set.updatesOnDelete { return observation.update }
    let kept = set.partition ?? set.status.currentReplicas
    return ordinal < set.startOrdinal + kept ? observation.current : observation.update
  }

  private func isTerminating(_ pod: Pod) -> Bool {
    pod.metadata.isBeingDeleted || observation.deletionsAsked.contains(pod.metadata.uid)
  }

  private func isAvailable(_ pod: Pod) -> Bool {
    pod.isRunningAndReady && pod.isAvailable(minReadySeconds: set.minReadySeconds, now: observation.now)
  }

  private func lacksClaims(_ ordinal: Int64) -> Bool {
    set.claimNames(ordinal).contains { observation.claim($0) == nil }
  }

  private func claimsNeedOwners(_ pod: Pod, _ ordinal: Int64) -> Bool {
    guard !set.claimTemplates.isEmpty else { return false }
    let retention = ClaimRetention(set: set, pod: pod, ordinal: ordinal)
    return set.claimNames(ordinal).contains { name in
      observation.claim(name).map { retention.correction($0.metadata.ownerReferences) != nil } ?? false
    }
  }

  private func hasStaleClaim(_ ordinal: Int64) -> Bool {
    let retention = ClaimRetention(set: set, podName: set.podName(ordinal), podUID: "", ordinal: ordinal)
    return set.claimNames(ordinal).contains { name in
      observation.claim(name).map { retention.isStale($0.metadata.ownerReferences) } ?? false
    }
  }

  // MARK: Counting

  private static func count(_ observation: StatefulSetObservation) -> StatefulSetStatus {
    let set = observation.set
    var status = StatefulSetStatus()
    status.observedGeneration = set.metadata.generation
    status.currentRevision = observation.current.name
    status.updateRevision = observation.update.name
    status.collisionCount = observation.collisions
    status.conditions = set.status.conditions
    for pod in observation.pods where !pod.status.phase.isEmpty {
      status.replicas += 1
      if pod.isRunningAndReady {
        status.readyReplicas += 1
        if pod.isAvailable(minReadySeconds: set.minReadySeconds, now: observation.now) { status.availableReplicas += 1 }
      }
      guard !pod.metadata.isBeingDeleted else { continue }
      if pod.revisionName == observation.current.name { status.currentReplicas += 1 }
      if pod.revisionName == observation.update.name { status.updatedReplicas += 1 }
    }
    return status
  }

  /// An update that has reached all pods makes its revision the current one.
  private static func complete(_ status: inout StatefulSetStatus, _ set: StatefulSet) {
    guard !set.updatesOnDelete, status.updatedReplicas == set.replicas, status.readyReplicas == set.replicas,
      status.replicas == set.replicas
    else { return }
    status.currentReplicas = status.updatedReplicas
    status.currentRevision = status.updateRevision
  }

  private static func nextAvailability(_ observation: StatefulSetObservation) -> Duration? {
    let wait = observation.set.minReadySeconds
    guard wait > 0 else { return nil }
    return observation.pods.compactMap { pod -> Duration? in
      guard pod.isRunningAndReady, let since = pod.status.condition("Ready")?.lastTransitionTime else { return nil }
      let left = since + .seconds(wait) - observation.now
      return left > .zero ? left : nil
    }.min()
  }
}
