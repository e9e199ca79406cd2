// A job and its pods, as seen at one moment: which of them run, which have ended, and what was counted of them before.
import Client
import JSON
import World

enum JobNames {
  static let finalizer = "batch.kubernetes.io/job-tracking"
  /// Annotation, and label, of a pod of an indexed job.
  static let completionIndex = "batch.kubernetes.io/job-completion-index"
  /// How often pods of this index failed before, and how often that did not count.
  static let failureCount = "batch.kubernetes.io/job-index-failure-count"
  static let ignoredFailureCount = "batch.kubernetes.io/job-index-ignored-failure-count"
  static let controller = "kubernetes.io/job-controller"
}

struct JobView {
  let job: Job
  /// In the order of their indexes, where they have some, else of their names.
  let pods: [Pod]
  let now: WallTime
  /// Whether what was asked for before has been seen.
  let isSettled: Bool

  let active: [Pod]
  /// Told to go, and not gone yet.
  let terminating: [Pod]
  /// Ended, still tracked, and part of no count yet.
  let newSucceeded: [Pod]
  let newFailed: [Pod]
  /// With all that is uncounted.
  let succeeded: Int
  let failed: Int
  /// Of an indexed job: as the status has them, and with those of pods that have succeeded since.
  let countedIndexes: JobIndexSet
  let succeededIndexes: JobIndexSet
  /// Nil where failures are not counted by index.
  let failedIndexes: JobIndexSet?
  /// The failed pod of an index that will be replaced: kept until then, for it knows how often the index failed.
  let replaceable: [Int: Pod]
  /// Pods whose finalizer is still to be taken off.
  let tracked: Set<String>

  /// `untracking`: pods whose finalizer this controller has asked to be taken off; copies of them that have it are old.
  init(_ job: Job, pods: [Pod], untracking: Set<String>, isSettled: Bool, now: WallTime) {
    self.job = job
    // Times of the API have no fractions.
    let now = WallTime(secondsSinceEpoch: now.secondsSinceEpoch)
    self.now = now
    self.isSettled = isSettled
    let index = { (pod: Pod) in job.isIndexed ? pod.completionIndex ?? Int.max : 0 }
    self.pods = pods.map { ($0, index($0)) }.sorted { ($0.1, $0.0.name) < ($1.1, $1.0.name) }.map(\.0)

    active = self.pods.filter(\.isActive)
    terminating = self.pods.filter { $0.metadata.isBeingDeleted && !$0.isTerminal }
    let tracked = self.pods.filter { $0.isJobTracked && !untracking.contains($0.metadata.uid) }
    self.tracked = Set(tracked.map(\.metadata.uid))
    let counted = Set(job.status.uncountedSucceeded).union(job.status.uncountedFailed)
    let isCountable = { (pod: Pod) in
      !counted.contains(pod.metadata.uid) && (!job.isIndexed || job.index(of: pod) != nil)
    }
    newSucceeded = tracked.filter { $0.status.phase == "Succeeded" && isCountable($0) }
    newFailed = tracked.filter { job.considersFailed($0) && isCountable($0) }
    failed =
      job.status.failed + job.status.uncountedFailed.count
      + newFailed.count { PodFailureVerdict($0, rules: job.failureRules).counts }

    if job.isIndexed {
      countedIndexes = JobIndexSet(job.status.completedIndexes, completions: job.completions ?? 0)
      succeededIndexes = countedIndexes.union(
        JobIndexSet(tracked.filter { $0.status.phase == "Succeeded" }.compactMap(job.index(of:))))
      succeeded = succeededIndexes.count
    } else {
      countedIndexes = JobIndexSet()
      succeededIndexes = countedIndexes
      succeeded = job.status.succeeded + job.status.uncountedSucceeded.count + newSucceeded.count
    }
    let failedIndexes = Self.failedIndexes(of: job, tracked: tracked, succeeded: succeededIndexes)
    self.failedIndexes = failedIndexes
    replaceable = Self.replaceable(
      of: job, tracked: tracked, active: active, done: succeededIndexes.union(failedIndexes ?? JobIndexSet()))
  }

  private static func failedIndexes(of job: Job, tracked: [Pod], succeeded: JobIndexSet) -> JobIndexSet? {
    guard let limit = job.backoffLimitPerIndex else { return nil }
    let failed = tracked.filter { pod in
      guard job.considersFailed(pod) else { return false }
      let verdict = PodFailureVerdict(pod, rules: job.failureRules)
      return verdict.action == .failIndex || (verdict.counts && pod.indexFailures >= limit)
    }
    return JobIndexSet(job.status.failedIndexes ?? "", completions: job.completions ?? 0)
      .union(JobIndexSet(failed.compactMap(job.index(of:)).filter { !succeeded.contains($0) }))
  }

  private static func replaceable(of job: Job, tracked: [Pod], active: [Pod], done: JobIndexSet) -> [Int: Pod] {
    guard job.backoffLimitPerIndex != nil else { return [:] }
    let running = Set(active.compactMap(job.index(of:)))
    var found: [Int: Pod] = [:]
    for pod in tracked where job.considersFailed(pod) {
      guard let index = job.index(of: pod), !done.contains(index), !running.contains(index) else { continue }
      // Of several the one with the longest history.
      if let other = found[index],
        (other.allIndexFailures, other.finishTime) >= (pod.allIndexFailures, pod.finishTime)
      {
        continue
      }
      found[index] = pod
    }
    return found
  }
}

extension Job {
  /// The index of a pod; nil where it has none that this job wants.
  func index(of pod: Pod) -> Int? {
    guard let index = pod.completionIndex, index < completions ?? 0 else { return nil }
    return index
  }

  /// Failed, or told to go before it could succeed, where that is as good as failed.
  func considersFailed(_ pod: Pod) -> Bool {
    if pod.status.phase == "Failed" { return true }
    return !replacesOnlyFailedPods && pod.metadata.isBeingDeleted && pod.status.phase != "Succeeded"
  }
}

extension Pod {
  var isJobTracked: Bool { metadata.finalizers.contains(JobNames.finalizer) }
  var completionIndex: Int? {
    metadata.annotations[JobNames.completionIndex].flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil }
  }
  /// How often pods of its index failed before it did.
  var indexFailures: Int { number(JobNames.failureCount) }
  /// With those that did not count.
  var allIndexFailures: Int { indexFailures + number(JobNames.ignoredFailureCount) }
  /// Anybody may write annotations; no pod fails more often than this.
  private func number(_ annotation: String) -> Int {
    min(max(metadata.annotations[annotation].flatMap { Int($0) } ?? 0, 0), Int(Int32.max))
  }
}
