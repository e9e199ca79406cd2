// Definitions in groups of the Kubernetes project itself say who approved them, or that nobody did.
import JSON
import Schema

/// What the annotation `api-approved.kubernetes.io` of a definition says.
public struct DefinitionApproval: Sendable {
  public enum State: Sendable {
    case approved, bypassed, missing, invalid
  }
  static let annotation = "api-approved.kubernetes.io"

  public let state: State
  public let message: String

  /// nil: the group is nobody's in particular.
  public init?(_ definition: JSONValue) { self.init(definition, group: definition["spec"]["group"].text) }

  init?(_ definition: JSONValue, group: String) {
    guard ["k8s.io", "kubernetes.io"].contains(where: { group == $0 || group.hasSuffix(".\($0)") }) else { return nil }
    let text = definition["metadata"]["annotations"][Self.annotation].text
    let reference = "see https://github.com/kubernetes/enhancements/pull/1111"
    if text.isEmpty {
      state = .missing
      message = "protected groups must have approval annotation \"\(Self.annotation)\", \(reference)"
    } else if text.hasPrefix("unapproved") {
      state = .bypassed
      message = "not approved: \(JSONValue.string(text))"
    } else if Self.isURL(text) {
      state = .approved
      message = "approved in \(text)"
    } else {
      state = .invalid
      message =
        "protected groups must have approval annotation \"\(Self.annotation)\" with either a URL or a reason starting "
        + "with \"unapproved\", \(reference)"
    }
  }

  /// With a scheme and a host.
  private static func isURL(_ text: String) -> Bool {
    guard let colon = text.firstIndex(of: ":"), let first = text.first, first.isLetter, first.isASCII else {
      return false
    }
    let rest = text[text.index(after: colon)...]
    guard rest.hasPrefix("//"), !text.contains(" ") else { return false }
    return !rest.dropFirst(2).prefix { $0 != "/" && $0 != "?" && $0 != "#" }.isEmpty
  }
}
