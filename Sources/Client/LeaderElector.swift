// Leader election through a Lease, as client-go does it (spec/2 §2.5), with a watch so that a lease that is handed over
// or released is taken at once instead of at the next retry.
import HTTP
import JSON
import Logging
import Schema
import Synchronization
import World

/// Campaigns for a Lease and runs `lead` while it holds it.
public final class LeaderElector: Sendable {
  public struct Options: Sendable {
    public var namespace = "kube-system"
    public var lease: String
    /// Unique to this candidate: "<server>_<uuid>".
    public var identity: String
    /// Client-go's defaults: 15 s, 10 s, 2 s.
    public var leaseDuration: Duration = .seconds(15)
    public var renewDeadline: Duration = .seconds(10)
    public var retryPeriod: Duration = .seconds(2)

    public init(lease: String, identity: String) {
      self.lease = lease
      self.identity = identity
    }
  }

  private static let firstRetry = Duration.milliseconds(50)

  /// What a candidate saw of the lease, and when by its own clock: another's clock is never trusted.
  private struct Observation {
    var lease: JSONValue = .null
    var observedAt = MonotonicTime(nanoseconds: 0)
  }

  private let client: APIClient
  private let options: Options
  private let logger: Logger
  private let lead: @Sendable (TrustedContext.Fence) async -> Void
  private let observation = Mutex(Observation())
  private let wakeUp: WorkQueue<Int>
  private let metrics: LoopMetrics?
  private let recorder: EventRecorder?

  /// `lead` runs while the lease is held and must return soon after its task is cancelled.
  /// - Parameter recorder: who tells of changes in Events about the lease.
  public init(
    client: APIClient, options: Options, logger: Logger, metrics: LoopMetrics? = nil, recorder: EventRecorder? = nil,
    lead: @escaping @Sendable (TrustedContext.Fence) async -> Void
  ) {
    self.metrics = metrics
    self.recorder = recorder
    self.client = client
    self.options = options
    self.logger = logger
    self.lead = lead
    wakeUp = WorkQueue(world: client.world)
  }

  /// Campaigns until cancelled; on cancellation a held lease is released for the next candidate.
  public func run() async {
    let watcher = client.world.spawn { await self.watchLease() }
    defer { watcher.cancel() }
    metrics?.leads(options.lease, false)
    while !Task.isCancelled {
      guard let (fence, acquired) = await acquire() else { break }
      logger.info("became leader", metadata: ["lease": "\(options.lease)", "identity": "\(options.identity)"])
      tell("became leader")
      metrics?.leads(options.lease, true)
      let leading = client.world.spawn { await self.lead(fence) }
      await renewUntilLost(fence, since: acquired)
      metrics?.leads(options.lease, false)
      leading.cancel()
      await leading.wait()
      logger.info("stopped leading", metadata: ["lease": "\(options.lease)", "identity": "\(options.identity)"])
      if Task.isCancelled { await release() } else { tell("stopped leading") }
    }
    wakeUp.shutDown()
  }

  // MARK: Steps

  /// The fence, and when the attempt began that got it. An attempt is given up after `renewDeadline`: when its answer
  /// comes later than that, others may already have seen the lease expire.
  ///
  /// An attempt that failed is repeated soon: a cluster that has just begun lacks the namespace or the roles for a
  /// moment. One that found the lease taken waits as long as the reference does.
  private func acquire() async -> (TrustedContext.Fence, MonotonicTime)? {
    var wait = Self.firstRetry
    while !Task.isCancelled {
      let begun = client.world.now
      var hasFailed = false
      do {
        let fence = try await client.world.withDeadline(options.renewDeadline) { try await self.tryAcquireOrRenew() }
        let isInTime = client.world.now - begun < options.renewDeadline || ClientMutant.leadsPastDeadline.isActive
        if let fence, isInTime { return (fence, begun) }
      } catch {
        logger.debug("lease \(options.lease): \(error)")
        hasFailed = true
      }
      await pause(hasFailed ? wait : options.retryPeriod)
      wait = hasFailed ? min(wait * 2, options.retryPeriod) : Self.firstRetry
    }
    return nil
  }

