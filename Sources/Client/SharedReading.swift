// What several informers of one process are sent is read once.
import DequeModule
import JSON
import Synchronization
import World

/// The events that were read last, for whoever is sent them too. A server in this process gives every watch of one form
/// the same array for an event; clients that have this in common parse it once, and keep one object of it where objects
/// are classes. Any thread may use it.
public final class SharedReading: Sendable {
  private struct Event {
    let tape: JSONTape
    var object: (any InformedObject)?
    let readAt: MonotonicTime
    var address: UInt { SharedReading.address(of: tape.bytes) }
    func isOld(_ now: MonotonicTime) -> Bool { readAt + SharedReading.ageMaximum < now }
  }
  private struct State {
    var events: Deque<Event> = []
    /// Events that have gone: the number of the first that is there.
    var goneCount = 0
    /// The numbers of events by where their frames stand in memory. Events keep their frames, so that nothing else
    /// stands there.
    var numbers: [UInt: Int] = [:]
    var bytes = 0

    func index(of frame: [UInt8]) -> Int? { numbers[SharedReading.address(of: frame)].map { $0 - goneCount } }

    mutating func add(_ event: Event) {
      numbers[event.address] = goneCount + events.count
      events.append(event)
      bytes += event.tape.byteCount
      while events.count > 1, let first = events.first, bytes > SharedReading.bytesMaximum || first.isOld(event.readAt)
      {
        events.removeFirst()
        goneCount += 1
        numbers[first.address] = nil
        bytes -= first.tape.byteCount
      }
    }
  }
  /// Informers of a process follow one another within a turn of their loop, which is some hundred events when much
  /// happens: what is older nobody else will be sent.
  private static let bytesMaximum = 4 << 20
  private static let ageMaximum = Duration.seconds(1)
  private let state = Mutex(State())

  public init() {}

  /// The frame's tape: the one that was made of it, if that is not long ago.
  func tape(of frame: [UInt8], now: MonotonicTime) throws(JSONParseError) -> JSONTape {
    let known = state.withLock { state in state.index(of: frame).map { state.events[$0].tape } }
    if let known, known.bytes.isShared(with: frame) { return known }
    let tape = try JSONTape(parsing: frame)
    state.withLock { state in
      // Another thread may have been faster.
      if state.index(of: frame) == nil { state.add(Event(tape: tape, readAt: now)) }
    }
    return tape
  }

  /// The object of an event, as `read` reads it: the one that was read from it, if that is not long ago. Whoever shares
  /// objects of a type reads them in the same way.
  func object<Object: InformedObject>(_ json: JSONTape.Cursor, _ read: (JSONTape.Cursor) -> Object) -> Object {
    let bytes = json.document.bytes
    let known = state.withLock { state in state.index(of: bytes).flatMap { state.events[$0].object } }
    if let known = known as? Object { return known }
    let object = read(json)
    state.withLock { state in
      if let index = state.index(of: bytes) { state.events[index].object = object }
    }
    return object
  }

  private static func address(of frame: [UInt8]) -> UInt {
    frame.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
  }
}
