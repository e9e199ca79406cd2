// One metric of an autoscaler: measured, and turned into a number of replicas.
import Client
import JSON
import Schema
import World

/// What one metric of the spec asks for.
struct MetricResult {
  var proposal: ReplicaProposal
  /// As events name it: "cpu resource utilization (percentage of request)".
  var name: String
  /// `MetricStatus`.
  var status: JSONValue
}

/// A metric that cannot be had: the condition's reason, and why.
struct MetricRefusal: Error {
  var reason: String
  var message: String
  /// With what the metric was, for the sum of all failures.
  var summary: String
}

struct MetricReader {
  let client: MetricsClient
  let discovery: ResourceDiscovery
  let namespace: String
  /// Of the target's pods.
  let selector: String
  let statusReplicas: Int64
  let calculator: ReplicaCalculator

  func read(_ spec: JSONValue) async throws(MetricRefusal) -> MetricResult {
    let type = spec["type"].string ?? ""
    switch type {
    case "Resource":
      return try await named("FailedGetResourceMetric", spec, "resource", "resource metric value", resource)
    case "ContainerResource":
      return try await named(
        "FailedGetContainerResourceMetric", spec, "containerResource", "container metric value", resource)
    case "Pods": return try await named("FailedGetPodsMetric", spec, "pods", "pods metric value", pods)
    case "Object": return try await named("FailedGetObjectMetric", spec, "object", "object metric value", object)
    case "External":
      return try await named("FailedGetExternalMetric", spec, "external", "external metric value", external)
    default:
      let message = "unknown metric source type \"\(type)\""
      throw MetricRefusal(reason: "InvalidMetricSourceType", message: message, summary: message)
    }
  }

  private func named(
    _ reason: String, _ spec: JSONValue, _ member: String, _ what: String,
    _ read: (JSONValue) async throws(MetricFailure) -> (ReplicaProposal, String)
  ) async throws(MetricRefusal) -> MetricResult {
    let source = spec[member]
    do throws(MetricFailure) {
      let (proposal, name) = try await read(source)
      var status: JSONValue = [:]
      for part in ["name", "container", "metric", "describedObject"] where !source[part].isNull {
        status[part] = source[part]
      }
      let target = source["target"]
      var current: JSONValue = [:]
      if let percent = proposal.utilization { current["averageUtilization"] = .integer(percent) }
      let isAverage = proposal.utilization != nil || !target["averageValue"].isNull
      current[isAverage ? "averageValue" : "value"] = .string(Quantity(milli: proposal.value).description)
      status["current"] = current
      var result: JSONValue = ["type": spec["type"]]
      result[member] = status
      return MetricResult(proposal: proposal, name: name, status: result)
    } catch {
      // Resources and external metrics are named in the sum of failures.
      let subject = ["resource", "containerResource"].contains(member) ? source["name"].string.map { "\($0) " } : nil
      let metric = member == "external" ? source["metric"]["name"].string.map { "\($0) " } : nil
      throw MetricRefusal(
        reason: reason, message: error.description,
        summary: "failed to get \(subject ?? metric ?? "")\(what): \(error)")
    }
  }

  private func resource(_ source: JSONValue) async throws(MetricFailure) -> (ReplicaProposal, String) {
    let name = source["name"].string ?? ""
    let container = source["container"].string
    let target = source["target"]
    let percent = target["averageUtilization"].integer
    let amount = Self.milli(target["averageValue"])
    let prefix = amount == nil ? "failed to get \(name) utilization: " : "failed to get \(name) usage: "
    do throws(MetricFailure) {
      let metrics = try await client.resource(name, namespace: namespace, selector: selector, container: container)
      if let amount { return (try calculator.average(metrics, of: name, target: amount), "\(name) resource") }
      guard let percent else {
        throw MetricFailure(
          "invalid resource metric source: neither an average utilization target nor an average value (usage) target "
            + "was set")
      }
      let kind = container == nil ? "resource" : "container resource"
      return (
        try calculator.utilization(metrics, of: name, target: percent, container: container),
        "\(name) \(kind) utilization (percentage of request)"
      )
    } catch { throw MetricFailure(prefix + error.description) }
  }

  private func pods(_ source: JSONValue) async throws(MetricFailure) -> (ReplicaProposal, String) {
    let name = source["metric"]["name"].string ?? ""
    do throws(MetricFailure) {
      let metrics = try await client.pods(source["metric"], namespace: namespace, selector: selector)
      let target = Self.milli(source["target"]["averageValue"]) ?? 0
      return (try calculator.average(metrics, of: "", target: target), "pods metric \(name)")
    } catch { throw MetricFailure("unable to get metric \(name): \(error)") }
  }

  private func object(_ source: JSONValue) async throws(MetricFailure) -> (ReplicaProposal, String) {
    let described = source["describedObject"]
    let kind = described["kind"].string ?? ""
    let name = source["metric"]["name"].string ?? ""
    let found = try? await discovery.resource(apiVersion: described["apiVersion"].string ?? "v1", kind: kind)
    let resource =
      found.map { $0.group.isEmpty ? $0.resource : "\($0.resource).\($0.group)" } ?? "\(kind.lowercased())s"
    let usage = try await client.object(source["metric"], of: described, resource: resource, namespace: namespace)
    return try proposal(usage, source["target"], "\(kind) metric \(name)", of: "object")
  }

  private func external(_ source: JSONValue) async throws(MetricFailure) -> (ReplicaProposal, String) {
    let metric = source["metric"]
    let name = metric["name"].string ?? ""
    let usage = try await client.external(metric, namespace: namespace).reduce(Int64(0)) { $0.addingSaturated($1) }
    return try proposal(
      usage, source["target"], "external metric \(name)(\(MetricsClient.selector(metric)))", of: "external")
  }

  private func proposal(_ usage: Int64, _ target: JSONValue, _ name: String, of kind: String) throws(MetricFailure) -> (
    ReplicaProposal, String
  ) {
    if let average = Self.milli(target["averageValue"]) {
      return (ReplicaCalculator.perReplica(usage, target: average, replicas: statusReplicas), name)
    }
    guard let value = Self.milli(target["value"]) else {
      throw MetricFailure(
        "invalid \(kind) metric source: neither a value target nor an average value target was set")
    }
    return (try calculator.total(usage, target: value), name)
  }

  private static func milli(_ json: JSONValue) -> Int64? {
    json.string.flatMap { Quantity($0) }?.milliValue ?? json.integer.map { Quantity($0).milliValue }
  }
}