  /// Returns when the lease was lost: taken by another, or not renewed within the deadline. The deadline counts from the
  /// start of the last attempt that succeeded, and ends before another may take the lease for expired.
  ///
  /// It was lost as well when somebody wrote another count of transitions into it: what its holder writes under the old
  /// one is refused, for as long as it holds it.
  private func renewUntilLost(_ fence: TrustedContext.Fence, since acquired: MonotonicTime) async {
    var lastRenewal = acquired
    while !Task.isCancelled {
      let rest = options.renewDeadline - (client.world.now - lastRenewal)
      let next = untilNextRenewal
      await pause(rest > .zero ? min(next, rest) : next)
      if Task.isCancelled { return }
      let begun = client.world.now
      let left = options.renewDeadline - (begun - lastRenewal)
      guard left > .zero || ClientMutant.leadsPastDeadline.isActive else { return }
      do {
        let renewed = try await client.world.withDeadline(left) { try await self.tryAcquireOrRenew(renewing: true) }
        guard let renewed, renewed.transitions == fence.transitions else { return }
        lastRenewal = begun
      } catch {
        logger.debug("lease \(options.lease): renewing failed: \(error)")
      }
    }
  }

  /// Renewals fall on the clock's whole periods: those of all leases that a process holds become one commit, one append
  /// message and one sync on every server.
  private var untilNextRenewal: Duration {
    let period = UInt64(max(1, options.retryPeriod.wholeNanoseconds))
    return .nanoseconds(Int64(period - client.world.now.nanoseconds % period))
  }

  /// One attempt. Nil: another holds the lease. While `renewing`, a lease that is no longer ours is lost, not taken.
  private func tryAcquireOrRenew(renewing: Bool = false) async throws -> TrustedContext.Fence? {
    if renewing, let fence = try await renewAsKnown() { return fence }
    let now = client.world.wallClock.rfc3339Micro
    // Who waits need not know the newest: a lease that is not what it was is not taken. Asking the other servers would
    // wake all of them, every two seconds for each lease and candidate.
    guard
      let lease = try await client.find(
        .leases, namespace: options.namespace, name: options.lease, resourceVersion: renewing ? "" : "0")
    else {
      guard !renewing else { return nil }
      let created = try await client.create(
        .leases, namespace: options.namespace,
        [
          "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
          "metadata": ["name": .string(options.lease), "namespace": .string(options.namespace)],
          "spec": spec(acquired: now, renewed: now, transitions: 1),
        ])
      observe(created)
      return fence(1)
    }
    observe(lease)
    let holder = lease["spec"]["holderIdentity"].string ?? ""
    let transitions = UInt64(clamping: lease["spec"]["leaseTransitions"].integer ?? 0)
    if holder == options.identity && renewing {
      return try await put(lease, acquired: lease["spec"]["acquireTime"].string ?? now, transitions: transitions)
    }
    guard !renewing, holder.isEmpty || hasExpired(lease) || holder == options.identity else { return nil }
    let next = ClientMutant.leaseKeepsTransitions.isActive ? transitions : Self.transitions(after: transitions)
    return try await put(lease, acquired: now, transitions: next)
  }

  /// The count of transitions when a lease changes hands. It is a number of 32 bits that anybody who may write the lease
  /// may write: after the last one it begins anew, or nobody would lead ever again. It only has to be another one.
  public static func transitions(after count: UInt64) -> UInt64 { count >= UInt64(Int32.max) ? 1 : count + 1 }

  /// As client-go does: whoever holds the lease knows what it wrote last, and need not read it. Nil: that is not what
  /// stands there now.
  private func renewAsKnown() async throws -> TrustedContext.Fence? {
    let known = observation.withLock { $0.lease }
    guard known["spec"]["holderIdentity"].string == options.identity else { return nil }
    return try await put(
      known, acquired: known["spec"]["acquireTime"].string ?? client.world.wallClock.rfc3339Micro,
      transitions: UInt64(clamping: known["spec"]["leaseTransitions"].integer ?? 0))
  }

