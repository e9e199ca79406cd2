// What the audit log tells about webhooks (spec/8 §8.5): who changed what, and who was passed over.
import JSON
import Schema

/// The place of a mutating webhook: its round (0, or 1 when it was asked again) and its index among all.
struct WebhookTurn: Sendable {
  let round: Int
  let index: Int
  fileprivate var suffix: String { "round_\(round)_index_\(index)" }
}

extension AuditRecord {
  private static let mutation = "mutation.webhook.admission.k8s.io/"
  private static let patch = "patch.webhook.admission.k8s.io/"

  /// What a webhook itself wants recorded, under its name. Keys that are none are left out.
  func annotate(_ annotations: [String: String], by webhook: Webhook) {
    for (name, value) in annotations {
      let key = "\(webhook.name)/\(name)"
      guard Validate.qualifiedName(key).isEmpty else { continue }
      annotate(key, value)
    }
  }

  /// A mutating webhook was asked, and changed the object or did not.
  func asked(_ webhook: Webhook, _ turn: WebhookTurn, didChange: Bool) {
    let value: JSONValue = [
      "configuration": .string(webhook.configuration), "webhook": .string(webhook.name), "mutated": .bool(didChange),
    ]
    annotate(Self.mutation + turn.suffix, value.description)
  }

  /// The patch that was applied; it shows the object's contents, so metadata is too low a level for it.
  func applied(_ patch: JSONValue, of webhook: Webhook, _ turn: WebhookTurn) {
    guard isRecording(.request) else { return }
    let value: JSONValue = [
      "configuration": .string(webhook.configuration), "webhook": .string(webhook.name), "patch": patch,
      "patchType": "JSONPatch",
    ]
    annotate(Self.patch + turn.suffix, value.description)
  }

  /// A mutating webhook could not be asked, and the request went on.
  func passedOver(_ webhook: Webhook, _ turn: WebhookTurn) {
    annotate("failed-open.\(Self.mutation)\(turn.suffix)", webhook.name)
  }

  /// The same of a validating one; `index` is its place among those concerned.
  func passedOver(_ webhook: Webhook, index: Int) {
    annotate("failed-open.validating.webhook.admission.k8s.io/round_0_index_\(index)", webhook.name)
  }
}
