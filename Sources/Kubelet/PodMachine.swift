// The life of one pod on its node, as a value (spec/7 §7.6): what happened goes in, what to do comes out.
import Client
import JSON
import Schema
import World

/// What the owner of a pod machine shall do. Each is answered by one event when it is done.
enum PodAction: Hashable {
  /// Ask the runtime whether these containers, which the API says run, do.
  case adopt(containers: [String])
  case createSandbox
  case startContainer(name: String)
  case stopContainer(name: String, grace: Duration)
  case removeSandbox
  /// Look again at that time.
  case wakeUp(at: MonotonicTime)
  /// Everything is gone: the object may go too.
  case deleteObject
}

enum PodEvent {
  case updated(Pod)
  case adopted(Bool)
  case sandboxCreated(address: String)
  case sandboxFailed(message: String)
  case containerStarted(name: String, StartedContainer)
  case containerFailedToStart(name: String, message: String)
  case containerExited(name: String, ContainerExit)
  case sandboxRemoved
  case wokenUp
}

/// One container as the machine sees it.
struct ContainerRecord {
  enum Phase {
    case waiting
    case starting
    case running(since: WallTime)
    case stopping(since: WallTime)
    case terminated(ContainerExit, started: WallTime, finished: WallTime)
  }
  var container: Container
  var isInit: Bool
  var phase = Phase.waiting
  var started = StartedContainer(containerID: "", imageID: "")
  var restartCount: Int64 = 0
  var lastTermination: JSONValue = .null
  /// Crashes in a row, and when the next start is allowed.
  var crashes = 0
  var notBefore: MonotonicTime?
  var failure = ""

  var isSidecar: Bool { isInit && container.restartPolicy == "Always" }
  var isRunning: Bool { if case .running = phase { true } else { false } }
  var isAlive: Bool {
    switch phase {
    case .running, .stopping, .starting: true
    case .waiting, .terminated: false
    }
  }

  /// Takes over what a container's status in the API says.
  mutating func recall(_ json: JSONValue) {
    restartCount = json["restartCount"].integer ?? 0
    started = StartedContainer(
      containerID: json["containerID"].string ?? "", imageID: json["imageID"].string ?? "")
    lastTermination = json["lastState"]["terminated"]
    let state = json["state"]
    if let since = state["running"]["startedAt"].time {
      phase = .running(since: since)
    } else if let finished = state["terminated"]["finishedAt"].time {
      phase = .terminated(
        ContainerExit(
          exitCode: state["terminated"]["exitCode"].integer ?? 0, reason: state["terminated"]["reason"].string ?? ""),
        started: state["terminated"]["startedAt"].time ?? finished, finished: finished)
    }
  }

  var exit: ContainerExit? { if case .terminated(let exit, _, _) = phase { exit } else { nil } }
}

struct PodMachine {
  /// The first restart is immediate, then 10 s doubling to 5 min; a container that ran for 10 min starts with a clean
  /// slate (spec/7 §7.6).
  private static let firstBackoff = Duration.seconds(10)
  private static let lastBackoff = Duration.seconds(300)
  private static let backoffReset = Duration.seconds(600)
  /// After a failed sandbox.
  private static let sandboxRetry = Duration.seconds(2)
  /// A readiness probe that has not yet succeeded keeps a pod unready this long in a runtime that cannot probe.
  private static let probeTime = Duration.seconds(1)

  enum Sandbox: Equatable { case none, adopting, creating, ready, removing, removed }

  private(set) var pod: Pod
  private(set) var containers: [ContainerRecord]
  private(set) var sandbox = Sandbox.none
  private(set) var podIP = ""
  private(set) var startTime: WallTime
  private(set) var isDeleted = false
  /// Reason and message of a pod that this node gave up (DeadlineExceeded).
  private(set) var failure: (reason: String, message: String)?
  private var retryAt: MonotonicTime?
  private var announcedDeletion = false
  /// The API shows containers that run, and the runtime has not been asked yet.
  private var mayAdopt = false

  init(_ pod: Pod, now: WallTime) {
    self.pod = pod
    startTime = pod.status.startTime ?? WallTime(secondsSinceEpoch: now.secondsSinceEpoch)
    containers =
      pod.spec.initContainers.map { ContainerRecord(container: $0, isInit: true) }
      + pod.spec.containers.map { ContainerRecord(container: $0, isInit: false) }
    if !pod.isTerminal { recall(pod.status) }
  }

