import JSON
import Replica
import Schema

/// Nothing is created in a namespace that is not there or is going away; three namespaces stay for ever (spec/8 §8.4).
public struct NamespaceLifecycle: PrecedingAdmission {
  public let name = "NamespaceLifecycle"
  private static let immortal: Set<String> = ["default", "kube-system", "kube-public"]
  private static let namespaces = GroupResource(group: "", resource: "namespaces")

  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    operation == .create || (operation == .delete && resource == Self.namespaces)
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    if request.operation == .delete, Self.immortal.contains(request.name) {
      throw request.forbidden("this namespace may not be deleted")
    }
    return .allowed
  }

  public func precede(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> [Precondition] {
    // Reviews compute answers and leave nothing behind; subresources belong to something that is there.
    guard request.operation == .create, request.resource != Self.namespaces, !request.namespace.isEmpty,
      request.resource.group != "authorization.k8s.io", request.subresource.isEmpty
    else { return [] }
    var found = objects.stored(Self.namespaces, name: request.namespace)
    // It may have been made through another server a moment ago.
    if found == nil { found = try await objects.fresh().stored(Self.namespaces, name: request.namespace) }
    guard let found else { throw .notFound(Self.namespaces, request.namespace) }
    guard !Self.isTerminating(found) else { throw terminating(request) }
    // The namespace must still be there, and still be this one, when the object is written.
    return [.revision(ObjectKey(resource: "namespaces", namespace: "", name: request.namespace), found.revision)]
  }

  private static func isTerminating(_ namespace: StoredObject) -> Bool {
    let metadata = JSONTape.rawBytes(of: "metadata", in: namespace.bytes[...])
    return !JSONTape.rawBytes(of: "deletionTimestamp", in: metadata).isEmpty
  }

  private func terminating(_ request: AdmissionRequest) -> APIStatus {
    var status = request.forbidden(
      "unable to create new content in namespace \(request.namespace) because it is being terminated")
    status.causes = [
      APIStatus.Cause(
        reason: "NamespaceTerminating", message: "namespace \(request.namespace) is being terminated",
        field: "metadata.namespace")
    ]
    return status
  }
}
