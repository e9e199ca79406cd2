// The table of pods: what a pod is doing, in one word (spec/3 §3.3.1).
import JSON
import Schema

extension TableLayout {
  static let pod = TableLayout(
    "Name, Ready, Status, Restarts, Age | IP, Node, Nominated Node, Readiness Gates"
  ) { pod, now in
    let summary = PodSummary(pod, now: now)
    let status = pod["status"]
    var address = status["podIPs"][0]["ip"]
    if address.isNull { address = status["podIP"] }
    return [
      Cells.name(pod), .string("\(summary.ready)/\(summary.total)"), .string(summary.reason),
      .string(summary.restartText), Cells.age(pod, now), Cells.textOr(address, Cells.none),
      Cells.textOr(pod["spec"]["nodeName"], Cells.none), Cells.textOr(status["nominatedNodeName"], Cells.none),
      summary.readinessGates,
    ]
  }

  static let podTemplate = TableLayout("Name, Containers, Images, Pod Labels") { object, _ in
    let template = object["template"]
    return [
      Cells.name(object), Cells.containers(template["spec"]), Cells.images(template["spec"]),
      Cells.labels(template["metadata"]["labels"]),
    ]
  }
}

/// What the table says of a pod.
struct PodSummary {
  private(set) var ready = 0
  private(set) var total: Int
  private(set) var reason: String
  private var restarts: Int64 = 0
  private var lastRestart: Int64?
  private let now: Int64
  private let pod: JSONValue
  /// Names of init containers that keep running.
  private let sidecars: Set<String>

  init(_ pod: JSONValue, now: Int64) {
    self.pod = pod
    self.now = now
    let status = pod["status"]
    sidecars = Set(
      pod["spec"]["initContainers"].elements.filter { $0["restartPolicy"] == "Always" }.map { $0["name"].text })
    total = pod["spec"]["containers"].elements.count + sidecars.count
    reason = status["reason"].isEmptyValue ? status["phase"].text : status["reason"].text
    if status["conditions"].elements.contains(where: {
      $0["type"] == "PodScheduled" && $0["reason"] == "SchedulingGated"
    }) {
      reason = "SchedulingGated"
    }
    let isInitializing = addInitContainers(status["initContainerStatuses"].elements)
    if !isInitializing || isTrue("Initialized") { addContainers(status["containerStatuses"].elements) }
    guard !pod["metadata"]["deletionTimestamp"].isNull else { return }
    if status["reason"] == "NodeLost" {
      reason = "Unknown"
    } else if status["phase"] != "Failed", status["phase"] != "Succeeded" {
      reason = "Terminating"
    }
  }

  private func isTrue(_ condition: String) -> Bool {
    pod["status"]["conditions"].elements.contains { $0["type"].text == condition && $0["status"] == "True" }
  }

  /// Returns whether the init containers are still at work.
  private mutating func addInitContainers(_ statuses: [JSONValue]) -> Bool {
    var sidecarRestarts: Int64 = 0
    var sidecarLastRestart: Int64?
    var isInitializing = false
    for (index, container) in statuses.enumerated() {
      restarts += Cells.number(container["restartCount"])
      lastRestart = latest(lastRestart, finish(container))
      let isSidecar = sidecars.contains(container["name"].text)
      if isSidecar {
        sidecarRestarts += Cells.number(container["restartCount"])
        sidecarLastRestart = latest(sidecarLastRestart, finish(container))
      }
      let state = container["state"]
      if !state["terminated"].isNull, Cells.number(state["terminated"]["exitCode"]) == 0 { continue }
      if isSidecar, container["started"] == true {
        if container["ready"] == true { ready += 1 }
        continue
      }
      reason = "Init:" + initReason(state, index)
      isInitializing = true
      break
    }
    if !isInitializing || isTrue("Initialized") {
      restarts = sidecarRestarts
      lastRestart = sidecarLastRestart
    }
    return isInitializing
  }

  private func initReason(_ state: JSONValue, _ index: Int) -> String {
    let end = state["terminated"]
    if !end.isNull {
      if !end["reason"].isEmptyValue { return end["reason"].text }
      return endText(end)
    }
    let waiting = state["waiting"]["reason"].text
    if !waiting.isEmpty, waiting != "PodInitializing" { return waiting }
    return "\(index)/\(pod["spec"]["initContainers"].elements.count)"
  }

  private func endText(_ end: JSONValue) -> String {
    let signal = Cells.number(end["signal"])
    return signal != 0 ? "Signal:\(signal)" : "ExitCode:\(Cells.number(end["exitCode"]))"
  }

  private mutating func addContainers(_ statuses: [JSONValue]) {
    var hasRunning = false
    for container in statuses.reversed() {
      restarts += Cells.number(container["restartCount"])
      lastRestart = latest(lastRestart, finish(container))
      let state = container["state"]
      let end = state["terminated"]
      if let waiting = state["waiting"]["reason"].string, !waiting.isEmpty {
        reason = waiting
      } else if !end.isNull {
        reason = end["reason"].isEmptyValue ? endText(end) : end["reason"].text
      } else if container["ready"] == true, !state["running"].isNull {
        hasRunning = true
        ready += 1
      }
    }
    if reason == "Completed", hasRunning { reason = isTrue("Ready") ? "Running" : "NotReady" }
  }

  private func finish(_ container: JSONValue) -> Int64? {
    Cells.seconds(container["lastState"]["terminated"]["finishedAt"])
  }
  private func latest(_ left: Int64?, _ right: Int64?) -> Int64? {
    guard let left, let right else { return left ?? right }
    return max(left, right)
  }

  /// "3 (5m ago)".
  var restartText: String {
    guard restarts != 0, let lastRestart else { return "\(restarts)" }
    return "\(restarts) (\(HumanDuration.text(now - lastRestart)) ago)"
  }

  var readinessGates: JSONValue {
    let gates = pod["spec"]["readinessGates"].elements
    if gates.isEmpty { return Cells.none }
    return .string("\(gates.count { isTrue($0["conditionType"].text) })/\(gates.count)")
  }
}
