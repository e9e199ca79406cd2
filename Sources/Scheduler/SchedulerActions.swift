// What the scheduler does about its decisions, through the API: binds, tells why not, makes room (spec/6 §6.5, §6.6).
import Client
import JSON
import Logging
import Schema
import Synchronization
import World

/// Pods that go so that another fits on a node.
struct Eviction: Sendable {
  var victims: [PlacedPod]
  var node: String
  /// Less important pods that were to have the room.
  var displaced: [PlacedPod]
}

extension Scheduler {
  /// Binds a pod. While no answer says whether it was done, the pod keeps its place and is bound to the same node again:
  /// what was sent may still be carried out, and must not come to a node whose room was given to another meanwhile.
  func bind(_ entry: SchedulingQueue.Entry, to node: String) async {
    let pod = entry.pod
    let start = world.now
    var pause = Self.firstBindPause
    while true {
      do {
        try await sendBinding(of: pod, to: node)
        metrics?.scheduler.attempted(pod.spec.schedulerName, "scheduled", took: world.now - start)
        metrics?.scheduler.bound(attempts: entry.attempts, waited: world.now - entry.since)
        recorder(of: pod)?.record(
          .init(pod), .normal, reason: "Scheduled", action: "Binding",
          note: "Successfully assigned \(pod.key) to \(node)")
        break
      } catch let status as APIStatus where status.code < 500 {
        logger.debug("binding \(pod.key) to \(node): \(status)")
        // A conflict may be with our own earlier attempt: where the pod stands is asked for.
        if status.code != 409 {
          metrics?.scheduler.attempted(pod.spec.schedulerName, "error", took: world.now - start)
          forget(entry, tryingAgain: status.code != 404)
          if status.code != 404 {
            let message = "running Bind plugin \"DefaultBinder\": \(status.message)"
            await report(pod, message, reason: "SchedulerError", nomination: nil)
          }
          break
        }
        if await settleConflict(of: entry) { break }
      } catch let failure as ExtenderFailure {
        forget(entry, tryingAgain: true)
        await report(pod, "\(failure)", reason: "SchedulerError", nomination: nil)
        break
      } catch {
        logger.debug("binding \(pod.key) to \(node): \(error)")
      }
      let isOpen = state.withLock { $0.isRunning && $0.assumed.contains(pod.metadata.uid) }
      guard isOpen, (try? await world.sleep(for: pause)) != nil else { break }
      pause = min(pause * 2, Self.lastBindPause)
    }
    state.withLock { $0.bindings -= 1 }
    schedulePending()
  }

  private static let firstBindPause = Duration.milliseconds(50)
  private static let lastBindPause = Duration.seconds(2)

  private func sendBinding(of pod: Pod, to node: String) async throws {
    if let extenders, try await extenders.bind(pod, to: node) { return }
    try await client.submit(
      "POST", ResourceReference.pods.path(namespace: pod.namespace, name: pod.name, subresource: "binding"),
      body: [
        "apiVersion": "v1", "kind": "Binding",
        "metadata": [
          "name": .string(pod.name), "namespace": .string(pod.namespace), "uid": .string(pod.metadata.uid),
        ],
        "target": ["kind": "Node", "name": .string(node)],
      ])
  }

  /// Takes a pod that was refused its binding for where it stands now. False when nobody could say.
  private func settleConflict(of entry: SchedulingQueue.Entry) async -> Bool {
    let pod = entry.pod
    guard let answer = try? await client.find(.pods, namespace: pod.namespace, name: pod.name) else {
      // Gone, or no answer: a next attempt tells which.
      return false
    }
    let found = Pod(json: answer)
    guard found.metadata.uid == pod.metadata.uid, !found.spec.nodeName.isEmpty, !found.isTerminal else {
      // As it is now: whoever goes is not tried again.
      var entry = entry
      if found.metadata.uid == pod.metadata.uid { entry.pod = found }
      forget(entry, tryingAgain: found.metadata.uid == pod.metadata.uid && found.spec.nodeName.isEmpty)
      return true
    }
    let now = world.now
    state.withLock { state in
      guard state.assumed.remove(pod.metadata.uid) != nil else { return }
      place(found, &state, now: now)
    }
    return true
  }

