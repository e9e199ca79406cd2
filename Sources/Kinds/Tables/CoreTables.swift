// The tables of the cluster's own objects: nodes, namespaces, configuration, events, quotas, permissions.
import JSON
import Schema

extension TableLayout {
  static let node = TableLayout(
    "Name, Status, Roles, Age, Version | Internal-IP, External-IP, OS-Image, Kernel-Version, Container-Runtime"
  ) { object, now in
    let info = object["status"]["nodeInfo"]
    return [
      Cells.name(object), .string(nodeStatus(object)), nodeRoles(object["metadata"]["labels"]),
      Cells.age(object, now), info["kubeletVersion"].isNull ? "" : info["kubeletVersion"],
      nodeAddress(object, "InternalIP"), nodeAddress(object, "ExternalIP"),
      Cells.textOr(info["osImage"], Cells.unknown), Cells.textOr(info["kernelVersion"], Cells.unknown),
      Cells.textOr(info["containerRuntimeVersion"], Cells.unknown),
    ]
  }

  private static func nodeStatus(_ object: JSONValue) -> String {
    let ready = object["status"]["conditions"].elements.first { $0["type"] == "Ready" }
    var status = "Unknown"
    if let ready { status = ready["status"] == "True" ? "Ready" : "NotReady" }
    if object["spec"]["unschedulable"] == true { status += ",SchedulingDisabled" }
    return status
  }

  private static func nodeRoles(_ labels: JSONValue) -> JSONValue {
    var roles: Set<String> = []
    let prefix = "node-role.kubernetes.io/"
    for (key, value) in labels.object ?? [:] {
      if key.hasPrefix(prefix), key.count > prefix.count {
        roles.insert(String(key.dropFirst(prefix.count)))
      } else if key == "kubernetes.io/role", !value.isEmptyValue {
        roles.insert(value.text)
      }
    }
    return roles.isEmpty ? Cells.none : .string(roles.sorted().joined(separator: ","))
  }

  private static func nodeAddress(_ object: JSONValue, _ type: String) -> JSONValue {
    object["status"]["addresses"].elements.first { $0["type"].text == type }?["address"] ?? Cells.none
  }

  static let namespace = TableLayout("Name, Status, Age") { object, now in
    [Cells.name(object), object["status"]["phase"], Cells.age(object, now)]
  }
  static let secret = TableLayout("Name, Type, Data, Age") { object, now in
    [
      Cells.name(object), object["type"], .integer(Int64(object["data"].object?.count ?? 0)),
      Cells.age(object, now),
    ]
  }
  static let configMap = TableLayout("Name, Data, Age") { object, now in
    let count = (object["data"].object?.count ?? 0) + (object["binaryData"].object?.count ?? 0)
    return [Cells.name(object), .integer(Int64(count)), Cells.age(object, now)]
  }
  static let serviceAccount = TableLayout("Name, Secrets, Age") { object, now in
    [Cells.name(object), .integer(Int64(object["secrets"].elements.count)), Cells.age(object, now)]
  }
  static let lease = TableLayout("Name, Holder, Age") { object, now in
    let holder = object["spec"]["holderIdentity"]
    return [Cells.name(object), holder.isNull ? "" : holder, Cells.age(object, now)]
  }
  static let componentStatus = TableLayout("Name, Status, Message, Error") { object, _ in
    let condition = object["conditions"].elements.first { $0["type"] == "Healthy" }
    let status: JSONValue = condition.map { $0["status"] == "True" ? "Healthy" : "Unhealthy" } ?? "Unknown"
    return [
      Cells.name(object), status, .string(condition?["message"].text ?? ""), .string(condition?["error"].text ?? ""),
    ]
  }

  // MARK: Events

  private static let eventColumns =
    "Last Seen, Type, Reason, Object, +Subobject, +Source, Message, +First Seen, +Count, +Name"
  static let event = TableLayout(eventColumns) { eventCells($0, $1) }
  static let newEvent = TableLayout(eventColumns) { eventCells(EventConversion.toCoreForm($0), $1) }

