// The shapes of names, keys and values, each checked by hand (no regular expressions), each with the reference's words.

/// Checks of single values. Every function returns what is wrong, nothing if all is well; the texts are Kubernetes'.
public enum Validate {
  public static let dns1123LabelMaximum = 63
  public static let dns1123SubdomainMaximum = 253
  public static let dns1035LabelMaximum = 63
  public static let qualifiedNameMaximum = 63
  public static let labelValueMaximum = 63
  /// Keys and values of one object's annotations, in bytes.
  public static let annotationsMaximum = 262_144

  static func maximumLength(_ length: Int) -> String { "must be no more than \(length) bytes" }
  static let emptyError = "must be non-empty"

  static func pattern(_ message: String, _ pattern: String, _ examples: String...) -> String {
    guard !examples.isEmpty else { return "\(message) (regex used for validation is '\(pattern)')" }
    // Two blanks before "or": so the reference joins them.
    let list = examples.map { "'\($0)', " }.joined(separator: " or ")
    return "\(message) (e.g. \(list)regex used for validation is '\(pattern)')"
  }

  // MARK: Shapes

  @inline(__always) static func isLowerAlphanumeric(_ byte: UInt8) -> Bool {
    (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x30 && byte <= 0x39)
  }
  @inline(__always) static func isAlphanumeric(_ byte: UInt8) -> Bool {
    isLowerAlphanumeric(byte) || (byte >= 0x41 && byte <= 0x5a)
  }

  /// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
  private static func isLabelShape(_ text: some BidirectionalCollection<UInt8>) -> Bool {
    guard let first = text.first, let last = text.last else { return false }
    return isLowerAlphanumeric(first) && isLowerAlphanumeric(last)
      && text.allSatisfy { isLowerAlphanumeric($0) || $0 == 0x2d }
  }

  /// `[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?`
  private static func isNameShape(_ text: some BidirectionalCollection<UInt8>) -> Bool {
    guard let first = text.first, let last = text.last else { return false }
    return isAlphanumeric(first) && isAlphanumeric(last)
      && text.allSatisfy { isAlphanumeric($0) || $0 == 0x2d || $0 == 0x5f || $0 == 0x2e }
  }

  // MARK: DNS names

  public static func dns1123Label(_ text: String) -> [String] {
    var errors: [String] = []
    if text.utf8.count > dns1123LabelMaximum { errors.append(maximumLength(dns1123LabelMaximum)) }
    if !isLabelShape(text.utf8) {
      if isSubdomainShape(text) {
        // It is a valid subdomain, so only the dots are at fault.
        errors.append("must not contain dots")
      } else {
        errors.append(
          pattern(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            "[a-z0-9]([-a-z0-9]*[a-z0-9])?", "my-name", "123-abc"))
      }
    }
    return errors
  }

  private static func isSubdomainShape(_ text: String) -> Bool {
    text.utf8.split(separator: 0x2e, omittingEmptySubsequences: false).allSatisfy { isLabelShape($0) }
  }

  private static let subdomainMessage = pattern(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
    "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", "example.com")

  public static func dns1123Subdomain(_ text: String) -> [String] {
    var errors: [String] = []
    if text.utf8.count > dns1123SubdomainMaximum { errors.append(maximumLength(dns1123SubdomainMaximum)) }
    if !isSubdomainShape(text) { errors.append(subdomainMessage) }
    return errors
  }

  public static func dns1035Label(_ text: String) -> [String] {
    var errors: [String] = []
    if text.utf8.count > dns1035LabelMaximum { errors.append(maximumLength(dns1035LabelMaximum)) }
    let startsWithLetter = text.utf8.first.map { $0 >= 0x61 && $0 <= 0x7a } ?? false
    if !startsWithLetter || !isLabelShape(text.utf8) {
      errors.append(
        pattern(
          "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
          "[a-z]([-a-z0-9]*[a-z0-9])?", "my-name", "abc-123"))
    }
    return errors
  }

  public static func wildcardDNS1123Subdomain(_ text: String) -> [String] {
    var errors: [String] = []
    if text.utf8.count > dns1123SubdomainMaximum { errors.append(maximumLength(dns1123SubdomainMaximum)) }
    if !text.hasPrefix("*.") || !isSubdomainShape(String(text.dropFirst(2))) {
      errors.append(
        pattern(
          "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
          "\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", "*.example.com"))
    }
    return errors
  }

  // MARK: Keys and values

