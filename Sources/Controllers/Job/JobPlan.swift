// What a job should do next: end, and why, or which pods to make or delete (spec/5 §5.5).
import Client
import JSON
import World

/// How a job ends.
struct JobVerdict: Hashable {
  var hasFailed: Bool
  var reason: String
  var message: String
  /// The status has said so already.
  var isAnnounced = false

  /// What stands in the status while pods are still on their way out, and what stands there in the end.
  var interimType: String { hasFailed ? "FailureTarget" : "SuccessCriteriaMet" }
  var finalType: String { hasFailed ? "Failed" : "Complete" }

  static let completed = Self(
    hasFailed: false, reason: "CompletionsReached", message: "Reached expected number of succeeded pods")
}

/// A pod to be made.
struct JobPodRequest: Hashable {
  /// Of an indexed job.
  var index: Int?
  /// How often the index failed before, where that is counted, and how often that did not count.
  var failures: Int?
  var ignoredFailures = 0
}

struct JobPlan {
  /// At most this many pods are made or deleted in one turn.
  static let burst = 500

  enum Action {
    case nothing
    case create([JobPodRequest])
    case delete([Pod])
  }

  /// Decided, and all pods that were asked for are known: those that run are deleted in this turn.
  private(set) var verdict: JobVerdict?
  private(set) var action = Action.nothing
  /// Whether pods were looked after in this turn: only then it is known that a job is suspended, or no longer.
  private(set) var manages = false
  /// When to look again though nothing happens.
  private(set) var recheck: Duration?

  init(_ view: JobView, backoff: JobBackoff) {
    let decided = Self.verdict(view)
    if let decided {
      action = view.active.isEmpty ? .nothing : .delete(view.active)
      // Pods that were just asked for may not have been seen, and would outlive the job.
      if view.isSettled { verdict = decided }
      return
    }
    recheck = Self.timeToDeadline(view)
    guard view.isSettled, !view.job.metadata.isBeingDeleted else { return }
    manages = true
    manage(view, backoff)
  }

  // MARK: The end

  private static func verdict(_ view: JobView) -> JobVerdict? {
    let job = view.job
    for hasFailed in [false, true] {
      let known = JobVerdict(hasFailed: hasFailed, reason: "", message: "", isAnnounced: true)
      if let condition = job.status.condition(known.interimType) {
        return JobVerdict(
          hasFailed: hasFailed, reason: condition.reason, message: condition.message, isAnnounced: true)
      }
    }
    return failure(view) ?? indexFailure(view) ?? success(view)
  }

  private static func failed(_ reason: String, _ message: String) -> JobVerdict {
    JobVerdict(hasFailed: true, reason: reason, message: message)
  }

