// PEM as far as it can be judged without knowing what is inside: blocks, their types, their base64.
import JSON
import Schema

enum PEMText {
  struct Block {
    let type: String
    let bytes: [UInt8]
  }

  /// The well-formed blocks of a text, in order; what is none is passed over. Headers are not looked at.
  static func blocks(_ bytes: [UInt8]) -> [Block] {
    var blocks: [Block] = []
    var type: Substring?
    var content = ""
    for line in String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
      let line = line.drop(while: \.isWhitespace).trimmingSpaceAtEnd
      if let label = label(line, "-----BEGIN ") {
        (type, content) = (label, "")
      } else if let label = label(line, "-----END ") {
        if let type, type == label, let bytes = try? Base64.decode(content) {
          blocks.append(Block(type: String(type), bytes: bytes))
        }
        type = nil
      } else if type != nil, !line.contains(":") {
        content += line
      }
    }
    return blocks
  }

  private static func label(_ line: Substring, _ prefix: String) -> Substring? {
    let suffix = "-----"
    guard line.hasPrefix(prefix), line.hasSuffix(suffix), line.count >= prefix.count + suffix.count else { return nil }
    return line.dropFirst(prefix.count).dropLast(suffix.count)
  }

  /// What is wrong with authorities that a webhook's certificate is to be checked by; nil when nothing is.
  static func problem(ofAuthorities bytes: [UInt8]) -> String? {
    let blocks = blocks(bytes)
    let certificates = blocks.filter { $0.type == "CERTIFICATE" }
    // (A certificate is a DER sequence; whether it is a sound one is found out by who uses it.)
    if certificates.contains(where: { $0.bytes.first == 0x30 }) { return nil }
    let problem =
      if blocks.isEmpty {
        "unable to parse bytes as PEM block"
      } else if certificates.isEmpty {
        "no valid certificate authority data seen"
      } else {
        "failed to parse certificate: x509: malformed certificate"
      }
    return "unable to load root certificates: \(problem)"
  }

  /// What Go says of a certificate and key that do not look like a pair; nil when they do.
  static func problem(ofCertificate certificate: [UInt8], key: [UInt8]) -> String? {
    let types = blocks(certificate).map(\.type)
    if !types.contains("CERTIFICATE") {
      if types.isEmpty { return "tls: failed to find any PEM data in certificate input" }
      if types.count == 1, types[0].hasSuffix("PRIVATE KEY") {
        return "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs "
          + "may have been switched"
      }
      return "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the "
        + "following types: [\(types.joined(separator: " "))]"
    }
    let keyTypes = blocks(key).map(\.type)
    if keyTypes.contains(where: { $0 == "PRIVATE KEY" || $0.hasSuffix(" PRIVATE KEY") }) { return nil }
    if keyTypes.isEmpty { return "tls: failed to find any PEM data in key input" }
    if keyTypes == ["CERTIFICATE"] {
      return "tls: found a certificate rather than a key in the PEM for the private key"
    }
    return
      "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of "
      + "the following types: [\(keyTypes.joined(separator: " "))]"
  }
}

extension Substring {
  fileprivate var trimmingSpaceAtEnd: Substring {
    var text = self
    while text.last?.isWhitespace == true { text.removeLast() }
    return text
  }
}
