// Certificate requests: kubelets' own are approved, what is approved is signed, what is done with is cleaned away
// (spec/5 §5.1).
import Client
import JSON
import Logging
import Schema
import World

/// Approves, signs and cleans, as the reference's three controllers do under one account.
public final class CertificateController: Controller {
  public static let serviceAccount = "certificate-controller"
  private static let cleaningPeriod = Duration.seconds(600)

  private let world: any World
  private let client: APIClient
  private let logger: Logger
  private let signer: any CertificateSigner
  private let requests: Informer<CertificateSigningRequest>
  private let queue: WorkQueue<NamespacedName>

  /// Nil where this process does not hold the cluster's authority.
  public init?(context: ControllerContext) {
    guard let signer = context.certificateSigner else { return nil }
    self.signer = signer
    world = context.world
    client = context.client(Self.serviceAccount)
    logger = context.logger
    requests = Informer(client: client, logger: logger)
    queue = context.makeQueue("certificate")
    requests.onEvent { [queue] event in queue.add(event.object.key) }
  }

  public func run() async {
    requests.start()
    await requests.waitForSync()
    let cleaning = world.spawn { await self.clean() }
    await queue.run(
      workers: 1, onError: { [logger] key, error in logger.debug("certificate request \(key): \(error)") },
      sync: { try await self.sync($0) })
    cleaning.cancel()
    requests.stop()
  }

  private func sync(_ key: NamespacedName) async throws {
    guard let request = requests.get(key), !request.metadata.isBeingDeleted, request.certificate.isEmpty,
      !request.isDenied, !request.isFailed, let kind = BuiltInSigner(rawValue: request.signerName)
    else { return }
    let pem = String(decoding: request.requestPEM, as: UTF8.self)
    guard request.isApproved else { return try await approve(request, pem) }
    try await sign(request, pem, kind)
  }

  // MARK: Approving

  private func approve(_ request: CertificateSigningRequest, _ pem: String) async throws {
    guard let names = try? signer.names(inRequest: pem) else { return }
    for recognition in CertificatePlan.recognitions(request, names) {
      guard try await mayAsk(request, recognition) else { continue }
      return try await setCondition(
        request, "approval", type: "Approved", reason: "AutoApproved", message: recognition.message)
    }
  }

  private func mayAsk(
    _ request: CertificateSigningRequest, _ recognition: CertificatePlan.Recognition
  ) async throws -> Bool {
    var spec = request.requester
    spec["resourceAttributes"] = [
      "group": "certificates.k8s.io", "resource": "certificatesigningrequests", "verb": "create",
      "subresource": .string(recognition.subresource), "version": "*",
    ]
    let review = try await client.create(
      .subjectAccessReviews,
      ["apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec])
    return review["status"]["allowed"].bool ?? false
  }

  // MARK: Signing

  private func sign(_ request: CertificateSigningRequest, _ pem: String, _ kind: BuiltInSigner) async throws {
    let names: CertificateNames
    do { names = try signer.names(inRequest: pem) } catch {
      return try await fail(request, "unable to parse csr \"\(request.name)\": \(error)")
    }
    if let refusal = kind.refusal(names, usages: request.usages) { return try await fail(request, refusal) }
    let certificate = try signer.sign(
      request: pem, forServers: request.usages.contains("server auth"),
      forClients: request.usages.contains("client auth"), seconds: CertificatePlan.seconds(request))
    try await client.modify(
      .certificateSigningRequests, name: request.name, uid: request.metadata.uid, subresource: "status"
    ) { object in
      guard object["status"]["certificate"].isNull else { return }
      object["status"]["certificate"] = .string(Base64.encode(Array(certificate.utf8)))
    }
  }

  private func fail(_ request: CertificateSigningRequest, _ message: String) async throws {
    try await setCondition(
      request, "status", type: "Failed", reason: "SignerValidationFailure", message: message)
  }

  private func setCondition(
    _ request: CertificateSigningRequest, _ subresource: String, type: String, reason: String, message: String
  ) async throws {
    let now = JSONValue.string(world.wallClock.rfc3339)
    try await client.modify(
      .certificateSigningRequests, name: request.name, uid: request.metadata.uid, subresource: subresource
    ) { object in
      guard !object["status"]["conditions"].elements.contains(where: { $0["type"].string == type }) else { return }
      let condition: JSONValue = [
        "type": .string(type), "status": "True", "reason": .string(reason), "message": .string(message),
        "lastUpdateTime": now, "lastTransitionTime": now,
      ]
      object["status"]["conditions"] = .array(object["status"]["conditions"].elements + [condition])
    }
  }

  // MARK: Cleaning

  private func clean() async {
    while !Task.isCancelled {
      for request in requests.all {
        let expiry =
          request.certificate.isEmpty
          ? nil : signer.expiry(ofCertificate: String(decoding: request.certificate, as: UTF8.self))
        guard CertificatePlan.isStale(request, now: world.wallClock, expiry: expiry) else { continue }
        _ = try? await client.delete(.certificateSigningRequests, name: request.name)
      }
      try? await world.sleep(for: Self.cleaningPeriod)
    }
  }
}
