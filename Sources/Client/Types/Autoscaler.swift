// Horizontal pod autoscalers as their controller reads them.
import JSON
import Schema
import World

public struct HorizontalPodAutoscaler: APIObject {
  /// spec.behavior of one direction, with the defaults of the API.
  public struct ScalingRules: Hashable, Sendable {
    public enum Selection: String, Sendable { case max = "Max", min = "Min", disabled = "Disabled" }
    public struct Policy: Hashable, Sendable {
      public var isPercent: Bool
      public var value: Int64
      public var periodSeconds: Int64
    }
    public var stabilizationWindowSeconds: Int64
    public var selection: Selection
    public var policies: [Policy]
  }

  public static let reference = ResourceReference.horizontalPodAutoscalers
  public var metadata: ObjectMeta
  public var targetKind: String
  public var targetName: String
  public var targetAPIVersion: String
  public var minReplicas: Int64
  public var maxReplicas: Int64
  public var metrics: [JSONValue]
  /// Nil where the spec says nothing of behaviour.
  public var scaleUp: ScalingRules?
  public var scaleDown: ScalingRules?
  public var status: JSONValue
  /// The whole of it: a status is written back under the resourceVersion that was read.
  public var json: JSONValue

  public init(json: JSONValue) {
    self.json = json
    metadata = ObjectMeta(json: json["metadata"])
    let spec = json["spec"]
    targetKind = spec["scaleTargetRef"]["kind"].string ?? ""
    targetName = spec["scaleTargetRef"]["name"].string ?? ""
    targetAPIVersion = spec["scaleTargetRef"]["apiVersion"].string ?? ""
    minReplicas = spec["minReplicas"].integer ?? 1
    maxReplicas = spec["maxReplicas"].integer ?? 1
    metrics = spec["metrics"].elements
    status = json["status"]
    let behavior = spec["behavior"]
    guard !behavior.isNull else { return }
    let percent = ScalingRules.Policy(isPercent: true, value: 100, periodSeconds: 15)
    let pods = ScalingRules.Policy(isPercent: false, value: 4, periodSeconds: 15)
    scaleUp = Self.rules(behavior["scaleUp"], window: 0, policies: [pods, percent])
    scaleDown = Self.rules(behavior["scaleDown"], window: 300, policies: [percent])
  }

  private static func rules(_ json: JSONValue, window: Int64, policies: [ScalingRules.Policy]) -> ScalingRules {
    let given = json["policies"].elements.map {
      ScalingRules.Policy(
        isPercent: $0["type"].string == "Percent", value: $0["value"].integer ?? 0,
        periodSeconds: $0["periodSeconds"].integer ?? 0)
    }
    return ScalingRules(
      stabilizationWindowSeconds: json["stabilizationWindowSeconds"].integer ?? window,
      selection: ScalingRules.Selection(rawValue: json["selectPolicy"].string ?? "") ?? .max,
      policies: given.isEmpty ? policies : given)
  }
}
