// What names of objects may look like (spec/3 §2.7), in the words of Kubernetes.

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
    // The suffix of a generated name stands where the dash is.
    let text = isGeneratePrefix && name.hasSuffix("-") ? name.dropLast() + "a" : Substring(name)
    switch self {
    case .subdomain:
      if name.utf8.count > 253 { return "must be no more than 253 bytes" }
      let isFine = text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(Self.isLabel)
      return isFine ? nil : Self.subdomainMessage
    case .label:
      if name.utf8.count > 63 { return "must be no more than 63 bytes" }
      return Self.isLabel(text) ? nil : Self.labelMessage
    case .serviceLabel:
      if name.utf8.count > 63 { return "must be no more than 63 bytes" }
      let beginsWithLetter = text.utf8.first.map { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) } ?? false
      return beginsWithLetter && Self.isLabel(text) ? nil : Self.serviceLabelMessage
    case .pathSegment:
      if name == "." || name == ".." { return "may not be '\(name)'" }
      if name.contains("/") { return "may not contain '/'" }
      return name.contains("%") ? "may not contain '%'" : nil
    }
  }

  private static func isLabel(_ text: Substring) -> Bool {
    let bytes = text.utf8
    guard let first = bytes.first, let last = bytes.last, first != UInt8(ascii: "-"), last != UInt8(ascii: "-") else {
      return false
    }
    return bytes.allSatisfy {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        || $0 == UInt8(ascii: "-")
    }
  }

  static let labelMessage =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    + "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
  static let subdomainMessage =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    + "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
  static let serviceLabelMessage =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    + "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    + "'[a-z]([-a-z0-9]*[a-z0-9])?')"
}
