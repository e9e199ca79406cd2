// What a node may do: to itself, to the pods bound to it, and to what those pods use (spec/7 §7.4).
import JSON
import Replica
import Schema

public struct NodeAuthorizer: Authorizer {
  private static let readVerbs: Set<String> = ["get", "list", "watch"]
  private let store: any ObjectStore

  public init(store: any ObjectStore) { self.store = store }

  public func authorize(_ request: AuthorizationAttributes) async -> AuthorizationDecision {
    guard let node = Self.nodeName(request.user) else { return .noOpinion() }
    guard request.isResourceRequest else {
      return request.verb == "get" && request.path == "/trireme/servers" ? .allow() : .noOpinion()
    }
    return isAllowed(request, node) ? .allow() : .noOpinion()
  }

  /// The node that a user is, proven by name and group.
  static func nodeName(_ user: RequestUser) -> String? {
    let prefix = "system:node:"
    guard user.groups.contains("system:nodes"), user.name.hasPrefix(prefix), user.name.count > prefix.count else {
      return nil
    }
    return String(user.name.dropFirst(prefix.count))
  }

  private func isAllowed(_ request: AuthorizationAttributes, _ node: String) -> Bool {
    switch GroupResource(group: request.apiGroup, resource: request.resource).description {
    case "nodes": mayTouchNode(request, node)
    case "pods": mayTouchPod(request, node)
    case "leases.coordination.k8s.io":
      request.namespace == "kube-node-lease" && isOwnOrCreate(request, node, ["get", "update", "patch", "delete"])
    case "csinodes.storage.k8s.io": isOwnOrCreate(request, node, ["get", "update", "patch", "delete"])
    case "events", "events.events.k8s.io": ["create", "patch", "update"].contains(request.verb)
    case "services", "csidrivers.storage.k8s.io", "runtimeclasses.node.k8s.io":
      Self.readVerbs.contains(request.verb)
    case "endpointslices.discovery.k8s.io": Self.readVerbs.contains(request.verb)
    case "secrets", "configmaps": mayRead(request, node)
    case "persistentvolumeclaims": request.verb == "get" && isUsed(request, node)
    case "persistentvolumes", "volumeattachments.storage.k8s.io": request.verb == "get"
    case "serviceaccounts": mayRequestToken(request, node)
    case "certificatesigningrequests.certificates.k8s.io":
      request.verb == "create" || Self.readVerbs.contains(request.verb)
    case "tokenreviews.authentication.k8s.io", "subjectaccessreviews.authorization.k8s.io",
      "localsubjectaccessreviews.authorization.k8s.io":
      request.verb == "create"
    default: false
    }
  }

  private func isOwnOrCreate(_ request: AuthorizationAttributes, _ node: String, _ verbs: Set<String>) -> Bool {
    request.verb == "create" || (verbs.contains(request.verb) && request.name == node)
  }

  private func mayTouchNode(_ request: AuthorizationAttributes, _ node: String) -> Bool {
    switch (request.subresource, request.verb) {
    case ("", "create"): true
    case ("", "list"), ("", "watch"): request.name == node || selects("metadata.name", node, request)
    case ("", "get"), ("", "update"), ("", "patch"): request.name == node
    case ("status", "get"), ("status", "update"), ("status", "patch"): request.name == node
    default: false
    }
  }

  private func mayTouchPod(_ request: AuthorizationAttributes, _ node: String) -> Bool {
    switch (request.subresource, request.verb) {
    case ("", "create"): true
    case ("", "list"), ("", "watch"): selects("spec.nodeName", node, request)
    case ("", "get"), ("", "delete"), ("eviction", "create"), ("status", "get"), ("status", "update"),
      ("status", "patch"):
      isBound(request.namespace, request.name, to: node)
    default: false
    }
  }

  private func selects(_ field: String, _ value: String, _ request: AuthorizationAttributes) -> Bool {
    guard let selector = try? FieldSelector(parsing: request.fieldSelector) else { return false }
    return selector.requiredValue(of: field) == value
  }

  /// A pod that is gone is nobody's secret: its node hears that it is gone.
  private func isBound(_ namespace: String, _ name: String, to node: String) -> Bool {
    guard let pod = store.current.object(ObjectKey(resource: "pods", namespace: namespace, name: name)) else {
      return true
    }
    return (try? JSONValue(parsing: pod.bytes))?["spec"]["nodeName"].string == node
  }

  private func mayRead(_ request: AuthorizationAttributes, _ node: String) -> Bool {
    guard request.subresource.isEmpty, Self.readVerbs.contains(request.verb), !request.name.isEmpty else {
      return false
    }
    return isUsed(request, node)
  }

  private func mayRequestToken(_ request: AuthorizationAttributes, _ node: String) -> Bool {
    guard request.subresource == "token", request.verb == "create" else { return false }
    return pods(on: node, namespace: request.namespace).contains {
      $0["spec"]["serviceAccountName"].string == request.name
    }
  }

  /// Whether a pod on the node names the object, in volumes, environment or pull secrets.
  private func isUsed(_ request: AuthorizationAttributes, _ node: String) -> Bool {
    pods(on: node, namespace: request.namespace).contains { pod in
      PodReferences(pod).names(request.resource, request.name)
    }
  }

  private func pods(on node: String, namespace: String) -> [JSONValue] {
    guard !namespace.isEmpty else { return [] }
    return store.current.objects(resource: "pods", namespace: namespace, after: nil, limit: 0).objects
      .compactMap { try? JSONValue(parsing: $0.bytes) }.filter { $0["spec"]["nodeName"].string == node }
  }
}

/// The objects that a pod uses by name.
struct PodReferences {
  private let pod: JSONValue
  init(_ pod: JSONValue) { self.pod = pod }

  func names(_ resource: String, _ name: String) -> Bool {
    switch resource {
    case "secrets": secrets.contains(name)
    case "configmaps": configMaps.contains(name)
    case "persistentvolumeclaims": claims.contains(name)
    default: false
    }
  }

  private var containers: [JSONValue] {
    ["containers", "initContainers", "ephemeralContainers"].flatMap { pod["spec"][$0].elements }
  }
  private var volumes: [JSONValue] { pod["spec"]["volumes"].elements }
  private var projections: [JSONValue] { volumes.flatMap { $0["projected"]["sources"].elements } }

  private var secrets: [String] {
    let fromVolumes = volumes.compactMap { $0["secret"]["secretName"].string }
    let fromProjections = projections.compactMap { $0["secret"]["name"].string }
    let fromEnvironment = containers.flatMap { container in
      container["env"].elements.compactMap { $0["valueFrom"]["secretKeyRef"]["name"].string }
        + container["envFrom"].elements.compactMap { $0["secretRef"]["name"].string }
    }
    let pull = pod["spec"]["imagePullSecrets"].elements.compactMap { $0["name"].string }
    return fromVolumes + fromProjections + fromEnvironment + pull
  }

  private var configMaps: [String] {
    let fromVolumes = volumes.compactMap { $0["configMap"]["name"].string }
    let fromProjections = projections.compactMap { $0["configMap"]["name"].string }
    let fromEnvironment = containers.flatMap { container in
      container["env"].elements.compactMap { $0["valueFrom"]["configMapKeyRef"]["name"].string }
        + container["envFrom"].elements.compactMap { $0["configMapRef"]["name"].string }
    }
    return fromVolumes + fromProjections + fromEnvironment
  }

  private var claims: [String] { volumes.compactMap { $0["persistentVolumeClaim"]["claimName"].string } }
}
