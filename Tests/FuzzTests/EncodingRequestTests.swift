import HTTP
import JSON
import Kinds
import RequestFuzzer
import Schema
import TestSupport
import Testing

// Every kind through a real request in each encoding: what one encoding writes, the others read, and writing back what
// was read changes nothing.
@testable import APIServer

@Suite("Every kind in every encoding") struct EncodingRequestTests {
  private static let protobuf = MediaType.protobuf.rawValue

  @Test func isTheSameObject() throws {
    let cluster = try TestCluster(seed: 11)
    let transport = cluster.transport("admin")
    let fuzzer = RequestFuzzer(seed: 11)

    @Sendable func send(
      _ method: String, _ target: String, _ body: [UInt8] = [], _ type: String = "application/json",
      accept: String = "application/json"
    ) async throws -> (status: Int, body: [UInt8]) {
      let reply = try await transport.send(
        HTTPRequest(
          method: method, target: target, headers: ["content-type": type, "accept": accept],
          body: body.isEmpty ? .empty : .bytes(body)))
      return (reply.status, try await reply.body.collect(upTo: 1 << 24))
    }
    /// The tree of an answer in protobuf.
    @Sendable func tree(_ body: [UInt8]) throws -> JSONValue {
      let envelope = try ProtobufEnvelope(parsing: body)
      let kind = GroupVersionKind(apiVersion: envelope.apiVersion, kind: envelope.kind)
      let structure = try #require(KindRegistry.builtIn.structure(kind), "\(kind)")
      return try BodyDecoder.decode(body, contentType: Self.protobuf, expected: kind, structure: structure).object
    }

    try cluster.world.run(limit: .seconds(1_000_000)) {
      for request in fuzzer.preparation { _ = try await transport.send(request.http) }
      try await cluster.server.reconcileDefinitions()
      for request in fuzzer.plainCreates() {
        let collection = String(request.target.prefix { $0 != "?" })
        let given = try JSONValue(parsing: request.body)
        let what = "\(given["kind"].string ?? "")"
        guard KindRegistry.builtIn.kind(apiVersion: given["apiVersion"].string ?? "", kind: what) != nil else {
          continue
        }
        let made = try await send("POST", collection, request.body)
        #expect([200, 201].contains(made.status), "\(what): \(String(decoding: made.body, as: UTF8.self))")
        let object = try JSONValue(parsing: made.body)

        // The same body in protobuf and in YAML, as dry runs where there is one already.
        let structure = try #require(
          KindRegistry.builtIn.structure(
            GroupVersionKind(apiVersion: given["apiVersion"].string ?? "", kind: what)))
        let canonical = try TypedDecoder.decode(given, as: structure).value
        var twin = canonical
        if what != "APIService", !what.hasSuffix("Review"), what != "CustomResourceDefinition" {
          twin["metadata"]["name"] = "twin"
        }
        let isTwin = twin != canonical
        for (body, type) in [
          (ProtobufEncoder.envelope(twin, as: structure), Self.protobuf), (YAML.bytes(twin), "application/yaml"),
        ] where isTwin || what.hasSuffix("Review") {
          let copy = try await send("POST", collection + "?dryRun=All", body, type, accept: Self.protobuf)
          #expect([200, 201].contains(copy.status), "\(what) \(type): \(String(decoding: copy.body, as: UTF8.self))")
          guard [200, 201].contains(copy.status) else { continue }
          let answer = try tree(copy.body)
          #expect(Self.compared(answer) == Self.compared(object), "\(what) as \(type)")
        }

        guard let name = object["metadata"]["name"].string, !what.hasSuffix("Review") else { continue }
        let path = "\(collection)/\(name)"
        let asJSON = try await send("GET", path)
        guard asJSON.status == 200 else { continue }
        let asProtobuf = try await send("GET", path, accept: Self.protobuf)
        let asYAML = try await send("GET", path, accept: "application/yaml")
        let read = try JSONValue(parsing: asJSON.body)
        #expect(try tree(asProtobuf.body) == Self.withoutInnerKinds(read), "\(what) in protobuf")
        #expect(try YAML.parse(asYAML.body) == read, "\(what) in YAML")
        for (body, type) in [
          (asProtobuf.body, Self.protobuf), (asYAML.body, "application/yaml"), (asJSON.body, "application/json"),
        ] {
          let written = try await send("PUT", path, body, type)
          #expect(written.status == 200, "\(what) as \(type): \(String(decoding: written.body, as: UTF8.self))")
          #expect(try JSONValue(parsing: written.body) == read, "\(what) written back as \(type) changes")
        }
        // A list of it in both.
        let list = try JSONValue(parsing: try await send("GET", collection).body)
        #expect(
          try tree(try await send("GET", collection, accept: Self.protobuf).body) == Self.withoutInnerKinds(list),
          "\(what)List")
        _ = try await send("DELETE", path)
      }
    }
  }

  /// Claims inside a stateful set name their kind, which protobuf cannot say.
  private static func withoutInnerKinds(_ object: JSONValue) -> JSONValue {
    var result = object
    if let items = result["items"].array {
      result["items"] = .array(items.map(withoutInnerKinds))
      return result
    }
    guard let claims = result["spec"]["volumeClaimTemplates"].array else { return result }
    result["spec"]["volumeClaimTemplates"] = .array(
      claims.map { claim in
        var claim = claim
        claim["kind"] = .null
        claim["apiVersion"] = .null
        return claim
      })
    return result
  }

  /// Without what two objects cannot share.
  private static func compared(_ object: JSONValue) -> JSONValue {
    var result = object
    for name in ["name", "uid", "resourceVersion", "creationTimestamp", "managedFields", "selfLink"] {
      result["metadata"][name] = .null
    }
    result = withoutInnerKinds(result)
    switch object["kind"].string {
    case "Service":
      for name in ["clusterIP", "clusterIPs", "ports"] { result["spec"][name] = .null }
    case "Namespace": result["metadata"]["labels"] = .null
    case "Job":
      result["spec"]["selector"] = .null
      result["spec"]["template"]["metadata"] = .null
      result["metadata"]["labels"] = .null
    case "Pod":
      result["spec"]["volumes"] = .null
      result["spec"]["containers"] = .null
      result["spec"]["initContainers"] = .null
    default: break
    }
    return result
  }
}