  /// A pod that ran before this agent did: its record is what the API shows, until the runtime says otherwise.
  private mutating func recall(_ status: PodStatus) {
    for json in status.containerStatuses {
      edit(json["name"].string ?? "") { $0.recall(json) }
    }
    guard !status.podIP.isEmpty, containers.contains(where: \.isRunning) else { return }
    podIP = status.podIP
    mayAdopt = true
  }

  /// The runtime has been asked to make something that does not exist yet.
  var isStarting: Bool {
    sandbox == .creating || containers.contains { if case .starting = $0.phase { true } else { false } }
  }

  /// Its containers have ended, and its object goes as soon as the rest is gone.
  var isLeaving: Bool { sandbox == .removing && pod.metadata.isBeingDeleted }

  var isTerminating: Bool { pod.metadata.isBeingDeleted || failure != nil }

  /// Nothing of the pod will run again: all containers ended, or an init container failed for good.
  var isFinished: Bool {
    func endedForGood(_ record: ContainerRecord) -> Bool { record.exit.map { !mayRestart(record, $0) } ?? false }
    let ordinary = containers.filter { !$0.isInit }
    if !ordinary.isEmpty && ordinary.allSatisfy(endedForGood) { return true }
    return containers.contains { $0.isInit && !$0.isSidecar && $0.exit?.exitCode ?? 0 != 0 && endedForGood($0) }
  }

  /// Takes in what happened and says what to do next.
  mutating func step(_ event: PodEvent, now: MonotonicTime, wallClock: WallTime) -> [PodAction] {
    take(event, now: now, wallClock: wallClock)
    return decide(now: now, wallClock: wallClock)
  }

  // MARK: What happened

  private mutating func take(_ event: PodEvent, now: MonotonicTime, wallClock: WallTime) {
    switch event {
    case .updated(let pod):
      self.pod = pod
      for container in pod.spec.initContainers + pod.spec.containers { update(container) }
    case .adopted(true): sandbox = .ready
    case .adopted(false):
      sandbox = .none
      podIP = ""
      for index in containers.indices where containers[index].isRunning {
        containers[index].phase = .waiting
        containers[index].restartCount += 1
      }
    case .sandboxCreated(let address):
      sandbox = .ready
      podIP = address
    case .sandboxFailed:
      sandbox = .none
      retryAt = now + Self.sandboxRetry
    case .containerStarted(let name, let started):
      edit(name) { record in
        record.started = started
        record.failure = ""
        record.phase = .running(since: wallClock)
      }
    case .containerFailedToStart(let name, let message):
      edit(name) { record in
        record.failure = message
        record.phase = .waiting
        record.crashes += 1
        record.notBefore = now + Self.backoff(record.crashes)
      }
    case .containerExited(let name, let exit): edit(name) { Self.terminate(&$0, exit, now: now, wallClock: wallClock) }
    case .sandboxRemoved: sandbox = .removed
    case .wokenUp: break
    }
  }

  private mutating func update(_ container: Container) {
    edit(container.name) { record in
      // A new image restarts the container, and only that.
      if record.container.image != container.image, record.isRunning { record.notBefore = nil }
      record.container = container
    }
  }

  private static func terminate(
    _ record: inout ContainerRecord, _ exit: ContainerExit, now: MonotonicTime, wallClock: WallTime
  ) {
    let started: WallTime
    switch record.phase {
    case .running(let since), .stopping(let since): started = since
    default: started = wallClock
    }
    record.phase = .terminated(exit, started: started, finished: wallClock)
    record.crashes = wallClock - started >= backoffReset ? 1 : record.crashes + 1
    record.notBefore = now + backoff(record.crashes)
  }

  static func backoff(_ crashes: Int) -> Duration {
    crashes < 2 ? .zero : min(firstBackoff * (1 << min(crashes - 2, 10)), lastBackoff)
  }

  // MARK: What to do

  private mutating func decide(now: MonotonicTime, wallClock: WallTime) -> [PodAction] {
    checkDeadline(wallClock)
    if mayAdopt {
      mayAdopt = false
      sandbox = .adopting
      return [.adopt(containers: containers.filter(\.isRunning).map(\.container.name))]
    }
    if isTerminating || isFinished { return tearDown() }
    switch sandbox {
    case .none:
      if let retryAt, retryAt > now { return [.wakeUp(at: retryAt)] }
      sandbox = .creating
      return [.createSandbox]
    case .adopting, .creating, .removing, .removed: return []
    case .ready: return advanceContainers(now: now, wallClock: wallClock)
    }
  }

