import Schema
import Testing

@Suite("Quantities")
struct QuantityTests {
  @Test(
    "are printed canonically",
    arguments: [
      ("0", "0"), ("0Gi", "0"), ("1", "1"), ("1000m", "1"), ("0.5", "500m"), ("100m", "100m"), ("1500m", "1500m"),
      ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1024Ki", "1Mi"), ("1000Ki", "1000Ki"), ("512", "512"), ("1000", "1k"),
      ("1500000", "1500k"), ("0.1Gi", "107374182400m"), ("1023Ki", "1023Ki"), ("1Ki", "1Ki"), ("0.5Ki", "512"),
      ("1e3", "1e3"), ("100e2", "10e3"), ("12e1", "120"), ("1E", "1E"), ("1e-3", "1e-3"), ("+5", "5"), ("-5m", "-5m"),
      ("1n", "1n"), ("0.1n", "1n"), ("1.000000000001", "1000000001n"), ("100000000000000000000", "9223372036854775807"),
      ("8Ei", "9223372036854775807"), ("7Ei", "7Ei"), ("3.", "3"), (".5", "500m"), ("1u", "1u"), ("2P", "2P"),
      ("1E3", "1e3"), ("0.0001Ki", "102400u"), ("-0", "0"),
    ])
  func canonical(text: String, canonical: String) throws {
    #expect(try Quantity(parsing: text).description == canonical)
  }

  @Test(
    "that are none are refused in the reference's words",
    arguments: [
      ("", Quantity.ParseError.format), ("1 Gi", .format), ("abc", .format), ("1Gb", .format), ("--1", .suffix),
      ("1.2.3", .format), ("1Kx", .format), ("1K", .suffix), ("1mm", .suffix), ("1kk", .suffix), (".", .numeric),
      ("m", .numeric), ("1e", .suffix), ("1e1.5", .format),
    ])
  func refused(text: String, error: Quantity.ParseError) {
    #expect(throws: error) { try Quantity(parsing: text) }
  }

  @Test("compare and add exactly, whatever their suffixes")
  func arithmetic() throws {
    let half = try Quantity(parsing: "500m")
    let one = try Quantity(parsing: "1")
    #expect(half + half == one)
    #expect((half + half).description == "1")
    #expect(half < one)
    #expect((one - half - half).isZero)
    #expect(Quantity("1Gi")! > Quantity("1G")!)
    #expect((Quantity.zero + Quantity("1Gi")!).description == "1Gi")
    #expect((Quantity("9E")! + Quantity("9E")!).value == .max)
  }

  @Test("round up where they are read as whole numbers")
  func rounding() throws {
    #expect(Quantity("1500m")!.value == 2)
    #expect(Quantity("-1500m")!.value == -2)
    #expect(Quantity("1500u")!.milliValue == 2)
    #expect(Quantity("2")!.milliValue == 2000)
    #expect(Quantity("1Gi")!.value == 1 << 30)
    #expect(Quantity("8E")!.milliValue == .max)
  }
}
