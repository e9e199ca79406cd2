// The default roles and bindings of a cluster (spec/8 §8.3), as objects ready to be created.
import JSON
import Schema

public enum RBACBootstrap {
  static let group = "rbac.authorization.k8s.io"
  private static let controllerPrefix = "system:controller:"
  private static let aggregationPrefix = "rbac.authorization.k8s.io/aggregate-to-"

  /// Every default ClusterRole. Roles that aggregate others come with the rules of the default ones already in them.
  public static let clusterRoles: [JSONValue] = {
    let named = parse(clusterRoleTable)
    let controllers = parse(controllerRoleTable).map { ParsedRole(name: controllerPrefix + $0.name, rules: $0.rules) }
    return (named + controllers).map { clusterRole($0, among: named) }
  }()

  /// Every default ClusterRoleBinding.
  public static let clusterRoleBindings: [JSONValue] = {
    let authenticated = subject("Group", "system:authenticated")
    var bindings = [
      binding("cluster-admin", [subject("Group", "system:masters")]),
      binding("system:basic-user", [authenticated]), binding("system:discovery", [authenticated]),
      binding("system:public-info-viewer", [authenticated, subject("Group", "system:unauthenticated")]),
      binding("system:monitoring", [subject("Group", "system:monitoring")]),
      // Nodes are let in by the node authorizer.
      binding("system:node", []), binding("system:node-proxier", [subject("User", "system:kube-proxy")]),
      binding("system:kube-controller-manager", [subject("User", "system:kube-controller-manager")]),
      binding("system:kube-scheduler", [subject("User", "system:kube-scheduler")]),
      binding("system:volume-scheduler", [subject("User", "system:kube-scheduler")]),
      binding("system:kube-dns", [serviceAccount("kube-dns")]),
      binding("system:service-account-issuer-discovery", [subject("Group", "system:serviceaccounts")]),
    ]
    for role in parse(controllerRoleTable) {
      bindings.append(binding(controllerPrefix + role.name, [serviceAccount(role.name)]))
    }
    return bindings
  }()

  /// Every default Role, with its namespace in its metadata.
  public static let roles: [JSONValue] = parse(namespacedRoleTable).map { role in
    let parts = role.name.split(separator: "/", maxSplits: 1).map(String.init)
    return object("Role", parts[1], namespace: parts[0], [("rules", .array(role.rules.compactMap(rule)))])
  }

  /// Every default RoleBinding.
  public static let roleBindings: [JSONValue] = {
    let manager = "system:kube-controller-manager"
    let scheduler = "system:kube-scheduler"
    func locking(_ component: String) -> JSONValue {
      roleBinding(
        "system::leader-locking-\(component)", "kube-system", role: "system::leader-locking-\(component)",
        [subject("User", "system:\(component)"), serviceAccount(component)])
    }
    func controller(_ name: String, in namespace: String) -> JSONValue {
      roleBinding(
        controllerPrefix + name, namespace, role: controllerPrefix + name, [serviceAccount(name)])
    }
    return [
      roleBinding(
        "system::extension-apiserver-authentication-reader", "kube-system",
        role: "extension-apiserver-authentication-reader", [subject("User", manager), subject("User", scheduler)]),
      locking("kube-controller-manager"), locking("kube-scheduler"),
      controller("bootstrap-signer", in: "kube-system"), controller("cloud-provider", in: "kube-system"),
      controller("token-cleaner", in: "kube-system"), controller("bootstrap-signer", in: "kube-public"),
    ]
  }()

