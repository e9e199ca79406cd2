// Time zones by name: files as they lie on machines, and rules for the years beyond them.
import CEL
import Glibc
import Testing
import World

/// The suite gives the process its time zones; nobody else's tests use names.
@Suite(.serialized) struct TimeZoneTests {
  private static let hasFiles = access("/usr/share/zoneinfo/Europe/Berlin", R_OK) == 0

  private static func read(_ name: String) -> [UInt8]? {
    guard let file = fopen("/usr/share/zoneinfo/\(name)", "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return Array(bytes.prefix(count))
  }

  private func evaluate(_ text: String) throws -> String {
    let program = try CELEnvironment().compile(text)
    switch program.evaluate(CELBindings()).result {
    case .success(.int(let value)): return "\(value)"
    case .success(let value): return "\(value)"
    case .failure(let error): return "error: \(error.message)"
    }
  }

  @Test(
    .enabled(if: hasFiles),
    arguments: [
      ("2024-01-15T12:30:00Z", "Europe/Berlin", "13"), ("2024-07-15T12:30:00Z", "Europe/Berlin", "14"),
      // The hours around a change, the second before and the second of it.
      ("2024-03-31T00:59:59Z", "Europe/Berlin", "1"), ("2024-03-31T01:00:00Z", "Europe/Berlin", "3"),
      ("2024-07-15T12:30:00Z", "America/New_York", "8"), ("2024-01-15T12:30:00Z", "America/New_York", "7"),
      // Long after the last change that files know.
      ("2090-07-15T12:30:00Z", "Europe/Berlin", "14"), ("2090-01-15T12:30:00Z", "Europe/Berlin", "13"),
      // In the south summer is in January.
      ("2090-01-15T12:30:00Z", "Australia/Sydney", "23"), ("2090-07-15T12:30:00Z", "Australia/Sydney", "22"),
      ("1912-01-15T12:30:00Z", "Asia/Kolkata", "18"), ("2024-01-15T12:30:00Z", "Asia/Kolkata", "18"),
      ("2024-01-15T12:30:00Z", "+02:00", "14"), ("2024-01-15T12:30:00Z", "UTC", "12"),
    ])
  func hoursAreThoseOfThePlace(_ time: String, _ zone: String, _ hours: String) throws {
    TimeZones.use { Self.read($0) }
    #expect(try evaluate("timestamp('\(time)').getHours('\(zone)')") == hours)
  }

  @Test func placesThatAreNoneAreErrors() throws {
    TimeZones.use { Self.read($0) }
    for zone in [
      "Nowhere/Atall", "../../../etc/passwd", "/etc/passwd", "Europe", "-9223372036854775808:00",
      "9223372036854775807:59", "25:00", "-25:00",
    ] {
      #expect(
        try evaluate("timestamp('2024-01-15T12:30:00Z').getHours('\(zone)')") == "error: unknown time zone \(zone)")
    }
  }

  @Test func filesThatAreNoneAreErrors() throws {
    let whole = Self.read("Europe/Berlin") ?? Array("TZif2".utf8)
    for length in stride(from: 0, to: min(whole.count, 400), by: 7) {
      TimeZones.use { _ in Array(whole.prefix(length)) }
      #expect(try evaluate("timestamp('2024-01-15T12:30:00Z').getHours('Cut/Off')").hasPrefix("error: "))
    }
  }
}
