// From a CustomResourceDefinition to the kinds it makes: the same descriptors as those of built-in kinds.
import JSON
import Kinds
import Replica
import Schema

/// A definition as far as serving it goes.
struct DefinedKinds: Sendable {
  static let resource = GroupResource(group: "apiextensions.k8s.io", resource: "customresourcedefinitions")

  let definition: JSONValue
  let revision: Revision
  /// The served versions.
  let kinds: [KindDescriptor]
  private let structures: [String: Structure]

  static func key(_ name: String) -> ObjectKey {
    ObjectKey(resource: resource.description, namespace: "", name: name)
  }

  /// `previous`: what was made of an earlier version of the same definition; its schemas are used again where the
  /// definition still says the same. `evaluator` compiles rules.
  init(_ object: StoredObject, previous: DefinedKinds?, types: TypeTable, rules: any RuleCompiler) {
    let definition = object.tree
    self.definition = definition
    revision = object.revision
    let spec = definition["spec"]
    if let previous, previous.definition["spec"] == spec {
      structures = previous.structures
    } else {
      structures = Self.structures(spec, types)
    }
    kinds = Self.isServed(definition) ? Self.descriptors(definition, object, structures, rules, previous) : []
  }

  static func isTrue(_ condition: String, in definition: JSONValue) -> Bool {
    definition["status"]["conditions"].elements.contains { $0["type"].string == condition && $0["status"] == "True" }
  }

  private static func isServed(_ definition: JSONValue) -> Bool { isTrue("Established", in: definition) }

  /// What clients and watches see of a definition: when this changes they must know.
  func servesLike(_ other: DefinedKinds) -> Bool {
    definition["spec"] == other.definition["spec"]
      && definition["status"]["acceptedNames"] == other.definition["status"]["acceptedNames"]
      && definition["metadata"]["uid"] == other.definition["metadata"]["uid"] && kinds.isEmpty == other.kinds.isEmpty
  }

  // MARK: - Making

  private static func structures(_ spec: JSONValue, _ types: TypeTable) -> [String: Structure] {
    guard let objectMeta = types["meta.v1.ObjectMeta"] else {
      preconditionFailure("the type table lacks meta.v1.ObjectMeta")
    }
    var structures: [String: Structure] = [:]
    for version in spec["versions"].elements {
      let name = version["name"].string ?? ""
      let kind = GroupVersionKind(
        group: spec["group"].string ?? "", version: name, kind: spec["names"]["kind"].string ?? "")
      structures[name] = .custom(
        kind, StructuralSchema(version["schema"]["openAPIV3Schema"]), objectMeta: objectMeta)
    }
    return structures
  }

  private static func descriptors(
    _ definition: JSONValue, _ object: StoredObject, _ structures: [String: Structure], _ rules: any RuleCompiler,
    _ previous: DefinedKinds?
  ) -> [KindDescriptor] {
    let spec = definition["spec"]
    let names = definition["status"]["acceptedNames"]
    let group = spec["group"].string ?? ""
    let kindName = names["kind"].string ?? ""
    let storage = spec["versions"].elements.first { $0["storage"] == true }?["name"].string ?? ""
    let isTerminating = isTrue("Terminating", in: definition)
    let defaultsStatus = spec["versions"].elements.contains {
      !$0["schema"]["openAPIV3Schema"]["properties"]["status"]["default"].isNull
    }
    var result: [KindDescriptor] = []
    for version in spec["versions"].elements where version["served"] == true {
      let name = version["name"].string ?? ""
      guard let structure = structures[name], let schema = structure.custom else { continue }
      let kind = GroupVersionKind(group: group, version: name, kind: kindName)
      let scale = scalePaths(version["subresources"]["scale"])
      let custom = CustomKind(
        definition: object.key.name, revision: object.revision, uid: object.uid,
        listKind: names["listKind"].string ?? kindName + "List", schema: schema, schemas: structures,
        conversion: conversion(spec["conversion"]), scale: scale, isTerminating: isTerminating,
        deprecationWarning: deprecationWarning(version, kind, spec), defaultsStatus: defaultsStatus)
      let hasStatus = !version["subresources"]["status"].isNull
      let compiled =
        previous?.kinds.first { $0.structure === structure }.flatMap { ($0.rules as? CustomResourceRules)?.checker }
        ?? (schema.hasRules ? rules.compile(schema) : nil)
      let layout = CustomColumns(version["additionalPrinterColumns"])
      var traits = KindTraits()
      traits.requiresResourceVersionOnUpdate = true
      traits.tracksGeneration = true
      traits.hasStatus = hasStatus
      let descriptor = KindDescriptor(
        kind: kind, resource: names["plural"].string ?? "", singular: names["singular"].string ?? "",
        shortNames: names["shortNames"].elements.compactMap(\.string),
        categories: names["categories"].elements.compactMap(\.string), isNamespaced: spec["scope"] == "Namespaced",
        subresources: subresources(kind, hasStatus: hasStatus, hasScale: scale != nil), structure: structure,
        traits: traits,
        rules: CustomResourceRules(
          kind: kind, schema: schema, layout: layout, hasStatus: hasStatus, scale: scale, checker: compiled),
        columns: layout.columns, selectableFields: selectableFields(version["selectableFields"]),
        custom: custom, storage: GroupVersionKind(group: group, version: storage, kind: kindName))
      result.append(descriptor)
    }
    return result
  }

  private static func subresources(_ kind: GroupVersionKind, hasStatus: Bool, hasScale: Bool) -> [Subresource] {
    let verbs: [Verb] = [.get, .patch, .update]
    var result: [Subresource] = []
    if hasStatus { result.append(Subresource(name: "status", kind: kind, verbs: verbs)) }
    if hasScale { result.append(Subresource(name: "scale", kind: Scale.kind, verbs: verbs)) }
    return result
  }

  private static func names(_ path: JSONValue) -> [String] {
    path.string.flatMap { try? FieldPath($0) }?.names ?? []
  }

  private static func scalePaths(_ scale: JSONValue) -> CustomKind.ScalePaths? {
    guard !scale.isNull else { return nil }
    return CustomKind.ScalePaths(
      specReplicas: names(scale["specReplicasPath"]), statusReplicas: names(scale["statusReplicasPath"]),
      labelSelector: names(scale["labelSelectorPath"]))
  }

  private static func selectableFields(_ fields: JSONValue) -> [(label: String, path: [String])] {
    fields.elements.compactMap { field in
      let path = names(field["jsonPath"])
      return path.isEmpty ? nil : (label: path.joined(separator: "."), path: path)
    }
  }

  private static func conversion(_ conversion: JSONValue) -> CustomKind.Conversion {
    conversion["strategy"] == "Webhook" ? .webhook(conversion["webhook"]) : .none
  }

  private static func deprecationWarning(
    _ version: JSONValue, _ kind: GroupVersionKind, _ spec: JSONValue
  ) -> String? {
    guard version["deprecated"] == true else { return nil }
    if let text = version["deprecationWarning"].string { return text }
    let text = "\(kind.apiVersion) \(kind.kind) is deprecated"
    let newer = spec["versions"].elements.filter { $0["deprecated"] != true && $0["served"] == true }
      .compactMap { $0["name"].string }.filter { APIVersionOrder.precedes($0, kind.version) }
      .min { APIVersionOrder.precedes($0, $1) }
    return newer.map { "\(text); use \(kind.group)/\($0) \(kind.kind)" } ?? text
  }
}
