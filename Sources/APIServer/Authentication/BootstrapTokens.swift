import JSON
import Replica
import Schema
import TLS
import World

/// Bootstrap tokens: "abcdef.0123456789abcdef", kept as Secrets of kube-system (spec/8 §8.1).
enum BootstrapTokens {
  static func user(of token: String, now: WallTime, state: any StateView) -> RequestUser? {
    let parts = token.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].utf8.count == 6, parts[1].utf8.count == 16,
      parts.allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) || (97...122).contains($0) } }),
      let stored = state.object(
        ObjectKey(resource: "secrets", namespace: "kube-system", name: "bootstrap-token-\(parts[0])")),
      let secret = try? JSONValue(parsing: stored.bytes),
      secret["type"].string == "bootstrap.kubernetes.io/token", secret["metadata"]["deletionTimestamp"].isNull
    else { return nil }
    func value(_ key: String) -> String? {
      secret["data"][key].string.flatMap(Crypto.decodeBase64).map { String(decoding: $0, as: UTF8.self) }
    }
    guard let expected = value("token-secret"), Crypto.isEqual(Array(expected.utf8), Array(parts[1].utf8)),
      value("token-id") == String(parts[0]), value("usage-bootstrap-authentication") == "true"
    else { return nil }
    if let expiration = value("expiration") {
      guard let end = WallTime(rfc3339: expiration), now < end else { return nil }
    }
    let extra = (value("auth-extra-groups") ?? "").split(separator: ",").map(String.init)
      .filter { $0.hasPrefix("system:bootstrappers:") }
    return RequestUser(
      name: "system:bootstrap:\(parts[0])", groups: ["system:bootstrappers"] + extra + ["system:authenticated"])
  }
}
