// What every cluster has from its first moment (spec/2 §2.10, §2.11): namespaces, priority classes, a storage class, flow
// control.
import JSON
import Schema

public enum ClusterBootstrap {
  /// Namespaces that are made at start, and made again when they are gone.
  public static let namespaces: [JSONValue] = ["default", "kube-system", "kube-public", "kube-node-lease"].map {
    ["kind": "Namespace", "apiVersion": "v1", "metadata": ["name": .string($0)]]
  }

  static let systemPriorities: [(name: String, value: Int64, description: String)] = [
    (
      "system-node-critical", 2_000_001_000,
      "Used for system critical pods that must not be moved from their current node."
    ),
    (
      "system-cluster-critical", 2_000_000_000,
      "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."
    ),
  ]

  public static let priorityClasses: [JSONValue] = systemPriorities.map { priority in
    [
      "kind": "PriorityClass", "apiVersion": "scheduling.k8s.io/v1", "metadata": ["name": .string(priority.name)],
      "value": .integer(priority.value), "description": .string(priority.description),
      "preemptionPolicy": "PreemptLowerPriority",
    ]
  }

  /// The class of claims that name none: folders of the node that the first pod comes to. Who wants another default takes
  /// the annotation's word back; the class stays.
  public static let storageClasses: [JSONValue] = [
    [
      "kind": "StorageClass", "apiVersion": "storage.k8s.io/v1",
      "metadata": [
        "name": "local-path", "annotations": ["storageclass.kubernetes.io/is-default-class": "true"],
      ],
      "provisioner": "trireme.io/local-path", "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
    ]
  ]

  // MARK: Flow control

  private static let flowControl = "flowcontrol.apiserver.k8s.io/v1"
  private static let autoUpdate: JSONValue = ["apf.kubernetes.io/autoupdate-spec": "true"]

  /// The priority levels of the reference; `exempt` and `catch-all` must be there and stay as they are.
  public static let priorityLevels: [JSONValue] = {
    func level(_ name: String, _ spec: JSONValue) -> JSONValue {
      [
        "kind": "PriorityLevelConfiguration", "apiVersion": .string(flowControl),
        "metadata": ["name": .string(name), "annotations": autoUpdate], "spec": spec,
      ]
    }
    func queued(
      _ name: String, shares: Int64, lendable: Int64, queues: Int64, handSize: Int64, length: Int64
    ) -> JSONValue {
      let queuing: JSONValue = [
        "queues": .integer(queues), "handSize": .integer(handSize), "queueLengthLimit": .integer(length),
      ]
      return level(
        name,
        [
          "type": "Limited",
          "limited": [
            "nominalConcurrencyShares": .integer(shares), "lendablePercent": .integer(lendable),
            "limitResponse": ["type": "Queue", "queuing": queuing],
          ],
        ])
    }
    return [
      level("exempt", ["type": "Exempt", "exempt": ["nominalConcurrencyShares": 0, "lendablePercent": 0]]),
      level(
        "catch-all",
        [
          "type": "Limited",
          "limited": [
            "nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": ["type": "Reject"],
          ],
        ]),
      queued("system", shares: 30, lendable: 33, queues: 64, handSize: 6, length: 50),
      queued("node-high", shares: 40, lendable: 25, queues: 64, handSize: 6, length: 50),
      queued("leader-election", shares: 10, lendable: 0, queues: 16, handSize: 4, length: 50),
      queued("workload-high", shares: 40, lendable: 50, queues: 128, handSize: 6, length: 50),
      queued("workload-low", shares: 100, lendable: 90, queues: 128, handSize: 6, length: 50),
      queued("global-default", shares: 20, lendable: 50, queues: 128, handSize: 6, length: 50),
    ]
  }()