  private static func eventCells(_ event: JSONValue, _ now: Int64) -> [JSONValue] {
    var first = Cells.since(event["firstTimestamp"], now)
    if event["firstTimestamp"].isNull { first = Cells.since(event["eventTime"], now) }
    var last = Cells.since(event["lastTimestamp"], now)
    if event["lastTimestamp"].isNull { last = first }
    var count = Cells.number(event["count"])
    if !event["series"].isNull {
      last = Cells.since(event["series"]["lastObservedTime"], now)
      count = Cells.number(event["series"]["count"])
    } else if count == 0 {
      count = 1
    }
    let subject = event["involvedObject"]
    let kind = subject["kind"].text.lowercased()
    let object = subject["name"].isEmptyValue ? kind : "\(kind)/\(subject["name"].text)"
    var component = event["source"]["component"].text
    if component.isEmpty { component = event["reportingComponent"].text }
    var host = event["source"]["host"].text
    if host.isEmpty { host = event["reportingInstance"].text }
    return [
      last, .string(event["type"].text), .string(event["reason"].text), .string(object),
      .string(subject["fieldPath"].text), .string(host.isEmpty ? component : "\(component), \(host)"),
      .string(trimmed(event["message"].text)), first, .integer(count), Cells.name(event),
    ]
  }

  private static func trimmed(_ text: String) -> String {
    var rest = Substring(text)
    while let last = rest.last, last.isWhitespace { rest = rest.dropLast() }
    return String(rest.drop { $0.isWhitespace })
  }

  // MARK: Quotas and permissions

  static let resourceQuota = TableLayout("Name, Age, Request, Limit") { object, now in
    let status = object["status"]
    var requests: [String] = []
    var limits: [String] = []
    for name in (status["hard"].object?.keys.map { $0 } ?? []).sorted() {
      let used = status["used"][name].isNull ? "0" : status["used"][name].text
      let text = "\(name): \(used)/\(status["hard"][name].text)"
      if name.hasPrefix("limits.") { limits.append(text) } else { requests.append(text) }
    }
    return [
      Cells.name(object), Cells.age(object, now), .string(requests.joined(separator: ", ")),
      .string(limits.joined(separator: ", ")),
    ]
  }

  static let roleBinding = TableLayout("Name, Role, Age | Users, Groups, ServiceAccounts") { object, now in
    func subjects(_ kind: String) -> JSONValue {
      .string(
        object["subjects"].elements.filter { $0["kind"].text == kind }.map {
          kind == "ServiceAccount" ? "\($0["namespace"].text)/\($0["name"].text)" : $0["name"].text
        }.joined(separator: ", "))
    }
    return [
      Cells.name(object), .string("\(object["roleRef"]["kind"].text)/\(object["roleRef"]["name"].text)"),
      Cells.age(object, now), subjects("User"), subjects("Group"), subjects("ServiceAccount"),
    ]
  }

  static let signingRequest = TableLayout(
    "Name, Age, SignerName, Requestor, RequestedDuration, Condition"
  ) { object, now in
    let spec = object["spec"]
    let conditions = object["status"]["conditions"].elements.map { $0["type"].text }
    var state =
      conditions.contains("Denied") ? "Denied" : conditions.contains("Approved") ? "Approved" : "Pending"
    if conditions.contains("Failed") { state += ",Failed" }
    if !object["status"]["certificate"].isEmptyValue { state += ",Issued" }
    let duration = spec["expirationSeconds"].integer.map { JSONValue.string(HumanDuration.text($0)) }
    return [
      Cells.name(object), Cells.age(object, now), Cells.textOr(spec["signerName"], Cells.none), spec["username"],
      duration ?? Cells.none, .string(state),
    ]
  }
}
