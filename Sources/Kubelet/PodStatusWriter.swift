// The status of a pod as its machine stands: phase, conditions, container statuses (spec/7 §7.6).
import Client
import JSON
import World

struct PodStatusWriter {
  let machine: PodMachine
  let hostIP: String
  let wallClock: WallTime

  private var spec: PodSpec { machine.pod.spec }
  private var ordinary: [ContainerRecord] { machine.containers.filter { !$0.isInit } }
  private var initial: [ContainerRecord] { machine.containers.filter(\.isInit) }

  /// The members that a kubelet owns.
  func status() -> JSONValue {
    let phase = phase()
    var status: JSONValue = [
      "phase": .string(phase), "hostIP": .string(hostIP), "hostIPs": [["ip": .string(hostIP)]],
      "startTime": .string(machine.startTime.rfc3339),
    ]
    if !machine.podIP.isEmpty {
      status["podIP"] = .string(machine.podIP)
      status["podIPs"] = [["ip": .string(machine.podIP)]]
    }
    if let failure = machine.failure {
      status["reason"] = .string(failure.reason)
      status["message"] = .string(failure.message)
    }
    status["conditions"] = .array(conditions(phase))
    status["containerStatuses"] = .array(ordinary.map(containerStatus))
    if !initial.isEmpty { status["initContainerStatuses"] = .array(initial.map(containerStatus)) }
    return status
  }

  func phase() -> String {
    if machine.failure != nil { return "Failed" }
    let isInitialized = initial.allSatisfy {
      $0.isSidecar ? $0.isRunning || $0.restartCount > 0 : $0.exit?.exitCode == 0
    }
    if let failed = initial.first(where: { !$0.isSidecar && ($0.exit.map { $0.exitCode != 0 } ?? false) }),
      spec.restartPolicy == "Never", failed.exit != nil
    {
      return "Failed"
    }
    // A pod that is taken away before it could begin has failed.
    let isGone = machine.pod.metadata.isBeingDeleted && (machine.sandbox == .none || machine.sandbox == .removed)
    if isGone, !(initial + ordinary).contains(where: \.isAlive), ordinary.contains(where: { $0.exit == nil }) {
      return "Failed"
    }
    guard isInitialized || ordinary.contains(where: { $0.isAlive || $0.exit != nil }) else { return "Pending" }
    let exits = ordinary.map(\.exit)
    if exits.allSatisfy({ $0 != nil }) {
      let allWell = exits.allSatisfy { $0?.exitCode == 0 }
      if spec.restartPolicy == "Never" || (machine.pod.metadata.isBeingDeleted && machine.sandbox != .ready) {
        return allWell ? "Succeeded" : "Failed"
      }
      if spec.restartPolicy == "OnFailure" && allWell { return "Succeeded" }
      return "Running"
    }
    return ordinary.contains { $0.isRunning || $0.exit != nil || $0.restartCount > 0 || $0.isStopping }
      ? "Running" : "Pending"
  }

  // MARK: Conditions

  private func conditions(_ phase: String) -> [JSONValue] {
    let isFinished = phase == "Succeeded" || phase == "Failed"
    let unready = ordinary.filter { !machine.isReady($0, wallClock: wallClock) }.map(\.container.name)
    let uninitialized = initial.filter { $0.isSidecar ? !$0.isRunning && $0.restartCount == 0 : $0.exit?.exitCode != 0 }
      .map(\.container.name)
    var ready: (status: Bool, reason: String, message: String) = (true, "", "")
    if isFinished {
      ready = (false, "PodCompleted", "")
    } else if !unready.isEmpty {
      ready = (false, "ContainersNotReady", "containers with unready status: [\(unready.joined(separator: " "))]")
    }
    var containersReady = ready
    let gates = spec.readinessGates.filter { machine.pod.status.condition($0)?.status != "True" }
    if ready.status, let gate = gates.first {
      ready = (
        false, "ReadinessGatesNotReady", "corresponding condition of pod readiness gate \"\(gate)\" does not exist."
      )
    }
    if isFinished { containersReady = ready }
    return [
      condition("PodReadyToStartContainers", machine.sandbox == .ready || machine.sandbox == .adopting),
      uninitialized.isEmpty || phase == "Succeeded"
        ? condition("Initialized", true, phase == "Succeeded" ? "PodCompleted" : "")
        : condition(
          "Initialized", false, "ContainersNotInitialized",
          "containers with incomplete status: [\(uninitialized.joined(separator: " "))]"),
      condition("Ready", ready.status, ready.reason, ready.message),
      condition("ContainersReady", containersReady.status, containersReady.reason, containersReady.message),
      condition("PodScheduled", true),
    ]
  }