  /// Compare-and-swap of the lease; nil when it is not what it was any more.
  private func put(_ lease: JSONValue, acquired: String, transitions: UInt64) async throws -> TrustedContext.Fence? {
    var updated = lease
    updated["spec"] = spec(acquired: acquired, renewed: client.world.wallClock.rfc3339Micro, transitions: transitions)
    do {
      observe(
        try await client.update(.leases, namespace: options.namespace, name: options.lease, updated))
      return fence(transitions)
    } catch let status as APIStatus where status.code == 409 || status.code == 404 {
      return nil
    }
  }

  private func release() async {
    // The task is cancelled already; the last request needs one that is not.
    let released = client.world.spawn {
      try? await self.client.world.withDeadline(self.options.retryPeriod) { try await self.giveUp() }
    }
    await released.wait()
  }

  private func giveUp() async throws {
    guard
      var lease = try await client.find(.leases, namespace: options.namespace, name: options.lease),
      lease["spec"]["holderIdentity"].string == options.identity
    else { return }
    lease["spec"]["holderIdentity"] = ""
    lease["spec"]["leaseDurationSeconds"] = 1
    try await client.update(.leases, namespace: options.namespace, name: options.lease, lease)
  }

  private func tell(_ what: String) {
    guard let recorder else { return }
    let metadata = observation.withLock { $0.lease["metadata"] }
    recorder.record(
      EventRecorder.Subject(
        reference: .leases, namespace: options.namespace, name: options.lease, uid: metadata["uid"].string ?? "",
        resourceVersion: metadata["resourceVersion"].string ?? ""),
      .normal, reason: "LeaderElection", message: "\(options.identity) \(what)")
  }

  // MARK: Observing

  private func observe(_ lease: JSONValue) {
    observation.withLock { seen in
      guard seen.lease["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] else { return }
      seen.lease = lease
      seen.observedAt = client.world.now
    }
  }

  private func hasExpired(_ lease: JSONValue) -> Bool {
    let seconds = lease["spec"]["leaseDurationSeconds"].integer ?? 15
    let divisor = ClientMutant.leaseStolenEarly.isActive ? 3 : 1
    return observation.withLock { client.world.now - $0.observedAt > .seconds(seconds) / divisor }
  }

  /// Wakes the campaign whenever the lease changes hands.
  private func watchLease() async {
    let informer = Informer(
      LeaseObject.self, client: client, namespace: options.namespace, fieldSelector: "metadata.name=\(options.lease)",
      logger: logger)
    informer.onEvent { [wakeUp] event in
      switch event {
      case .updated(let old, let new) where old.holder == new.holder && !new.holder.isEmpty: return
      case .added, .updated, .deleted: wakeUp.add(0)
      }
    }
    informer.start()
    while !Task.isCancelled { try? await client.world.sleep(for: .seconds(3600)) }
    informer.stop()
  }

  /// Waits for `duration`, or until the lease changed hands.
  private func pause(_ duration: Duration) async {
    let timer = client.world.schedule(after: duration) { [wakeUp] in wakeUp.add(0) }
    await withTaskCancellationHandler {
      if let token = await wakeUp.next() { wakeUp.done(token) }
    } onCancel: {
      wakeUp.add(0)
    }
    timer.cancel()
  }

  private func spec(acquired: String, renewed: String, transitions: UInt64) -> JSONValue {
    [
      "holderIdentity": .string(options.identity),
      "leaseDurationSeconds": .integer(options.leaseDuration.components.seconds),
      "acquireTime": .string(acquired), "renewTime": .string(renewed),
      "leaseTransitions": .integer(Int64(transitions)),
    ]
  }

  private func fence(_ transitions: UInt64) -> TrustedContext.Fence {
    TrustedContext.Fence(namespace: options.namespace, lease: options.lease, transitions: transitions)
  }
}
