// What a kind does that has no rule of its own: every requirement of KindRules with its usual answer.
import JSON
import Schema
import World

extension KindRules {
  public func applyDefaults(to object: inout JSONValue) {}
  public func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {}
  public func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {}
  public func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {}
  public func validate(_ object: JSONValue) -> [FieldError] { [] }
  public func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] { [] }
  public func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] { [] }
  public func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] { [] }
  public func validateName(_ name: String, isGeneratePrefix: Bool) -> String? {
    NameRule.subdomain.check(name, isGeneratePrefix: isGeneratePrefix)
  }
  /// Name and creation time: the table of kinds without columns of their own.
  public func tableCells(_ object: JSONValue, now: Int64) -> [JSONValue] {
    [object["metadata"]["name"], object["metadata"]["creationTimestamp"]]
  }
  /// Whether anything beside metadata and status changed.
  public func generationChanged(_ object: JSONValue, old: JSONValue) -> Bool {
    guard case .object(let new) = object, case .object(let before) = old else { return object != old }
    func isDesiredState(_ key: String) -> Bool { !["metadata", "status", "kind", "apiVersion"].contains(key) }
    for (key, value) in new where isDesiredState(key) && before[key] != value { return true }
    return before.contains { isDesiredState($0.key) && new[$0.key] == nil }
  }
}

/// The rules of a kind without any of its own.
public struct PlainRules: KindRules {
  public var nameRule: NameRule
  public init(nameRule: NameRule = .subdomain) { self.nameRule = nameRule }
  public func validateName(_ name: String, isGeneratePrefix: Bool) -> String? {
    nameRule.check(name, isGeneratePrefix: isGeneratePrefix)
  }
}