  /// `name` or `prefix/name`: keys of labels, annotations, resources, taints; finalizers.
  public static func qualifiedName(_ text: String) -> [String] {
    var errors: [String] = []
    let parts = text.utf8.split(separator: 0x2f, omittingEmptySubsequences: false)
    var name = Substring(text)
    switch parts.count {
    case 1: break
    case 2:
      let prefix = String(Substring(parts[0]))
      name = Substring(parts[1])
      if prefix.isEmpty {
        errors.append("prefix part \(emptyError)")
      } else {
        errors += dns1123Subdomain(prefix).map { "prefix part \($0)" }
      }
    default:
      return [
        "a qualified name "
          + pattern(
            qualifiedNameMessage, qualifiedNamePattern, "MyName", "my.name", "123-abc")
          + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
      ]
    }
    if name.isEmpty {
      errors.append("name part \(emptyError)")
    } else if name.utf8.count > qualifiedNameMaximum {
      errors.append("name part \(maximumLength(qualifiedNameMaximum))")
    }
    if !isNameShape(name.utf8) {
      errors.append("name part " + pattern(qualifiedNameMessage, qualifiedNamePattern, "MyName", "my.name", "123-abc"))
    }
    return errors
  }
  private static let qualifiedNameMessage =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
  private static let qualifiedNamePattern = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

  public static func labelValue(_ text: String) -> [String] {
    var errors: [String] = []
    if text.utf8.count > labelValueMaximum { errors.append(maximumLength(labelValueMaximum)) }
    if !text.isEmpty, !isNameShape(text.utf8) {
      errors.append(
        pattern(
          "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
          "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", "MyValue", "my_value", "12345"))
    }
    return errors
  }

  /// Keys of ConfigMap and Secret data.
  public static func configMapKey(_ text: String) -> [String] {
    var errors: [String] = []
    if text.utf8.count > dns1123SubdomainMaximum { errors.append(maximumLength(dns1123SubdomainMaximum)) }
    if text.isEmpty || !text.utf8.allSatisfy({ isAlphanumeric($0) || $0 == 0x2d || $0 == 0x5f || $0 == 0x2e }) {
      errors.append(
        pattern(
          "a valid config key must consist of alphanumeric characters, '-', '_' or '.'", "[-._a-zA-Z0-9]+", "key.name",
          "KEY_NAME", "key-name"))
    }
    if text == "." {
      errors.append("must not be '.'")
    } else if text == ".." {
      errors.append("must not be '..'")
    } else if text.hasPrefix("..") {
      errors.append("must not start with '..'")
    }
    return errors
  }

  /// Names of environment variables, as 1.32 allows them: printable ASCII but '='.
  public static func environmentVariableName(_ text: String) -> [String] {
    if text.isEmpty {
      return ["environment variable name " + emptyError]
    }
    guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 <= 0x7e && $0 != 0x3d }) else {
      return [
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
      ]
    }
    return []
  }

  public static func cIdentifier(_ text: String) -> [String] {
    let valid =
      text.utf8.first.map { (isAlphanumeric($0) && !($0 >= 0x30 && $0 <= 0x39)) || $0 == 0x5f } ?? false
    guard valid, text.utf8.allSatisfy({ isAlphanumeric($0) || $0 == 0x5f }) else {
      return [
        pattern(
          "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
          "[A-Za-z_][A-Za-z0-9_]*", "my_name", "MY_NAME", "MyName")
      ]
    }
    return []
  }

  /// Why a condition is as it is: one word.
  public static func conditionReason(_ text: String) -> [String] {
    func isLetter(_ byte: UInt8) -> Bool { isAlphanumeric(byte) && !(0x30...0x39).contains(byte) }
    let bytes = text.utf8
    guard let first = bytes.first, let last = bytes.last, isLetter(first), isAlphanumeric(last) || last == 0x5f,
      bytes.allSatisfy({ isAlphanumeric($0) || $0 == 0x5f || $0 == 0x2c || $0 == 0x3a })
    else {
      return [
        pattern(
          "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
          "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", "my_name", "MY_NAME", "MyName", "ReasonA,ReasonB",
          "ReasonA:ReasonB")
      ]
    }
    return []
  }

  // MARK: Names of objects

  /// A name that can stand as one segment of a URL path (RBAC kinds: "system:node").
  public static func pathSegmentName(_ text: String, isPrefix: Bool = false) -> [String] {
    if !isPrefix {
      if text == "." { return ["may not be '.'"] }
      if text == ".." { return ["may not be '..'"] }
    }
    return ["/", "%"].filter { text.contains($0) }.map { "may not contain '\($0)'" }
  }

  /// What a generated name's base may look like: the end may be a dash, since characters follow.
  public static func maskTrailingDash(_ text: String) -> String {
    text.utf8.count > 1 && text.hasSuffix("-") ? String(text.dropLast()) + "a" : text
  }

  public static func nameIsDNSSubdomain(_ text: String, isPrefix: Bool = false) -> [String] {
    dns1123Subdomain(isPrefix ? maskTrailingDash(text) : text)
  }
  public static func nameIsDNSLabel(_ text: String, isPrefix: Bool = false) -> [String] {
    dns1123Label(isPrefix ? maskTrailingDash(text) : text)
  }
  public static func nameIsDNS1035Label(_ text: String, isPrefix: Bool = false) -> [String] {
    dns1035Label(isPrefix ? maskTrailingDash(text) : text)
  }
}
