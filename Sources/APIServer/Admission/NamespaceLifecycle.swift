import Glibc
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
    // Every create asks: what does not stand in the bytes at all needs no reading of them.
    names(namespace.bytes, Array("\"deletionTimestamp\"".utf8))
      && (try? JSONTape(parsing: namespace.bytes))?.root["metadata"]["deletionTimestamp"].exists == true
  }

  /// Whether the quoted name stands anywhere.
  private static func names(_ json: [UInt8], _ name: [UInt8]) -> Bool {
    json.withUnsafeBytes { json -> Bool in
      guard var place = json.baseAddress else { return false }
      let end = place + json.count
      while let found = memchr(place, Int32(name[0]), end - place) {
        let quote = UnsafeRawPointer(found)
        guard end - quote >= name.count else { return false }
        if memcmp(quote, name, name.count) == 0 { return true }
        place = quote + 1
      }
      return false
    }
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
