// Certificates: who may approve and sign them is said signer by signer (spec/8 §8.3, "other checks").
import JSON
import Schema
import TLS

/// CertificateApproval, CertificateSigning and CertificateSubjectRestriction of the reference.
public struct CertificateAdmission: ValidatingAdmission {
  public let name = "CertificateApproval"
  private let authorizer: any Authorizer
  public init(authorizer: any Authorizer) { self.authorizer = authorizer }

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    guard resource.description == "certificatesigningrequests.certificates.k8s.io" else { return false }
    return operation == .create || (operation == .update && !subresource.isEmpty)
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    let signer = (request.operation == .create ? request.object : request.oldObject)["spec"]["signerName"].string ?? ""
    switch request.subresource {
    case "approval":
      guard await mayUse(signer, "approve", request) else {
        throw request.forbidden("user not permitted to approve requests with signerName \"\(signer)\"")
      }
    case "status":
      let isSigning =
        request.object["status"]["certificate"] != request.oldObject["status"]["certificate"]
        || request.object["status"]["conditions"] != request.oldObject["status"]["conditions"]
      guard isSigning else { break }
      guard await mayUse(signer, "sign", request) else {
        throw request.forbidden("user not permitted to sign requests with signerName \"\(signer)\"")
      }
    default: try checkSubject(signer, request)
    }
    return .allowed
  }

  /// For the signer itself, or for all of its domain.
  private func mayUse(_ signer: String, _ verb: String, _ request: AdmissionRequest) async -> Bool {
    let domain = signer.prefix { $0 != "/" }
    for name in [signer, "\(domain)/*"] {
      let attributes = AuthorizationAttributes(
        user: request.user, verb: verb, apiGroup: "certificates.k8s.io", apiVersion: "*", resource: "signers",
        name: name)
      if await authorizer.authorize(attributes).isAllowed { return true }
    }
    return false
  }

  /// What is asked for must be a request that its sender holds the key of.
  private func checkSubject(_ signer: String, _ request: AdmissionRequest) throws(APIStatus) {
    let pem = request.object["spec"]["request"].string.flatMap(Crypto.decodeBase64) ?? []
    let asked: CertificateRequest
    do throws(TLSError) { asked = try CertificateRequest(pem: String(decoding: pem, as: UTF8.self)) } catch {
      let digits = pem.map { "0x" + String($0, radix: 16) }.joined(separator: ", ")
      let wrong = FieldError(
        .invalid, field: "spec.request", message: "Invalid value: []byte{\(digits)}: \(error)")
      throw .invalid(request.kind, request.name, [wrong])
    }
    guard signer == "kubernetes.io/kube-apiserver-client", asked.subject.organizations.contains("system:masters")
    else { return }
    throw request.forbidden(
      "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed")
  }
}
