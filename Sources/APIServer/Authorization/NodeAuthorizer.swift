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
    if isAllowed(request, node, store.current) { return .allow() }
    // The pod that gives the right may have been bound through another server a moment ago.
    guard Self.dependsOnPods(request), let fresh = try? await store.linearizableState(),
      isAllowed(request, node, fresh)
    else { return .noOpinion(reason: NodeRefusal.reason(request, node)) }
    return .allow()
  }

  private static func dependsOnPods(_ request: AuthorizationAttributes) -> Bool {
    guard !request.name.isEmpty else { return false }
    switch request.resource {
    case "pods", "secrets", "configmaps", "persistentvolumeclaims", "persistentvolumes", "serviceaccounts",
      "volumeattachments":
      return true
    default: return false
    }
  }

  /// The node that a user is, proven by name and group.
  static func nodeName(_ user: RequestUser) -> String? {
    let prefix = "system:node:"
    guard user.groups.contains("system:nodes"), user.name.hasPrefix(prefix), user.name.count > prefix.count else {
      return nil
    }
    return String(user.name.dropFirst(prefix.count))
  }

  private func isAllowed(
    _ request: AuthorizationAttributes, _ node: String, _ view: any StateView
  ) -> Bool {
    switch GroupResource(group: request.apiGroup, resource: request.resource).description {
    case "nodes": mayTouchNode(request, node)
    case "pods": mayTouchPod(request, node, view)
    case "leases.coordination.k8s.io":
      request.namespace == "kube-node-lease" && isOwnOrCreate(request, node, ["get", "update", "patch", "delete"])
    case "csinodes.storage.k8s.io": isOwnOrCreate(request, node, ["get", "update", "patch", "delete"])
    case "events", "events.events.k8s.io": ["create", "patch", "update"].contains(request.verb)
    case "services", "csidrivers.storage.k8s.io", "runtimeclasses.node.k8s.io":
      Self.readVerbs.contains(request.verb)
    case "endpointslices.discovery.k8s.io": Self.readVerbs.contains(request.verb)
    case "secrets", "configmaps": mayRead(request, node, view)
    case "persistentvolumeclaims":
      request.subresource.isEmpty
        ? request.verb == "get" && isUsed(request, node, view) : mayResizeClaim(request, node, view)
    case "persistentvolumes": request.verb == "get" && mayReadVolume(request, node, view)
    case "volumeattachments.storage.k8s.io": request.verb == "get" && isAttached(request.name, to: node, view)
    case "serviceaccounts": mayRequestToken(request, node, view)
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

  private func mayTouchPod(_ request: AuthorizationAttributes, _ node: String, _ view: any StateView) -> Bool {
    switch (request.subresource, request.verb) {
    case ("", "create"): true
    case ("", "list"), ("", "watch"): selects("spec.nodeName", node, request)
    case ("", "get"), ("", "delete"), ("eviction", "create"), ("status", "get"), ("status", "update"),
      ("status", "patch"):
      isBound(request.namespace, request.name, to: node, view)
    default: false
    }
  }

  private func selects(_ field: String, _ value: String, _ request: AuthorizationAttributes) -> Bool {
    guard let selector = try? FieldSelector(parsing: request.fieldSelector) else { return false }
    return selector.requiredValue(of: field) == value
  }

  /// A pod that is gone is nobody's secret: its node hears that it is gone.
  private func isBound(_ namespace: String, _ name: String, to node: String, _ view: any StateView) -> Bool {
    guard let pod = view.object(ObjectKey(resource: "pods", namespace: namespace, name: name)) else { return true }
    return pod.nodeName == node
  }

  private func mayRead(_ request: AuthorizationAttributes, _ node: String, _ view: any StateView) -> Bool {
    guard request.subresource.isEmpty, Self.readVerbs.contains(request.verb), !request.name.isEmpty else {
      return false
    }
    return isUsed(request, node, view)
  }

  private func mayResizeClaim(_ request: AuthorizationAttributes, _ node: String, _ view: any StateView) -> Bool {
    request.subresource == "status" && ["get", "update", "patch"].contains(request.verb)
      && isUsed(request, node, view)
  }

  private func mayRequestToken(_ request: AuthorizationAttributes, _ node: String, _ view: any StateView) -> Bool {
    guard request.subresource == "token", request.verb == "create" else { return false }
    return pods(of: node, request.namespace, view).contains {
      $0["spec"]["serviceAccountName"].string == request.name
    }
  }

  /// Those of a namespace that are bound to the node. What is of no namespace is used by none.
  private func pods(of node: String, _ namespace: String, _ view: any StateView) -> some Sequence<JSONValue> {
    (namespace.isEmpty ? [] : view.pods(onNode: node, namespace: namespace, after: nil)).lazy.map(\.tree)
  }

  /// Whether a pod on the node names the object, in volumes, environment or pull secrets.
  private func isUsed(_ request: AuthorizationAttributes, _ node: String, _ view: any StateView) -> Bool {
    pods(of: node, request.namespace, view).contains { pod in
      PodReferences(pod).names(request.resource, request.name)
    }
  }

  /// A volume is its claim's, and the claim is a pod's.
  private func mayReadVolume(_ request: AuthorizationAttributes, _ node: String, _ view: any StateView) -> Bool {
    let key = ObjectKey(resource: "persistentvolumes", namespace: "", name: request.name)
    guard let claim = view.object(key)?.tree["spec"]["claimRef"], let namespace = claim["namespace"].string,
      let name = claim["name"].string
    else { return false }
    return pods(of: node, namespace, view).contains {
      PodReferences($0).names("persistentvolumeclaims", name)
    }
  }

  private func isAttached(_ name: String, to node: String, _ view: any StateView) -> Bool {
    let key = ObjectKey(resource: "volumeattachments.storage.k8s.io", namespace: "", name: name)
    return view.object(key)?.tree["spec"]["nodeName"].string == node
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
    let drivers = ["azureFile": "secretName"]
    let fromDrivers = volumes.flatMap { volume in
      ["cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"].compactMap {
        volume[$0]["secretRef"]["name"].string
      } + [volume["csi"]["nodePublishSecretRef"]["name"].string].compactMap { $0 }
        + drivers.compactMap { volume[$0.key][$0.value].string }
    }
    let pull = pod["spec"]["imagePullSecrets"].elements.compactMap { $0["name"].string }
    return fromVolumes + fromProjections + fromDrivers + fromEnvironment + pull
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

  /// A claim that a pod brings along has the pod's name and the volume's.
  private var claims: [String] {
    let podName = pod["metadata"]["name"].string ?? ""
    return volumes.compactMap { volume in
      if !volume["ephemeral"].isNull { return "\(podName)-\(volume["name"].string ?? "")" }
      return volume["persistentVolumeClaim"]["claimName"].string
    }
  }

  /// Whether the pod names anything of that kind at all: mirror pods may not.
  var namesSecrets: Bool { !secrets.isEmpty }
  var namesConfigMaps: Bool { !configMaps.isEmpty }
  var namesClaims: Bool { !claims.isEmpty }
}
