// Webhooks as admission plugins: those that change objects one after the other, those that refuse all at once.
import JSON
import Schema

/// MutatingAdmissionWebhook: after every built-in plugin that changes objects.
public struct MutatingWebhooks: Sendable {
  private let caller: WebhookCaller
  public init(_ caller: WebhookCaller) { self.caller = caller }

  /// Which webhooks have been asked, and what the object was after each: those that wish it are asked again when it
  /// changed later.
  struct Round: Sendable {
    fileprivate var results: [(webhook: Webhook, object: JSONValue)] = []
    /// Whether any webhook changed the object.
    var hasChanged = false
  }

  /// The first round: every webhook that is concerned.
  func firstRound(_ request: inout AdmissionRequest, _ objects: ObjectLookup) async throws(APIStatus) -> Round {
    var round = Round()
    guard !WebhookCaller.isExempt(request.resource) else { return round }
    for webhook in caller.webhooks(.mutating, objects) {
      let before = request.object
      guard try await call(webhook, &request, objects) else { continue }
      if request.object != before { round.hasChanged = true }
      if webhook.isReinvoked { round.results.append((webhook, request.object)) }
    }
    return round
  }

  /// The second and last: those whose object was changed by others since.
  func secondRound(_ round: Round, _ request: inout AdmissionRequest, _ objects: ObjectLookup) async throws(APIStatus) {
    for (webhook, object) in round.results where object != request.object {
      _ = try await call(webhook, &request, objects)
    }
  }

  /// Whether the webhook was concerned.
  private func call(
    _ webhook: Webhook, _ request: inout AdmissionRequest, _ objects: ObjectLookup
  ) async throws(APIStatus) -> Bool {
    let verdict: AdmissionReview.Verdict
    let seen: String
    do throws(WebhookCaller.Failure) {
      guard let answer = try await caller.ask(webhook, request, objects, mayPatch: true) else { return false }
      (verdict, seen) = answer
    } catch {
      guard let status = error.status(webhook) else { return false }
      throw status
    }
    request.warnings += verdict.warnings
    guard verdict.isAllowed else { throw AdmissionReview.denial(webhook.name, verdict.status) }
    if let patch = verdict.patch { try apply(patch, seen, webhook, &request) }
    return true
  }

  private func apply(
    _ bytes: [UInt8], _ seen: String, _ webhook: Webhook, _ request: inout AdmissionRequest
  ) throws(APIStatus) {
    guard request.object.object != nil else {
      throw .internalError(
        "admission webhook \"\(webhook.name)\" attempted to modify the object, which is not supported for this operation"
      )
    }
    let descriptor = request.descriptor
    var shown = descriptor.kind
    shown.version = seen
    let isObject = request.object["kind"].string == descriptor.kind.kind
    var patched: JSONValue
    do {
      let patch = try JSONPatch(try JSONValue(parsing: bytes))
      let document = isObject ? AdmissionReview.converted(request.object, to: shown, descriptor) : request.object
      patched = try patch.apply(to: document)
    } catch {
      throw .internalError("\((error as? APIStatus)?.message ?? "\(error)")")
    }
    if isObject {
      patched = AdmissionReview.converted(patched, to: descriptor.kind, descriptor)
      do throws(TypeError) {
        patched = try TypedDecoder.decode(patched, as: descriptor.structure).value
      } catch {
        throw .internalError(error.description)
      }
      descriptor.structure.applyDefaults(to: &patched)
      descriptor.rules.applyDefaults(to: &patched)
    }
    request.object = patched
  }
}

/// ValidatingAdmissionWebhook.
public struct ValidatingWebhooks: ValidatingAdmission {
  public let name = "ValidatingAdmissionWebhook"
  private let caller: WebhookCaller
  public init(_ caller: WebhookCaller) { self.caller = caller }

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    !WebhookCaller.isExempt(resource)
  }

  public func validate(
    _ request: AdmissionRequest, objects: ObjectLookup
  ) async throws(APIStatus) -> AdmissionVerdict {
    let concerned = caller.webhooks(.validating, objects).filter { $0.version(for: request) != nil }
    guard !concerned.isEmpty else { return .allowed }
    let results = await withTaskGroup(of: (Int, Result<[String], APIStatus>).self) { group in
      for (index, webhook) in concerned.enumerated() {
        group.addTask { (index, await self.ask(webhook, request, objects)) }
      }
      var results: [Int: Result<[String], APIStatus>] = [:]
      for await (index, result) in group { results[index] = result }
      return results
    }
    var verdict = AdmissionVerdict()
    // The order of configurations decides which refusal is told, not that of the answers.
    for index in concerned.indices {
      switch results[index] {
      case .success(let warnings)?: verdict.warnings += warnings
      case .failure(let status)?: throw status
      case nil: continue
      }
    }
    return verdict
  }

  private func ask(
    _ webhook: Webhook, _ request: AdmissionRequest, _ objects: ObjectLookup
  ) async -> Result<[String], APIStatus> {
    do throws(WebhookCaller.Failure) {
      guard let (verdict, _) = try await caller.ask(webhook, request, objects, mayPatch: false) else {
        return .success([])
      }
      return verdict.isAllowed
        ? .success(verdict.warnings) : .failure(AdmissionReview.denial(webhook.name, verdict.status))
    } catch {
      return error.status(webhook).map { .failure($0) } ?? .success([])
    }
  }
}

extension WebhookCaller.Failure {
  /// nil: the webhook is passed over.
  fileprivate func status(_ webhook: Webhook) -> APIStatus? {
    switch self {
    case .refused(let status): status
    case .calling(let why):
      webhook.failsOpen ? nil : .internalError("failed calling webhook \"\(webhook.name)\": \(why)")
    }
  }
}
