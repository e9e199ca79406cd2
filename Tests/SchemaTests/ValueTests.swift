import JSON
import SeedSupport
import Testing

@testable import Schema

@Suite("Values with a text form")
struct ValueTests {
  @Test("times are read with any offset and fraction and written in UTC; no text overflows")
  func times() {
    #expect(Timestamp(rfc3339: "1970-01-01T00:00:00Z")?.seconds == 0)
    #expect(Timestamp(rfc3339: "2024-02-29T12:00:00.123456789-07:30")?.rfc3339Micro == "2024-02-29T19:30:00.123456Z")
    #expect(Timestamp(rfc3339: "9999-12-31T23:59:59Z")?.rfc3339 == "9999-12-31T23:59:59Z")
    #expect(Timestamp(rfc3339: "0001-01-01T00:00:00Z")?.rfc3339 == "0001-01-01T00:00:00Z")
    for text in ["", "2023-02-29T00:00:00Z", "2024-01-01", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00", "x"] {
      #expect(Timestamp(rfc3339: text) == nil, "\(text)")
    }
  }

  @Test("a time that is plainly canonical is written as it is read")
  func plainTimes() {
    for text in ["2024-02-28T23:59:59Z", "0000-01-01T00:00:00Z", "9999-12-28T00:00:00Z"] {
      #expect(Timestamp.isPlainlyCanonical(text) && Timestamp(rfc3339: text)?.rfc3339 == text, "\(text)")
    }
    // Each character of a time in the place of each other: what is said to be canonical must be.
    let time = Array("2024-10-28T23:59:49Z".utf8)
    for place in time.indices {
      for byte in Array("0123456789-:TZtz+.".utf8) {
        var changed = time
        changed[place] = byte
        let text = String(decoding: changed, as: UTF8.self)
        if Timestamp.isPlainlyCanonical(text) { #expect(Timestamp(rfc3339: text)?.rfc3339 == text, "\(text)") }
      }
    }
    for text in ["", "2024-01-01", "2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00+00:00", "2024-01-01T00:00:00ZZ"] {
      #expect(!Timestamp.isPlainlyCanonical(text), "\(text)")
    }
  }

  @Test(
    "durations are read and written as Go does",
    arguments: [
      ("90s", "1m30s"), ("0", "0s"), ("1h", "1h0m0s"), ("1.5s", "1.5s"), ("100ms", "100ms"), ("1500us", "1.5ms"),
      ("2ns", "2ns"), ("-1m", "-1m0s"), ("1h2m3.004s", "1h2m3.004s"), ("36h", "36h0m0s"),
    ])
  func durations(text: String, canonical: String) {
    #expect(DurationText.nanoseconds(text).map(DurationText.text) == canonical)
  }

  @Test(
    "durations that are none, or do not fit, are refused",
    arguments: [
      "", "5", "x", "1d", ".s", "10000000h", "-", "18446744073709551.9us", "9223372036854775807s",
      "9223372036854775.9us",
    ])
  func noDurations(text: String) {
    #expect(DurationText.nanoseconds(text) == nil)
  }

  @Test(
    "numbers are printed as %f does, of any size",
    arguments: [
      (9e18, "9000000000000000000.000000"), (-0.5, "-0.500000"), (0, "0.000000"), (1.9999999, "2.000000"),
      (9e27, "8999999999999999844710088704.000000"), (-1e-9, "0.000000"), (2.5, "2.500000"), (.infinity, "+Inf"),
      (.greatestFiniteMagnitude, "1.7976931348623157e+308"),
    ] as [(Double, String)])
  func fixedNumbers(number: Double, text: String) {
    #expect(number.goFixedText == text)
  }

  @Test("of a text that is no duration not more than a part is told")
  func longNoDuration() throws {
    let long = String(repeating: "x", count: 1 << 20)
    for text in [long, "1\(long)", "1h1\(long)"] {
      let told = try #require(DurationText.problem(with: text))
      #expect(told.hasPrefix("time: ") && told.utf8.count < 4096)
    }
  }

  @Test("base64 round-trips and refuses what is none")
  func base64() throws {
    for count in 0..<20 {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 97) }
      #expect(try Base64.decode(Base64.encode(bytes)) == bytes)
    }
    #expect(try Base64.decode("aG\nk=") == Array("hi".utf8))
    for text in ["a", "a===", "aGk", "aGk=a", "a b=", "ab=c"] {
      #expect(throws: Base64.DecodeError.self) { try Base64.decode(text) }
    }
  }

  @Test(
    "addresses are read and written canonically",
    arguments: [
      ("10.0.0.1", "10.0.0.1"), ("010.0.0.001", "10.0.0.1"), ("::", "::"), ("::1", "::1"),
      ("2001:DB8::0:1", "2001:db8::1"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("::ffff:1.2.3.4", "1.2.3.4"),
      ("fe80::", "fe80::"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:0:2:0:3:0:4:0", "1:0:2:0:3:0:4:0"),
      ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
    ])
  func addresses(text: String, canonical: String) {
    #expect(IPAddress(text)?.description == canonical)
  }

  @Test(
    "what is no address is refused",
    arguments: [
      "", "1.2.3", "1.2.3.256", "1.2.3.4.5", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "g::",
      "fe80::1%eth0", "1.2.3.4:80", "12345::", "1:2:3:4:5:6:7::8", "::1.2.3", "1:", ":1",
    ])
  func noAddresses(text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test("address ranges know their members")
  func ranges() throws {
    let range = try #require(CIDR("10.96.0.7/12"))
    #expect(range.description == "10.96.0.0/12")
    #expect(range.count == 1 << 20)
    #expect(range.contains(IPAddress("10.111.255.255")!))
    #expect(!range.contains(IPAddress("10.112.0.0")!))
    #expect(!range.contains(IPAddress("::1")!))
    #expect(range.address(at: 1)?.description == "10.96.0.1")
    #expect(range.address(at: range.count) == nil)
    #expect(CIDR("::/0")?.contains(IPAddress("ffff::")!) == true)
    #expect(CIDR("10.96.0.0/16")!.overlaps(CIDR("10.0.0.0/8")!) && CIDR("10.0.0.0/8")!.overlaps(CIDR("10.96.0.0/16")!))
    #expect(!CIDR("10.96.0.0/16")!.overlaps(CIDR("10.97.0.0/16")!) && !CIDR("::/0")!.overlaps(CIDR("0.0.0.0/0")!))
    for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "x/8", "::/129"] { #expect(CIDR(text) == nil) }
  }

  @Test("generated names keep to a DNS label and to the safe alphabet")
  func generatedNames() {
    var random = SeededRandom(seed: 1)
    let name = ResourceNaming.generatedName(String(repeating: "a", count: 80) + "-", using: &random)
    #expect(name.utf8.count == 63)
    #expect(Validate.dns1123Label(name).isEmpty)
    #expect(ResourceNaming.hash(of: ["a": 1]) == ResourceNaming.hash(of: ["a": 1]))
    #expect(ResourceNaming.hash(of: ["a": 1]) != ResourceNaming.hash(of: ["a": 1], collisionCount: 1))
    #expect(ResourceNaming.hash("a".utf8) == 0xe40c_292c)
  }
}
