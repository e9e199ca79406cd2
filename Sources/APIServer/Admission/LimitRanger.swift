// LimitRanges: what pods and claims of a namespace ask for when they say nothing, and between which bounds they may ask
// (spec/8 §8.4).
import JSON
import Kinds
import Replica
import Schema

private let pods = GroupResource(group: "", resource: "pods")
private let claims = GroupResource(group: "", resource: "persistentvolumeclaims")
private let limitRanges = GroupResource(group: "", resource: "limitranges")

/// Every item of every LimitRange of a namespace, those that other servers wrote a moment ago excepted.
private func items(_ type: String, _ request: AdmissionRequest, _ objects: ObjectLookup) -> [JSONValue] {
  objects.objects(limitRanges, namespace: request.namespace)
    .filter { $0["metadata"]["deletionTimestamp"].isNull }
    .flatMap { $0["spec"]["limits"].elements }.filter { $0["type"].string == type }
}

/// Fills in what containers do not say.
public struct LimitRangeDefaults: MutatingAdmission {
  public let name = "LimitRanger"
  private static let annotation = "kubernetes.io/limit-ranger"
  /// Annotations longer than this are refused, and with them the pod: nothing more needs to be filled in.
  private static let annotationBytesMaximum = 256 << 10
  public init() {}

  /// The last that is said of each resource, in the order in which they are first spoken of.
  private struct Defaults {
    private(set) var values: [(resource: String, value: JSONValue)] = []
    private var positions: [String: Int] = [:]

    mutating func add(_ object: JSONObject?) {
      for (resource, value) in object ?? JSONObject() {
        if let position = positions[resource] {
          values[position].value = value
        } else {
          positions[resource] = values.count
          values.append((resource, value))
        }
      }
    }

    /// Fills in what some amounts do not say: which resources.
    func fill(_ amounts: inout JSONValue) -> [String] {
      let given = amounts.object ?? JSONObject()
      let said = Set(given.lazy.filter { !$0.value.isNull }.map(\.key))
      var set: [String] = []
      var added: [JSONObject.Member] = []
      for (resource, value) in values where !said.contains(resource) {
        set.append(resource)
        added.append((resource, value))
      }
      guard !set.isEmpty else { return [] }
      amounts = .object(JSONObject(uniqueMembers: given.filter { said.contains($0.key) } + added))
      return set
    }
  }

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    operation == .create && resource == pods && subresource.isEmpty
  }

  public func admit(_ request: inout AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) {
    var limits = Defaults()
    var requests = Defaults()
    for item in items("Container", request, objects) {
      limits.add(item["default"].object)
      requests.add(item["defaultRequest"].object)
    }
    guard !limits.values.isEmpty || !requests.values.isEmpty else { return }
    var notes: [String] = []
    var room = Self.annotationBytesMaximum
    for (list, label) in [("containers", "container"), ("initContainers", "init container")] {
      request.object["spec"][list].mutateElements { container in
        let name = container["name"].string ?? ""
        for (kind, defaults) in [("requests", requests), ("limits", limits)] where room > 0 {
          var amounts = container["resources"][kind]
          let set = defaults.fill(&amounts)
          guard !set.isEmpty else { continue }
          container["resources"][kind] = amounts
          let singular = kind.dropLast()
          notes.append("\(set.sorted().joined(separator: ", ")) \(singular) for \(label) \(name)")
          room -= notes.last?.utf8.count ?? 0
        }
      }
    }
    guard !notes.isEmpty else { return }
    request.object["metadata"]["annotations"][Self.annotation] = .string(
      "LimitRanger plugin set: \(notes.joined(separator: "; "))")
  }
}

/// Refuses what is out of bounds.
public struct LimitRangeBounds: ValidatingAdmission {
  public let name = "LimitRanger"
  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    guard subresource.isEmpty else { return false }
    return (resource == pods && operation == .create)
      || (resource == claims && (operation == .create || operation == .update))
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    var problems: [String] = []
    if request.resource == claims {
      for item in items("PersistentVolumeClaim", request, objects) {
        let asked = ResourceAmounts(request.object["spec"]["resources"]["requests"])
        problems += Self.claimProblems(item, asked)
      }
    } else {
      let own = ["initContainers", "containers"].flatMap { request.object["spec"][$0].elements }
      for item in items("Container", request, objects) {
        for container in own {
          problems += Self.problems(
            item, requests: ResourceAmounts(container["resources"]["requests"]),
            limits: ResourceAmounts(container["resources"]["limits"]))
        }
      }
      for item in items("Pod", request, objects) {
        problems += Self.problems(
          item, requests: PodResources(request.object).amounts("requests"),
          limits: PodResources(request.object).amounts("limits"))
      }
    }
    guard !problems.isEmpty else { return .allowed }
    throw request.forbidden(problems.count == 1 ? problems[0] : "[\(problems.joined(separator: ", "))]")
  }

  private static func bounds(_ item: JSONValue, _ member: String) -> [(name: String, quantity: Quantity)] {
    ResourceAmounts(item[member]).amounts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  private static func problems(
    _ item: JSONValue, requests: ResourceAmounts, limits: ResourceAmounts
  ) -> [String] {
    let type = item["type"].string ?? ""
    var problems: [String] = []
    for (name, bound) in bounds(item, "min") {
      let start = "minimum \(name) usage per \(type) is \(bound)"
      if let asked = requests[name] {
        if asked < bound {
          problems.append("\(start), but request is \(asked)")
        } else if let limit = limits[name], limit < bound {
          problems.append("\(start), but limit is \(limit)")
        }
      } else {
        problems.append("\(start).  No request is specified")
      }
    }
    for (name, bound) in bounds(item, "max") {
      let start = "maximum \(name) usage per \(type) is \(bound)"
      if let limit = limits[name] {
        if limit > bound {
          problems.append("\(start), but limit is \(limit)")
        } else if let asked = requests[name], asked > bound {
          problems.append("\(start), but request is \(asked)")
        }
      } else {
        problems.append("\(start).  No limit is specified")
      }
    }
    for (name, bound) in bounds(item, "maxLimitRequestRatio") {
      if let problem = ratioProblem(name, type, bound, requests[name], limits[name]) { problems.append(problem) }
    }
    return problems
  }

  private static func ratioProblem(
    _ name: String, _ type: String, _ bound: Quantity, _ request: Quantity?, _ limit: Quantity?
  ) -> String? {
    let start = "\(name) max limit to request ratio per \(type) is \(bound)"
    guard let request, !request.isZero else { return "\(start), but no request is specified or request is 0" }
    guard let limit, !limit.isZero else { return "\(start), but no limit is specified or limit is 0" }
    let ratio = limit.approximateDouble / request.approximateDouble
    guard ratio > bound.approximateDouble else { return nil }
    return "\(start), but provided ratio is \(ratio.goFixedText)"
  }

  private static func claimProblems(_ item: JSONValue, _ asked: ResourceAmounts) -> [String] {
    var problems: [String] = []
    for (word, member) in [("minimum", "min"), ("maximum", "max")] {
      for (name, bound) in bounds(item, member) {
        let start = "\(word) \(name) usage per PersistentVolumeClaim is \(bound)"
        guard let request = asked[name] else {
          problems.append("\(start).  No request is specified")
          continue
        }
        if member == "min" ? request < bound : request > bound {
          problems.append("\(start), but request is \(request)")
        }
      }
    }
    return problems
  }
}