  private mutating func checkDeadline(_ wallClock: WallTime) {
    guard failure == nil, let seconds = pod.spec.activeDeadlineSeconds, startTime + .seconds(seconds) <= wallClock
    else { return }
    failure = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
  }

  private mutating func advanceContainers(now: MonotonicTime, wallClock: WallTime) -> [PodAction] {
    var actions: [PodAction] = []
    if let seconds = pod.spec.activeDeadlineSeconds {
      actions.append(.wakeUp(at: now + max(.zero, startTime + .seconds(seconds) - wallClock)))
    }
    for index in containers.indices where containers[index].isInit {
      advance(index, now: now, &actions)
      let record = containers[index]
      let isDone = record.isSidecar ? record.isRunning : record.exit?.exitCode == 0
      if !isDone { return actions }
    }
    for index in containers.indices where !containers[index].isInit { advance(index, now: now, &actions) }
    // The last unready moment of a probe passes without an event.
    for record in containers where !record.isInit && record.container.hasReadinessProbe {
      if case .running(let since) = record.phase, since + Self.probeTime > wallClock {
        actions.append(.wakeUp(at: now + Self.probeTime))
      }
    }
    return actions
  }

  /// Starts a container that waits, and starts one again that ended, when the policy and the back-off allow.
  private mutating func advance(_ index: Int, now: MonotonicTime, _ actions: inout [PodAction]) {
    let record = containers[index]
    switch record.phase {
    case .starting, .running, .stopping: return
    case .waiting: break
    case .terminated(let exit, let started, let finished):
      guard mayRestart(record, exit) else { return }
      if let notBefore = record.notBefore, notBefore > now { return actions.append(.wakeUp(at: notBefore)) }
      containers[index].restartCount += 1
      containers[index].lastTermination = PodStatusWriter.terminated(
        record, exit, started: started, finished: finished)
    }
    if let notBefore = record.notBefore, notBefore > now { return actions.append(.wakeUp(at: notBefore)) }
    containers[index].phase = .starting
    actions.append(.startContainer(name: record.container.name))
  }

  func mayRestart(_ record: ContainerRecord, _ exit: ContainerExit) -> Bool {
    if record.isSidecar { return true }
    if record.isInit { return exit.exitCode != 0 && pod.spec.restartPolicy != "Never" }
    switch pod.spec.restartPolicy {
    case "Always": return true
    case "OnFailure": return exit.exitCode != 0
    default: return false
    }
  }

  /// Containers first, sidecars last and in reverse, then the sandbox, then the object.
  private mutating func tearDown() -> [PodAction] {
    let grace = Duration.seconds(pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds)
    if sandbox == .creating || sandbox == .adopting
      || containers.contains(where: { if case .starting = $0.phase { true } else { false } })
    {
      return []
    }
    let ordinary = containers.indices.filter { !containers[$0].isSidecar && containers[$0].isAlive }
    let next = ordinary.isEmpty ? containers.indices.last { containers[$0].isAlive }.map { [$0] } ?? [] : ordinary
    if !next.isEmpty {
      var actions: [PodAction] = []
      for index in next {
        guard case .running(let since) = containers[index].phase else { continue }
        containers[index].phase = .stopping(since: since)
        actions.append(.stopContainer(name: containers[index].container.name, grace: grace))
      }
      return actions
    }
    switch sandbox {
    case .ready:
      sandbox = .removing
      return [.removeSandbox]
    case .removing, .creating, .adopting: return []
    case .none, .removed:
      guard pod.metadata.isBeingDeleted, !announcedDeletion else { return [] }
      announcedDeletion = true
      return [.deleteObject]
    }
  }

  private mutating func edit(_ name: String, _ body: (inout ContainerRecord) -> Void) {
    guard let index = containers.firstIndex(where: { $0.container.name == name }) else { return }
    body(&containers[index])
  }

  /// Ready to serve: running, and past its probe.
  func isReady(_ record: ContainerRecord, wallClock: WallTime) -> Bool {
    guard case .running(let since) = record.phase else { return false }
    return !record.container.hasReadinessProbe || since + Self.probeTime <= wallClock
  }
}
