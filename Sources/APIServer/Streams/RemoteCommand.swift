// exec and attach for clients that speak v5.channel.k8s.io over a WebSocket (kubectl since 1.30): kubelets do not, and are
// spoken to by SPDY. Other clients' bytes pass through as they are.
import HTTP
import JSON
import Schema
import World

/// One command's streams between a client's WebSocket and a kubelet's SPDY connection.
final class RemoteCommand: Sendable {
  static let clientProtocol = "v5.channel.k8s.io"
  static let kubeletProtocols = ["v4.channel.k8s.io"]

  /// The first byte of every message.
  private enum Channel {
    static let input: UInt8 = 0
    static let output: UInt8 = 1
    static let errors: UInt8 = 2
    static let status: UInt8 = 3
    static let size: UInt8 = 4
    /// Followed by the number of a channel on which nothing more comes.
    static let close: UInt8 = 255
  }
  /// How long a kubelet may take to take a stream; it waits as long for all of them.
  private static let streamPatience = Duration.seconds(30)
  /// Bytes of what a kubelet says of a command's end.
  private static let statusLimit = 64 << 10

  private let socket: WebSocketConnection
  private let kubelet: HTTPTunnel
  private let streams: CommandStreams
  private let world: any World

  private init(_ socket: WebSocketConnection, _ kubelet: HTTPTunnel, _ streams: CommandStreams, world: any World) {
    self.socket = socket
    self.kubelet = kubelet
    self.streams = streams
    self.world = world
  }

  /// Whether the client wants what only this can give it.
  static func isWanted(_ request: HTTPRequest) -> Bool {
    WebSocketHandshake.isUpgrade(request)
      && WebSocketHandshake.offeredProtocols(request).contains(clientProtocol)
  }

  /// Answers the client. `response`: the kubelet's to the same question by SPDY; what is no upgrade goes back as it is.
  static func answer(
    _ request: HTTPRequest, _ response: HTTPResponse, _ streams: CommandStreams, world: any World
  ) throws -> HTTPResponse {
    guard response.status == 101, let kubelet = response.tunnel?.reversed else { return response }
    let accepted: (response: HTTPResponse, connection: WebSocketConnection)
    do { accepted = try WebSocketHandshake.accept(request, subprotocol: clientProtocol) } catch {
      kubelet.outbound.finish()
      kubelet.inbound.cancel()
      throw error
    }
    let command = RemoteCommand(accepted.connection, kubelet, streams, world: world)
    world.spawn { await command.run() }
    return accepted.response
  }

  // MARK: From the kubelet

  private struct Kubelet {
    var decoder = SPDYDecoder()
    var encoder = SPDYEncoder()
    var status: UInt32 = 0
    var input: UInt32?
    var size: UInt32?
    /// Streams of the kubelet's words, and the channels they go to.
    var channels: [UInt32: UInt8] = [:]
    /// Those that have not ended.
    var open: Set<UInt32> = []
    var statusBytes: [UInt8] = []
  }

  private func run() async {
    var state = Kubelet()
    var failure: String?
    do {
      try await open(&state)
      state = try await carry(state)
    } catch {
      failure = "\(error)"
    }
    try? await socket.send(.binary([Channel.status] + ending(state, failure)))
    socket.close()
    kubelet.outbound.finish()
    kubelet.inbound.cancel()
  }

  /// Both ways until the command has ended, or the client has gone. Nobody writes any more when it returns.
  private func carry(_ opened: Kubelet) async throws -> Kubelet {
    try await withThrowingTaskGroup(of: Kubelet?.self) { group in
      group.addTask(on: world) {
        await self.carryInput(opened.input, opened.size)
        return nil
      }
      group.addTask(on: world) { try await self.carryOutput(opened) }
      defer { group.cancelAll() }
      return try await group.next().flatMap { $0 } ?? opened
    }
  }

  /// One after the other: kubelets drop what comes on a stream before they have taken it.
  private func open(_ state: inout Kubelet) async throws {
    state.status = try await openStream("error", &state)
    if streams.hasInput { state.input = try await openStream("stdin", &state) }
    state.channels[try await openStream("stdout", &state)] = Channel.output
    if streams.hasErrors { state.channels[try await openStream("stderr", &state)] = Channel.errors }
    if streams.isTerminal { state.size = try await openStream("resize", &state) }
    state.open = Set(state.channels.keys).union([state.status])
  }

  private func openStream(_ type: String, _ state: inout Kubelet) async throws -> UInt32 {
    let (stream, frame) = state.encoder.open([("streamtype", type)])
    try await kubelet.outbound.write(frame)
    let patience = world.schedule(after: Self.streamPatience) { [kubelet] in kubelet.inbound.cancel() }
    defer { patience.cancel() }
    while let frame = try await next(&state) {
      switch frame {
      case .reply(stream, _): return stream
      case .reset(stream, let status): throw SPDYFailure("the kubelet refused the stream \(type) (\(status))")
      default: continue
      }
    }
    throw SPDYFailure("the kubelet closed the connection before it took the stream \(type)")
  }

  /// The next frame that is not about the connection itself; nil at its end.
  private func next(_ state: inout Kubelet) async throws -> SPDYFrame? {
    while true {
      while let frame = try state.decoder.next() {
        guard case .ping(let id) = frame else { return frame }
        try await kubelet.outbound.write(SPDYEncoder.ping(id))
      }
      guard let bytes = try await kubelet.inbound.next() else { return nil }
      state.decoder.append(bytes)
    }
  }

  private func carryOutput(_ opened: Kubelet) async throws -> Kubelet {
    var state = opened
    while !state.open.isEmpty, let frame = try await next(&state) {
      switch frame {
      case .data(let stream, let bytes, let isFinal):
        if stream == state.status {
          state.statusBytes += bytes.prefix(Self.statusLimit - state.statusBytes.count)
        } else if let channel = state.channels[stream], !bytes.isEmpty {
          try await socket.send(.binary([channel] + bytes))
        }
        if isFinal { state.open.remove(stream) }
      case .reply(let stream, true), .reset(let stream, _): state.open.remove(stream)
      // All has been said: kubelets end their connection so, and wait for the other side to close its streams.
      case .goAway: return state
      default: continue
      }
    }
    return state
  }

  /// How the command ended, as the client is told: the kubelet's own words, or what went wrong on the way there.
  private func ending(_ state: Kubelet, _ failure: String?) -> [UInt8] {
    if !state.statusBytes.isEmpty { return state.statusBytes }
    if failure == nil, state.status != 0, !state.open.contains(state.status) {
      // A stream of errors that ended without any.
      return Array(#"{"metadata":{},"status":"Success"}"#.utf8)
    }
    let why = failure ?? "the kubelet closed the connection before the command had ended"
    return APIStatus.internalError(why).json.bytes
  }

  // MARK: From the client

  private func carryInput(_ input: UInt32?, _ size: UInt32?) async {
    while let message = try? await socket.receive() {
      guard case .binary(let bytes) = message, let channel = bytes.first else { continue }
      let frame: [UInt8]? =
        switch channel {
        case Channel.input: input.map { SPDYEncoder.data(bytes.dropFirst(), on: $0) }
        case Channel.size: size.map { SPDYEncoder.data(bytes.dropFirst(), on: $0) }
        case Channel.close where bytes.count > 1 && bytes[1] == Channel.input:
          input.map { SPDYEncoder.data([], on: $0, isFinal: true) }
        default: nil
        }
      guard let frame, bytes.count > 1 else { continue }
      // A kubelet that has gone is noticed where its words are awaited.
      try? await kubelet.outbound.write(frame)
    }
  }

  private struct SPDYFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }
}
