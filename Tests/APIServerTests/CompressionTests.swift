// gzip: large answers to get and list, for those who ask for it, and nothing else.
import APIServer
import HTTP
import JSON
import Testing

@Suite struct CompressionTests {
  private static let text = JSONValue.string(String(repeating: "all work and no play ", count: 3000))

  private func cluster(objects: Int) async throws -> TestServer {
    let cluster = TestServer()
    for index in 0..<objects {
      var object = configMap("c-\(index)")
      object["data"]["text"] = Self.text
      let reply = try await cluster.post(configMaps, object)
      try #require(reply.status == 201, "\(reply.text)")
    }
    return cluster
  }

  private func get(_ cluster: TestServer, _ target: String, _ accepted: String?) async throws -> (HTTPHeaders, [UInt8])
  {
    var headers: HTTPHeaders = [:]
    headers["accept-encoding"] = accepted
    let response = try await cluster.raw("GET", target, [], headers)
    #expect(response.status == 200)
    return (response.headers, try await response.body.collect())
  }

  @Test func aLargeListIsCompressedForWhoeverTakesIt() async throws {
    let cluster = try await cluster(objects: 4)
    let (plainHeaders, plain) = try await get(cluster, configMaps, nil)
    #expect(plainHeaders["content-encoding"] == nil && plain.count > 200_000)
    for accepted in ["gzip", "deflate, gzip"] {
      let (headers, bytes) = try await get(cluster, configMaps, accepted)
      #expect(headers["content-encoding"] == "gzip" && headers.values("vary").contains("Accept-Encoding"))
      #expect(headers["content-type"] == plainHeaders["content-type"])
      #expect(bytes.prefix(3) == [0x1f, 0x8b, 8] && bytes.count * 5 < plain.count)
      // The length of what it was stands at its end.
      let length = bytes.suffix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
      #expect(length == plain.count)
    }
    for accepted in ["identity", "gzip;q=0", "br"] {
      #expect(try await get(cluster, configMaps, accepted).0["content-encoding"] == nil, "\(accepted)")
    }
  }

  @Test func aSmallAnswerStaysAsItIs() async throws {
    let cluster = try await cluster(objects: 1)
    #expect(try await get(cluster, configMaps, "gzip").0["content-encoding"] == nil)
    #expect(try await get(cluster, "\(configMaps)/c-0", "gzip").0["content-encoding"] == nil)
  }
}
