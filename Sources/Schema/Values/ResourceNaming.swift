// Names the server makes up, and hashes that become parts of names.
import JSON

public enum ResourceNaming {
  /// No vowels and nothing that looks like another letter: no word comes out by accident.
  private static let alphabet = Array("bcdfghjklmnpqrstvwxz2456789".utf8)
  private static let suffixLength = 5
  /// A generated name is a DNS label.
  private static let generatedNameMaximum = 63

  /// `generateName` and five random letters; the base is cut so that the whole is a DNS label.
  public static func generatedName(_ base: String, using random: inout some RandomNumberGenerator) -> String {
    let kept = String(decoding: base.utf8.prefix(generatedNameMaximum - suffixLength), as: UTF8.self)
    return kept + randomSuffix(suffixLength, using: &random)
  }

  /// Random letters that are safe in names.
  public static func randomSuffix(_ length: Int, using random: inout some RandomNumberGenerator) -> String {
    let letters = (0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] }
    return String(decoding: letters, as: UTF8.self)
  }

  /// A text in the safe alphabet, letter by letter.
  public static func safeEncoded(_ text: String) -> String {
    String(decoding: text.utf8.map { alphabet[Int($0) % alphabet.count] }, as: UTF8.self)
  }

  /// FNV-1a, 32 bits.
  public static func hash(_ bytes: some Sequence<UInt8>) -> UInt32 {
    bytes.reduce(2_166_136_261) { ($0 ^ UInt32($1)) &* 16_777_619 }
  }

  /// A hash of a canonical tree as a part of a name: `pod-template-hash`, names of revisions. The collision count is
  /// hashed too when there is one, so that a collision leads to another name.
  public static func hash(of value: JSONValue, collisionCount: Int64? = nil) -> String {
    var bytes = value.bytes
    if let collisionCount { bytes += "#\(collisionCount)".utf8 }
    return safeEncoded(String(hash(bytes)))
  }
}
