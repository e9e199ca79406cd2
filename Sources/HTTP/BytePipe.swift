import DequeModule
import Synchronization

/// A bounded queue of byte chunks between its writers and one reader, any threads.
///
/// A writer is suspended while more than `highWater` bytes wait (back-pressure); the reader while none do. A reader
/// that goes away cancels the pipe, and the writer's next `write` throws. So does one after the pipe was finished:
/// whoever ends a stream (a timer, a server that stops) need not wait for those who write to it.
public final class BytePipe: Sendable {
  private typealias Writer = CheckedContinuation<Void, any Error>
  private struct State {
    var chunks: Deque<[UInt8]> = []
    var bufferedBytes = 0
    var ended: Result<Void, any Error>?
    var reader: CheckedContinuation<[UInt8]?, any Error>?
    var writers: [Writer] = []
    var onCancel: (@Sendable () -> Void)?
    var onDrain: (@Sendable () -> Void)?
    /// `offer` has told its caller to hold back.
    var isHeldBack = false
    var isCancelled = false

    /// Takes the next chunk, or all that wait; also whom of the writing side to tell, if it waited for room and there is
    /// enough now.
    mutating func take(all: Bool, highWater: Int) -> Taken {
      var taken = Taken()
      if all {
        swap(&taken.chunks, &chunks)
        bufferedBytes = 0
      } else if let chunk = chunks.popFirst() {
        taken.chunks = [chunk]
        bufferedBytes -= chunk.count
      }
      guard !taken.chunks.isEmpty, bufferedBytes <= highWater / 2 else { return taken }
      swap(&taken.writers, &writers)
      if isHeldBack { taken.onDrain = onDrain }
      isHeldBack = false
      return taken
    }
  }

  /// What a reader took, and whom to tell of the room that is there now.
  private struct Taken {
    var chunks: Deque<[UInt8]> = []
    var writers: [Writer] = []
    var onDrain: (@Sendable () -> Void)?
  }

  private let state = Mutex(State())
  private let highWater: Int
  /// A server that shuts down ends a response body of this pipe in good order, as a watch may be ended at any time; a
  /// body that must not look complete before it is (a download) says false, and is given time to finish.
  public let endsOnShutdown: Bool

  /// `highWater`: bytes that may wait before `write` suspends.
  public init(highWater: Int = 256 << 10, endsOnShutdown: Bool = true) {
    self.highWater = highWater
    self.endsOnShutdown = endsOnShutdown
  }

  /// Bytes written and not yet read.
  public var bufferedBytes: Int { state.withLock { $0.bufferedBytes } }

  /// Called once when the reader cancels, at once if it has done so already. At most one.
  public func onCancel(_ body: @escaping @Sendable () -> Void) {
    let late = state.withLock { state in
      if state.isCancelled { return true }
      state.onCancel = body
      return false
    }
    if late { body() }
  }

  /// Called whenever half of the room is free again after `offer` had returned true. At most one.
  public func onDrain(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.onDrain = body } }

  /// Appends a chunk; suspends while the pipe is above its high-water mark. Throws when the reader has gone, or the pipe
  /// was finished.
  public func write(_ chunk: [UInt8]) async throws {
    guard try offer(chunk) else { return }
    try await withCheckedThrowingContinuation { (continuation: Writer) in
      let resume: Result<Void, any Error>? = state.withLock { state in
        if state.isCancelled { return .failure(HTTPError.cancelled) }
        if state.ended != nil || state.bufferedBytes <= highWater { return .success(()) }
        state.writers.append(continuation)
        return nil
      }
      if let resume { continuation.resume(with: resume) }
    }
  }

  /// Appends a chunk without waiting. Returns true when the pipe is now above its high-water mark: the caller must
  /// hold back, or give up on a reader that is too slow. Throws when the reader has gone, or the pipe was finished.
  @discardableResult
  public func offer(_ chunk: [UInt8]) throws -> Bool {
    let (reader, full) = try state.withLock { state -> (CheckedContinuation<[UInt8]?, any Error>?, Bool) in
      if state.isCancelled || state.ended != nil { throw HTTPError.cancelled }
      if chunk.isEmpty { return (nil, false) }
      if let reader = state.reader {
        state.reader = nil
        return (reader, false)
      }
      state.chunks.append(chunk)
      state.bufferedBytes += chunk.count
      let isFull = state.bufferedBytes > highWater
      // Once told to hold back, the caller is told when there is room, also when what it still had under way found some.
      if isFull { state.isHeldBack = true }
      return (nil, isFull)
    }
    reader?.resume(returning: chunk)
    return full
  }

  /// Ends the pipe: the reader gets what is buffered, then the end, or `error`. Writers that wait for room need not any
  /// longer: what they wrote is buffered. Later calls do nothing.
  public func finish(throwing error: (any Error)? = nil) {
    let (reader, writers) = state.withLock { state -> (CheckedContinuation<[UInt8]?, any Error>?, [Writer]) in
      guard state.ended == nil else { return (nil, []) }
      state.ended = error.map { .failure($0) } ?? .success(())
      defer {
        state.reader = nil
        state.writers = []
      }
      return (state.reader, state.writers)
    }
    if let error { reader?.resume(throwing: error) } else { reader?.resume(returning: nil) }
    for writer in writers { writer.resume() }
  }

  /// The next chunk; nil at the end. Cancelling the reading task cancels the pipe.
  public func next() async throws -> [UInt8]? {
    if let chunk = take(all: false).first { return chunk }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        enum Outcome { case available, end(Result<Void, any Error>), wait }
        let outcome = state.withLock { state -> Outcome in
          if state.isCancelled { return .end(.failure(HTTPError.cancelled)) }
          if !state.chunks.isEmpty { return .available }
          if let ended = state.ended { return .end(ended) }
          precondition(state.reader == nil, "a BytePipe has one reader")
          state.reader = continuation
          return .wait
        }
        switch outcome {
        case .available:
          // Nothing is left only if the pipe was cancelled in between.
          continuation.resume(with: take(all: false).first.map { .success($0) } ?? .failure(HTTPError.cancelled))
        case .end(.success): continuation.resume(returning: nil)
        case .end(.failure(let error)): continuation.resume(throwing: error)
        case .wait: break
        }
      }
    } onCancel: {
      cancel()
    }
  }

  /// The next chunks, all that wait; nil at the end. One write to a socket then carries many small events.
  ///
  /// What writers add when they learn that there is room is of the next batch: one that is as quick as its reader would
  /// make this one grow without end.
  public func nextBatch() async throws -> [[UInt8]]? {
    let waiting = take(all: true)
    if !waiting.isEmpty { return Array(waiting) }
    guard let first = try await next() else { return nil }
    return [first] + take(all: true)
  }

  private func take(all: Bool) -> Deque<[UInt8]> {
    let taken = state.withLock { $0.take(all: all, highWater: highWater) }
    for writer in taken.writers { writer.resume() }
    taken.onDrain?()
    return taken.chunks
  }

  /// The reader has gone: buffered bytes are dropped, the writer's next call throws `HTTPError.cancelled`.
  public func cancel() {
    let dropped = state.withLock { state -> State? in
      if state.isCancelled { return nil }
      let dropped = state
      state = State()
      state.isCancelled = true
      return dropped
    }
    guard let dropped else { return }
    dropped.reader?.resume(throwing: HTTPError.cancelled)
    for writer in dropped.writers { writer.resume(throwing: HTTPError.cancelled) }
    dropped.onCancel?()
  }
}
