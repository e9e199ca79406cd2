// Volumes and claims that are in use are not taken away from under their users (StorageObjectInUseProtection): each is
// made with a finalizer that its controller removes when nobody uses it any more.
import JSON
import Schema

public struct StorageObjectInUseProtection: MutatingAdmission {
  public let name = "StorageObjectInUseProtection"
  private static let finalizers = [
    "persistentvolumeclaims": "kubernetes.io/pvc-protection", "persistentvolumes": "kubernetes.io/pv-protection",
  ]
  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    operation == .create && subresource.isEmpty && Self.finalizers[resource.description] != nil
  }

  public func admit(_ request: inout AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) {
    guard let finalizer = Self.finalizers[request.resource.description] else { return }
    let present = request.object["metadata"]["finalizers"].elements
    guard !present.contains(.string(finalizer)) else { return }
    request.object["metadata"]["finalizers"] = .array(present + [.string(finalizer)])
  }
}
