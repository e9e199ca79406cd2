// Why a node may not do something, in the reference's words: what kubelets' logs are searched for.
import Schema

enum NodeRefusal {
  /// What is told of a request that was refused to `node`; "" where the reference says nothing.
  static func reason(_ request: AuthorizationAttributes, _ node: String) -> String {
    let unrelated = "no relationship found between node '\(node)' and this object"
    let isRead = ["get", "list", "watch"].contains(request.verb)
    switch GroupResource(group: request.apiGroup, resource: request.resource).description {
    case "secrets", "configmaps":
      if !isRead { return "can only read resources of this type" }
      if !request.subresource.isEmpty { return "cannot read subresource" }
      if request.namespace.isEmpty { return "can only read namespaced object of this type" }
      return request.name.isEmpty ? "No Object name found" : unrelated
    case "persistentvolumeclaims" where request.subresource == "status":
      if request.verb != "update", request.verb != "patch" { return "can only get/update/patch this type" }
      return unrelated
    case "persistentvolumeclaims", "persistentvolumes", "volumeattachments.storage.k8s.io":
      return individual(request) ?? unrelated
    case "serviceaccounts":
      if request.verb != "create" || request.name.isEmpty {
        return "can only create tokens for individual service accounts"
      }
      return request.subresource == "token" ? unrelated : "can only create token subresource of serviceaccount"
    case "leases.coordination.k8s.io": return lease(request)
    case "csinodes.storage.k8s.io":
      if !isWritten(request.verb) { return "can only get, create, update, patch, or delete a CSINode" }
      return request.subresource.isEmpty
        ? "can only access CSINode with the same name as the requesting node" : "cannot authorize CSINode subresources"
    case "nodes" where request.subresource.isEmpty && isRead:
      return request.name.isEmpty
        ? "node '\(node)' cannot read all nodes, only its own Node object"
        : "node '\(node)' cannot read '\(request.name)', only its own Node object"
    case "pods" where request.subresource.isEmpty && isRead:
      if request.verb == "get" { return individual(request) ?? unrelated }
      return request.name.isEmpty ? "can only list/watch pods with spec.nodeName field selector" : unrelated
    default: return ""
    }
  }

  private static func individual(_ request: AuthorizationAttributes) -> String? {
    if request.verb != "get" { return "can only get individual resources of this type" }
    if !request.subresource.isEmpty { return "cannot get subresource" }
    return request.name.isEmpty ? "No Object name found" : nil
  }

  private static func lease(_ request: AuthorizationAttributes) -> String {
    if !isWritten(request.verb) { return "can only get, create, update, patch, or delete a node lease" }
    if request.namespace != "kube-node-lease" {
      return "can only access leases in the \"kube-node-lease\" system namespace"
    }
    return "can only access node lease with the same name as the requesting node"
  }

  private static func isWritten(_ verb: String) -> Bool {
    ["get", "create", "update", "patch", "delete"].contains(verb)
  }
}
