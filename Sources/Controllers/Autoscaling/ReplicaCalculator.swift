// How many replicas a metric asks for, as values (spec/5 §5.7). Amounts are in thousandths.
import Client
import JSON
import Schema
import World

/// What a pod uses of something.
struct PodMetric: Hashable {
  var value: Int64
  /// When it was measured, and over how long.
  var timestamp: WallTime
  var window: Duration
}

/// Why a metric says nothing.
struct MetricFailure: Error, Hashable, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// A number of replicas, and what was measured.
struct ReplicaProposal: Hashable {
  var replicas: Int64
  /// Percent of what pods request, where the target is one.
  var utilization: Int64?
  /// Of one pod on the average, or of the whole.
  var value: Int64
}

struct ReplicaCalculator {
  /// Smaller differences between what is and what should be are none.
  static let tolerance = 0.1
  /// A pod's CPU says little while it begins.
  private static let cpuInitialization = Duration.seconds(300)
  /// A pod that was never ready, and is not for as long, is not counted.
  private static let initialReadiness = Duration.seconds(30)

  let currentReplicas: Int64
  /// The pods of the target.
  let pods: [Pod]
  let now: WallTime

  private struct Groups {
    var ready = 0
    var unready: [String] = []
    var missing: [String] = []
    var metrics: [String: PodMetric]
  }

  // MARK: Metrics of pods

  /// Of a resource, as a percentage of what containers request; `container` names one of them.
  func utilization(
    _ metrics: [String: PodMetric], of resource: String, target: Int64, container: String?
  ) throws(MetricFailure) -> ReplicaProposal {
    guard !pods.isEmpty else { throw MetricFailure("no pods returned by selector while calculating replica count") }
    let groups = try group(metrics, resource: resource)
    let requests = try requests(of: resource, container: container)
    func ratio(_ values: [String: Int64]) throws(MetricFailure) -> (ratio: Double, percent: Int64, mean: Int64) {
      let known = values.filter { requests[$0.key] != nil }
      let requested = known.keys.reduce(Int64(0)) { $0.addingSaturated(requests[$1] ?? 0) }
      guard requested > 0 else { throw MetricFailure("no metrics returned matched known pods") }
      let used = known.values.reduce(Int64(0)) { $0.addingSaturated($1) }
      let percent = Self.share(used, 100, of: requested)
      return (Double(percent) / Double(target), percent, used / Int64(known.count))
    }
    let measured = try ratio(groups.metrics.mapValues(\.value))
    let replicas = try replicas(
      groups, first: measured.ratio,
      // A pod that says nothing is taken to use all it asked for, or what it should.
      missingValue: { Self.share(requests[$0] ?? 0, max(100, target), of: 100) },
      again: { values throws(MetricFailure) in try ratio(values).ratio })
    return ReplicaProposal(replicas: replicas, utilization: measured.percent, value: measured.mean)
  }

  /// Of a resource ("" for any other metric), as an amount a pod.
  func average(_ metrics: [String: PodMetric], of resource: String, target: Int64) throws(MetricFailure)
    -> ReplicaProposal
  {
    guard !pods.isEmpty else { throw MetricFailure("no pods returned by selector while calculating replica count") }
    let groups = try group(metrics, resource: resource)
    func mean(_ values: [String: Int64]) -> Int64 {
      values.values.reduce(Int64(0)) { $0.addingSaturated($1) } / Int64(max(1, values.count))
    }
    let measured = mean(groups.metrics.mapValues(\.value))
    let replicas = try replicas(
      groups, first: Double(measured) / Double(target), missingValue: { _ in target },
      again: { values throws(MetricFailure) in Double(mean(values)) / Double(target) })
    return ReplicaProposal(replicas: replicas, value: measured)
  }

  /// What pods without a measurement might use never turns the direction, nor does it go further.
  private func replicas(
    _ groups: Groups, first: Double, missingValue: (String) -> Int64,
    again: ([String: Int64]) throws(MetricFailure) -> Double
  ) throws(MetricFailure) -> Int64 {
    let countsUnready = !groups.unready.isEmpty && first > 1
    if !countsUnready && groups.missing.isEmpty {
      return Self.isTolerable(first) ? currentReplicas : Self.roundedUp(first * Double(groups.ready))
    }
    var values = groups.metrics.mapValues(\.value)
    for name in groups.missing where first != 1 { values[name] = first < 1 ? missingValue(name) : 0 }
    if countsUnready { for name in groups.unready { values[name] = 0 } }
    let second = try again(values)
    if Self.isTolerable(second) || (first < 1 && second > 1) || (first > 1 && second < 1) { return currentReplicas }
    let replicas = Self.roundedUp(second * Double(values.count))
    if (second < 1 && replicas > currentReplicas) || (second > 1 && replicas < currentReplicas) {
      return currentReplicas
    }
    return replicas
  }

