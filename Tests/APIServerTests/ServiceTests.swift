import APIServer
import HTTP
import JSON
import Testing

@Suite struct ServiceTests {
  static let services = "/api/v1/namespaces/default/services"

  func service(_ name: String, type: String = "ClusterIP", _ edit: (inout JSONValue) -> Void = { _ in }) -> JSONValue {
    var object: JSONValue = [
      "apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name)],
      "spec": ["type": .string(type), "selector": ["app": "web"], "ports": [["port": 80]]],
    ]
    edit(&object)
    return object
  }

  @Test func everyServiceGetsAnAddressOfItsOwn() async throws {
    let server = TestServer()
    var addresses: Set<String> = []
    for index in 0..<20 {
      let reply = try await server.post(Self.services, service("s\(index)"))
      #expect(reply.status == 201)
      let address = try #require(reply.json["spec"]["clusterIP"].string)
      #expect(address.hasPrefix("10.96."))
      #expect(reply.json["spec"]["clusterIPs"] == [.string(address)])
      #expect(reply.json["spec"]["ipFamilies"] == ["IPv4"])
      addresses.insert(address)
    }
    #expect(addresses.count == 20)
  }

  @Test func anAddressMayBeAskedForOnce() async throws {
    let server = TestServer()
    let first = try await server.post(Self.services, service("a") { $0["spec"]["clusterIP"] = "10.96.0.1" })
    #expect(first.json["spec"]["clusterIP"] == "10.96.0.1")
    let second = try await server.post(Self.services, service("b") { $0["spec"]["clusterIP"] = "10.96.0.1" })
    #expect(second.status == 422)
    #expect(second.message.contains("spec.clusterIPs: Invalid value:"))
    #expect(second.message.contains("failed to allocate IP 10.96.0.1: provided IP is already allocated"))
    let outside = try await server.post(Self.services, service("c") { $0["spec"]["clusterIP"] = "192.168.0.1" })
    #expect(outside.status == 422)
    #expect(outside.message.contains("is not in the valid range"))
    try await server.delete("\(Self.services)/a")
    let third = try await server.post(Self.services, service("b") { $0["spec"]["clusterIP"] = "10.96.0.1" })
    #expect(third.status == 201, "a deleted service gives its address back")
  }

  @Test func theRangeCanRunOut() async throws {
    var configuration = APIServer.Configuration()
    configuration.serviceNetwork = "10.0.0.0/30"
    let server = TestServer(configuration: configuration)
    #expect(try await server.post(Self.services, service("a")).status == 201)
    #expect(try await server.post(Self.services, service("b")).status == 201)
    let full = try await server.post(Self.services, service("c"))
    #expect(full.status == 500)
    #expect(full.message.contains("range is full"))
  }

