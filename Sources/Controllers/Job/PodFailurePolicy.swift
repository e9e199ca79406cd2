// What the failure of a pod means to its job (spec.podFailurePolicy): the first rule that matches decides.
import Client
import JSON

struct PodFailureVerdict: Hashable {
  enum Action: String {
    case failJob = "FailJob", failIndex = "FailIndex", ignore = "Ignore", count = "Count"
  }
  /// Nil where no rule matches: the failure counts.
  var action: Action?
  /// Why the job fails, where it does.
  var message = ""

  /// Whether the failure uses up the back-off limit.
  var counts: Bool { action != .ignore && action != .failIndex }

  static let counted = Self(action: nil)

  /// `rules`: nil where the job has no policy.
  init(_ pod: Pod, rules: [JSONValue]?) {
    for (index, rule) in (rules ?? []).enumerated() {
      let action = Action(rawValue: rule["action"].string ?? "")
      let codes = rule["onExitCodes"]
      if !codes.isNull {
        guard let (container, code) = Self.exit(of: pod, matching: codes) else { continue }
        self.init(
          action: action,
          message: "Container \(container) for pod \(pod.key) failed with exit code \(code) matching "
            + "\(action?.rawValue ?? "") rule at index \(index)")
        return
      }
      let patterns = rule["onPodConditions"].elements
      let match = pod.status.conditions.first { condition in
        patterns.contains {
          $0["type"].string == condition.type && ($0["status"].string ?? "True") == condition.status
        }
      }
      guard let match else { continue }
      self.init(
        action: action,
        message: "Pod \(pod.key) has condition \(match.type) matching \(action?.rawValue ?? "") rule at index \(index)")
      return
    }
    self.init(action: nil)
  }

  private init(action: Action?, message: String = "") {
    self.action = action
    self.message = message
  }

  /// The first container that ended with a code of the requirement; 0 is no failure.
  private static func exit(of pod: Pod, matching requirement: JSONValue) -> (container: String, code: Int64)? {
    let name = requirement["containerName"].string
    let values = requirement["values"].elements.compactMap(\.integer)
    let isIn = requirement["operator"].string == "In"
    for status in pod.status.containerStatuses {
      let container = status["name"].string ?? ""
      guard name == nil || name == container, let code = status["state"]["terminated"]["exitCode"].integer, code != 0,
        values.contains(code) == isIn
      else { continue }
      return (container, code)
    }
    return nil
  }
}
