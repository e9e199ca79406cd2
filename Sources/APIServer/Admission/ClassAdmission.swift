// Classes: the one that counts when an object names none, and what the class that it names brings along (spec/8 §8.4).
import JSON
import Kinds
import Replica
import Schema

/// The class of a kind that is marked as the default; of several the newest.
private func defaultClass(
  _ resource: GroupResource, annotations: [String], _ objects: ObjectLookup
) -> String? {
  objects.objects(resource)
    .filter { found in annotations.contains { found["metadata"]["annotations"][$0] == "true" } }
    .sorted { left, right in
      let (a, b) = (
        left["metadata"]["creationTimestamp"].string ?? "", right["metadata"]["creationTimestamp"].string ?? ""
      )
      return a != b ? a > b : (left["metadata"]["name"].string ?? "") < (right["metadata"]["name"].string ?? "")
    }
    .first?["metadata"]["name"].string
}

/// Claims that name no class get the default one; the empty name means none.
public struct DefaultStorageClass: MutatingAdmission {
  public let name = "DefaultStorageClass"
  private static let classes = GroupResource(group: "storage.k8s.io", resource: "storageclasses")
  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    operation == .create && resource.description == "persistentvolumeclaims" && subresource.isEmpty
  }

  public func admit(_ request: inout AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) {
    guard request.object["spec"]["storageClassName"].isNull,
      request.object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].isNull,
      let found = defaultClass(
        Self.classes,
        annotations: [
          "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class",
        ], objects)
    else { return }
    request.object["spec"]["storageClassName"] = .string(found)
  }
}

/// Ingresses that name no class get the default one.
public struct DefaultIngressClass: MutatingAdmission {
  public let name = "DefaultIngressClass"
  private static let classes = GroupResource(group: "networking.k8s.io", resource: "ingressclasses")
  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    operation == .create && resource.description == "ingresses.networking.k8s.io" && subresource.isEmpty
  }

  public func admit(_ request: inout AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) {
    guard request.object["spec"]["ingressClassName"].isNull,
      request.object["metadata"]["annotations"]["kubernetes.io/ingress.class"].isNull,
      let found = defaultClass(
        Self.classes, annotations: ["ingressclass.kubernetes.io/is-default-class"], objects)
    else { return }
    request.object["spec"]["ingressClassName"] = .string(found)
  }
}

/// A pod's runtime class must be there; its overhead and its choice of nodes become the pod's.
public struct RuntimeClassAdmission: MutatingAdmission {
  public let name = "RuntimeClass"
  private static let classes = GroupResource(group: "node.k8s.io", resource: "runtimeclasses")
  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    operation == .create && resource.description == "pods" && subresource.isEmpty
  }

  public func admit(_ request: inout AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) {
    let spec = request.object["spec"]
    guard let name = spec["runtimeClassName"].string, !name.isEmpty else {
      guard spec["overhead"].isNull else {
        throw request.forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
      }
      return
    }
    var stored = objects.object(Self.classes, name: name)
    if stored == nil { stored = try await objects.fresh().object(Self.classes, name: name) }
    guard let found = stored else { throw request.forbidden("pod rejected: RuntimeClass \"\(name)\" not found") }
    let overhead = found["overhead"]["podFixed"]
    if spec["overhead"].isNull {
      request.object["spec"]["overhead"] = overhead
    } else if ResourceAmounts(spec["overhead"]).amounts != ResourceAmounts(overhead).amounts {
      throw request.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
    }
    for (key, value) in found["scheduling"]["nodeSelector"].object ?? JSONObject() {
      let own = spec["nodeSelector"][key]
      guard own.isNull || own == value else {
        throw request.forbidden(
          "conflict: runtimeClass.scheduling.nodeSelector[\(key)] = \(value.string ?? ""); "
            + "pod.spec.nodeSelector[\(key)] = \(own.string ?? "")")
      }
      request.object["spec"]["nodeSelector"][key] = value
    }
    for toleration in found["scheduling"]["tolerations"].elements
    where !spec["tolerations"].elements.contains(toleration) {
      request.object["spec"]["tolerations"].append(toleration)
    }
  }
}

/// Claims grow only where their class lets them.
public struct ClaimResize: ValidatingAdmission {
  public let name = "PersistentVolumeClaimResize"
  private static let classes = GroupResource(group: "storage.k8s.io", resource: "storageclasses")
  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    operation == .update && resource.description == "persistentvolumeclaims" && subresource.isEmpty
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    func size(_ claim: JSONValue) -> Quantity {
      ResourceAmounts(claim["spec"]["resources"]["requests"])["storage"] ?? .zero
    }
    guard size(request.object) > size(request.oldObject) else { return .allowed }
    guard request.oldObject["status"]["phase"] == "Bound" else {
      throw request.forbidden("Only bound persistent volume claims can be expanded")
    }
    let className = request.oldObject["spec"]["storageClassName"].string ?? ""
    guard objects.object(Self.classes, name: className)?["allowVolumeExpansion"] == true else {
      throw request.forbidden(
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
      )
    }
    return .allowed
  }
}
