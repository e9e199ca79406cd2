// Connecting: resolve the name if it is one (on libuv's helper threads, never on the loop), then try its addresses in
// turn until the deadline.

import CLibuv
import Glibc
import World

/// Opens streams to other processes.
public enum StreamConnector {
  /// Connects on `loop` and calls `completion` there, exactly once and not before this returns. Loop-confined.
  /// When the other machine acknowledges nothing for `unacknowledgedLimit`, the stream ends with an error; nil leaves
  /// that to the system, which tries ever more rarely for a quarter of an hour.
  public static func connect(
    to address: Address, on loop: EventLoop, deadline: Duration, unacknowledgedLimit: Duration? = nil,
    completion: @escaping (Result<any Stream, StreamError>) -> Void
  ) {
    loop.preconditionOnLoop()
    ConnectAttempt(
      address: address, loop: loop, unacknowledgedLimit: unacknowledgedLimit, completion: completion
    ).start(deadline: deadline)
  }

  /// Connects on `loop`, from any task. The stream comes confined to the loop.
  public static func connect(
    to address: Address, on loop: EventLoop, deadline: Duration
  ) async throws -> LoopConfined<any Stream> {
    try await withCheckedThrowingContinuation { continuation in
      loop.execute {
        connect(to: address, on: loop, deadline: deadline) { result in
          continuation.resume(with: result.map { LoopConfined($0, on: loop) })
        }
      }
    }
  }
}

/// One call of `connect`: kept alive by its timer and the requests under way.
private final class ConnectAttempt {
  private let address: Address
  private let loop: EventLoop
  private let unacknowledgedLimit: Duration?
  private var completion: ((Result<any Stream, StreamError>) -> Void)?
  private var timer: (any ScheduledTimer)?
  private var candidates: [SocketAddress] = []
  private var stream: SocketStream?
  private var lastError: StreamError?

  init(
    address: Address, loop: EventLoop, unacknowledgedLimit: Duration?,
    completion: @escaping (Result<any Stream, StreamError>) -> Void
  ) {
    self.address = address
    self.loop = loop
    self.unacknowledgedLimit = unacknowledgedLimit
    self.completion = completion
  }

  func start(deadline: Duration) {
    timer = loop.scheduleConfined(after: deadline) { [self] in
      finish(.failure(.timedOut(operation: "connect to \(address)")))
    }
    if let numeric = SocketAddress(address) {
      candidates = [numeric]
      // Not before `connect` returns.
      loop.executeConfined { [self] in tryNext() }
    } else if case .ip(let host, let port) = address {
      resolve(host, port)
    } else {
      loop.executeConfined { [self] in finish(.failure(.unusableAddress(address.description))) }
    }
  }

  private func resolve(_ host: String, _ port: UInt16) {
    let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)
    request.pointee.data = Unmanaged.passRetained(self).toOpaque()
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    let status = uv_getaddrinfo(
      loop.uv, request,
      { request, status, found in
        let request = request.unsafelyUnwrapped
        let attempt = Unmanaged<ConnectAttempt>.fromOpaque(request.pointee.data).takeRetainedValue()
        request.deallocate()
        attempt.didResolve(status, found)
        uv_freeaddrinfo(found)
      }, host, String(port), &hints)
    if status != 0 {
      Unmanaged<ConnectAttempt>.fromOpaque(request.pointee.data).release()
      request.deallocate()
      loop.executeConfined { [self] in finish(.failure(.system(operation: "resolve \(host)", code: status))) }
    }
  }

  private func didResolve(_ status: Int32, _ found: UnsafeMutablePointer<addrinfo>?) {
    guard status == 0 else { return finish(.failure(.system(operation: "resolve \(address)", code: status))) }
    var next = found
    while let entry = next?.pointee {
      candidates.append(SocketAddress(copying: entry.ai_addr, length: Int(entry.ai_addrlen)))
      next = entry.ai_next
    }
    tryNext()
  }

  private func tryNext() {
    guard completion != nil else { return }
    guard !candidates.isEmpty else {
      return finish(.failure(lastError ?? .unusableAddress(address.description)))
    }
    let candidate = candidates.removeFirst()
    let stream = SocketStream(loop: loop, kind: candidate.family == AF_UNIX ? .unix : .tcp)
    self.stream = stream
    let request = UnsafeMutablePointer<uv_connect_t>.allocate(capacity: 1)
    request.pointee.data = Unmanaged.passRetained(self).toOpaque()
    let callback: uv_connect_cb = { request, status in
      let request = request.unsafelyUnwrapped
      let attempt = Unmanaged<ConnectAttempt>.fromOpaque(request.pointee.data).takeRetainedValue()
      request.deallocate()
      attempt.didConnect(status)
    }
    if case .unix(let path) = address {
      uv_pipe_connect(request, stream.pipeHandle, path, callback)
      return
    }
    let status = candidate.withPointer { uv_tcp_connect(request, stream.tcpHandle, $0, callback) }
    if status != 0 {
      Unmanaged<ConnectAttempt>.fromOpaque(request.pointee.data).release()
      request.deallocate()
      didConnect(status)
    }
  }

  private func didConnect(_ status: Int32) {
    guard let stream else { return }
    self.stream = nil
    if status == 0, completion != nil {
      stream.didConnect()
      if let unacknowledgedLimit { stream.limitUnacknowledged(to: unacknowledgedLimit) }
      return finish(.success(stream))
    }
    stream.abort()
    lastError = .system(operation: "connect to \(address)", code: status)
    tryNext()
  }

  private func finish(_ result: Result<any Stream, StreamError>) {
    timer?.cancel()
    timer = nil
    if case .failure = result {
      stream?.abort()
      stream = nil
    }
    let completion = completion.take()
    completion?(result)
  }
}
