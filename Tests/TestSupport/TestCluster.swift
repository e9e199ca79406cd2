// An API server in memory, in virtual time.
import APIServer
import Client
import HTTP
import JSON
import Kinds
import Logging
import Replica
import Schema
import TLS
import World

/// One API server over a store in memory; everything on the thread of the test.
public struct TestCluster: Sendable {
  public let world: VirtualWorld
  public let store: LocalStore
  public let server: APIServer
  public let logger: Logger

  /// A server with the authorization and admission of a real one, and the objects that always exist.
  public init(seed: UInt64 = 1) throws {
    let world = VirtualWorld(seed: seed)
    self.world = world
    let store = LocalStore(world: world)
    self.store = store
    let security = SecurityParts(store: store, tokenKey: try .generateP256(), world: world)
    server = APIServer(
      store: store, dependencies: security.dependencies(checks: { [] }), currentWorld: { world })
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    self.logger = logger
    let admin = client()
    try world.run {
      for namespace in ClusterBootstrap.namespaces { try await admin.create(.namespaces, namespace) }
      for role in RBACBootstrap.clusterRoles { try await admin.create(Self.clusterRoles, role) }
      for binding in RBACBootstrap.clusterRoleBindings { try await admin.create(Self.clusterRoleBindings, binding) }
      for role in RBACBootstrap.roles {
        try await admin.create(Self.roles, namespace: role["metadata"]["namespace"].string ?? "", role)
      }
      for binding in RBACBootstrap.roleBindings {
        try await admin.create(Self.roleBindings, namespace: binding["metadata"]["namespace"].string ?? "", binding)
      }
      for priority in ClusterBootstrap.priorityClasses { try await admin.create(.priorityClasses, priority) }
      for storage in ClusterBootstrap.storageClasses { try await admin.create(.storageClasses, storage) }
    }
  }

  /// So much is written that the store no longer knows how it was before.
  public func outliveHistory() throws {
    let value = JSONValue.string(String(repeating: "x", count: 100_000))
    let object = UnversionedObject(tree: ["metadata": ["name": "x"], "value": value])
    for _ in 0..<4096 {
      _ = try store.commitNow(
        Command(mutations: [.put(ObjectKey(resource: "x", namespace: "", name: "x"), object)]))
    }
  }

  private static let group = "rbac.authorization.k8s.io"
  private static let clusterRoles = ResourceReference(group, "v1", "clusterroles", "ClusterRole", namespaced: false)
  private static let clusterRoleBindings = ResourceReference(
    group, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced: false)
  private static let roles = ResourceReference(group, "v1", "roles", "Role")
  private static let roleBindings = ResourceReference(group, "v1", "rolebindings", "RoleBinding")

  /// `user`: "admin" may do everything; "system:…" what the built-in roles allow, in the groups it has in production.
  public func transport(_ user: String, fence: TrustedContext.Fence? = nil) -> InProcessTransport {
    var groups: [String] = []
    if user == "admin" { groups = ["system:masters"] }
    if user.hasPrefix("system:node:") { groups = ["system:nodes"] }
    if user.hasPrefix("system:serviceaccount:kube-system:") {
      groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system"]
    }
    return InProcessTransport(handler: server, identity: TrustedContext(user: user, groups: groups, fence: fence))
  }

  public func client(_ user: String = "admin", fence: TrustedContext.Fence? = nil) -> APIClient {
    APIClient(transport: transport(user, fence: fence), world: world, userAgent: "\(user)/1 (test)")
  }
}

/// Objects of the stories.
public enum Fixture {
  public static func deployment(
    _ name: String, replicas: Int64, image: String = "web:1", minReadySeconds: Int64 = 0, namespace: String = "default"
  ) -> JSONValue {
    [
      "apiVersion": "apps/v1", "kind": "Deployment",
      "metadata": ["name": .string(name), "namespace": .string(namespace), "labels": ["app": .string(name)]],
      "spec": [
        "replicas": .integer(replicas), "minReadySeconds": .integer(minReadySeconds),
        "selector": ["matchLabels": ["app": .string(name)]],
        "template": [
          "metadata": ["labels": ["app": .string(name)]],
          "spec": ["containers": [["name": "main", "image": .string(image)]]],
        ],
      ],
    ]
  }

  public static func service(_ name: String, selector: JSONValue, port: Int64 = 80, namespace: String = "default")
    -> JSONValue
  {
    [
      "apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name), "namespace": .string(namespace)],
      "spec": ["selector": selector, "ports": [["port": .integer(port)]]],
    ]
  }

  public static func pod(
    _ name: String, node: String = "", labels: JSONValue = [:], cpu: String = "", namespace: String = "default"
  ) -> JSONValue {
    var pod: JSONValue = [
      "apiVersion": "v1", "kind": "Pod",
      "metadata": ["name": .string(name), "namespace": .string(namespace), "labels": labels],
      "spec": ["containers": [["name": "main", "image": "web:1"]]],
    ]
    if !cpu.isEmpty {
      pod["spec"]["containers"] = [
        ["name": "main", "image": "web:1", "resources": ["requests": ["cpu": .string(cpu)]]]
      ]
    }
    if !node.isEmpty { pod["spec"]["nodeName"] = .string(node) }
    return pod
  }

  public static func node(_ name: String, cpu: String = "4", pods: String = "110", labels: [String: String] = [:])
    -> JSONValue
  {
    var all: JSONValue = ["kubernetes.io/hostname": .string(name)]
    for (key, value) in labels.sorted(by: { $0.key < $1.key }) { all[key] = .string(value) }
    let resources: JSONValue = ["cpu": .string(cpu), "memory": "8Gi", "pods": .string(pods)]
    return [
      "apiVersion": "v1", "kind": "Node", "metadata": ["name": .string(name), "labels": all],
      "status": [
        "capacity": resources, "allocatable": resources,
        "conditions": [["type": "Ready", "status": "True", "reason": "KubeletReady"]],
      ],
    ]
  }
}
