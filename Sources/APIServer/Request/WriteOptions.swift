// The options of writes: dry run, field validation, field manager (spec/1 §1.5), and those of deletion (spec/2 §2.8).
import JSON
import Schema

struct WriteOptions: Sendable {
  var isDryRun = false
  /// As sent; "" when absent.
  var requestedManager = ""
  /// What managedFields record: the manager asked for, else the client's name from its User-Agent.
  var fieldManager = ""
  var fieldValidation = FieldValidation.warn
  /// Apply patches only: take fields over from other managers.
  var force: Bool?

  /// `kind`: "CreateOptions", "UpdateOptions", "PatchOptions".
  init(_ query: Query, kind: String, userAgent: String?, patchIsApply: Bool? = nil) throws(APIStatus) {
    var errors: [FieldError] = []
    for value in query.values("dryRun") where !value.isEmpty {
      isDryRun = true
      if value != "All" {
        errors.append(.notSupported("dryRun", .string(value), supported: ["All"]))
      }
    }
    requestedManager = query["fieldManager"] ?? ""
    if let error = FieldManagerName.check(requestedManager, isRequired: patchIsApply == true) { errors.append(error) }
    if let text = query["fieldValidation"], !text.isEmpty {
      if let value = FieldValidation(rawValue: text) {
        fieldValidation = value
      } else {
        errors.append(
          .notSupported("fieldValidation", .string(text), supported: ["", "Ignore", "Strict", "Warn"]))
      }
    }
    force = query.flag("force")
    if patchIsApply == false, force != nil {
      errors.append(.forbidden("force", "may not be specified for non-apply patch"))
    }
    guard errors.isEmpty else {
      throw .invalid(GroupVersionKind(group: "meta.k8s.io", version: "v1", kind: kind), "", errors)
    }
    fieldManager = FieldManagerName.of(parameter: requestedManager, userAgent: userAgent)
  }

  /// The options as admission plugins see them.
  func tree(kind: String) -> JSONValue {
    var tree: JSONValue = ["kind": .string(kind), "apiVersion": "meta.k8s.io/v1"]
    if isDryRun { tree["dryRun"] = ["All"] }
    if !requestedManager.isEmpty { tree["fieldManager"] = .string(requestedManager) }
    return tree
  }
}

enum PropagationPolicy: String, Sendable, Hashable, CaseIterable {
  case foreground = "Foreground"
  case background = "Background"
  case orphan = "Orphan"
}

struct DeleteOptions: Sendable {
  var gracePeriodSeconds: Int64?
  var propagationPolicy: PropagationPolicy?
  var orphanDependents: Bool?
  var preconditionUID: String?
  var preconditionResourceVersion: String?
  var isDryRun = false
  /// For admission plugins.
  var tree: JSONValue = ["kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"]

  init() {}

  /// From the body where there is one (a decoded DeleteOptions), else from the query.
  init(body: JSONValue?, query: Query) throws(APIStatus) {
    var tree = body ?? .null
    if body == nil {
      if let text = query["gracePeriodSeconds"], !text.isEmpty {
        guard let value = Int64(text) else {
          throw .badRequest("strconv.ParseInt: parsing \"\(text)\": invalid syntax")
        }
        tree["gracePeriodSeconds"] = .integer(value)
      }
      if let policy = query["propagationPolicy"], !policy.isEmpty { tree["propagationPolicy"] = .string(policy) }
      if let orphan = query.flag("orphanDependents") { tree["orphanDependents"] = .bool(orphan) }
      let dryRun = query.values("dryRun").filter { !$0.isEmpty }
      if !dryRun.isEmpty { tree["dryRun"] = .array(dryRun.map { .string($0) }) }
    }
    var errors: [FieldError] = []
    gracePeriodSeconds = tree["gracePeriodSeconds"].integer
    orphanDependents = tree["orphanDependents"].bool
    if let policy = tree["propagationPolicy"].string {
      propagationPolicy = PropagationPolicy(rawValue: policy)
      if propagationPolicy == nil {
        errors.append(
          .notSupported(
            "propagationPolicy", .string(policy),
            supported: [
              PropagationPolicy.foreground.rawValue, PropagationPolicy.background.rawValue,
              PropagationPolicy.orphan.rawValue, "nil",
            ]))
      }
      if orphanDependents != nil {
        errors.insert(
          .invalid(
            "propagationPolicy", .string(policy),
            "orphanDependents and deletionPropagation cannot be both set"), at: 0)
      }
    }
    for value in tree["dryRun"].elements {
      isDryRun = true
      if value != "All" { errors.append(.notSupported("dryRun", value, supported: ["All"])) }
    }
    preconditionUID = tree["preconditions"]["uid"].string
    preconditionResourceVersion = tree["preconditions"]["resourceVersion"].string
    guard errors.isEmpty else {
      throw .invalid(GroupVersionKind(group: "meta.k8s.io", version: "v1", kind: "DeleteOptions"), "", errors)
    }
    tree["kind"] = "DeleteOptions"
    tree["apiVersion"] = "meta.k8s.io/v1"
    self.tree = tree
  }
}
