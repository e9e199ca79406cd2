// How far a recommendation is followed (spec/5 §5.7): the memory of what was recommended and done lately, and the bounds
// that spec.behavior, or in its absence the rules of old, draw from it.
import Client
import World

/// A word and its reason, as conditions have them.
struct ScalingRemark: Hashable {
  var reason: String
  var message: String

  static let ready = Self(reason: "ReadyForNewScale", message: "recommended size matches current size")
  static let inRange = Self(
    reason: "DesiredWithinRange", message: "the desired count is within the acceptable range")
  static let tooFew = Self(
    reason: "TooFewReplicas", message: "the desired replica count is less than the minimum replica count")
  static let tooMany = Self(
    reason: "TooManyReplicas", message: "the desired replica count is more than the maximum replica count")
  static let tooFast = Self(
    reason: "ScaleUpLimit", message: "the desired replica count is increasing faster than the maximum scale rate")
  static let tooFastDown = Self(
    reason: "ScaleDownLimit", message: "the desired replica count is decreasing faster than the maximum scale rate")
  static let waitsUp = Self(
    reason: "ScaleUpStabilized",
    message: "recent recommendations were lower than current one, applying the lowest recent recommendation")
  static let waitsDown = Self(
    reason: "ScaleDownStabilized",
    message: "recent recommendations were higher than current one, applying the highest recent recommendation")
}

/// What a recommendation becomes.
struct ScalingDecision: Hashable {
  var replicas: Int64
  var stabilization: ScalingRemark
  var isLimited: Bool
  var limit: ScalingRemark
}

struct ScalingHistory {
  typealias Rules = HorizontalPodAutoscaler.ScalingRules
  private struct Entry {
    var number: Int64
    var at: WallTime
  }

  /// How long recommendations stay in force against a fall, where the spec says nothing.
  private static let downscaleStabilization: Int64 = 300
  /// No window and no period is longer; what is older is forgotten.
  private static let memory = Duration.seconds(3600)

  private var recommendations: [Entry] = []
  /// By how many a target grew, and by how many it shrank.
  private var growths: [Entry] = []
  private var shrinkages: [Entry] = []

  /// What was there before the first recommendation counts as one.
  mutating func begin(with replicas: Int64, at now: WallTime) {
    if recommendations.isEmpty { recommendations = [Entry(number: replicas, at: now)] }
  }

  /// The target was scaled.
  mutating func note(from old: Int64, to new: Int64, at now: WallTime) {
    if new > old { growths.append(Entry(number: new - old, at: now)) }
    if new < old { shrinkages.append(Entry(number: old - new, at: now)) }
  }

  mutating func decide(_ recommended: Int64, current: Int64, for autoscaler: HorizontalPodAutoscaler, at now: WallTime)
    -> ScalingDecision
  {
    for list in [\Self.recommendations, \.growths, \.shrinkages] {
      self[keyPath: list].removeAll { now - $0.at > Self.memory }
    }
    defer { recommendations.append(Entry(number: recommended, at: now)) }
    if let up = autoscaler.scaleUp, let down = autoscaler.scaleDown {
      return decide(recommended, current, autoscaler, up, down, now)
    }
    let highest = highest(since: Self.downscaleStabilization, now, or: recommended)
    let (allowed, limit) = Self.classicLimit(highest, current, autoscaler)
    return ScalingDecision(
      replicas: allowed, stabilization: highest == recommended ? .ready : .waitsDown, isLimited: allowed != highest,
      limit: limit)
  }

  private func highest(since seconds: Int64, _ now: WallTime, or least: Int64) -> Int64 {
    recommendations.filter { now - $0.at < .seconds(seconds) }.reduce(least) { max($0, $1.number) }
  }

  private func lowest(since seconds: Int64, _ now: WallTime, or most: Int64) -> Int64 {
    recommendations.filter { now - $0.at < .seconds(seconds) }.reduce(most) { min($0, $1.number) }
  }

  /// At most twice as many, or four.
  private static func classicLimit(_ desired: Int64, _ current: Int64, _ autoscaler: HorizontalPodAutoscaler) -> (
    Int64, ScalingRemark
  ) {
    if desired < autoscaler.minReplicas { return (autoscaler.minReplicas, .tooFew) }
    let rate = max(2 * current, 4)
    let most = min(autoscaler.maxReplicas, rate)
    if desired > most { return (most, autoscaler.maxReplicas > rate ? .tooFast : .tooMany) }
    return (desired, .inRange)
  }

  // MARK: spec.behavior

  private func decide(
    _ recommended: Int64, _ current: Int64, _ autoscaler: HorizontalPodAutoscaler, _ up: Rules, _ down: Rules,
    _ now: WallTime
  ) -> ScalingDecision {
    let lowest = lowest(since: up.stabilizationWindowSeconds, now, or: recommended)
    let highest = highest(since: down.stabilizationWindowSeconds, now, or: recommended)
    let desired = min(max(current, lowest), highest)
    let waits: ScalingRemark = recommended >= current ? .waitsUp : .waitsDown
    var decision = ScalingDecision(
      replicas: desired, stabilization: desired == recommended ? .ready : waits, isLimited: false, limit: .inRange)
    if desired > current {
      let rate = max(current, bound(current, up, isUp: true, now))
      let most = min(autoscaler.maxReplicas, rate)
      if desired > most {
        decision.replicas = most
        decision.limit = autoscaler.maxReplicas > rate ? .tooFast : .tooMany
      }
    } else if desired < current {
      let rate = min(current, bound(current, down, isUp: false, now))
      let least = max(autoscaler.minReplicas, rate)
      if desired < least {
        decision.replicas = least
        decision.limit = autoscaler.minReplicas < rate ? .tooFastDown : .tooFew
      }
    }
    decision.isLimited = decision.replicas != desired
    return decision
  }

  /// How far the policies of one direction let a target go now.
  private func bound(_ current: Int64, _ rules: Rules, isUp: Bool, _ now: WallTime) -> Int64 {
    if rules.selection == .disabled { return current }
    let bounds = rules.policies.map { policy -> Int64 in
      func change(_ entries: [Entry]) -> Int64 {
        entries.filter { now - $0.at < .seconds(policy.periodSeconds) }.reduce(0) { $0 + $1.number }
      }
      let start = current - change(growths) + change(shrinkages)
      guard policy.isPercent else { return isUp ? start + policy.value : start - policy.value }
      // Rounded so that a percentage of few pods is one pod at least, upwards; and downwards as well.
      let part = Double(start) * Double(policy.value) / 100
      return isUp
        ? Int64((Double(start) + part).rounded(.up)) : Int64((Double(start) - part).rounded(.towardZero))
    }
    let wantsHighest = (rules.selection == .max) == isUp
    return (wantsHighest ? bounds.max() : bounds.min()) ?? current
  }
}
