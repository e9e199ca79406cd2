// Named formats: format.dns1123Label().validate(…).
import Schema

/// A format texts can be checked against.
struct NamedFormat: CELOpaque {
  let name: String
  /// What is wrong with a text.
  let problems: @Sendable (String) -> [String]

  var typeName: String { "kubernetes.NamedFormat" }
  func equals(_ other: any CELOpaque) -> Bool { (other as? NamedFormat)?.name == name }

  static let all: [NamedFormat] = [
    NamedFormat(name: "dns1123Label") { Validate.dns1123Label($0) },
    NamedFormat(name: "dns1123Subdomain") { Validate.dns1123Subdomain($0) },
    NamedFormat(name: "dns1035Label") { Validate.dns1035Label($0) },
    NamedFormat(name: "qualifiedName") { Validate.qualifiedName($0) },
    NamedFormat(name: "dns1123LabelPrefix") { Validate.nameIsDNSLabel($0, isPrefix: true) },
    NamedFormat(name: "dns1123SubdomainPrefix") { Validate.nameIsDNSSubdomain($0, isPrefix: true) },
    NamedFormat(name: "dns1035LabelPrefix") { Validate.nameIsDNS1035Label($0, isPrefix: true) },
    NamedFormat(name: "labelValue") { Validate.labelValue($0) },
    NamedFormat(name: "uri") { text in
      do throws(CELURL.Problem) { _ = try CELURL(text) } catch { return [error.message] }
      return []
    },
    NamedFormat(name: "uuid") { isUUID($0) ? [] : ["does not match the UUID format"] },
    NamedFormat(name: "byte") { (try? Base64.decode($0)) == nil ? ["invalid base64"] : [] },
    NamedFormat(name: "date") {
      $0.utf8.count == 10 && Timestamp(rfc3339: $0 + "T00:00:00Z") != nil ? [] : ["invalid date"]
    },
    NamedFormat(name: "datetime") { Timestamp(rfc3339: $0) == nil ? ["invalid datetime"] : [] },
  ]

  private static func isUUID(_ text: String) -> Bool {
    let groups = text.split(separator: "-", omittingEmptySubsequences: false)
    let isHex = groups.allSatisfy { $0.unicodeScalars.allSatisfy(\.isHexDigit) }
    return isHex && (groups.map(\.count) == [8, 4, 4, 4, 12] || groups.map(\.count) == [32])
  }
}

enum FormatFunctions {
  private static let format = CELType.named("kubernetes.NamedFormat")

  static let all: [CELFunction] =
    NamedFormat.all.map { named in
      CELFunction("format.\(named.name)", [CELOverload("format-\(named.name)", [], format)]) { _ throws(CELError) in
        .opaque(named)
      }
    } + [
      CELFunction("format.named", [CELOverload("format-named", [.string], .optional(format))]) {
        arguments throws(CELError) in
        guard let name = arguments[0].text else { throw .noSuchOverload("format.named", arguments) }
        return .optional(NamedFormat.all.first { $0.name == name }.map { .opaque($0) })
      },
      CELFunction("validate", [.member("format-validate", [format, .string], .optional(.list(.string)))]) {
        arguments throws(CELError) in
        guard case .opaque(let value) = arguments[0], let format = value as? NamedFormat, let text = arguments[1].text
        else { throw .noSuchOverload("validate", arguments) }
        let problems = format.problems(text)
        return .optional(problems.isEmpty ? nil : .list(.values(problems.map { .string($0) })))
      },
    ]
}
