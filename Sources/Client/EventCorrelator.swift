// Which events are worth an object of their own: client-go's correlator (tools/record/events_cache.go) as a value.
import World

/// Keeps what is said about one object within bounds: similar events are combined, and who says too much is not heard.
struct EventCorrelator: Sendable {
  /// What is said of an object may be this much at once, and one more every five minutes.
  static let spamBurst = 25.0
  static let spamRefill = Duration.seconds(300)
  /// Of events that differ in their message alone, so many are told apart; later ones are one event.
  static let similarMaximum = 10
  /// Who was silent for so long begins anew.
  static let similarInterval = Duration.seconds(600)
  /// Before the message of an event that stands for many.
  static let combinedPrefix = "(combined from similar events): "
  /// Objects and kinds of events remembered.
  static let remembered = 4096

  private struct Bucket: Sendable {
    var tokens: Double
    var at: WallTime
  }
  private struct Similar: Sendable {
    var messages: Set<String> = []
    var last: WallTime
  }
  private struct Group: Hashable, Sendable {
    var subject: EventRecorder.Subject
    var type: EventRecorder.EventType
    var reason: String
  }
  private var buckets = RecentValues<EventRecorder.Subject, Bucket>(maximum: remembered)
  private var similar = RecentValues<Group, Similar>(maximum: remembered)

  /// The record as it is to be written: itself, or one that stands for all that are like it.
  mutating func combine(_ record: EventRecorder.Record, at now: WallTime) -> EventRecorder.Record {
    var subject = record.subject
    subject.fieldPath = ""
    subject.resourceVersion = ""
    let group = Group(subject: subject, type: record.type, reason: record.reason)
    var seen = similar[group] ?? Similar(last: now)
    if now - seen.last > Self.similarInterval { seen.messages = [] }
    seen.last = now
    let isCombined = !seen.messages.contains(record.message) && seen.messages.count + 1 >= Self.similarMaximum
    if !isCombined { seen.messages.insert(record.message) }
    similar[group] = seen
    guard isCombined else { return record }
    var combined = record
    combined.subject.fieldPath = ""
    combined.message = Self.combinedPrefix + record.message
    combined.isCombined = true
    return combined
  }

  /// Whether there is room for one more event about the object; takes it.
  mutating func mayTell(of subject: EventRecorder.Subject, at now: WallTime) -> Bool {
    var subject = subject
    subject.fieldPath = ""
    subject.resourceVersion = ""
    var bucket = buckets[subject] ?? Bucket(tokens: Self.spamBurst, at: now)
    bucket.tokens = min(Self.spamBurst, bucket.tokens + max(0, (now - bucket.at) / Self.spamRefill))
    bucket.at = now
    let hasRoom = bucket.tokens >= 1
    if hasRoom { bucket.tokens -= 1 }
    buckets[subject] = bucket
    return hasRoom
  }
}

/// A dictionary of bounded size that forgets what was not used for longest, roughly: entries live in two generations, and
/// when the younger has half of the room the older goes.
struct RecentValues<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private var young: [Key: Value] = [:]
  private var old: [Key: Value] = [:]
  private let half: Int

  init(maximum: Int) { half = max(1, maximum / 2) }

  var count: Int { young.count + old.count }

  subscript(key: Key) -> Value? {
    get { young[key] ?? old[key] }
    set {
      old[key] = nil
      young[key] = newValue
      guard young.count >= half else { return }
      old = young
      young = [:]
    }
  }
}
