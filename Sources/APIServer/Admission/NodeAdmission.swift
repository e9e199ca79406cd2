// Nodes: what they get at birth, and what they may not say of themselves (spec/8 §8.4, spec/7 §7.4).
import JSON
import Replica
import Schema
import TLS

/// A new node takes no pods before it has been found well.
public struct TaintNewNodes: MutatingAdmission {
  public let name = "TaintNodesByCondition"
  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    operation == .create && resource.description == "nodes"
  }

  public func admit(_ request: inout AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) {
    let key: JSONValue = "node.kubernetes.io/not-ready"
    guard
      !request.object["spec"]["taints"].elements.contains(where: { $0["key"] == key && $0["effect"] == "NoSchedule" })
    else { return }
    request.object["spec"]["taints"].append(["key": key, "effect": "NoSchedule"])
  }
}

/// What the Node authorizer cannot see: the content of what a node writes.
public struct NodeRestriction: ValidatingAdmission {
  public let name = "NodeRestriction"
  public init() {}

  /// Labels under kubernetes.io and k8s.io that a node may give itself; all others there are the operator's.
  private static let ownLabels: Set<String> = [
    "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
    "topology.kubernetes.io/region", "topology.kubernetes.io/zone",
  ]

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    operation == .create || operation == .update
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    guard let node = NodeAuthorizer.nodeName(request.user) else { return .allowed }
    switch request.resource.description {
    case "nodes": try checkNode(request, node)
    case "pods" where request.operation == .create && request.subresource.isEmpty: try checkMirrorPod(request, node)
    case "pods" where request.subresource == "status": try checkPodStatus(request, node)
    case "persistentvolumeclaims": try checkClaim(request, node)
    case "serviceaccounts" where request.subresource == "token": try await checkToken(request, node, objects)
    case "certificatesigningrequests.certificates.k8s.io" where request.operation == .create:
      try checkCertificateRequest(request, node)
    case "leases.coordination.k8s.io" where request.namespace == "kube-node-lease" && request.name != node:
      throw request.forbidden("can only access node lease with the same name as the requesting node")
    case "csinodes.storage.k8s.io" where request.name != node:
      throw request.forbidden("can only access CSINode with the same name as the requesting node")
    default: break
    }
    return .allowed
  }

  private func checkNode(_ request: AdmissionRequest, _ node: String) throws(APIStatus) {
    let object = request.object
    let old = request.oldObject
    let objectName = object["metadata"]["name"].string ?? request.name
    guard objectName == node else {
      throw request.forbidden("node \"\(node)\" is not allowed to modify node \"\(objectName)\"")
    }
    if request.operation == .create {
      if !object["metadata"]["ownerReferences"].elements.isEmpty {
        throw request.forbidden("node \"\(node)\" is not allowed to set its own ownerReferences")
      }
    } else {
      if object["spec"]["taints"] != old["spec"]["taints"] {
        throw request.forbidden("node \"\(node)\" is not allowed to modify taints")
      }
      if object["metadata"]["ownerReferences"] != old["metadata"]["ownerReferences"] {
        throw request.forbidden("node \"\(node)\" is not allowed to modify ownerReferences")
      }
    }
    try checkLabels(request, node)
  }

  private func checkLabels(_ request: AdmissionRequest, _ node: String) throws(APIStatus) {
    let new = request.object["metadata"]["labels"].stringMap
    let old = request.oldObject["metadata"]["labels"].stringMap
    let changed = Set(new.keys).union(old.keys).filter { new[$0] != old[$0] }.filter(Self.isReserved)
    guard !changed.isEmpty else { return }
    let names = changed.sorted().joined(separator: ", ")
    throw request.forbidden(
      request.operation == .create
        ? "node \"\(node)\" is not allowed to set the following labels: \(names)"
        : "is not allowed to modify labels: \(names)")
  }

  private static func isReserved(_ label: String) -> Bool {
    guard let slash = label.firstIndex(of: "/") else { return false }
    let domain = label[..<slash]
    func within(_ suffix: String) -> Bool { domain == suffix || domain.hasSuffix("." + suffix) }
    if within("node-restriction.kubernetes.io") { return true }
    guard within("kubernetes.io") || within("k8s.io") else { return false }
    if within("kubelet.kubernetes.io") || within("node.kubernetes.io") { return false }
    return !ownLabels.contains(label)
  }

  private func checkMirrorPod(_ request: AdmissionRequest, _ node: String) throws(APIStatus) {
    let pod = request.object
    guard !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].isNull else {
      throw request.forbidden(
        "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"\(node)\" can only create mirror pods")
    }
    guard pod["spec"]["nodeName"].string == node else {
      throw request.forbidden("node \"\(node)\" can only create pods with spec.nodeName set to itself")
    }
    let owners = pod["metadata"]["ownerReferences"].elements
    guard owners.count == 1, owners[0]["kind"] == "Node", owners[0]["name"].string == node,
      owners[0]["controller"] == true, owners[0]["blockOwnerDeletion"] != true
    else {
      throw request.forbidden("node \"\(node)\" can only create pods with an owner reference set to itself")
    }
    // What a pod names its node may read: a node must not give itself rights.
    let references = PodReferences(pod)
    let named: [(Bool, String)] = [
      (!(pod["spec"]["serviceAccountName"].string ?? "").isEmpty, "a service account"),
      (references.namesSecrets, "secrets"), (references.namesConfigMaps, "configmaps"),
      (references.namesClaims, "persistentvolumeclaims"),
      (!pod["spec"]["resourceClaims"].elements.isEmpty, "resourceclaims"),
    ]
    for (isNamed, what) in named where isNamed {
      throw request.forbidden("node \"\(node)\" can not create pods that reference \(what)")
    }
  }

  private func checkPodStatus(_ request: AdmissionRequest, _ node: String) throws(APIStatus) {
    guard request.oldObject["spec"]["nodeName"].string == node else {
      throw request.forbidden("node \"\(node)\" can only update pod status for pods with spec.nodeName set to itself")
    }
    guard request.object["metadata"]["labels"] == request.oldObject["metadata"]["labels"] else {
      throw request.forbidden("node \"\(node)\" cannot update labels through pod status")
    }
  }

  /// What a node reports of a claim is how far it has grown the file system.
  private func checkClaim(_ request: AdmissionRequest, _ node: String) throws(APIStatus) {
    guard request.subresource == "status", request.operation == .update else {
      throw request.forbidden("node \"\(node)\" can only update the status of persistentvolumeclaims")
    }
    var (new, old) = (request.object, request.oldObject)
    for member in ["capacity", "conditions", "allocatedResources", "allocatedResourceStatuses", "resizeStatus"] {
      new["status"][member] = .null
      old["status"][member] = .null
    }
    for member in ["managedFields", "resourceVersion"] {
      new["metadata"][member] = .null
      old["metadata"][member] = .null
    }
    guard new == old else {
      throw request.forbidden(
        "node \"\(node)\" may not update fields other than status.capacity and status.conditions")
    }
  }

  /// Tokens are for the pods of the node, and die with them.
  private func checkToken(
    _ request: AdmissionRequest, _ node: String, _ objects: ObjectLookup
  ) async throws(APIStatus) {
    let reference = request.object["spec"]["boundObjectRef"]
    guard reference["kind"] == "Pod", reference["apiVersion"] == "v1", let name = reference["name"].string,
      !name.isEmpty
    else { throw request.forbidden("node requested token not bound to a pod") }
    guard let uid = reference["uid"].string, !uid.isEmpty else {
      throw request.forbidden("node requested token with a pod binding without a uid")
    }
    let pods = GroupResource(group: "", resource: "pods")
    var pod = objects.stored(pods, namespace: request.namespace, name: name)
    if pod?.uid != uid || pod?.nodeName != node {
      pod = try await objects.fresh().stored(pods, namespace: request.namespace, name: name)
    }
    guard let pod else { throw .notFound(pods, name) }
    guard pod.uid == uid else {
      throw request.forbidden(
        "the UID in the bound object reference (\(uid)) does not match the UID in record (\(pod.uid))")
    }
    guard pod.nodeName == node else {
      throw request.forbidden("node requested token bound to a pod scheduled on a different node")
    }
  }

  /// A node asks for certificates of its own alone.
  private func checkCertificateRequest(_ request: AdmissionRequest, _ node: String) throws(APIStatus) {
    let signer = request.object["spec"]["signerName"].string ?? ""
    guard ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"].contains(signer),
      let pem = request.object["spec"]["request"].string.flatMap(Crypto.decodeBase64),
      let asked = try? CertificateRequest(pem: String(decoding: pem, as: UTF8.self))
    else { return }
    guard asked.subject.commonName == "system:node:\(node)" else {
      throw request.forbidden(
        "can only create a node CSR with CN=system:node:\(node)")
    }
  }
}
