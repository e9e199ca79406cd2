/// How a kubectl command ended, seen from what it printed.
public enum KubectlOutcome: Hashable, Sendable {
  case succeeded
  /// Its own connection was cut: the one failure that a server's death excuses.
  case connectionCut
  case failed(String)

  /// What Go's network, TLS and HTTP/2 layers say when the other end goes away.
  private static let cuts = [
    "unexpected EOF", ": EOF", "EOF\n", "connection reset by peer", "connection refused", "broken pipe",
    "http2: client connection lost", "client connection force closed", "server sent GOAWAY",
    "use of closed network connection", "tls: unexpected message", "transport connection broken",
    "http2: client conn is closed", "http2: client conn not usable",
    "server closed idle connection", "certificate has expired or is not yet valid",
  ]

  public init(exitCode: Int?, output: String, errors: String) {
    guard exitCode != 0 else {
      self = .succeeded
      return
    }
    let said = errors + "\n"
    if exitCode != nil, Self.cuts.contains(where: said.contains) {
      self = .connectionCut
    } else {
      let text = errors.isEmpty ? output : errors
      self = .failed("\(exitCode.map { "exit code \($0)" } ?? "killed at its deadline"): \(text)")
    }
  }
}