  private static func failure(_ view: JobView) -> JobVerdict? {
    let job = view.job
    if let rules = job.failureRules {
      for pod in view.pods where job.considersFailed(pod) {
        let verdict = PodFailureVerdict(pod, rules: rules)
        if verdict.action == .failJob { return failed("PodFailurePolicy", verdict.message) }
      }
    }
    if view.failed > job.backoffLimit || hasRestartedTooOften(view) {
      return failed("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    }
    if let left = timeToDeadline(view), left <= .zero {
      return failed("DeadlineExceeded", "Job was active longer than specified deadline")
    }
    return nil
  }

  /// Where containers are restarted in place, their restarts are the failures.
  private static func hasRestartedTooOften(_ view: JobView) -> Bool {
    guard view.job.template.json["spec"]["restartPolicy"].string == "OnFailure" else { return false }
    let restarts = view.pods.filter { $0.status.phase == "Running" || $0.status.phase == "Pending" }
      .flatMap(\.status.containerStatuses).reduce(0) { $0 + Int($1["restartCount"].integer ?? 0) }
    return view.job.backoffLimit == 0 ? restarts > 0 : restarts >= view.job.backoffLimit
  }

  /// Seconds; deadlines beyond are none, and would not fit a time.
  private static let longestDeadline: Int64 = 1_000_000_000

  /// Nil where no deadline runs.
  private static func timeToDeadline(_ view: JobView) -> Duration? {
    guard let limit = view.job.activeDeadlineSeconds, !view.job.isSuspended, limit <= longestDeadline else {
      return nil
    }
    let start = view.job.status.startTime ?? view.now
    return start + .seconds(limit) - view.now
  }

  private static func indexFailure(_ view: JobView) -> JobVerdict? {
    guard let failures = view.failedIndexes?.count, failures > 0 else { return nil }
    if let most = view.job.maxFailedIndexes, failures > most {
      return failed("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes")
    }
    if failures + view.succeededIndexes.count >= view.job.completions ?? 0 {
      return failed("FailedIndexes", "Job has failed indexes")
    }
    return nil
  }

  /// spec.successPolicy: enough indexes, or the ones that matter, have succeeded.
  private static func success(_ view: JobView) -> JobVerdict? {
    guard view.job.isIndexed else { return nil }
    for (position, rule) in view.job.successRules.enumerated() {
      let least = rule["succeededCount"].integer.map { Int($0) }
      var matching = view.succeededIndexes.count
      var required = least ?? .max
      if let text = rule["succeededIndexes"].string {
        let indexes = JobIndexSet(text, completions: view.job.completions ?? 0)
        matching = view.succeededIndexes.countCommon(with: indexes)
        required = least ?? indexes.count
      }
      if matching >= required {
        return JobVerdict(
          hasFailed: false, reason: "SuccessPolicy", message: "Matched rules at index \(position)")
      }
    }
    return nil
  }

  // MARK: Pods

  private mutating func manage(_ view: JobView, _ backoff: JobBackoff) {
    let job = view.job
    let active = view.active.count
    if job.isSuspended {
      action = active == 0 ? .nothing : .delete(view.active)
      return
    }
    let wanted: Int
    if let completions = job.completions {
      wanted = max(0, min(completions - view.succeeded, job.parallelism))
    } else {
      // Once one has succeeded the others only finish.
      wanted = view.succeeded > 0 ? active : job.parallelism
    }
    let victims = Self.victims(view, atLeast: max(0, active - wanted))
    if !victims.isEmpty {
      action = .delete(Array(victims.prefix(Self.burst)))
      return
    }
    let missing = wanted - active - (job.replacesOnlyFailedPods ? view.terminating.count : 0)
    if missing > 0 { create(min(missing, Self.burst), view, backoff) }
  }

  /// Pods of indexes that nobody wants, or that are there twice; then as many others as are too many.
  private static func victims(_ view: JobView, atLeast count: Int) -> [Pod] {
    var victims: [Pod] = []
    var left = view.active
    if view.job.isIndexed {
      var byIndex: [Int: [Pod]] = [:]
      for pod in view.active {
        if let index = view.job.index(of: pod) { byIndex[index, default: []].append(pod) } else { victims.append(pod) }
      }
      left = []
      for (_, twins) in byIndex.sorted(by: { $0.key < $1.key }) {
        let surplus = PodRanking(twins, siblings: twins, now: view.now).firstToDelete(twins.count - 1)
        victims += surplus
        left += twins.filter { twin in !surplus.contains { $0.name == twin.name } }
      }
    }
    guard victims.count < count else { return victims }
    return victims + PodRanking(left, siblings: left, now: view.now).firstToDelete(count - victims.count)
  }

  private mutating func create(_ count: Int, _ view: JobView, _ backoff: JobBackoff) {
    let isPerIndex = view.job.backoffLimitPerIndex != nil
    let wait = isPerIndex ? .zero : backoff.remaining(at: view.now)
    guard wait <= .zero else { return look(again: wait) }
    guard view.job.isIndexed else {
      action = .create(Array(repeating: JobPodRequest(), count: count))
      return
    }
    var requests: [JobPodRequest] = []
    for index in pendingIndexes(view, count + view.replaceable.count) where requests.count < count {
      guard isPerIndex else {
        requests.append(JobPodRequest(index: index))
        continue
      }
      let former = view.replaceable[index]
      let wait = former.map {
        JobBackoff.remaining(failures: $0.allIndexFailures + 1, last: $0.finishTime, now: view.now)
      }
      if let wait, wait > .zero { look(again: wait) } else { requests.append(Self.request(index, after: former, view)) }
    }
    if !requests.isEmpty { action = .create(requests) }
  }

  private mutating func look(again delay: Duration) { recheck = min(recheck ?? delay, delay) }

  private func pendingIndexes(_ view: JobView, _ count: Int) -> [Int] {
    var taken = view.succeededIndexes.union(JobIndexSet(view.active.compactMap(view.job.index(of:))))
    if view.job.replacesOnlyFailedPods {
      taken = taken.union(JobIndexSet(view.terminating.compactMap(view.job.index(of:))))
    }
    if let failed = view.failedIndexes { taken = taken.union(failed) }
    return taken.missing(count, below: view.job.completions ?? 0)
  }

  /// A pod of an index, which knows how often the index failed.
  private static func request(_ index: Int, after former: Pod?, _ view: JobView) -> JobPodRequest {
    guard let former else { return JobPodRequest(index: index, failures: 0) }
    let ignored = former.allIndexFailures - former.indexFailures
    let counts = PodFailureVerdict(former, rules: view.job.failureRules).counts
    return JobPodRequest(
      index: index, failures: former.indexFailures + (counts ? 1 : 0), ignoredFailures: ignored + (counts ? 0 : 1))
  }
}