  /// The flow schemas of the reference.
  public static let flowSchemas: [JSONValue] = {
    let everything: JSONValue = [
      "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"],
    ]
    let anyPath: JSONValue = ["verbs": ["*"], "nonResourceURLs": ["*"]]
    func rule(_ subjects: [JSONValue], _ resources: [JSONValue], paths: [JSONValue] = []) -> JSONValue {
      var result: JSONValue = ["subjects": .array(subjects)]
      if !resources.isEmpty { result["resourceRules"] = .array(resources) }
      if !paths.isEmpty { result["nonResourceRules"] = .array(paths) }
      return result
    }
    func all(_ subjects: JSONValue...) -> JSONValue { rule(subjects, [everything], paths: [anyPath]) }
    let leases: JSONValue = [
      "verbs": ["get", "create", "update"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
      "namespaces": ["*"],
    ]
    let everyone = [group("system:unauthenticated"), group("system:authenticated")]
    let manager = user("system:kube-controller-manager")
    let scheduler = user("system:kube-scheduler")
    let nodeObjects: JSONValue = [
      "verbs": ["*"], "apiGroups": [""], "resources": ["nodes", "nodes/status"], "clusterScope": true,
      "namespaces": ["*"],
    ]
    let nodeLeases: JSONValue = [
      "verbs": ["*"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "clusterScope": false,
      "namespaces": ["*"],
    ]
    let endpoints: JSONValue = [
      "verbs": ["get", "create", "update"], "apiGroups": [""], "resources": ["endpoints"], "clusterScope": false,
      "namespaces": ["*"],
    ]
    let probes: JSONValue = ["verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]]
    return [
      schema("exempt", 1, "exempt", nil, [all(group("system:masters"))]),
      schema("probes", 2, "exempt", nil, [rule(everyone, [], paths: [probes])]),
      schema(
        "system-leader-election", 100, "leader-election", "ByUser",
        [rule([manager, scheduler, account("*")], [leases])]),
      schema(
        "endpoint-controller", 150, "workload-high", "ByUser",
        [
          rule([manager, account("endpoint-controller"), account("endpointslicemirroring-controller")], [endpoints])
        ]),
      schema(
        "workload-leader-election", 200, "leader-election", "ByUser", [rule([account("*")], [leases])]),
      schema(
        "system-node-high", 400, "node-high", "ByUser",
        [rule([group("system:nodes")], [nodeObjects, nodeLeases])]),
      schema("system-nodes", 500, "system", "ByUser", [all(group("system:nodes"))]),
      schema("kube-controller-manager", 800, "workload-high", "ByNamespace", [all(manager)]),
      schema("kube-scheduler", 800, "workload-high", "ByNamespace", [all(scheduler)]),
      schema("kube-system-service-accounts", 900, "workload-high", "ByNamespace", [all(account("*"))]),
      schema("service-accounts", 9000, "workload-low", "ByUser", [all(group("system:serviceaccounts"))]),
      schema("global-default", 9900, "global-default", "ByUser", [rule(everyone, [everything], paths: [anyPath])]),
      schema("catch-all", 10000, "catch-all", "ByUser", [rule(everyone, [everything], paths: [anyPath])]),
    ]
  }()

  private static func group(_ name: String) -> JSONValue { ["kind": "Group", "group": ["name": .string(name)]] }
  private static func user(_ name: String) -> JSONValue { ["kind": "User", "user": ["name": .string(name)]] }
  private static func account(_ name: String) -> JSONValue {
    ["kind": "ServiceAccount", "serviceAccount": ["namespace": "kube-system", "name": .string(name)]]
  }

  private static func schema(
    _ name: String, _ precedence: Int64, _ level: String, _ distinguisher: String?, _ rules: [JSONValue]
  ) -> JSONValue {
    var spec: JSONValue = [
      "priorityLevelConfiguration": ["name": .string(level)], "matchingPrecedence": .integer(precedence),
    ]
    if let distinguisher { spec["distinguisherMethod"] = ["type": .string(distinguisher)] }
    spec["rules"] = .array(rules)
    return [
      "kind": "FlowSchema", "apiVersion": .string(flowControl),
      "metadata": ["name": .string(name), "annotations": autoUpdate], "spec": spec,
    ]
  }
}
