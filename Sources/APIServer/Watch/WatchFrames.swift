// Event frames: the bytes a watcher reads, built once for a change and shared by every watcher of every connection.
import DequeModule
import JSON
import Replica
import Synchronization

/// What happened to an object in the eyes of one watcher.
enum WatchEventType: String, Sendable, Hashable {
  case added = "ADDED"
  case modified = "MODIFIED"
  case deleted = "DELETED"
}

enum WatchFrame {
  static let newline = UInt8(ascii: "\n")

  /// `{"type":T,"object":O}` and a newline.
  static func json(_ type: String, object: [UInt8]) -> [UInt8] {
    var frame: [UInt8] = []
    frame.reserveCapacity(object.count + 32)
    frame += "{\"type\":\"".utf8
    frame += type.utf8
    frame += "\",\"object\":".utf8
    frame += object
    frame += [UInt8(ascii: "}"), newline]
    return frame
  }
}

/// Frames of recent changes, by revision and form. Any thread.
final class WatchFrameCache: Sendable {
  /// A frame's form: everything that makes its bytes differ for one change.
  struct Form: Equatable, Sendable {
    var type: WatchEventType
    /// The object is the one before the change, with the change's revision: it left the selection.
    var isPrevious = false
    /// Kind, shape and encoding; "" for the stored bytes.
    var presentation = ""
  }
  private struct Key: Hashable {
    var revision: Revision
    var form: Form

    /// A change has few forms: hashing their names would cost more than comparing them.
    func hash(into hasher: inout Hasher) { hasher.combine(revision) }
  }
  private struct State {
    var frames: [Key: [UInt8]] = [:]
    var order: Deque<Key> = []
    var bytes = 0
  }
  /// Bytes of frames that are kept. Watchers of one change are served within one turn of each loop, so what is older is
  /// of no use to anybody.
  private static let bytesMaximum = 8 << 20

  private let state = Mutex(State())

  func frame(_ revision: Revision, _ form: Form, make: () -> [UInt8]) -> [UInt8] {
    let key = Key(revision: revision, form: form)
    if let frame = state.withLock({ $0.frames[key] }) { return frame }
    // Built outside the lock: another loop may build the same at the same time, which costs less than waiting for it.
    let frame = make()
    state.withLock { state in
      guard state.frames.updateValue(frame, forKey: key) == nil else { return }
      state.order.append(key)
      state.bytes += frame.count
      while state.bytes > Self.bytesMaximum, let oldest = state.order.popFirst() {
        state.bytes -= state.frames.removeValue(forKey: oldest)?.count ?? 0
      }
    }
    return frame
  }
}
