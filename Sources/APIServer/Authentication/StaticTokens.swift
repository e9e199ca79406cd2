// Tokens of a file: token,user,uid,"group1,group2" on each line (spec/8 §8.1).
import Schema
import TLS
import World

public struct StaticTokens: TokenAuthenticator {
  /// By the tokens' hashes: how long a comparison takes says nothing of a token.
  private let users: [[UInt8]: RequestUser]

  /// Throws the line that is wrong.
  public init(parsing text: String) throws(InvalidConfiguration) {
    var users: [[UInt8]: RequestUser] = [:]
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let line = line.hasSuffix("\r") ? line.dropLast() : line
      if line.isEmpty || line.hasPrefix("#") { continue }
      let fields = Self.fields(line)
      guard fields.count >= 3, !fields[0].isEmpty else {
        throw InvalidConfiguration(
          "token auth file, line \(number + 1): must have at least 3 columns (token, user name, user uid)")
      }
      var groups = fields.count > 3 ? fields[3].split(separator: ",").map { AcceptClause.trimmed($0) } : []
      groups.append("system:authenticated")
      users[Crypto.sha256(fields[0].utf8)] = RequestUser(name: fields[1], uid: fields[2], groups: groups)
    }
    self.users = users
  }

  /// Separated by commas; in quotation marks commas stand for themselves.
  private static func fields(_ line: Substring) -> [String] {
    var fields = [""]
    var isQuoted = false
    for character in line {
      switch character {
      case "\"": isQuoted.toggle()
      case "," where !isQuoted: fields.append("")
      default: fields[fields.count - 1].append(character)
      }
    }
    return fields.map { AcceptClause.trimmed($0) }
  }

  public func verdict(on token: String, audiences: [String], now: WallTime) async -> TokenVerdict {
    users[Crypto.sha256(token.utf8)].map { .user($0, audiences: nil) } ?? .foreign
  }
}
