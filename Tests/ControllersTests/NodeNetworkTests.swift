// Every node gets a block of the pods' networks, and no two the same.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

@Suite struct NodeNetworkTests {
  private func network(_ text: String, _ prefix: Int? = nil) throws -> PodNetwork {
    try PodNetwork(#require(CIDR(text)), nodePrefix: prefix)
  }

  @Test func blocksAreGivenRoundAndRound() throws {
    var networks = NodeNetworks([try network("10.0.0.0/22"), try network("fd00::/62")])
    #expect(networks.assign("a")?.map(\.description) == ["10.0.0.0/24", "fd00::/64"])
    #expect(networks.assign("b")?.map(\.description) == ["10.0.1.0/24", "fd00:0:0:1::/64"])
    #expect(networks.assign("a")?.map(\.description) == ["10.0.0.0/24", "fd00::/64"], "what it has it keeps")
    networks.note("c", has: [try #require(CIDR("10.0.2.0/24"))])
    #expect(networks.assign("d")?.map(\.description) == ["10.0.3.0/24", "fd00:0:0:2::/64"])
    #expect(networks.assign("e") == nil, "none is left")
    networks.release("b")
    #expect(networks.assign("e")?.first?.description == "10.0.1.0/24")
    // A block that two nodes say is theirs is free when both have gone.
    networks.note("f", has: [try #require(CIDR("10.0.2.0/25"))])
    networks.release("c")
    #expect(networks.assign("g") == nil)
    networks.release("f")
    #expect(networks.assign("g")?.first?.description == "10.0.2.0/24")
  }

  @Test func whatCannotBeCutIsRefused() throws {
    #expect(throws: PodNetwork.Unusable.self) { try network("10.0.0.0/25") }
    #expect(throws: PodNetwork.Unusable.self) { try network("10.0.0.0/7") }
    #expect(try network("10.0.0.0/8").nodePrefix == 24)
    var outside = NodeNetworks([try network("10.0.0.0/24")])
    outside.note("elsewhere", has: [try #require(CIDR("192.168.0.0/24"))])
    #expect(outside.assign("a")?.map(\.description) == ["10.0.0.0/24"])
  }

  @Test func nodesGetTheirsAndAreToldWhenThereIsNone() throws {
    let cluster = try TestCluster()
    let (world, admin) = (cluster.world, cluster.client())
    let networks = [try network("10.5.0.0/23")]
    let manager = world.spawn {
      await ControllerManager(
        context: ControllerContext(
          world: world, logger: cluster.logger, certificateAuthorityPEM: "CA", podNetworks: networks,
          transport: { account in
            cluster.transport(
              account.isEmpty ? "system:kube-controller-manager" : "system:serviceaccount:kube-system:\(account)")
          })
      ).run()
    }
    try world.run {
      @Sendable func block(_ name: String) async throws -> String? {
        let spec = try await admin.get(.nodes, name: name)["spec"]
        #expect(spec["podCIDRs"].elements.first?.string == spec["podCIDR"].string)
        return spec["podCIDR"].string
      }
      var own = Fixture.node("n0")
      own["spec"]["podCIDR"] = "10.5.1.0/24"
      own["spec"]["podCIDRs"] = ["10.5.1.0/24"]
      try await admin.create(.nodes, own)
      try await admin.create(.nodes, Fixture.node("n1"))
      try await world.eventually("the other block") { try await block("n1") == "10.5.0.0/24" }
      try await admin.create(.nodes, Fixture.node("n2"))
      try await world.eventually("an event") {
        try await admin.list(.events).items.contains {
          $0["reason"].string == "CIDRNotAvailable"
            && $0["message"].string == "Node n2 status is now: CIDRNotAvailable"
        }
      }
      #expect(try await block("n2") == nil)
      try await admin.delete(.nodes, name: "n0")
      try await world.eventually("the block that came free") { try await block("n2") == "10.5.1.0/24" }
    }
    manager.cancel()
  }
}
