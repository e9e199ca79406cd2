// componentstatuses: three objects that nobody stores, made when somebody asks for them. Deprecated for years, and asked
// for all the same. The loops are as well as their leases are fresh; the store is as well as it can be read.
import HTTP
import JSON
import Replica
import Schema
import World

extension APIServer {
  static let componentStatuses = GroupResource(group: "", resource: "componentstatuses")
  private static let componentStatusWarning = "v1 ComponentStatus is deprecated in v1.19+"

  func componentStatuses(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    let isList = request.info.verb == "list"
    let presenter = try request.presenter(isList: isList)
    let options = try ListOptions(isList ? request.query : Query(), isWatch: false)
    let selection = try ObjectSelection(
      kind: request.kind, namespace: "", name: request.name, labelSelector: options.labelSelector,
      fieldSelector: options.fieldSelector)
    let objects = await componentStatuses(now: request.now).map { status in
      StoredObject(
        key: request.key(status["metadata"]["name"].string ?? ""), revision: 0, uid: "", bytes: status.bytes,
        revisionOffset: 0, labels: [:])
    }.filter(selection.matches)
    var response: HTTPResponse
    if isList {
      response = try await respond(Page(objects: objects, revision: 0), presenter)
    } else {
      guard let object = objects.first else { throw .notFound(request.resource, request.name) }
      response = try presenter.response(Answer(content: .stored(object)))
    }
    for warning in Warnings.headers([Self.componentStatusWarning]) { response.headers.add("warning", warning) }
    return response
  }

  private func componentStatuses(now: WallTime) async -> [JSONValue] {
    var storeProblem: String?
    let state: any StateView
    do { state = try await store.linearizableState() } catch {
      state = store.current
      storeProblem = "\(error)"
    }
    return [
      Self.componentStatus(
        "controller-manager", problem: Self.leaseProblem("kube-controller-manager", in: state, now: now)),
      Self.componentStatus("etcd-0", problem: storeProblem),
      Self.componentStatus("scheduler", problem: Self.leaseProblem("kube-scheduler", in: state, now: now)),
    ]
  }

  private static func componentStatus(_ name: String, problem: String?) -> JSONValue {
    var condition: JSONValue = ["type": "Healthy", "status": problem == nil ? "True" : "False"]
    if let problem { condition["error"] = .string(problem) } else { condition["message"] = "ok" }
    return [
      "kind": "ComponentStatus", "apiVersion": "v1", "metadata": ["name": .string(name), "creationTimestamp": .null],
      "conditions": [condition],
    ]
  }

  /// Why nobody does this loop's work, nil when somebody does.
  private static func leaseProblem(_ name: String, in state: any StateView, now: WallTime) -> String? {
    let key = ObjectKey(resource: "leases.coordination.k8s.io", namespace: "kube-system", name: name)
    guard let lease = state.object(key)?.tree["spec"], let holder = lease["holderIdentity"].string, !holder.isEmpty
    else { return "nobody holds the lease kube-system/\(name)" }
    let renewed = WallTime(rfc3339: lease["renewTime"].string ?? "")?.secondsSinceEpoch ?? 0
    let end = renewed + (lease["leaseDurationSeconds"].integer ?? 0)
    return end < now.secondsSinceEpoch ? "\(holder) has not renewed the lease kube-system/\(name) in time" : nil
  }
}
