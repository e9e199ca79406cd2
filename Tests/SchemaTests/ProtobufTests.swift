import JSON
import Schema
import SeedSupport
import Testing

@Suite("Protobuf bodies")
struct ProtobufTests {
  private let canonical: JSONValue

  init() throws { canonical = try JSONValue(parsing: Fixture.canonical) }

  private func decode(_ body: [UInt8]) throws(APIStatus) -> JSONValue {
    try BodyDecoder.decode(
      body, contentType: "application/vnd.kubernetes.protobuf", expected: Fixture.kind,
      structure: Fixture.deployment, validation: .strict
    ).object
  }

  @Test("an object goes to protobuf and comes back the same bytes of JSON")
  func roundTrip() throws {
    let body = ProtobufEncoder.envelope(canonical, as: Fixture.deployment)
    #expect(body.starts(with: [0x6b, 0x38, 0x73, 0x00]))
    #expect(try decode(body).description == Fixture.canonical)
    let envelope = try ProtobufEnvelope(parsing: body)
    #expect(envelope.kind == "Deployment")
    #expect(envelope.apiVersion == "apps/v1")
  }

  @Test("explicit zeros of the reference's encoder are absent, unless the field is a pointer")
  func explicitZeros() throws {
    // metadata { name "a", namespace "", generation 0, creationTimestamp {} }; spec { replicas 0, paused false,
    // timeout {0}, flag false }; status {}.
    let metadata: [UInt8] = [0x0a, 1, 0x61, 0x1a, 0, 0x38, 0, 0x42, 0]
    let spec: [UInt8] = [0x08, 0, 0x38, 0, 0x60, 0]
    let message = [0x0a, UInt8(metadata.count)] + metadata + [0x12, UInt8(spec.count)] + spec + [0x1a, 0]
    let body = ProtobufEnvelope(apiVersion: "apps/v1", kind: "Deployment", message: message).bytes
    #expect(
      try decode(body).description
        == #"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"a","creationTimestamp":null},"#
        + #""spec":{"replicas":0,"selector":null,"template":{"metadata":{"creationTimestamp":null},"#
        + #""spec":{"containers":null}},"flag":false},"status":{"replicas":0}}"#)
  }

  @Test("special messages have the forms that Kubernetes gives them")
  func specialMessages() throws {
    // intOrString { type 0, intVal 80, strVal "" } inside a port; packed and unpacked numbers; negative int32.
    let port: [UInt8] = [0x08, 80, 0x1a, 6, 0x08, 0, 0x10, 80, 0x1a, 0]
    #expect(try ProtobufDecoder.decode(port, as: Fixture.port).description == #"{"containerPort":80,"target":80}"#)
    let minusOne: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
    let numbers: [UInt8] = [0x6a, 2, 1, 2, 0x68] + minusOne
    #expect(try ProtobufDecoder.decode(numbers, as: Fixture.spec)["numbers"] == [1, 2, -1])
    // A raw object is JSON inside; an unknown field is skipped.
    let raw: [UInt8] = [0x12, 9, 0x0a, 7] + Array(#"{"a":1}"#.utf8) + [0xf8, 0x06, 5]
    #expect(try ProtobufDecoder.decode(raw, as: Fixture.volumeSource)["raw"] == ["a": 1])
  }

  @Test("what is no message, or of another kind, is refused")
  func refusals() throws {
    func message(_ body: [UInt8]) -> String {
      do throws(APIStatus) {
        _ = try decode(body)
        return "no error"
      } catch { return error.message }
    }
    func enveloped(_ message: [UInt8]) -> [UInt8] {
      ProtobufEnvelope(apiVersion: "apps/v1", kind: "Deployment", message: message).bytes
    }
    #expect(message([1, 2]).contains("expected prefix [107 56 115 0]"))
    #expect(
      message(enveloped([0x0a, 5, 1]))
        == "Deployment in version \"v1\" cannot be handled as a Deployment: unexpected EOF")
    #expect(message(enveloped([0x08, 1])).hasSuffix("proto: wrong wireType = 0 for field metadata"))
    #expect(message(enveloped([0x0b])).hasSuffix("proto: illegal wireType 3"))
    #expect(message(enveloped([0x00, 1])).hasSuffix("proto: illegal tag 0"))
    #expect(message(ProtobufEnvelope(apiVersion: "v1", kind: "Pod", message: []).bytes).hasPrefix("Pod in version"))
    // Limits of depth: a structure that holds itself.
    let node = Structure(name: "x.Node")
    node.seal(fields: [Fixture.field(1, "child", .structure(node), pointer: true)])
    node.expandInline()
    var nested: [UInt8] = []
    for _ in 0..<600 {
      var length = nested.count
      var head: [UInt8] = [0x0a]
      repeat {
        head.append(UInt8(length & 0x7f) | (length > 0x7f ? 0x80 : 0))
        length >>= 7
      } while length > 0
      nested = head + nested
    }
    #expect(throws: ProtobufError.self) { try ProtobufDecoder.decode(nested, as: node) }
  }

  @Test("options are taken in the version of any group if the endpoint says so")
  func anyVersion() throws {
    let body = ProtobufEnvelope(apiVersion: "v1", kind: "Deployment", message: []).bytes
    let decoded = try BodyDecoder.decode(
      body, contentType: MediaType.protobuf.rawValue, expected: Fixture.kind, structure: Fixture.deployment,
      acceptsAnyGroupVersion: true)
    #expect(decoded.object["apiVersion"] == "v1")
  }

  @Test("a watch frame is a length and an event around an envelope")
  func watchFrame() {
    let frame = ProtobufEnvelope.watchFrame(type: "ADDED", object: [1, 2, 3])
    #expect(frame == [0, 0, 0, 14, 0x0a, 5] + Array("ADDED".utf8) + [0x12, 5, 0x0a, 3, 1, 2, 3])
  }

  @Test("random bytes and damaged messages never crash the decoder")
  func fuzz() {
    var random = SeededRandom(seed: 7)
    let seed = ProtobufEncoder.message(canonical, as: Fixture.deployment)
    for _ in 0..<20_000 {
      var bytes = seed
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: at)
        default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
        }
      }
      _ = try? ProtobufDecoder.decode(bytes, as: Fixture.deployment)
    }
  }
}
