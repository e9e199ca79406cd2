// A cluster as the fuzzer meets it: one that may run already, spoken to by transport and by bare bytes.
import EventLoop
import HTTP
import JSON
import Synchronization
import TLS
import World

extension ClusterPlan {
  /// The cluster that lives in a folder; nil when there is none.
  init?(runningIn home: String, executable: String) throws {
    guard let bytes = try? FileSystem.read("\(home)/cluster.json") else { return nil }
    let json = try JSONValue(parsing: bytes)
    guard let port = json["port"].integer, let servers = json["servers"].integer, let nodes = json["nodes"].integer,
      let network = json["network"].string
    else { throw RunFailure("\(home)/cluster.json is no description of a cluster") }
    self.init(
      executable: executable, home: home, servers: Int(servers), nodes: Int(nodes),
      port: UInt16(truncatingIfNeeded: port),
      network: network)
  }
}

extension Cluster {
  /// Says bytes over a connection of its own and returns what is said to it within `time`; nil when there is no connection.
  func say(_ pieces: [[UInt8]], to member: ClusterPlan.Member, in language: String, for time: Duration) async
    -> [UInt8]?
  {
    guard let address = Address(member.address) else { return nil }
    let (loop, tls) = (loop, tls)
    let name = String(member.address.prefix { $0 != ":" })
    return await withCheckedContinuation { continuation in
      let conversation = Conversation(pieces) { continuation.resume(returning: $0) }
      StreamConnector.connect(to: address, on: loop, deadline: .seconds(5)) { result in
        guard case .success(let stream) = result else { return conversation.finish(nil) }
        conversation.begin(over: stream, tls, serverName: name, language, for: time)
      }
    }
  }
}

/// Loop-confined.
private final class Conversation: StreamHandler, @unchecked Sendable {
  private let pieces: [[UInt8]]
  private var completion: (([UInt8]?) -> Void)?
  private var tls: TLSStream?
  private var answer: [UInt8] = []
  private static let answerMaximum = 64 << 10

  init(_ pieces: [[UInt8]], _ completion: @escaping ([UInt8]?) -> Void) {
    self.pieces = pieces
    self.completion = completion
  }

  func begin(
    over stream: any Stream, _ configuration: TLSConfiguration, serverName: String, _ language: String,
    for time: Duration
  ) {
    tls = TLSStream(client: configuration, over: stream, serverName: serverName, protocols: [language]) {
      [self] result in
      guard case .success = result, let tls else { return finish(nil) }
      tls.handler = self
      for piece in pieces { tls.write(piece) }
      tls.loop.scheduleConfined(after: time) { [self] in
        tls.abort()
        finish(answer)
      }
    }
  }

  func finish(_ answer: [UInt8]?) {
    tls = nil
    completion.take()?(answer)
  }

  func streamDidReceive(_ bytes: UnsafeRawBufferPointer) {
    if answer.count < Self.answerMaximum { answer += bytes }
  }

  func streamDidClose(_ error: StreamError?) { finish(answer) }
}
