// How long kubelets may keep what they have read.
import Client
import JSON
import TestSupport
import Testing
import World

@testable import Controllers

@Suite struct NodeTTLTests {
  @Test func theTimeGrowsWithTheClusterAndDoesNotFlutter() {
    var step = NodeTTLStep()
    let sizes = [1, 100, 101, 95, 89, 5000, 1800, 1799, 899, 449, 0]
    var seconds: [Int] = []
    for size in sizes {
      step.follow(size)
      seconds.append(step.seconds)
    }
    #expect(seconds == [0, 0, 15, 15, 0, 300, 300, 60, 30, 15, 0])
  }

  @Test func everyNodeIsTold() throws {
    try ControlPlane(nodes: 2, scheduler: false).tell { plane in
      try await plane.world.eventually("annotated") {
        let nodes = try await plane.admin.list(.nodes).items
        return nodes.count == 2
          && nodes.allSatisfy { $0["metadata"]["annotations"]["node.alpha.kubernetes.io/ttl"] == "0" }
      }
    }
  }
}
