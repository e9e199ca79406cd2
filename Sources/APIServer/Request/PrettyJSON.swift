// Indented JSON, for people.
import JSON

extension JSONValue {
  /// This value indented by two spaces a level, with a newline at the end.
  var prettyBytes: [UInt8] {
    var out: [UInt8] = []
    writePretty(to: &out, indent: 0)
    out.append(UInt8(ascii: "\n"))
    return out
  }

  private func writePretty(to out: inout [UInt8], indent: Int) {
    switch self {
    case .array(let elements) where !elements.isEmpty:
      out.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        Self.newLine(to: &out, indent: indent + 1, isFirst: index == 0)
        element.writePretty(to: &out, indent: indent + 1)
      }
      Self.newLine(to: &out, indent: indent, isFirst: true)
      out.append(UInt8(ascii: "]"))
    case .object(let object) where !object.isEmpty:
      out.append(UInt8(ascii: "{"))
      for (index, member) in object.members.enumerated() {
        Self.newLine(to: &out, indent: indent + 1, isFirst: index == 0)
        JSONValue.write(member.key, to: &out)
        out += [UInt8(ascii: ":"), UInt8(ascii: " ")]
        member.value.writePretty(to: &out, indent: indent + 1)
      }
      Self.newLine(to: &out, indent: indent, isFirst: true)
      out.append(UInt8(ascii: "}"))
    default: write(to: &out)
    }
  }

  private static func newLine(to out: inout [UInt8], indent: Int, isFirst: Bool) {
    if !isFirst { out.append(UInt8(ascii: ",")) }
    out.append(UInt8(ascii: "\n"))
    out.append(contentsOf: repeatElement(UInt8(ascii: " "), count: indent * 2))
  }
}
