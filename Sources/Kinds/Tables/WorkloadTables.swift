// The tables of workloads (spec/3 §3.3).
import JSON
import Schema

extension TableLayout {
  static let replicationController = replicas { Cells.labels($0) }
  static let replicaSet = replicas { Cells.selector($0) }

  private static func replicas(_ selector: @escaping @Sendable (JSONValue) -> JSONValue) -> TableLayout {
    TableLayout("Name, Desired#, Current#, Ready#, Age | Containers, Images, Selector") { object, now in
      let spec = object["spec"]
      return [
        Cells.name(object), Cells.count(spec["replicas"]), Cells.count(object["status"]["replicas"]),
        Cells.count(object["status"]["readyReplicas"]), Cells.age(object, now),
        Cells.containers(spec["template"]["spec"]), Cells.images(spec["template"]["spec"]),
        selector(spec["selector"]),
      ]
    }
  }

  static let deployment = TableLayout(
    "Name, Ready, Up-to-date, Available, Age | Containers, Images, Selector"
  ) { object, now in
    let spec = object["spec"]
    let status = object["status"]
    return [
      Cells.name(object), .string("\(Cells.number(status["readyReplicas"]))/\(Cells.number(spec["replicas"]))"),
      Cells.count(status["updatedReplicas"]), Cells.count(status["availableReplicas"]), Cells.age(object, now),
      Cells.containers(spec["template"]["spec"]), Cells.images(spec["template"]["spec"]),
      Cells.selector(spec["selector"]),
    ]
  }

  static let statefulSet = TableLayout("Name, Ready, Age | Containers, Images") { object, now in
    let spec = object["spec"]
    return [
      Cells.name(object),
      .string("\(Cells.number(object["status"]["readyReplicas"]))/\(Cells.number(spec["replicas"]))"),
      Cells.age(object, now), Cells.containers(spec["template"]["spec"]), Cells.images(spec["template"]["spec"]),
    ]
  }

  static let daemonSet = TableLayout(
    "Name, Desired#, Current#, Ready#, Up-to-date#, Available#, Node Selector, Age | Containers, Images, Selector"
  ) { object, now in
    let spec = object["spec"]
    let status = object["status"]
    return [
      Cells.name(object), Cells.count(status["desiredNumberScheduled"]),
      Cells.count(status["currentNumberScheduled"]), Cells.count(status["numberReady"]),
      Cells.count(status["updatedNumberScheduled"]), Cells.count(status["numberAvailable"]),
      Cells.labels(spec["template"]["spec"]["nodeSelector"]), Cells.age(object, now),
      Cells.containers(spec["template"]["spec"]), Cells.images(spec["template"]["spec"]),
      Cells.selector(spec["selector"]),
    ]
  }

  static let controllerRevision = TableLayout("Name, Controller, Revision, Age") { object, now in
    let owner = object["metadata"]["ownerReferences"].elements.first { $0["controller"] == true }
    var controller = Cells.none
    if let owner {
      let parts = owner["apiVersion"].text.split(separator: "/")
      let kind = owner["kind"].text.lowercased()
      let qualified = parts.count == 2 ? "\(kind).\(parts[0])" : kind
      controller = .string("\(qualified)/\(owner["name"].text)")
    }
    return [Cells.name(object), controller, Cells.count(object["revision"]), Cells.age(object, now)]
  }

  static let job = TableLayout(
    "Name, Status, Completions, Duration, Age | Containers, Images, Selector"
  ) { object, now in
    let spec = object["spec"]
    return [
      Cells.name(object), .string(jobStatus(object)), .string(jobCompletions(object)), jobDuration(object, now),
      Cells.age(object, now), Cells.containers(spec["template"]["spec"]),
      Cells.images(spec["template"]["spec"]), Cells.selector(spec["selector"]),
    ]
  }

  private static func jobStatus(_ object: JSONValue) -> String {
    func has(_ condition: String) -> Bool {
      object["status"]["conditions"].elements.contains { $0["type"].text == condition && $0["status"] == "True" }
    }
    if has("Complete") { return "Complete" }
    if has("Failed") { return "Failed" }
    if !object["metadata"]["deletionTimestamp"].isNull { return "Terminating" }
    if has("Suspended") { return "Suspended" }
    if has("FailureTarget") { return "FailureTarget" }
    return "Running"
  }

  private static func jobCompletions(_ object: JSONValue) -> String {
    let succeeded = Cells.number(object["status"]["succeeded"])
    if let wanted = object["spec"]["completions"].integer { return "\(succeeded)/\(wanted)" }
    let parallelism = Cells.number(object["spec"]["parallelism"])
    return parallelism > 1 ? "\(succeeded)/1 of \(parallelism)" : "\(succeeded)/1"
  }

