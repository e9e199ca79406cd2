// The metrics of an API server, under the names and labels by which dashboards and alerts for Kubernetes ask.
import HTTP
import JSON
import World

final class ServerMetrics: Sendable {
  /// The series of `requests`, `durations` and `serviceDurations` that requests are counted in.
  let meters = RequestMeters()
  private static let requestLabels = ["group", "version", "resource", "subresource", "scope", "component"]
  /// The bounds of the reference: rules that others wrote name them.
  private static let requestBounds: [Double] = [
    0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
  ]

  let requests = MetricFamily(
    "apiserver_request_total", .counter, help: "Requests, by verb, resource and HTTP code.",
    labels: ["verb", "dry_run"] + requestLabels + ["code"])
  let durations = HistogramFamily(
    "apiserver_request_duration_seconds", help: "Time to answer, long-running requests excepted.",
    labels: ["verb", "dry_run"] + requestLabels, bounds: [0.005, 0.025] + requestBounds)
  let serviceDurations = HistogramFamily(
    "apiserver_request_sli_duration_seconds",
    help: "Time to answer without what was waited for others, long-running requests excepted.",
    labels: ["verb"] + requestLabels, bounds: requestBounds)
  let terminations = MetricFamily(
    "apiserver_request_terminations_total", .counter, help: "Requests that the server gave up to protect itself.",
    labels: ["verb"] + requestLabels + ["code"])
  let inFlight = MetricFamily(
    "apiserver_current_inflight_requests", .gauge, help: "Requests being answered.", labels: ["request_kind"])
  let rejected = MetricFamily(
    "apiserver_flowcontrol_rejected_requests_total", .counter, help: "Requests refused with 429.",
    labels: ["priority_level", "flow_schema", "reason"])
  let dispatched = MetricFamily(
    "apiserver_flowcontrol_dispatched_requests_total", .counter, help: "Requests that got their seats.",
    labels: ["priority_level", "flow_schema"])
  let executing = MetricFamily(
    "apiserver_flowcontrol_current_executing_requests", .gauge, help: "Requests that have their seats.",
    labels: ["priority_level", "flow_schema"])
  let executingSeats = MetricFamily(
    "apiserver_flowcontrol_current_executing_seats", .gauge, help: "Seats in use.",
    labels: ["priority_level", "flow_schema"])
  let nominalSeats = MetricFamily(
    "apiserver_flowcontrol_nominal_limit_seats", .gauge, help: "Seats that are the level's own.",
    labels: ["priority_level"])
  let lowerSeats = MetricFamily(
    "apiserver_flowcontrol_lower_limit_seats", .gauge, help: "Seats that the level never lends.",
    labels: ["priority_level"])
  let upperSeats = MetricFamily(
    "apiserver_flowcontrol_upper_limit_seats", .gauge, help: "Seats that the level may have by borrowing.",
    labels: ["priority_level"])
  let currentSeats = MetricFamily(
    "apiserver_flowcontrol_current_limit_seats", .gauge, help: "Seats that the level may use now.",
    labels: ["priority_level"])
  let inQueue = MetricFamily(
    "apiserver_flowcontrol_current_inqueue_requests", .gauge, help: "Requests that wait for seats.",
    labels: ["priority_level", "flow_schema"])
  private static let flowBounds: [Double] = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30]
  let queueWaits = HistogramFamily(
    "apiserver_flowcontrol_request_wait_duration_seconds", help: "Time that requests waited for seats.",
    labels: ["priority_level", "flow_schema", "execute"], bounds: flowBounds)
  let executions = HistogramFamily(
    "apiserver_flowcontrol_request_execution_seconds", help: "Time that requests had their seats.",
    labels: ["priority_level", "flow_schema", "type"], bounds: flowBounds)
  let unavailableAPIs = MetricFamily(
    "aggregator_unavailable_apiservice", .gauge, help: "APIServices that are not available now: 1.", labels: ["name"])
  let unavailableAPIChecks = MetricFamily(
    "aggregator_unavailable_apiservice_total", .counter, help: "Checks that found an APIService not to be available.",
    labels: ["name", "reason"])
  let watches = MetricFamily(
    "apiserver_longrunning_requests", .gauge, help: "Watches being served.", labels: ["verb"])
  let certificateExpirations = HistogramFamily(
    "apiserver_client_certificate_expiration_seconds",
    help: "Time that client certificates still have, at each request.",
    bounds: [
      0, 1800, 3600, 7200, 21600, 43200, 86400, 172_800, 345_600, 604_800, 2_592_000, 7_776_000, 15_552_000, 31_104_000,
    ])
  /// The store that stands in the place of etcd.
  let storeDurations = HistogramFamily(
    "etcd_request_duration_seconds", help: "Time that the replicated store took to commit a write.",
    labels: ["operation", "type"],
    bounds: [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60])
  let storedObjects = MetricFamily(
    "apiserver_storage_objects", .gauge, help: "Objects in the store.", labels: ["resource"])
  let build = MetricFamily(
    "kubernetes_build_info", .gauge, help: "What this server is: 1.",
    labels: [
      "major", "minor", "git_version", "git_commit", "git_tree_state", "build_date", "go_version", "compiler",
      "platform",
    ])

  func render() -> String {
    var out = ""
    requests.render(to: &out)
    durations.render(to: &out)
    serviceDurations.render(to: &out)
    let gauges = [executing, executingSeats, nominalSeats, lowerSeats, upperSeats, currentSeats, inQueue]
    for family in [terminations, inFlight, rejected, dispatched] + gauges { family.render(to: &out) }
    for histogram in [queueWaits, executions, certificateExpirations, storeDurations] { histogram.render(to: &out) }
    for family in [watches, unavailableAPIs, unavailableAPIChecks, storedObjects, build] { family.render(to: &out) }
    return out
  }
}

/// A request as metrics count it: labels that a client cannot make up, in the reference's words.
struct RequestLabels {
  let verb: String
  /// group, version, resource, subresource, scope, component.
  let place: MetricLabels

  private static let connecting: Set<String> = ["exec", "attach", "portforward", "proxy"]
  private static let methods: Set<String> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

  /// `knownSubresource`: the subresource, where the resource has it.
  init(_ info: RequestInfo?, group: String, version: String, resource: String, knownSubresource: String, isApply: Bool)
  {
    var scope = ""
    if let info, info.isResourceRequest {
      scope =
        !info.name.isEmpty || info.verb == "create" ? "resource" : !info.namespace.isEmpty ? "namespace" : "cluster"
    }
    verb = Self.verb(info, subresource: knownSubresource, isApply: isApply)
    place = [group, version, resource, knownSubresource, scope, "apiserver"]
  }

  static func isApply(_ request: HTTPRequest) -> Bool {
    request.headers["content-type"]?.hasPrefix(PatchType.apply.rawValue) ?? false
  }

  /// Whether what is asked for exists: of other resources and subresources there are as many as clients care to make up.
  func areAll(of info: RequestInfo?) -> Bool { !place[2].isEmpty && place[3] == info?.subresource }

  private static func verb(_ info: RequestInfo?, subresource: String, isApply: Bool) -> String {
    guard let info else { return "OTHER" }
    guard info.isResourceRequest else {
      let method = info.verb.uppercased()
      return methods.contains(method) ? method : "OTHER"
    }
    if connecting.contains(subresource) { return "CONNECT" }
    switch info.verb {
    case "get", "list", "watch", "delete", "deletecollection": return info.verb.uppercased()
    case "create": return "POST"
    case "update": return "PUT"
    case "patch": return isApply ? "APPLY" : "PATCH"
    default: return "OTHER"
    }
  }
}
