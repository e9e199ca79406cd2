// How admission webhooks do: the metrics of those that ask them.
import World

final class WebhookMetrics: Sendable {
  private let durations = HistogramFamily(
    "apiserver_admission_webhook_admission_duration_seconds", help: "Time that a webhook took.",
    labels: ["name", "type", "operation", "rejected"], bounds: [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25])
  private let requests = MetricFamily(
    "apiserver_admission_webhook_request_total", .counter, help: "Requests that webhooks were asked about.",
    labels: ["name", "type", "operation", "code", "rejected"])
  private let rejections = MetricFamily(
    "apiserver_admission_webhook_rejection_count", .counter, help: "Requests refused by or because of a webhook.",
    labels: ["name", "type", "operation", "error_type", "rejection_code"])
  private let failsOpen = MetricFamily(
    "apiserver_admission_webhook_fail_open_count", .counter, help: "Webhooks that failed and were passed over.",
    labels: ["name", "type"])

  enum Outcome {
    case allowed
    /// With the code of the refusal.
    case denied(Int)
    case refused(Int)
    case failed(isPassedOver: Bool)
  }

  /// `type`: "admit" for those that change objects, "validating" for others.
  func record(_ outcome: Outcome, name: String, mayPatch: Bool, operation: AdmissionOperation, took: Duration) {
    let type = mayPatch ? "admit" : "validating"
    let isRejected =
      switch outcome {
      case .allowed, .failed(isPassedOver: true): false
      default: true
      }
    durations.observe(took.inSeconds, [name, type, operation.rawValue, "\(isRejected)"])
    func count(code: Int) { requests.add(1, [name, type, operation.rawValue, String(code), "\(isRejected)"]) }
    func reject(_ error: String, _ code: Int) {
      rejections.add(1, [name, type, operation.rawValue, error, String(code)])
    }
    switch outcome {
    case .allowed: count(code: 200)
    case .denied(let code):
      count(code: code)
      reject("no_error", code)
    case .refused(let code):
      count(code: code)
      reject("apiserver_internal_error", code)
    case .failed(let isPassedOver):
      count(code: Self.unavailable)
      if isPassedOver { failsOpen.add(1, [name, type]) } else { reject("calling_webhook_error", Self.unavailable) }
    }
  }

  /// What a webhook is counted as that gave no answer.
  private static let unavailable = 503

  func render() -> String {
    var out = ""
    durations.render(to: &out)
    for family in [requests, rejections, failsOpen] { family.render(to: &out) }
    return out
  }
}
