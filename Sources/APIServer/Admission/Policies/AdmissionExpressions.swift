// What expressions of admission see: object, oldObject, request, params, namespaceObject, authorizer, variables.
import CEL
import JSON
import Kinds
import Schema

enum AdmissionExpressions {
  /// The variables of an expression of admission.
  static func variables(hasParams: Bool, hasAuthorizer: Bool = true) -> [CELVariable] {
    var variables = [
      CELVariable("object"), CELVariable("oldObject"), CELVariable("request", request),
      CELVariable("namespaceObject", namespace),
    ]
    if hasParams { variables.append(CELVariable("params")) }
    if hasAuthorizer {
      variables.append(CELVariable("authorizer", type: .authorizer))
      variables.append(CELVariable("authorizer.requestResource", type: .resourceCheck))
    }
    return variables
  }

  // MARK: Declarations

  private static func object(_ name: String, _ members: [(String, CELSchema)]) -> CELSchema {
    var named: [String: CELSchema.Member] = [:]
    for (member, schema) in members { named[member] = CELSchema.Member(name: member, schema: schema) }
    return CELSchema(.object, typeName: name, members: named, isNullable: true)
  }

  private static let text = CELSchema(.string)
  private static let texts = CELSchema(.list, element: text)

  private static let request: CELSchema = {
    let kind = object(
      "kubernetes.GroupVersionKind", [("group", text), ("version", text), ("kind", text)])
    let resource = object(
      "kubernetes.GroupVersionResource", [("group", text), ("version", text), ("resource", text)])
    let user = object(
      "kubernetes.UserInfo",
      [
        ("username", text), ("uid", text), ("groups", texts), ("extra", CELSchema(.map, element: texts)),
      ])
    return object(
      "kubernetes.AdmissionRequest",
      [
        ("kind", kind), ("resource", resource), ("subResource", text), ("requestKind", kind),
        ("requestResource", resource), ("requestSubResource", text), ("name", text), ("namespace", text),
        ("operation", text), ("userInfo", user), ("dryRun", CELSchema(.bool)), ("options", .any),
      ])
  }()

  private static let namespace: CELSchema = {
    let labels = CELSchema(.map, element: text)
    let time = CELSchema(.dateTime)
    let number = CELSchema(.int)
    let metadata = object(
      "kubernetes.NamespaceMetadata",
      [
        ("name", text), ("generateName", text), ("namespace", text), ("labels", labels), ("annotations", labels),
        ("UID", text), ("creationTimestamp", time), ("deletionGracePeriodSeconds", number),
        ("deletionTimestamp", time), ("generation", number), ("resourceVersion", text), ("finalizers", texts),
      ])
    return object(
      "kubernetes.Namespace",
      [
        ("metadata", metadata), ("spec", object("kubernetes.NamespaceSpec", [("finalizers", texts)])),
        ("status", object("kubernetes.NamespaceStatus", [("phase", text)])),
      ])
  }()

  // MARK: Values

  /// What the variables stand for during this request, seen as one for `kind`.
  static func bindings(
    _ request: AdmissionRequest, as kind: GroupVersionKind, namespace namespaceObject: JSONValue,
    authorizer: any CELAuthorizer
  ) -> CELBindings {
    let own = request.kind
    func seen(_ object: JSONValue) -> CELValue {
      CELValue(EquivalentKinds.converted(object, from: own, to: kind, request.descriptor))
    }
    var bindings = CELBindings()
    bindings["object"] = seen(request.object)
    bindings["oldObject"] = seen(request.oldObject)
    bindings["request"] = view(document(request, as: kind), self.request)
    bindings["namespaceObject"] = view(namespaceObject, namespace)
    bindings["params"] = .null
    bindings["authorizer"] = .authorizer(authorizer)
    var check = CELAuthorizationCheck()
    check.group = request.resource.group
    check.resource = request.resource.resource
    check.subresource = request.subresource
    check.namespace = request.namespace
    check.name = request.name
    bindings["authorizer.requestResource"] = .authorizer(authorizer, asking: check)
    return bindings
  }

  /// Documents made here fit their schemas.
  private static func view(_ document: JSONValue, _ schema: CELSchema) -> CELValue {
    (try? CELValue(document, as: schema)) ?? CELValue(document)
  }

  /// `AdmissionRequest` without the objects; what is empty is absent.
  private static func document(_ request: AdmissionRequest, as kind: GroupVersionKind) -> JSONValue {
    let descriptor = request.descriptor
    let own =
      request.subresource.isEmpty
      ? descriptor.kind : descriptor.subresource(request.subresource)?.kind ?? descriptor.kind
    func document(_ kind: GroupVersionKind) -> JSONValue {
      ["group": .string(kind.group), "version": .string(kind.version), "kind": .string(kind.kind)]
    }
    func resource(_ kind: GroupVersionKind) -> JSONValue {
      ["group": .string(kind.group), "version": .string(kind.version), "resource": .string(descriptor.resource)]
    }
    var user: JSONValue = ["username": .string(request.user.name)]
    if !request.user.uid.isEmpty { user["uid"] = .string(request.user.uid) }
    if !request.user.groups.isEmpty { user["groups"] = .array(request.user.groups.map { .string($0) }) }
    for (key, values) in request.user.extra.sorted(by: { $0.key < $1.key }) {
      if user["extra"].isNull { user["extra"] = [:] }
      user["extra"][key] = .array(values.map { .string($0) })
    }
    var result: JSONValue = [
      "kind": document(own == descriptor.kind ? kind : own), "resource": resource(kind), "requestKind": document(own),
      "requestResource": resource(descriptor.kind),
      "operation": .string(request.operation.rawValue), "userInfo": user, "dryRun": .bool(request.isDryRun),
    ]
    for (member, text) in [
      ("name", request.name), ("namespace", request.namespace), ("subResource", request.subresource),
      ("requestSubResource", request.subresource),
    ] where !text.isEmpty {
      result[member] = .string(text)
    }
    if !request.options.isNull { result["options"] = request.options }
    return result
  }
}