  private func group(_ metrics: [String: PodMetric], resource: String) throws(MetricFailure) -> Groups {
    var groups = Groups(metrics: metrics)
    for pod in pods {
      if pod.metadata.isBeingDeleted || pod.status.phase == "Failed" {
        groups.metrics[pod.name] = nil
      } else if pod.status.phase == "Pending" {
        groups.metrics[pod.name] = nil
        groups.unready.append(pod.name)
      } else if let metric = metrics[pod.name] {
        if resource == "cpu", isBeginning(pod, metric) {
          groups.metrics[pod.name] = nil
          groups.unready.append(pod.name)
        } else {
          groups.ready += 1
        }
      } else {
        groups.missing.append(pod.name)
      }
    }
    guard !groups.metrics.isEmpty else {
      throw MetricFailure("did not receive metrics for targeted pods (pods might be unready)")
    }
    return groups
  }

  private func isBeginning(_ pod: Pod, _ metric: PodMetric) -> Bool {
    guard let ready = pod.status.condition("Ready"), let start = pod.status.startTime,
      let changed = ready.lastTransitionTime
    else { return true }
    if start + Self.cpuInitialization > now {
      return ready.status == "False" || metric.timestamp < changed + metric.window
    }
    return ready.status == "False" && start + Self.initialReadiness > changed
  }

  private func requests(of resource: String, container name: String?) throws(MetricFailure) -> [String: Int64] {
    var requests: [String: Int64] = [:]
    for pod in pods {
      let sidecars = pod.spec.initContainers.filter { $0.restartPolicy == "Always" }
      var sum: Int64 = 0
      for container in pod.spec.containers + sidecars where name == nil || name == container.name {
        guard let request = container.requests[resource] else {
          throw MetricFailure("missing request for \(resource) in container \(container.name) of Pod \(pod.name)")
        }
        sum = sum.addingSaturated(request.milliValue)
      }
      requests[pod.name] = sum
    }
    return requests
  }

  /// amount × part / whole. Metrics and requests may be as large as numbers are.
  private static func share(_ amount: Int64, _ part: Int64, of whole: Int64) -> Int64 {
    Int64(clamping: Int128(amount) * Int128(part) / Int128(whole))
  }

  // MARK: Metrics of other things

  /// The whole should be so much: as many replicas more or less as it is more or less.
  func total(_ usage: Int64, target: Int64) throws(MetricFailure) -> ReplicaProposal {
    let ratio = Double(usage) / Double(target)
    // From zero there is nothing to multiply.
    guard currentReplicas != 0 else { return ReplicaProposal(replicas: Self.roundedUp(ratio), value: usage) }
    guard !Self.isTolerable(ratio) else { return ReplicaProposal(replicas: currentReplicas, value: usage) }
    guard !pods.isEmpty else {
      throw MetricFailure(
        "unable to calculate ready pods: no pods returned by selector while calculating replica count")
    }
    let ready = pods.count { $0.status.phase == "Running" && $0.isReady }
    return ReplicaProposal(replicas: Self.roundedUp(ratio * Double(ready)), value: usage)
  }

  /// So much for each replica; `replicas`: how many there are.
  static func perReplica(_ usage: Int64, target: Int64, replicas: Int64) -> ReplicaProposal {
    let ratio = Double(usage) / (Double(target) * Double(replicas))
    let wanted = isTolerable(ratio) ? replicas : roundedUp(Double(usage) / Double(target))
    let mean = replicas == 0 ? usage : roundedUp(Double(usage) / Double(replicas))
    return ReplicaProposal(replicas: wanted, value: mean)
  }

  private static func isTolerable(_ ratio: Double) -> Bool { abs(1 - ratio) <= tolerance }

  /// Nonsense (nothing by nothing, more than a number holds) ends at a bound.
  private static func roundedUp(_ number: Double) -> Int64 {
    guard number.isFinite else { return number > 0 ? Int64(Int32.max) : 0 }
    return Int64(min(max(number.rounded(.up), 0), Double(Int32.max)))
  }
}
