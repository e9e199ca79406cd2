import Schema

extension Error {
  /// How an event tells of it: a Status by its message.
  var eventText: String { (self as? APIStatus)?.message ?? "\(self)" }
}
