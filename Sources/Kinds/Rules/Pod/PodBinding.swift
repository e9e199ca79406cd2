// Putting a pod on a node: what POST to pods/binding (and bindings) does to the pod.
import JSON
import Schema

public enum PodBinding {
  /// Everything wrong with a Binding beside its metadata.
  public static func validate(_ binding: JSONValue) -> [FieldError] {
    var checks = Checks()
    let target = binding["target"]
    if !target["kind"].isEmptyValue, target["kind"] != "Node" {
      checks.notSupported("target.kind", target["kind"], ["Node", "<empty>"])
    }
    if target["name"].isEmptyValue { checks.required("target.name") }
    return checks.errors
  }

  /// Binds the pod to the node that the Binding names. `now` is RFC 3339. Throws a conflict when the pod cannot be
  /// bound any more, and leaves it as it was.
  public static func apply(_ binding: JSONValue, to pod: inout JSONValue, now: String) throws(APIStatus) {
    let name = pod["metadata"]["name"].text
    func conflict(_ why: String) -> APIStatus {
      .conflict(GroupResource(group: "", resource: "pods/binding"), name, why)
    }
    if let uid = binding["metadata"]["uid"].string, !uid.isEmpty, pod["metadata"]["uid"] != .string(uid) {
      throw conflict(
        "Precondition failed: UID in precondition: \(uid), UID in object meta: \(pod["metadata"]["uid"].text)")
    }
    if !pod["metadata"]["deletionTimestamp"].isNull {
      throw conflict("pod \(name) is being deleted, cannot be assigned to a host")
    }
    if let node = pod["spec"]["nodeName"].string, !node.isEmpty {
      throw conflict("pod \(name) is already assigned to node \"\(node)\"")
    }
    if !pod["spec"]["schedulingGates"].isEmptyValue {
      throw conflict("pod \(name) has non-empty .spec.schedulingGates")
    }
    pod["spec"]["nodeName"] = binding["target"]["name"]
    for (key, value) in binding["metadata"]["annotations"].object ?? [:] {
      pod["metadata"]["annotations"][key] = value
    }
    setCondition(&pod, ["type": "PodScheduled", "status": "True"], now: now)
  }

  /// Sets a condition of a pod by its type; the transition time moves only when the status changes.
  public static func setCondition(_ pod: inout JSONValue, _ condition: JSONValue, now: String) {
    var conditions = pod["status"]["conditions"].elements
    var condition = condition
    let index = conditions.firstIndex { $0["type"] == condition["type"] }
    let isSame = index.map { conditions[$0]["status"] == condition["status"] } ?? false
    condition["lastTransitionTime"] =
      if isSame, let index { conditions[index]["lastTransitionTime"] } else { .string(now) }
    if let index {
      conditions[index] = condition
    } else {
      conditions.append(condition)
    }
    pod["status"]["conditions"] = .array(conditions)
  }
}