  @Test func headlessServicesHaveNone() async throws {
    let server = TestServer()
    let reply = try await server.post(Self.services, service("h") { $0["spec"]["clusterIP"] = "None" })
    #expect(reply.json["spec"]["clusterIP"] == "None")
    #expect(reply.json["spec"]["ipFamilies"] == ["IPv4"])
    #expect(reply.json["spec"]["ipFamilyPolicy"] == "SingleStack")
    // Whoever keeps its endpoints may have both families.
    let foreign = try await server.post(
      Self.services,
      service("f") {
        $0["spec"]["clusterIP"] = "None"
        $0["spec"]["selector"] = .null
      })
    #expect(foreign.json["spec"]["ipFamilies"] == ["IPv4", "IPv6"])
    #expect(foreign.json["spec"]["ipFamilyPolicy"] == "RequireDualStack")
    let label: JSONValue = ["metadata": ["labels": ["a": "b"]]]
    for name in ["h", "f"] { #expect(try await server.patch("\(Self.services)/\(name)", label).status == 200) }
  }

  @Test func familiesThatTheClusterLacksAreRefused() async throws {
    let server = TestServer()
    func causes(_ edit: (inout JSONValue) -> Void) async throws -> [String] {
      let reply = try await server.post(Self.services, service("a", edit))
      #expect(reply.status == 422)
      return reply.json["details"]["causes"].elements.map {
        "\($0["field"].string ?? ""): \($0["message"].string ?? "")"
      }
    }
    #expect(
      try await causes { $0["spec"]["ipFamilies"] = ["IPv6"] } == [
        #"spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster"#
      ])
    #expect(
      try await causes {
        $0["spec"]["ipFamilies"] = ["IPv4", "IPv6"]
        $0["spec"]["ipFamilyPolicy"] = "RequireDualStack"
      } == [
        "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services",
        #"spec.ipFamilies[1]: Invalid value: "IPv6": not configured on this cluster"#,
      ])
    #expect(
      try await causes { $0["spec"]["ipFamilies"] = ["IPv4", "IPv6"] } == [
        "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when "
          + "multiple IP families are specified"
      ])
    #expect(
      try await causes { $0["spec"]["clusterIP"] = "fd00::1" } == [
        #"spec.clusterIPs[0]: Invalid value: []string{"fd00::1"}: IPv6 is not configured on this cluster"#
      ])
    let preferring = try await server.post(
      Self.services, service("a") { $0["spec"]["ipFamilyPolicy"] = "PreferDualStack" })
    #expect(preferring.status == 201)
    #expect(preferring.json["spec"]["ipFamilies"] == ["IPv4"])
  }

  @Test func nodePortsAreAllocatedAndReleased() async throws {
    let server = TestServer()
    let made = try await server.post(Self.services, service("n", type: "NodePort"))
    let port = try #require(made.json["spec"]["ports"][0]["nodePort"].integer)
    #expect((30000...32767).contains(port))
    let taken = try await server.post(
      Self.services, service("m", type: "NodePort") { $0["spec"]["ports"][0]["nodePort"] = .integer(port) })
    #expect(taken.status == 422)
    #expect(
      taken.message.contains("spec.ports[0].nodePort: Invalid value: \(port): provided port is already allocated"))
    let outside = try await server.post(
      Self.services, service("o", type: "NodePort") { $0["spec"]["ports"][0]["nodePort"] = 80 })
    #expect(outside.status == 422)
    #expect(outside.message.contains("The range of valid ports is 30000-32767"))
    try await server.delete("\(Self.services)/n")
    let again = try await server.post(
      Self.services, service("m", type: "NodePort") { $0["spec"]["ports"][0]["nodePort"] = .integer(port) })
    #expect(again.status == 201)
  }

  @Test func anUpdateKeepsWhatItDoesNotMention() async throws {
    let server = TestServer()
    let made = try await server.post(Self.services, service("n", type: "NodePort"))
    var bare = service("n", type: "NodePort") { $0["spec"]["selector"] = ["app": "other"] }
    bare["metadata"]["resourceVersion"] = made.json["metadata"]["resourceVersion"]
    let updated = try await server.put("\(Self.services)/n", bare)
    #expect(updated.status == 200)
    #expect(updated.json["spec"]["clusterIP"] == made.json["spec"]["clusterIP"])
    #expect(updated.json["spec"]["ports"][0]["nodePort"] == made.json["spec"]["ports"][0]["nodePort"])
  }

  @Test func anExternalNameGivesItsAddressBack() async throws {
    let server = TestServer()
    let made = try await server.post(Self.services, service("x"))
    let address = try #require(made.json["spec"]["clusterIP"].string)
    let text = #"{"spec":{"type":"ExternalName","externalName":"example.com","clusterIP":null,"clusterIPs":null}}"#
    let changed = try await server.send(
      "PATCH", "\(Self.services)/x", bytes: Array(text.utf8), ["content-type": "application/merge-patch+json"])
    #expect(changed.status == 200, "\(changed.message)")
    let other = try await server.post(Self.services, service("y") { $0["spec"]["clusterIP"] = .string(address) })
    #expect(other.status == 201, "\(other.message)")
  }

  @Test func twoServersNeverGiveOneAddressTwice() async throws {
    let server = TestServer()
    let other = TestServer(store: server.store)
    let codes = try await withThrowingTaskGroup(of: Int.self) { group in
      for index in 0..<10 {
        let one = index % 2 == 0 ? server : other
        let object = service("s\(index)") { $0["spec"]["clusterIP"] = "10.96.3.3" }
        group.addTask { try await one.post(Self.services, object).status }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(codes.filter { $0 == 201 }.count == 1)
    #expect(codes.filter { $0 == 422 }.count == 9)
  }

  @Test func aDryRunTakesNothing() async throws {
    let server = TestServer()
    let dry = try await server.post(
      "\(Self.services)?dryRun=All", service("d") { $0["spec"]["clusterIP"] = "10.96.9.9" })
    #expect(dry.status == 201)
    let real = try await server.post(Self.services, service("e") { $0["spec"]["clusterIP"] = "10.96.9.9" })
    #expect(real.status == 201)
  }
}