  static let namespacedRoleTable = #"""
    kube-system/extension-apiserver-authentication-reader
      READ core: configmaps [extension-apiserver-authentication]
    kube-system/system::leader-locking-kube-controller-manager
      watch core: configmaps
      get,update core: configmaps [kube-controller-manager]
    kube-system/system::leader-locking-kube-scheduler
      watch core: configmaps
      get,update core: configmaps [kube-scheduler]
    kube-system/system:controller:bootstrap-signer
      READ core: secrets
    kube-system/system:controller:cloud-provider
      create,get,list,watch core: configmaps
    kube-system/system:controller:token-cleaner
      delete,get,list,watch core: secrets
      create,patch,update core/events: events
    kube-public/system:controller:bootstrap-signer
      READ core: configmaps
      update core: configmaps [cluster-info]
      create,patch,update core/events: events
    """#

  // MARK: Objects

  private static func object(
    _ kind: String, _ name: String, namespace: String? = nil, labels: [String] = [], _ members: [(String, JSONValue)]
  ) -> JSONValue {
    var metadata: JSONValue = [
      "name": .string(name),
      "annotations": ["rbac.authorization.kubernetes.io/autoupdate": "true"],
      "labels": ["kubernetes.io/bootstrapping": "rbac-defaults"],
    ]
    if let namespace { metadata["namespace"] = .string(namespace) }
    for label in labels { metadata["labels"][label] = "true" }
    var result: JSONValue = [
      "kind": .string(kind), "apiVersion": .string("\(group)/v1"), "metadata": metadata,
    ]
    for (name, value) in members { result[name] = value }
    return result
  }

  private static func clusterRole(_ role: ParsedRole, among all: [ParsedRole]) -> JSONValue {
    var members: [(String, JSONValue)] = []
    if let label = role.aggregatedLabel {
      members.append(
        ("aggregationRule", ["clusterRoleSelectors": [["matchLabels": .object([label: "true"])]]]))
    }
    members.append(("rules", .array(role.allRules(among: all).compactMap(rule))))
    return object("ClusterRole", role.name, labels: role.labels, members)
  }

  private static func subject(_ kind: String, _ name: String) -> JSONValue {
    ["kind": .string(kind), "apiGroup": .string(group), "name": .string(name)]
  }
  private static func serviceAccount(_ name: String) -> JSONValue {
    ["kind": "ServiceAccount", "name": .string(name), "namespace": "kube-system"]
  }
  private static func reference(_ kind: String, _ name: String) -> JSONValue {
    ["apiGroup": .string(group), "kind": .string(kind), "name": .string(name)]
  }
  private static func binding(_ name: String, _ subjects: [JSONValue]) -> JSONValue {
    var members: [(String, JSONValue)] = subjects.isEmpty ? [] : [("subjects", .array(subjects))]
    members.append(("roleRef", reference("ClusterRole", name)))
    return object("ClusterRoleBinding", name, members)
  }
  private static func roleBinding(
    _ name: String, _ namespace: String, role: String, _ subjects: [JSONValue]
  ) -> JSONValue {
    object(
      "RoleBinding", name, namespace: namespace,
      [("subjects", .array(subjects)), ("roleRef", reference("Role", role))])
  }

  // MARK: The tables

  private struct ParsedRole {
    var name: String
    var rules: [String]

    /// The label whose roles this one gathers.
    var aggregatedLabel: String? {
      rules.first { $0.hasPrefix("aggregates ") }.map { String($0.dropFirst("aggregates ".count)) }
    }
    /// Labels by which others gather this one: admin ⊃ edit ⊃ view.
    var labels: [String] {
      switch name {
      case "edit": [aggregationPrefix + "admin"]
      case "view": [aggregationPrefix + "edit"]
      case _ where name.hasPrefix("system:aggregate-to-"):
        [aggregationPrefix + name.dropFirst("system:aggregate-to-".count)]
      default: []
      }
    }
    func allRules(among all: [ParsedRole]) -> [String] {
      guard let label = aggregatedLabel else { return rules }
      return all.filter { $0.labels.contains(label) }.flatMap { $0.allRules(among: all) }
    }
  }

  private static func parse(_ table: String) -> [ParsedRole] {
    var roles: [ParsedRole] = []
    var continued = ""
    for line in table.split(separator: "\n") {
      var text = String(line.drop { $0 == " " })
      if text.hasSuffix(" \\") {
        continued += text.dropLast(2)
        continue
      }
      text = continued + text
      if line.first == " " {
        precondition(!roles.isEmpty, "a rule before any role")
        roles[roles.count - 1].rules.append(text)
      } else {
        roles.append(ParsedRole(name: text, rules: []))
      }
      continued = ""
    }
    return roles
  }

  private static let groupNames = [
    "core": "", "events": "events.k8s.io", "rbac": group, "metrics": "metrics.k8s.io",
    "custom.metrics": "custom.metrics.k8s.io", "external.metrics": "external.metrics.k8s.io", "apps": "apps",
    "extensions": "extensions", "autoscaling": "autoscaling", "batch": "batch", "policy": "policy", "*": "*",
  ]

  private static func verbs(_ text: Substring) -> [String] {
    let read = ["get", "list", "watch"]
    let write = ["create", "delete", "deletecollection", "patch", "update"]
    switch text {
    case "READ": return read
    case "WRITE": return write
    case "RW": return (read + write).sorted()
    default: return text.split(separator: ",").map(String.init)
    }
  }

  /// A rule line as a PolicyRule; nil for "aggregates".
  private static func rule(_ text: String) -> JSONValue? {
    if text.hasPrefix("aggregates ") { return nil }
    func array(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
    let words = text.split(separator: " ")
    precondition(words.count >= 2, "a rule is VERBS GROUPS: RESOURCES, or VERBS PATHS: \(text)")
    guard words[1].hasSuffix(":") else {
      return ["nonResourceURLs": array(words.dropFirst().map(String.init)), "verbs": array(verbs(words[0]))]
    }
    let groups = words[1].dropLast().split(separator: "/").map { name in
      groupNames[String(name)] ?? "\(name).k8s.io"
    }
    let resources = words[2].split(separator: ",").map(String.init)
    var result: JSONValue = ["apiGroups": array(groups), "resources": array(resources)]
    if words.count > 3 {
      let names = words[3...].joined().drop { $0 == "[" }.prefix { $0 != "]" }
      result["resourceNames"] = array(names.split(separator: ",").map(String.init))
    }
    result["verbs"] = array(verbs(words[0]))
    return result
  }
}
