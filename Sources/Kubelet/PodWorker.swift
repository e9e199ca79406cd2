import Client
import JSON
import Logging
import Schema
import Synchronization
import World

/// Owns the machine of one pod: performs its actions on the runtime and writes its status to the API.
///
/// Events may come from any thread; the machine steps under a lock, actions run as tasks on the node's loop.
final class PodWorker: Sendable {
  private struct State {
    var machine: PodMachine
    var writtenStatus: JSONValue = .null
    var isWriting = false
    var needsWrite = false
    var wakeUp: (any ScheduledTimer)?
    var wakeUpAt: MonotonicTime?
    /// Only the last word is still to be said.
    var isEnding = false
    var isFinished = false
    /// The newest version of the object that was seen, and until when older ones are taken for late news.
    var newest: UInt64 = 0
    var newestIsTrustedUntil = MonotonicTime(nanoseconds: 0)
  }
  /// For so long a watch may be behind the answers to our writes. Afterwards an older version is another past: a backup
  /// that was restored.
  private static let watchDelay = Duration.seconds(10)

  private let context: NodeContext
  /// False for a pod that had ended before this worker: of how it did the API knows more than a machine begun anew.
  private let writesStatus: Bool
  private let state: Mutex<State>
  private let onFinished: @Sendable () -> Void

  /// `onFinished` is called when the object has been deleted.
  init(_ pod: Pod, context: NodeContext, onFinished: @escaping @Sendable () -> Void) {
    self.context = context
    self.onFinished = onFinished
    writesStatus = !pod.isTerminal
    state = Mutex(State(machine: PodMachine(pod, now: context.world.wallClock)))
  }

  func update(_ pod: Pod) { if isNews(pod) { step(.updated(pod)) } }

  /// What a write was answered with comes again by the watch, later than what the next write was answered with, perhaps.
  private func isNews(_ pod: Pod, answersWrite: Bool = false) -> Bool {
    guard let version = UInt64(pod.metadata.resourceVersion) else { return true }
    let now = context.world.now
    return state.withLock { state in
      guard version > state.newest || now > state.newestIsTrustedUntil else { return false }
      state.newest = version
      if answersWrite { state.newestIsTrustedUntil = now + Self.watchDelay }
      return true
    }
  }

  /// The object vanished without our doing (deleted by force): the containers go at once.
  func objectVanished() {
    state.withLock { state in
      state.isFinished = true
      state.wakeUp?.cancel()
    }
    context.world.spawn { await self.removeIfFinished() }
  }

  /// Removes what nobody will ask for any more. Called when the object has vanished, and when what was under way at that
  /// moment is there: a sandbox that is made after its removal would keep its address for ever.
  private func removeIfFinished() async {
    let (isFinished, machine) = state.withLock { ($0.isFinished, $0.machine) }
    guard isFinished else { return }
    let uid = machine.pod.metadata.uid
    for record in machine.containers where record.isAlive {
      _ = await context.runtime.stop(ContainerIdentity(podUID: uid, name: record.container.name), grace: .seconds(2))
    }
    await context.runtime.removeSandbox(podUID: uid)
  }

  private func step(_ event: PodEvent) {
    let now = context.world.now
    let wallClock = context.world.wallClock
    let (pod, actions) = state.withLock { state -> (Pod, [PodAction]) in
      guard !state.isFinished else { return (state.machine.pod, []) }
      let actions = state.machine.step(event, now: now, wallClock: wallClock)
      if actions.contains(.deleteObject) { state.isEnding = true }
      return (state.machine.pod, actions)
    }
    for action in actions { perform(action, pod) }
    writeStatus()
  }

  // MARK: Acting

  private func perform(_ action: PodAction, _ pod: Pod) {
    switch action {
    case .adopt(let names): context.world.spawn { await self.adopt(names, pod) }
    case .createSandbox: context.world.spawn { await self.createSandbox(pod) }
    case .startContainer(let name): context.world.spawn { await self.start(name, pod) }
    case .stopContainer(let name, let grace): context.world.spawn { await self.stop(name, grace, pod) }
    case .removeSandbox:
      context.world.spawn {
        await self.context.runtime.removeSandbox(podUID: pod.metadata.uid)
        self.step(.sandboxRemoved)
      }
    case .wakeUp(let time): arm(time)
    case .deleteObject: context.world.spawn { await self.deleteObject() }
    }
  }

