// Who asks which API servers there are finds a Lease of each.
import Client
import JSON
import TestSupport
import Testing
import World

@testable import ControlPlane

@Suite struct ServerIdentityTests {
  private let selector = ListOptions(labelSelector: "apiserver.kubernetes.io/identity=kube-apiserver")

  @Test func theNameIsTheReferencesDigest() {
    #expect(ServerIdentity.leaseName(of: "srv") == "apiserver-3vzfgvk4s6p62jlvkjkmhdxb4i")
  }

  @Test func everyServerKeepsALeaseOfItsOwn() throws {
    let cluster = try TestCluster()
    let admin = cluster.client()
    let names = ["server-1", "server-2"]
    @Sendable func start(_ name: String) -> SpawnedTask {
      let identity = ServerIdentity(server: name, client: cluster.client())
      return cluster.world.spawn { await identity.run { true } }
    }
    let tasks = names.map { start($0) }
    try cluster.world.run {
      try await cluster.world.sleep(for: .seconds(25))
      let found = try await admin.list(.leases, namespace: "kube-system", selector).items
      #expect(Set(found.map { $0["metadata"]["labels"]["kubernetes.io/hostname"].string }) == Set(names))
      for lease in found.map(LeaseObject.init(json:)) {
        #expect(lease.durationSeconds == 3600 && lease.holder.hasPrefix("\(lease.name)_"))
        let renewed = try #require(WallTime(rfc3339: lease.renewTime))
        #expect(cluster.world.wallClock < renewed + .seconds(11), "renewed every ten seconds")
      }
      tasks[0].cancel()
      let again = start(names[0])
      try await cluster.world.sleep(for: .seconds(1))
      let restarted = try await admin.list(.leases, namespace: "kube-system", selector).items
      #expect(restarted.count == 2, "the same lease")
      #expect(restarted.map { $0["spec"]["holderIdentity"] } != found.map { $0["spec"]["holderIdentity"] })
      again.cancel()
      // An hour and the next look later.
      try await cluster.world.sleep(for: .seconds(3600 + 601 + 20))
      let left = try await admin.list(.leases, namespace: "kube-system", selector).items
      #expect(left.map { $0["metadata"]["labels"]["kubernetes.io/hostname"].string } == ["server-2"])
      tasks[1].cancel()
    }
  }
}
