// The counting of pods that have ended, so that none is lost and none counted twice, whoever is killed in between:
// 1. their UIDs are written into the status as uncounted; 2. the finalizer that keeps them is taken off; 3. the UIDs
// leave the status and the counts go up, in one write. Indexes of an indexed job that succeed are a set, and need no 1.
import Client
import World

struct JobAccount {
  /// As many as fit a status, and as keep one large job from starving others.
  static let maximumUncounted = 500

  private(set) var status: JobStatus
  /// Pods whose finalizer goes once the status is written.
  private(set) var toUntrack: [Pod] = []
  /// The job began to be suspended, or was resumed, in this turn.
  private(set) var suspensionChange: Bool?
  private(set) var verdict: JobVerdict?
  private let view: JobView
  private var tracked: Set<String>
  private var isFull = false

  init(_ view: JobView, _ plan: JobPlan, _ outcome: PodOutcome) {
    self.view = view
    status = view.job.status
    tracked = view.tracked
    verdict = plan.verdict
    if status.startTime == nil, !view.job.isSuspended { status.startTime = view.now }
    status.active = view.active.count + outcome.created - outcome.deleted.count
    status.ready = view.active.count(where: \.isReady) - outcome.deleted.count(where: \.isReady)
    status.terminating = view.terminating.count + outcome.deleted.count
    if plan.manages { noteProgress() }
    settle()
    for pod in view.pods where tracked.contains(pod.metadata.uid) && !isFull { take(pod) }
    if view.job.isIndexed { noteIndexes() }
    announce()
  }

  private mutating func noteProgress() {
    let isEnough = view.job.completions.map { view.succeeded >= $0 } ?? (view.succeeded > 0)
    if isEnough && status.active == 0 {
      verdict = .completed
    } else if view.job.isSuspended {
      suspensionChange = set("Suspended", true, "JobSuspended", "Job suspended") ? true : nil
    } else if set("Suspended", false, "JobResumed", "Job resumed") {
      suspensionChange = false
      // The deadline counts from here.
      status.startTime = view.now
    }
  }

  /// Sets a condition; false where it was so already. One that does not hold is written only where it once did.
  private mutating func set(_ type: String, _ holds: Bool, _ reason: String, _ message: String) -> Bool {
    let condition = JobCondition(
      type: type, status: holds ? "True" : "False", reason: reason, message: message, at: view.now)
    guard let position = status.conditions.firstIndex(where: { $0.type == type }) else {
      if holds { status.conditions.append(condition) }
      return holds
    }
    let old = status.conditions[position]
    if old.status == condition.status, old.reason == reason, old.message == message { return false }
    status.conditions[position] = condition
    return true
  }

  // MARK: Pods that have ended

  /// Counts what was noted, and has no finalizer any more.
  private mutating func settle() {
    func count(_ uids: inout [String], into total: inout Int) {
      let before = uids.count
      uids.removeAll { !tracked.contains($0) }
      total += before - uids.count
    }
    count(&status.uncountedSucceeded, into: &status.succeeded)
    count(&status.uncountedFailed, into: &status.failed)
  }

  private mutating func take(_ pod: Pod) {
    let job = view.job
    let hasSucceeded = pod.status.phase == "Succeeded"
    let hasFailed = job.considersFailed(pod)
    let index = job.index(of: pod)
    if !job.metadata.isBeingDeleted && verdict == nil && !hasSucceeded {
      guard hasFailed else { return }
      if let index, view.replaceable[index]?.metadata.uid == pod.metadata.uid { return }
    }
    toUntrack.append(pod)
    let uid = pod.metadata.uid
    if hasSucceeded && !status.uncountedFailed.contains(uid) {
      if !job.isIndexed, !status.uncountedSucceeded.contains(uid) { status.uncountedSucceeded.append(uid) }
    } else if hasFailed || verdict?.hasFailed == true {
      // A job that fails fails with all its pods.
      let isWanted = !job.isIndexed || index != nil
      if isWanted, !status.uncountedFailed.contains(uid), PodFailureVerdict(pod, rules: job.failureRules).counts {
        status.uncountedFailed.append(uid)
      }
    }
    isFull = toUntrack.count >= Self.maximumUncounted
  }

  private mutating func noteIndexes() {
    let taken = toUntrack.filter { $0.status.phase == "Succeeded" && !status.uncountedFailed.contains($0.metadata.uid) }
    let indexes = view.countedIndexes.union(JobIndexSet(taken.compactMap(view.job.index(of:))))
    status.succeeded = indexes.count
    status.completedIndexes = indexes.description
    status.failedIndexes = view.failedIndexes?.description
  }

  private mutating func announce() {
    guard let verdict, !verdict.isAnnounced else { return }
    status.conditions.append(
      JobCondition(type: verdict.interimType, reason: verdict.reason, message: verdict.message, at: view.now))
  }

  // MARK: Afterwards

  /// These pods are held by the finalizer no longer.
  mutating func untracked(_ uids: Set<String>) {
    tracked.subtract(uids)
    settle()
  }

  /// Ends the job if nothing of it is left to wait for.
  mutating func finish(at now: WallTime) -> Bool {
    guard let verdict, !isFull, status.uncountedSucceeded.isEmpty, status.uncountedFailed.isEmpty,
      status.terminating == 0
    else { return false }
    let time = WallTime(secondsSinceEpoch: now.secondsSinceEpoch)
    status.conditions.append(
      JobCondition(type: verdict.finalType, reason: verdict.reason, message: verdict.message, at: time))
    // A suspended job that wants no pods ends without having begun.
    let start = status.startTime ?? time
    status.startTime = start
    if !verdict.hasFailed { status.completionTime = max(time, start) }
    return true
  }
}