  private func adopt(_ names: [String], _ pod: Pod) async {
    let requests = state.withLock { state in
      state.machine.containers.filter { names.contains($0.container.name) }.map { request($0, pod) }
    }
    let runs = await context.runtime.adopt(
      podUID: pod.metadata.uid, address: pod.status.podIP, containers: requests
    ) { [weak self] container, exit in self?.step(.containerExited(name: container.name, exit)) }
    step(.adopted(runs))
    await removeIfFinished()
  }

  private func request(_ record: ContainerRecord, _ pod: Pod) -> ContainerRequest {
    ContainerRequest(
      identity: ContainerIdentity(podUID: pod.metadata.uid, name: record.container.name),
      container: record.container, isInit: record.isInit, attempt: record.restartCount,
      podAnnotations: pod.metadata.annotations, isTask: pod.metadata.controller?.kind == Job.reference.kind)
  }

  private func createSandbox(_ pod: Pod) async {
    do {
      let address = try await context.runtime.createSandbox(
        podUID: pod.metadata.uid, hostNetwork: pod.spec.hostNetwork)
      step(.sandboxCreated(address: address))
      await removeIfFinished()
    } catch {
      context.record(
        pod, .warning, "FailedCreatePodSandBox", "Failed to create pod sandbox: \(error)")
      step(.sandboxFailed(message: "\(error)"))
    }
  }

  private func start(_ name: String, _ pod: Pod) async {
    guard let record = state.withLock({ $0.machine.containers.first { $0.container.name == name } }) else { return }
    let field = record.isInit ? "spec.initContainers{\(name)}" : "spec.containers{\(name)}"
    let request = request(record, pod)
    context.record(
      pod, .normal, "Pulled", "Container image \"\(record.container.image)\" already present on machine", field)
    do {
      let started = try await context.runtime.start(request) { [weak self] exit in
        self?.step(.containerExited(name: name, exit))
      }
      context.record(pod, .normal, "Created", "Created container: \(name)", field)
      context.record(pod, .normal, "Started", "Started container \(name)", field)
      step(.containerStarted(name: name, started))
      await removeIfFinished()
    } catch {
      context.record(pod, .warning, "Failed", "Error: \(error)", field)
      step(.containerFailedToStart(name: name, message: "\(error)"))
    }
  }

  private func stop(_ name: String, _ grace: Duration, _ pod: Pod) async {
    context.record(pod, .normal, "Killing", "Stopping container \(name)", "spec.containers{\(name)}")
    let exit = await context.runtime.stop(
      ContainerIdentity(podUID: pod.metadata.uid, name: name), grace: grace)
    step(.containerExited(name: name, exit))
  }

  /// The last word: the object may go. Tried until the server has taken it.
  private func deleteObject() async {
    let pod = state.withLock { $0.machine.pod }
    var backoff = Duration.milliseconds(100)
    while !state.withLock({ $0.isFinished }) {
      do {
        // Whoever watches, and whoever keeps the object by a finalizer, learns how the pod ended.
        try await writeFinalStatus(pod)
        try await context.client.delete(
          .pods, namespace: pod.namespace, name: pod.name,
          DeleteOptions(gracePeriodSeconds: 0, uid: pod.metadata.uid))
        break
      } catch let status as APIStatus where status.code == 404 || status.code == 409 {
        break
      } catch {
        context.logger.debug("deleting \(pod.key): \(error)")
        try? await context.world.sleep(for: backoff)
        backoff = min(backoff * 2, .seconds(5))
      }
    }
    state.withLock { state in
      state.isFinished = true
      state.wakeUp?.cancel()
    }
    onFinished()
  }