  private static func jobDuration(_ object: JSONValue, _ now: Int64) -> JSONValue {
    guard let start = Cells.seconds(object["status"]["startTime"]) else { return "" }
    return .string(HumanDuration.text((Cells.seconds(object["status"]["completionTime"]) ?? now) - start))
  }

  static let cronJob = TableLayout(
    "Name, Schedule, Timezone, Suspend, Active#, Last Schedule, Age | Containers, Images, Selector"
  ) { object, now in
    let spec = object["spec"]
    let job = spec["jobTemplate"]["spec"]
    let last = object["status"]["lastScheduleTime"]
    return [
      Cells.name(object), spec["schedule"], Cells.textOr(spec["timeZone"], Cells.none),
      spec["suspend"].bool.map { $0 ? "True" : "False" } ?? Cells.unset,
      .integer(Int64(object["status"]["active"].elements.count)),
      last.isNull ? Cells.none : Cells.since(last, now), Cells.age(object, now),
      Cells.containers(job["template"]["spec"]), Cells.images(job["template"]["spec"]),
      Cells.selector(job["selector"]),
    ]
  }

  static let autoscaler = TableLayout(
    "Name, Reference, Targets, MinPods, MaxPods, Replicas, Age"
  ) { object, now in
    let spec = object["spec"]
    let target = spec["scaleTargetRef"]
    return [
      Cells.name(object), .string("\(target["kind"].text)/\(target["name"].text)"), targets(object),
      spec["minReplicas"].integer.map { .string("\($0)") } ?? Cells.unset,
      Cells.count(spec["maxReplicas"]), Cells.count(object["status"]["currentReplicas"]), Cells.age(object, now),
    ]
  }

  private static func targets(_ object: JSONValue) -> JSONValue {
    // The form of v1 says in annotations what is not about the CPU.
    let object = object["apiVersion"] == "autoscaling/v1" ? AutoscalerConversion.toV2(object) : object
    let current = object["status"]["currentMetrics"].elements
    let texts = object["spec"]["metrics"].elements.enumerated().map { index, metric in
      let type = metric["type"].text
      guard ["Resource", "ContainerResource", "Pods", "Object", "External"].contains(type) else {
        return "<unknown type>"
      }
      let isResource = type == "Resource" || type == "ContainerResource"
      let member = type.prefix(1).lowercased() + type.dropFirst()
      let aim = metric[member]["target"]
      let measured = index < current.count ? current[index][member]["current"] : .null
      func amount(_ name: String, _ unit: String = "") -> String? {
        guard !aim[name].isNull else { return nil }
        let found = measured[name].isNull ? "<unknown>" : plain(measured[name]) + unit
        return "\(found)/\(plain(aim[name]))\(unit)"
      }
      let text =
        amount("averageValue").map { type == "Object" || type == "External" ? "\($0) (avg)" : $0 }
        ?? amount("averageUtilization", "%") ?? amount("value") ?? (isResource ? "<unknown>/<auto>" : "<unknown>")
      return isResource ? "\(metric[member]["name"].text): \(text)" : text
    }
    return Cells.shortened(texts, limit: 2, separator: ", ")
  }
  private static func plain(_ value: JSONValue) -> String { value.string ?? value.description }

  static let disruptionBudget = TableLayout(
    "Name, Min Available, Max Unavailable, Allowed Disruptions#, Age"
  ) { object, now in
    func amount(_ value: JSONValue) -> JSONValue { value.isNull ? "N/A" : .string(plain(value)) }
    return [
      Cells.name(object), amount(object["spec"]["minAvailable"]), amount(object["spec"]["maxUnavailable"]),
      Cells.count(object["status"]["disruptionsAllowed"]), Cells.age(object, now),
    ]
  }

  static let priorityClass = TableLayout(
    "Name, Value#, Global-Default?, Age, PreemptionPolicy"
  ) { object, now in
    [
      Cells.name(object), Cells.count(object["value"]), .bool(object["globalDefault"].bool ?? false),
      Cells.age(object, now), object["preemptionPolicy"],
    ]
  }

  static let scale = TableLayout(columns: columnsWithoutFormat("Name, Desired#, Available#, Age")) { object, now in
    [
      Cells.name(object), Cells.count(object["spec"]["replicas"]), Cells.count(object["status"]["replicas"]),
      Cells.age(object, now),
    ]
  }
}
