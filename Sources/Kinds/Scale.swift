// The scale subresource: the size of a workload, seen and set without its other fields.
import JSON
import Schema

/// autoscaling/v1 Scale of replication controllers, replica sets, deployments and stateful sets.
public enum Scale {
  public static let kind = GroupVersionKind(group: "autoscaling", version: "v1", kind: "Scale")

  /// The Scale of a workload.
  public static func of(_ object: JSONValue) -> JSONValue {
    var metadata: JSONValue = [:]
    for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
      metadata[name] = object["metadata"][name]
    }
    var scale: JSONValue = ["kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata]
    let replicas = object["spec"]["replicas"].integer ?? 0
    // Zero is left out of a spec, but not of a status.
    scale["spec"] = replicas == 0 ? [:] : ["replicas": .integer(replicas)]
    scale["status"] = ["replicas": .integer(object["status"]["replicas"].integer ?? 0)]
    let selector = selectorText(object["spec"]["selector"])
    if !selector.isEmpty { scale["status"]["selector"] = .string(selector) }
    return scale
  }

  private static let table = TableLayout("Name, Desired#, Available#, Age") { scale, now in
    [
      Cells.name(scale), Cells.count(scale["spec"]["replicas"]), Cells.count(scale["status"]["replicas"]),
      Cells.age(scale, now),
    ]
  }

  /// The Scales of a kind of workload, as far as printing them goes.
  public static func printed(of workload: KindDescriptor) -> KindDescriptor {
    KindDescriptor(
      kind: kind, resource: workload.resource, singular: workload.singular, shortNames: workload.shortNames,
      categories: workload.categories, isNamespaced: workload.isNamespaced, verbs: workload.verbs,
      subresources: workload.subresources, structure: workload.structure, traits: workload.traits,
      rules: TabledRules(rules: workload.rules, layout: table), columns: table.columns,
      selectableFields: workload.selectableFields, custom: workload.custom)
  }

  /// Sets the size of the workload; nothing else of the Scale counts.
  public static func apply(_ scale: JSONValue, to object: inout JSONValue) {
    object["spec"]["replicas"] = .integer(scale["spec"]["replicas"].integer ?? 0)
  }

  /// Everything wrong with a Scale beside its metadata.
  public static func validate(_ scale: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.nonNegative(scale["spec"]["replicas"], "spec.replicas")
    return checks.errors
  }

  /// A selector as a query: of a LabelSelector, or of the plain map of a replication controller.
  static func selectorText(_ selector: JSONValue) -> String {
    guard case .object(let members) = selector else { return "" }
    let isPlainMap = members.contains { $0.value.string != nil }
    if isPlainMap { return LabelSelector(matchLabels: selector.stringMap).description }
    return (try? LabelSelector(selector))?.description ?? ""
  }
}