  private func writeFinalStatus(_ pod: Pod) async throws {
    guard writesStatus else { return }
    let (status, isWritten) = state.withLock { state in
      let status = currentStatus(state.machine)
      return (status, state.writtenStatus == status)
    }
    guard !isWritten else { return }
    do {
      try await write(status, of: pod)
      state.withLock { $0.writtenStatus = status }
    } catch let refused as APIStatus where refused.code == 422 {
      context.logger.debug("status of \(pod.key): \(refused.message)")
    }
  }

  private func arm(_ time: MonotonicTime) {
    state.withLock { state in
      if let at = state.wakeUpAt, at <= time, at > context.world.now { return }
      state.wakeUp?.cancel()
      state.wakeUpAt = time
      state.wakeUp = context.world.schedule(after: max(.zero, time - context.world.now)) { [weak self] in
        self?.state.withLock { $0.wakeUpAt = nil }
        self?.step(.wokenUp)
      }
    }
  }

  // MARK: Status

  /// Writes the status if it changed. One write at a time; changes meanwhile are written after it, together.
  private func writeStatus() {
    guard writesStatus else { return }
    let start = state.withLock { state in
      state.needsWrite = true
      defer { state.isWriting = true }
      return !state.isWriting
    }
    if start { context.world.spawn { await self.writeUntilCurrent() } }
  }

  private func writeUntilCurrent() async {
    var backoff = Duration.milliseconds(50)
    while true {
      let next = state.withLock { state -> (Pod, JSONValue)? in
        guard state.needsWrite, !state.isFinished, !state.isEnding else {
          state.isWriting = false
          return nil
        }
        state.needsWrite = false
        // What comes of it is there in a moment, and written then.
        guard !state.machine.isLeaving, !state.machine.isStarting || !context.runtime.startsAtOnce else {
          state.isWriting = false
          return nil
        }
        return (state.machine.pod, currentStatus(state.machine))
      }
      guard let (pod, status) = next else { return }
      if state.withLock({ $0.writtenStatus == status }) { continue }
      do {
        let answer = Pod(json: try await write(status, of: pod, at: pod.metadata.resourceVersion))
        state.withLock { $0.writtenStatus = status }
        // Its conditions are as old as they are there; the watch may tell only after the next change.
        if isNews(answer, answersWrite: true) { step(.updated(answer)) }
        backoff = .milliseconds(50)
      } catch let error as APIStatus where error.code == 404 || error.code == 422 {
        context.logger.debug("status of \(pod.key): \(error.message)")
      } catch {
        if let error = error as? APIStatus, error.code == 409, await !isOvertaken(pod) { continue }
        context.logger.debug("status of \(pod.key): \(error)")
        state.withLock { $0.needsWrite = true }
        try? await context.world.sleep(for: backoff)
        backoff = min(backoff * 2, .seconds(5))
      }
    }
  }

  private func currentStatus(_ machine: PodMachine) -> JSONValue {
    PodStatusWriter(machine: machine, hostIP: context.address, wallClock: context.world.wallClock).status()
  }

  /// A write was refused for the version it was of. Takes over the newest one; false when that is another pod, or gone.
  private func isOvertaken(_ pod: Pod) async -> Bool {
    do {
      let newest = try await context.client.find(.pods, namespace: pod.namespace, name: pod.name).map { Pod(json: $0) }
      guard let newest, newest.metadata.uid == pod.metadata.uid else { return false }
      if isNews(newest, answersWrite: true) { step(.updated(newest)) }
    } catch { context.logger.debug("reading \(pod.key): \(error)") }
    return true
  }

  /// `version`: the only one that may be changed. A write that was given up with its connection may arrive after those that
  /// followed it, and the pod would seem to run again. The last word is said of any version.
  @discardableResult
  private func write(_ status: JSONValue, of pod: Pod, at version: String? = nil) async throws -> JSONValue {
    var metadata: JSONValue = ["uid": .string(pod.metadata.uid)]
    if let version { metadata["resourceVersion"] = .string(version) }
    return try await context.client.patch(
      .pods, namespace: pod.namespace, name: pod.name, ["metadata": metadata, "status": status], type: .strategic,
      subresource: "status")
  }
}
