// Decisions in which extenders have a say: the scheduler surveys the nodes, asks, and decides by what it knows then. No other
// decision is made meanwhile.
import Client
import JSON
import Logging
import Schema
import Synchronization
import World

/// The pod about which extenders are being asked.
struct Consultation: Sendable {
  var uid: String
  /// It has gone, or has a node, or is no longer ours.
  var isWithdrawn = false
  /// As it is now, if it changed in a way that matters.
  var changed: Pod?
}

extension Scheduler {
  /// Asks, then decides.
  func consult(_ entry: SchedulingQueue.Entry, _ pod: PodToSchedule, _ survey: Survey) async {
    guard let extenders else { preconditionFailure("somebody is there to be asked") }
    do {
      let (judged, verdicts) = try await extenders.judge(entry.pod, survey)
      var decision = conclude(entry, pod, judged, verdicts)
      if case .choose(let choices, let error) = decision {
        let left = try await extenders.judge(entry.pod, victims: choices)
        decision = conclude(entry, pod, left, error)
      }
      endConsultation(decision)
    } catch {
      let problem = "\((error as? APIStatus)?.message ?? "\(error)")"
      logger.info("scheduling \(entry.pod.key): \(problem)")
      let now = world.now
      let isStillWanted = state.withLock { state in
        guard state.isStillWanted(entry) else { return false }
        state.queue.retryLater(entry, now: now)
        return true
      }
      endConsultation(nil)
      if isStillWanted { await report(entry.pod, problem, reason: "SchedulerError", nomination: nil) }
    }
  }

  private func endConsultation(_ decision: Decision?) {
    state.withLock { $0.consultation = nil }
    if let decision { perform(decision) }
    schedulePending()
  }

  /// The best of the nodes that are left and will still do.
  private func conclude(
    _ entry: SchedulingQueue.Entry, _ pod: PodToSchedule, _ survey: Survey, _ verdicts: [ExtenderVerdict]
  ) -> Decision? {
    var chance = WorldRandom(world)
    let now = world.now
    return state.withLock { state in
      guard state.isRunning, state.isStillWanted(entry) else { return nil }
      var left = survey.totals
      let fit = FitState(pod, &state.snapshot, scoring: false)
      while let best = left.map(\.total).max() {
        let winners = left.indices.filter { left[$0].total == best }
        let chosen = left.remove(at: winners.randomElement(using: &chance) ?? 0)
        guard let index = state.snapshot.index(of: chosen.node), fit.answer(index, &state.snapshot).fits else {
          continue
        }
        return accept(entry, pod, chosen.node, &state, now: now)
      }
      guard survey.totals.isEmpty else {
        // What would have done is taken now.
        state.queue.retryLater(entry, now: now)
        return nil
      }
      var error = survey.error
      for verdict in verdicts {
        error.add(verdict.failed, isResolvable: true, state.snapshot)
        error.add(verdict.unresolvable, isResolvable: false, state.snapshot)
      }
      if let extenders, extenders.haveASay(aboutVictimsFor: entry.pod),
        pod.profile.has(.defaultPreemption, at: .postFilter)
      {
        let preemption = Preemption(pod, policy: entry.pod.spec.preemptionPolicy, budgets: budgets.all)
        metrics?.scheduler.triedToPreempt()
        let choices = preemption.choices(error, in: &state.snapshot, chance: &chance)
        if !choices.isEmpty { return .choose(choices, error) }
      }
      return refuse(entry, pod, error, &state, &chance, now: now)
    }
  }

  /// Room is made where it costs least of what extenders left.
  private func conclude(
    _ entry: SchedulingQueue.Entry, _ pod: PodToSchedule, _ choices: [VictimChoice], _ error: FitError
  ) -> Decision? {
    let now = world.now
    return state.withLock { state in
      guard state.isRunning, state.isStillWanted(entry) else { return nil }
      var best: VictimChoice?
      for choice in choices where best.map({ choice.measures.areBetter(than: $0.measures) }) ?? true { best = choice }
      let refused = wait(entry, pod, error, &state, now: now)
      guard let best else { return .fail(refused, error, nomination: nil) }
      let displaced = state.snapshot.withdrawNominations(to: best.node, below: pod.placed.priority)
      state.snapshot.nominate(pod.placed, to: best.node)
      return .makeRoom(refused, error, Eviction(victims: best.victims, node: best.node, displaced: displaced))
    }
  }
}

extension Scheduler.State {
  /// False when the pod needs no decision any more. One that has changed is tried again as it is now.
  fileprivate mutating func isStillWanted(_ entry: SchedulingQueue.Entry) -> Bool {
    guard let consultation, consultation.uid == entry.pod.metadata.uid, !consultation.isWithdrawn else { return false }
    guard let changed = consultation.changed else { return true }
    queue.add(changed, now: entry.since)
    return false
  }
}

extension FitError {
  /// Takes in what an extender says of nodes.
  fileprivate mutating func add(_ reasons: [String: String], isResolvable: Bool, _ snapshot: ClusterSnapshot) {
    for (name, reason) in reasons.sorted(by: { $0.key < $1.key }) {
      guard let index = snapshot.index(of: name) else { continue }
      add(.explained([.extender(reason, isResolvable: isResolvable)]), of: index)
    }
  }
}
