// What every namespace is given, where a server is behind.
import Client
import HTTP
import JSON
import Synchronization
import TestSupport
import Testing
import World

@testable import Controllers

@Suite struct NamespaceFurnitureTests {
  /// Reaches servers that are behind: the first of them still sees a namespace of that name being deleted, the next none.
  private struct StaleTransport: HTTPTransport {
    final class Refusals: Sendable { let count = Mutex(0) }
    static let terminating = Array(
      """
      {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"Forbidden","code":403,
      "message":"forbidden: unable to create new content in namespace shop because it is being terminated",
      "details":{"causes":[{"reason":"NamespaceTerminating","message":"namespace shop is being terminated",
      "field":"metadata.namespace"}]}}
      """.utf8)
    static let unknown = Array(
      """
      {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"NotFound","code":404,
      "message":"namespaces \\"shop\\" not found"}
      """.utf8)
    let base: any HTTPTransport
    let refusals: Refusals

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
      guard request.method == "POST", request.target.contains("/namespaces/shop/") else {
        return try await base.send(request)
      }
      let number = refusals.count.withLock { count in
        count += 1
        return count
      }
      guard number <= 4 else { return try await base.send(request) }
      let body = number <= 2 ? Self.terminating : Self.unknown
      return HTTPResponse(
        status: number <= 2 ? 403 : 404, headers: ["content-type": "application/json"], body: .bytes(body))
    }
  }

  /// Seed 2833612905 of "remote": a namespace that had come anew stayed without its account.
  @Test func aServerThatIsBehindIsAskedAgain() throws {
    let plane = try ControlPlane(nodes: 0, scheduler: false, controllers: false)
    let (cluster, refusals) = (plane.cluster, StaleTransport.Refusals())
    let manager = plane.world.spawn {
      await ControllerManager(
        context: ControllerContext(
          world: cluster.world, logger: cluster.logger, certificateAuthorityPEM: "CA",
          transport: { account in
            let user =
              account.isEmpty ? "system:kube-controller-manager" : "system:serviceaccount:kube-system:\(account)"
            return StaleTransport(base: cluster.transport(user), refusals: refusals)
          })
      ).run()
    }
    try plane.tell { plane in
      try await plane.admin.create(
        .namespaces, ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": "shop"]])
      try await plane.world.eventually("furnished", within: .seconds(60)) {
        let account = try await plane.admin.find(.serviceAccounts, namespace: "shop", name: "default")
        let certificate = try await plane.admin.find(.configMaps, namespace: "shop", name: "kube-root-ca.crt")
        return account != nil && certificate != nil
      }
    }
    manager.cancel()
    #expect(refusals.count.withLock { $0 } > 4)
  }
}
