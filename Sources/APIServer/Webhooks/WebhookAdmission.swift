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
    fileprivate var results: [(webhook: Webhook, index: Int, object: JSONValue)] = []
    /// Whether any webhook changed the object.
    var hasChanged = false
  }

  /// The first round: every webhook that is concerned.
  func firstRound(_ request: inout AdmissionRequest, _ objects: ObjectLookup) async throws(APIStatus) -> Round {
    var round = Round()
    guard !WebhookCaller.isExempt(request.resource) else { return round }
    for (index, webhook) in caller.webhooks(.mutating, objects).enumerated() {
      let before = request.object
      guard try await call(webhook, WebhookTurn(round: 0, index: index), &request, objects) else { continue }
      if request.object != before { round.hasChanged = true }
      if webhook.isReinvoked { round.results.append((webhook, index, request.object)) }
    }
    return round
  }

  /// The second and last: those whose object was changed by others since.
  func secondRound(_ round: Round, _ request: inout AdmissionRequest, _ objects: ObjectLookup) async throws(APIStatus) {
    for (webhook, index, object) in round.results where object != request.object {
      _ = try await call(webhook, WebhookTurn(round: 1, index: index), &request, objects)
    }
  }

  /// Whether the webhook was concerned.
  private func call(
    _ webhook: Webhook, _ turn: WebhookTurn, _ request: inout AdmissionRequest, _ objects: ObjectLookup
  ) async throws(APIStatus) -> Bool {
    guard let kind = try await caller.kind(for: request, webhook, objects) else { return false }
    let record = AuditRecord.current
    let verdict: AdmissionReview.Verdict
    do throws(WebhookCaller.Failure) {
      verdict = try await caller.ask(webhook, request, as: kind, objects, mayPatch: true)
    } catch {
      record?.asked(webhook, turn, didChange: false)
      if let status = error.status(webhook) { throw status }
      record?.passedOver(webhook, turn)
      return true
    }
    request.warnings += verdict.warnings
    var didChange = false
    defer { record?.asked(webhook, turn, didChange: didChange) }
    guard verdict.isAllowed else { throw AdmissionReview.denial(webhook.name, verdict.status) }
    guard let bytes = verdict.patch else { return true }
    let patch: JSONValue
    do { patch = try JSONValue(parsing: bytes) } catch {
      let failure = WebhookCaller.Failure.calling("received undecodable patch in webhook response: \(error)")
      if let status = failure.status(webhook) { throw status }
      record?.passedOver(webhook, turn)
      return true
    }
    if patch.elements.isEmpty { return true }
    let changed = try await patched(request, patch, as: kind, webhook, objects)
    didChange = changed != request.object
    request.object = changed
    record?.applied(patch, of: webhook, turn)
    return true
  }

  /// The object after the patch, which speaks of it as of one of `kind`; pruned and defaulted.
  private func patched(
    _ request: AdmissionRequest, _ patch: JSONValue, as kind: GroupVersionKind, _ webhook: Webhook,
    _ objects: ObjectLookup
  ) async throws(APIStatus) -> JSONValue {
    guard request.object.object != nil else {
      throw .internalError(
        "admission webhook \"\(webhook.name)\" attempted to modify the object, which is not supported for this operation"
      )
    }
    let descriptor = request.descriptor
    let own = descriptor.kind
    let isObject = request.object["kind"].string == own.kind
    var result: JSONValue
    do throws(APIStatus) {
      let document =
        isObject
        ? try await caller.converted(request.object, from: own, to: kind, descriptor, objects) : request.object
      result = try JSONPatch(patch).apply(to: document)
    } catch {
      throw .internalError(error.message)
    }
    guard isObject else { return result }
    result = try await caller.converted(result, from: kind, to: own, descriptor, objects)
    do throws(TypeError) {
      result = try TypedDecoder.decode(result, as: descriptor.structure).value
    } catch {
      throw .internalError(error.description)
    }
    descriptor.structure.applyDefaults(to: &result)
    descriptor.rules.applyDefaults(to: &result)
    return result
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
    var concerned: [(webhook: Webhook, kind: GroupVersionKind)] = []
    for webhook in caller.webhooks(.validating, objects) {
      if let kind = try await caller.kind(for: request, webhook, objects) { concerned.append((webhook, kind)) }
    }
    guard !concerned.isEmpty else { return .allowed }
    let results = await withTaskGroup(of: (Int, Result<[String], APIStatus>).self) { group in
      for (index, (webhook, kind)) in concerned.enumerated() {
        group.addTask { (index, await self.ask(webhook, index, request, as: kind, objects)) }
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
    _ webhook: Webhook, _ index: Int, _ request: AdmissionRequest, as kind: GroupVersionKind, _ objects: ObjectLookup
  ) async -> Result<[String], APIStatus> {
    do throws(WebhookCaller.Failure) {
      let verdict = try await caller.ask(webhook, request, as: kind, objects, mayPatch: false)
      return verdict.isAllowed
        ? .success(verdict.warnings) : .failure(AdmissionReview.denial(webhook.name, verdict.status))
    } catch {
      if let status = error.status(webhook) { return .failure(status) }
      AuditRecord.current?.passedOver(webhook, index: index)
      return .success([])
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
