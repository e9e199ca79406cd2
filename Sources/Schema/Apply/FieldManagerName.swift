// Who a write is attributed to.
import JSON

public enum FieldManagerName {
  /// As long as the reference allows.
  public static let maximumBytes = 128

  /// The `fieldManager` parameter, else what the User-Agent says before its first "/".
  public static func of(parameter: String?, userAgent: String?) -> String {
    if let parameter, !parameter.isEmpty { return parameter }
    let userAgent = userAgent ?? ""
    let start = userAgent.utf8.prefix { $0 != UInt8(ascii: "/") }
    // As nearly all are: nothing to look up for each character.
    if start.count <= maximumBytes, start.allSatisfy({ (0x20...0x7e).contains($0) }) { return String(Substring(start)) }
    var name = ""
    for scalar in userAgent.unicodeScalars {
      if scalar == "/" { break }
      guard isPrintable(scalar) else { continue }
      guard name.utf8.count + String(scalar).utf8.count <= maximumBytes else { break }
      name.unicodeScalars.append(scalar)
    }
    return name
  }

  /// What is wrong with the parameter; `isRequired` for apply.
  public static func check(_ parameter: String?, isRequired: Bool) -> FieldError? {
    guard let parameter, !parameter.isEmpty else {
      return isRequired ? .required("fieldManager", "is required for apply patch") : nil
    }
    if parameter.utf8.count > maximumBytes { return .tooLong("fieldManager", maximumBytes: maximumBytes) }
    guard parameter.unicodeScalars.allSatisfy(isPrintable) else {
      return .invalid("fieldManager", .string(parameter), "should only contain printable characters")
    }
    return nil
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
    case .spaceSeparator: scalar == " "
    default: true
    }
  }
}
