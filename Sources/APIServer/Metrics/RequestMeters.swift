// Which series a request is counted in, remembered: to find them by their labels takes longer than to answer a GET.
import HTTP
import Synchronization
import World

/// The series by what requests ask for. Any thread.
final class RequestMeters: Sendable {
  /// All that labels are made of.
  struct Key: Hashable {
    private let verb: String
    private let group: String
    private let version: String
    private let resource: String
    private let subresource: String
    private let hasName: Bool
    private let hasNamespace: Bool
    private let isResourceRequest: Bool
    private let isApply: Bool
    private let isDryRun: Bool
    private let code: Int

    init(_ info: RequestInfo, _ request: HTTPRequest, code: Int, isDryRun: Bool) {
      verb = info.verb
      group = info.group
      version = info.version
      resource = info.resource
      subresource = info.subresource
      hasName = !info.name.isEmpty
      hasNamespace = !info.namespace.isEmpty
      isResourceRequest = info.isResourceRequest
      isApply = info.verb == "patch" && RequestLabels.isApply(request)
      self.isDryRun = isDryRun
      self.code = code
    }
  }

  /// The series of one kind of request; durations are nil for what lasts as long as it likes.
  struct Meters {
    let requests: MetricSeries
    let durations: HistogramSeries?
    let serviceDurations: HistogramSeries?
  }

  private let known = Mutex<[Key: Meters]>([:])
  /// A bound for the case that something is not as bounded as it seems; what is beyond it is looked for each time.
  private static let maximum = 10_000

  /// The remembered ones, or what `make` gives, which is remembered if it says so. A nil key is never known.
  func find(_ key: Key?, make: () -> (Meters, isKept: Bool)) -> Meters {
    if let key, let found = known.withLock({ $0[key] }) { return found }
    let (made, isKept) = make()
    if let key, isKept { known.withLock { if $0.count < Self.maximum { $0[key] = made } } }
    return made
  }

  /// Kinds have come or gone: labels may be others.
  func clear() { known.withLock { $0.removeAll() } }

  static func make(_ labels: RequestLabels, code: Int, isDryRun: Bool, _ metrics: ServerMetrics) -> Meters {
    let first = [labels.verb, isDryRun ? "All" : ""]
    let lasts = labels.verb == "WATCH" || labels.verb == "CONNECT"
    return Meters(
      requests: metrics.requests.series(first + labels.place + [String(code)]),
      durations: lasts ? nil : metrics.durations.series(first + labels.place),
      serviceDurations: lasts ? nil : metrics.serviceDurations.series([labels.verb] + labels.place))
  }
}