  /// The pod has no place after all.
  private func forget(_ entry: SchedulingQueue.Entry, tryingAgain: Bool) {
    let now = world.now
    state.withLock { state in
      guard state.assumed.remove(entry.pod.metadata.uid) != nil else { return }
      state.snapshot.remove(pod: entry.pod.metadata.uid)
      state.queue.changed(.podRemoved, now: now)
      if tryingAgain { state.queue.retryLater(entry, now: now) }
    }
  }

  /// Has the victims deleted, then says for whom and where. When that fails, the nomination goes and the pod is tried
  /// again.
  func makeRoom(for entry: SchedulingQueue.Entry, _ error: FitError, _ eviction: Eviction) async {
    let pod = entry.pod
    metrics?.scheduler.preempted(victims: eviction.victims.count)
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for victim in eviction.victims {
          group.addTask(on: world) { try await self.evict(victim, for: pod, eviction.node) }
        }
        try await group.waitForAll()
      }
    } catch {
      logger.debug("making room for \(pod.key) on \(eviction.node): \(error)")
      let now = world.now
      state.withLock { state in
        state.snapshot.withdrawNomination(pod.metadata.uid)
        if state.queue.takeBack(uid: pod.metadata.uid) { state.queue.retryLater(entry, now: now) }
      }
      schedulePending()
      return
    }
    for other in eviction.displaced { await nominate(other.key, uid: other.uid, node: "") }
    await report(pod, error.message, reason: "Unschedulable", nomination: eviction.node)
  }

  private func evict(_ victim: PlacedPod, for pod: Pod, _ node: String) async throws {
    let message = "\(pod.spec.schedulerName): preempting to accommodate a higher priority pod"
    do {
      try await client.patch(
        .pods, namespace: victim.key.namespace, name: victim.key.name,
        [
          "metadata": ["uid": .string(victim.uid)],
          "status": [
            "conditions": [
              [
                "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                "message": .string(message), "lastTransitionTime": .string(world.wallClock.rfc3339),
              ]
            ]
          ],
        ], type: .strategic, subresource: "status")
      try await client.delete(
        .pods, namespace: victim.key.namespace, name: victim.key.name, DeleteOptions(uid: victim.uid))
    } catch let status as APIStatus where status.code == 404 || status.code == 409 {
      // Gone already, or another one has its name.
      return
    }
    recorder(of: pod)?.record(
      .init(reference: .pods, namespace: victim.key.namespace, name: victim.key.name, uid: victim.uid),
      related: .init(pod), .normal, reason: "Preempted", action: "Preempting",
      note: "Preempted by pod \(pod.metadata.uid) on node \(node)")
  }

  private func nominate(_ key: NamespacedName, uid: String, node: String) async {
    do {
      try await client.patch(
        .pods, namespace: key.namespace, name: key.name,
        [
          "metadata": ["uid": .string(uid)],
          "status": ["nominatedNodeName": node.isEmpty ? .null : .string(node)],
        ], type: .strategic, subresource: "status")
    } catch {
      logger.debug("nomination of \(key): \(error)")
    }
  }

  /// Says why the pod waits, in an event and in its condition. `nomination`: see `Decision.fail`.
  func report(_ pod: Pod, _ message: String, reason: String, nomination: String?) async {
    recorder(of: pod)?.record(
      .init(pod), .warning, reason: "FailedScheduling", action: "Scheduling", note: message)
    let old = pod.status.condition("PodScheduled")
    var status: JSONValue = [:]
    if old?.status != "False" || old?.reason != reason || old?.message != message {
      let since = (old?.status == "False" ? old?.lastTransitionTime : nil) ?? world.wallClock
      status["conditions"] = [
        [
          "type": "PodScheduled", "status": "False", "reason": .string(reason), "message": .string(message),
          "lastTransitionTime": .string(since.rfc3339),
        ]
      ]
    }
    if let nomination, nomination != pod.status.nominatedNodeName {
      status["nominatedNodeName"] = nomination.isEmpty ? .null : .string(nomination)
    }
    guard status.object?.isEmpty == false else { return }
    do {
      try await client.patch(
        .pods, namespace: pod.namespace, name: pod.name,
        ["metadata": ["uid": .string(pod.metadata.uid)], "status": status], type: .strategic, subresource: "status")
    } catch {
      logger.debug("reporting \(pod.key): \(error)")
    }
  }
}
