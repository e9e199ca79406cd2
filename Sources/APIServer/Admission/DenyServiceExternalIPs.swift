// Nobody takes over an address by naming it in a Service (CVE-2020-8554). Off unless a server is told otherwise.
import JSON
import Schema

/// Refuses services with `externalIPs` that they did not have before.
public struct DenyServiceExternalIPs: ValidatingAdmission {
  public let name = "DenyServiceExternalIPs"
  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    (operation == .create || operation == .update) && resource.description == "services" && subresource.isEmpty
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    let had = Set(request.oldObject["spec"]["externalIPs"].elements)
    let has = Set(request.object["spec"]["externalIPs"].elements)
    guard has.isSubset(of: had) else { throw request.forbidden("Use of external IPs is denied by admission control.") }
    return .allowed
  }
}
