// Spans of time as tables show them (spec/3 §3.3).
import JSON

public enum HumanDuration {
  /// "45s", "3m12s", "25h", "3d4h", "2y40d". A little in the future counts as now, more is `<invalid>`.
  public static func text(_ seconds: Int64) -> String {
    if seconds < -1 { return "<invalid>" }
    if seconds < 0 { return "0s" }
    if seconds < 120 { return "\(seconds)s" }
    let minutes = seconds / 60
    if minutes < 10 { return pair(minutes, "m", seconds % 60, "s") }
    if minutes < 180 { return "\(minutes)m" }
    let hours = minutes / 60
    if hours < 8 { return pair(hours, "h", minutes % 60, "m") }
    if hours < 48 { return "\(hours)h" }
    let days = hours / 24
    if days < 8 { return pair(days, "d", hours % 24, "h") }
    if days < 365 * 2 { return "\(days)d" }
    if days < 365 * 8 { return pair(days / 365, "y", days % 365, "d") }
    return "\(days / 365)y"
  }

  private static func pair(_ large: Int64, _ largeUnit: String, _ small: Int64, _ smallUnit: String) -> String {
    small == 0 ? "\(large)\(largeUnit)" : "\(large)\(largeUnit)\(small)\(smallUnit)"
  }

  /// How long ago a timestamp of an object was; `<unknown>` when it is not set. `now` in seconds since 1970.
  public static func age(_ timestamp: JSONValue, now: Int64) -> String {
    guard let text = timestamp.string, let seconds = Timestamp.seconds(text) else { return "<unknown>" }
    return Self.text(now - seconds)
  }
}
