// The metrics of an autoscaler, from the servers that are aggregated for them: metrics.k8s.io, custom.metrics.k8s.io and
// external.metrics.k8s.io.
import Client
import JSON
import Schema
import World

struct MetricsClient: Sendable {
  /// A measurement that does not say over how long it was taken.
  private static let usualWindow = Duration.seconds(60)

  let client: APIClient

  // MARK: metrics.k8s.io

  /// What the pods use of a resource, by name; of one container, where it is named.
  func resource(_ resource: String, namespace: String, selector: String, container: String?) async throws(MetricFailure)
    -> [String: PodMetric]
  {
    let items: [JSONValue]
    do {
      items = try await client.list(
        path: "/apis/metrics.k8s.io/v1beta1/namespaces/\(namespace)/pods", ListOptions(labelSelector: selector)
      ).items
    } catch {
      let text = Self.text(error, "pods.metrics.k8s.io")
      throw MetricFailure(
        "unable to get metrics for resource \(resource): unable to fetch metrics from resource metrics API: \(text)")
    }
    guard !items.isEmpty else {
      throw MetricFailure(
        "unable to get metrics for resource \(resource): no metrics returned from resource metrics API")
    }
    var metrics: [String: PodMetric] = [:]
    for item in items {
      let name = item["metadata"]["name"].string ?? ""
      let containers = item["containers"].elements.filter { container == nil || $0["name"].string == container }
      if let container, containers.isEmpty {
        throw MetricFailure(
          "unable to get metrics for resource \(resource): container \(container) not present in metrics for pod "
            + "\(namespace)/\(name)")
      }
      let used = containers.map { Self.milli($0["usage"][resource]) }
      guard !used.contains(nil) else { continue }
      metrics[name] = PodMetric(
        value: used.reduce(Int64(0)) { $0.addingSaturated($1 ?? 0) },
        timestamp: item["timestamp"].time ?? client.world.wallClock,
        window: Self.duration(item["window"]) ?? Self.usualWindow)
    }
    return metrics
  }

  // MARK: custom.metrics.k8s.io

  /// A metric of each of the pods.
  func pods(_ metric: JSONValue, namespace: String, selector: String) async throws(MetricFailure) -> [String: PodMetric]
  {
    let name = metric["name"].string ?? ""
    let items = try await custom(
      "namespaces/\(namespace)/pods/*/\(QueryEncoding.encode(name))", metric, selector: selector, of: name)
    return Dictionary(
      items.compactMap { item in
        guard let pod = item["describedObject"]["name"].string, let value = Self.milli(item["value"]) else {
          return nil
        }
        let window = item["windowSeconds"].integer.map { Duration.seconds($0) } ?? Self.usualWindow
        return (
          pod,
          PodMetric(value: value, timestamp: item["timestamp"].time ?? client.world.wallClock, window: window)
        )
      }, uniquingKeysWith: { first, _ in first })
  }

  /// A metric of one object; `resource`: "services", "ingresses.networking.k8s.io".
  func object(_ metric: JSONValue, of object: JSONValue, resource: String, namespace: String)
    async throws(MetricFailure)
    -> Int64
  {
    let name = metric["name"].string ?? ""
    let kind = object["kind"].string ?? ""
    let target = object["name"].string ?? ""
    let described = QueryEncoding.encode(target)
    let path =
      kind == "Namespace"
      ? "namespaces/\(described)/metrics/\(QueryEncoding.encode(name))"
      : "namespaces/\(namespace)/\(resource)/\(described)/\(QueryEncoding.encode(name))"
    do {
      let items = try await custom(path, metric, selector: "", of: name)
      guard let value = items.first.flatMap({ Self.milli($0["value"]) }) else {
        throw MetricFailure("no metrics returned from custom metrics API")
      }
      return value
    } catch {
      // In this order, kind before reason, as Kubernetes has it.
      throw MetricFailure("unable to get metric \(name): \(kind) on \(namespace) \(target)/\(error)")
    }
  }

  /// Servers speak one version or the other.
  private func custom(_ path: String, _ metric: JSONValue, selector: String, of name: String)
    async throws(MetricFailure)
    -> [JSONValue]
  {
    var query: [(String, String)] = []
    if !selector.isEmpty { query.append(("labelSelector", selector)) }
    let metricSelector = Self.selector(metric)
    if !metricSelector.isEmpty { query.append(("metricLabelSelector", metricSelector)) }
    var failure: (any Error)?
    for version in ["v1beta2", "v1beta1"] {
      do {
        let items = try await client.json("GET", "/apis/custom.metrics.k8s.io/\(version)/\(path)", query)["items"]
          .elements
        guard !items.isEmpty else { throw MetricFailure("no metrics returned from custom metrics API") }
        return items
      } catch let empty as MetricFailure {
        throw empty
      } catch let status as APIStatus where status.code == 404 && failure == nil {
        failure = status
      } catch {
        failure = error
        break
      }
    }
    let text = failure.map { Self.text($0, "\(name).custom.metrics.k8s.io") } ?? ""
    throw MetricFailure("unable to fetch metrics from custom metrics API: \(text)")
  }

  // MARK: external.metrics.k8s.io

  /// The values of all series that the metric's selector matches.
  func external(_ metric: JSONValue, namespace: String) async throws(MetricFailure) -> [Int64] {
    let name = metric["name"].string ?? ""
    let selector = Self.selector(metric)
    do {
      let query = selector.isEmpty ? [] : [("labelSelector", selector)]
      let path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/\(namespace)/\(QueryEncoding.encode(name))"
      let values = try await client.json("GET", path, query)["items"].elements.compactMap { Self.milli($0["value"]) }
      guard !values.isEmpty else { throw MetricFailure("no metrics returned from external metrics API") }
      return values
    } catch {
      let text =
        error is MetricFailure
        ? "\(error)"
        : "unable to fetch metrics from external metrics API: \(Self.text(error, "\(name).external.metrics.k8s.io"))"
      throw MetricFailure("unable to get external metric \(namespace)/\(name)/\(selector): \(text)")
    }
  }

  // MARK: Words

  static func selector(_ metric: JSONValue) -> String {
    guard !metric["selector"].isNull, let selector = try? LabelSelector(metric["selector"]) else { return "" }
    return "\(selector)"
  }

  private static func milli(_ json: JSONValue) -> Int64? {
    json.string.flatMap { Quantity($0) }?.milliValue ?? json.integer.map { Quantity($0).milliValue }
  }

  private static func duration(_ json: JSONValue) -> Duration? {
    json.string.flatMap { DurationText.nanoseconds($0) }.map { .nanoseconds($0) }
  }

  /// What client-go says of an answer that is no Status: whoever knows Kubernetes looks for these words.
  private static func text(_ error: any Error, _ resource: String) -> String {
    guard let status = error as? APIStatus else { return "\(error)" }
    switch status.code {
    case 404 where status.reason.isEmpty || status.name.isEmpty:
      return "the server could not find the requested resource (get \(resource))"
    case 503: return "the server is currently unable to handle the request (get \(resource))"
    default: return status.message
    }
  }
}