  /// Keeps the time of the last transition while the status stays.
  private func condition(_ type: String, _ holds: Bool, _ reason: String = "", _ message: String = "") -> JSONValue {
    let status = holds ? "True" : "False"
    let old = machine.pod.status.condition(type)
    let since = old?.status == status ? old?.lastTransitionTime : nil
    let condition: JSONValue = [
      "type": .string(type), "status": .string(status),
      "lastTransitionTime": .string((since ?? wallClock).rfc3339),
    ]
    // Conditions are merged by type: null takes back what an earlier status gave as a reason.
    var members = condition.object ?? JSONObject()
    members["reason"] = reason.isEmpty ? .null : .string(reason)
    members["message"] = message.isEmpty ? .null : .string(message)
    return .object(members)
  }

  // MARK: Containers

  private func containerStatus(_ record: ContainerRecord) -> JSONValue {
    var status: JSONValue = [
      "name": .string(record.container.name), "image": .string(record.container.image),
      "imageID": .string(record.started.imageID), "ready": .bool(isReady(record)),
      "restartCount": .integer(record.restartCount), "started": .bool(record.isRunning),
      "state": state(record), "lastState": [:],
    ]
    if !record.started.containerID.isEmpty { status["containerID"] = .string(record.started.containerID) }
    var last = record.lastTermination
    if case .terminated(let exit, let started, let finished) = record.phase, willRestart(record, exit) {
      last = Self.terminated(record, exit, started: started, finished: finished)
    }
    if !last.isNull { status["lastState"] = ["terminated": last] }
    return status
  }

  private func isReady(_ record: ContainerRecord) -> Bool {
    record.isInit && !record.isSidecar ? record.exit?.exitCode == 0 : machine.isReady(record, wallClock: wallClock)
  }

  private func state(_ record: ContainerRecord) -> JSONValue {
    switch record.phase {
    case .running(let since), .stopping(let since): return ["running": ["startedAt": .string(since.rfc3339)]]
    case .starting: return waiting(record)
    case .waiting: return waiting(record)
    case .terminated(let exit, let started, let finished):
      let terminated = Self.terminated(record, exit, started: started, finished: finished)
      guard willRestart(record, exit) else { return ["terminated": terminated] }
      return [
        "waiting": [
          "reason": "CrashLoopBackOff",
          "message": .string(
            "back-off \(PodMachine.backoff(record.crashes).components.seconds)s restarting failed "
              + "container=\(record.container.name) pod=\(machine.pod.name)_\(machine.pod.namespace)(\(machine.pod.metadata.uid))"
          ),
        ]
      ]
    }
  }

  private func willRestart(_ record: ContainerRecord, _ exit: ContainerExit) -> Bool {
    !machine.isTerminating && !machine.isFinished && machine.mayRestart(record, exit)
  }

  private func waiting(_ record: ContainerRecord) -> JSONValue {
    if !record.failure.isEmpty {
      return ["waiting": ["reason": "RunContainerError", "message": .string(record.failure)]]
    }
    let isBlocked = !record.isInit && initial.contains { $0.isSidecar ? !$0.isRunning : $0.exit?.exitCode != 0 }
    let reason = isBlocked || (!initial.isEmpty && machine.sandbox != .ready) ? "PodInitializing" : "ContainerCreating"
    return ["waiting": ["reason": .string(reason)]]
  }

  static func terminated(_ record: ContainerRecord, _ exit: ContainerExit, started: WallTime, finished: WallTime)
    -> JSONValue
  {
    [
      "exitCode": .integer(exit.exitCode), "reason": .string(exit.reason), "startedAt": .string(started.rfc3339),
      "finishedAt": .string(finished.rfc3339), "containerID": .string(record.started.containerID),
    ]
  }
}

extension ContainerRecord {
  var isStopping: Bool { if case .stopping = phase { true } else { false } }
}
