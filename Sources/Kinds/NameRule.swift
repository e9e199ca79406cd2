// What names of objects may look like (spec/3 §2.7).
import Schema

/// The rule of a kind for `metadata.name`.
public enum NameRule: Sendable {
  /// Lower-case DNS labels joined by dots, at most 253 bytes: most kinds.
  case subdomain
  /// One lower-case DNS label, at most 63 bytes: namespaces.
  case label
  /// A DNS label that begins with a letter: services.
  case serviceLabel
  /// Anything that can be one segment of a path: RBAC.
  case pathSegment

  /// What is wrong with the name; nil when nothing is. A prefix to generate from may end in "-".
  public func check(_ name: String, isGeneratePrefix: Bool) -> String? {
    let errors =
      switch self {
      case .subdomain: Validate.nameIsDNSSubdomain(name, isPrefix: isGeneratePrefix)
      case .label: Validate.nameIsDNSLabel(name, isPrefix: isGeneratePrefix)
      case .serviceLabel: Validate.nameIsDNS1035Label(name, isPrefix: isGeneratePrefix)
      case .pathSegment: Validate.pathSegmentName(name, isPrefix: isGeneratePrefix)
      }
    return errors.first
  }
}
