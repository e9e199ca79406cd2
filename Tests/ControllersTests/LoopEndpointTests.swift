// What monitoring sees of a loop beside the servers, and who may look.
import Client
import ControlPlane
import HTTP
import JSON
import TestSupport
import Testing
import World

@Suite struct LoopEndpointTests {
  private let cluster: TestCluster
  private let endpoint: LoopEndpoint

  init() throws {
    cluster = try TestCluster()
    // As the scheduler: the roles that every cluster has must do.
    endpoint = LoopEndpoint(client: cluster.client("system:kube-scheduler")) { "some_metric 1\n" }
  }

  private func ask(_ path: String, token: String? = nil, peer: PeerIdentity? = nil) async throws -> (Int, String) {
    var request = HTTPRequest(method: "GET", target: path, peer: peer)
    if let token { request.headers.add("authorization", "Bearer \(token)") }
    let answer = await endpoint.respond(to: request)
    return (answer.status, String(decoding: try await answer.body.collect(upTo: 1 << 20), as: UTF8.self))
  }

  private func token(of account: String) async throws -> String {
    let admin = cluster.client()
    try await admin.create(
      .serviceAccounts, namespace: "default",
      ["apiVersion": "v1", "kind": "ServiceAccount", "metadata": ["name": .string(account)]])
    let answer = try await admin.create(
      .serviceAccounts, namespace: "default",
      ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": [:]], name: account,
      subresource: "token")
    return answer["status"]["token"].string ?? ""
  }

  @Test func everybodyMayAskForHealth() throws {
    try cluster.world.run { () async throws in
      for path in ["/healthz", "/livez", "/readyz", "/healthz?verbose"] {
        let (status, text) = try await ask(path)
        #expect(status == 200 && text.contains("ok"), "\(path): \(status) \(text)")
      }
      let (_, report) = try await ask("/healthz?verbose")
      #expect(report.contains("[+]leaderElection ok"))
    }
  }

  @Test func metricsAreForThoseWhomTheClusterLets() throws {
    try cluster.world.run { () async throws in
      let (status, text) = try await ask("/metrics")
      let answer = try JSONValue(parsing: Array(text.utf8))
      #expect(status == 403 && answer["reason"].string == "Forbidden")
      #expect(answer["message"].string == "forbidden: User \"system:anonymous\" cannot get path \"/metrics\"")

      #expect(try await ask("/metrics", token: "made-up").0 == 401)
      let token = try await token(of: "prometheus")
      #expect(try await ask("/metrics", token: token).0 == 403)

      try await cluster.world.sleep(for: .seconds(11))
      let admin = cluster.client()
      let group = "rbac.authorization.k8s.io"
      try await admin.create(
        ResourceReference(group, "v1", "clusterroles", "ClusterRole", namespaced: false),
        [
          "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": ["name": "scraper"],
          "rules": [["nonResourceURLs": ["/metrics"], "verbs": ["get"]]],
        ])
      try await admin.create(
        ResourceReference(group, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced: false),
        [
          "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": ["name": "scraper"],
          "roleRef": ["apiGroup": .string(group), "kind": "ClusterRole", "name": "scraper"],
          "subjects": [["kind": "ServiceAccount", "namespace": "default", "name": "prometheus"]],
        ])
      let (allowed, lines) = try await ask("/metrics", token: token)
      #expect(allowed == 200 && lines == "some_metric 1\n")
      #expect(try await ask("/other", token: token).0 == 403)
    }
  }

  @Test func aCertificateOfAnAdministratorWillDo() throws {
    try cluster.world.run { () async throws in
      let admin = PeerIdentity(commonName: "admin", organizations: ["system:masters"], fingerprint: "")
      let (metrics, _) = try await ask("/metrics", peer: admin)
      let (other, _) = try await ask("/other", peer: admin)
      #expect(metrics == 200 && other == 404)
      let someone = PeerIdentity(commonName: "jane", organizations: [], fingerprint: "")
      let (refused, _) = try await ask("/metrics", peer: someone)
      #expect(refused == 403)
    }
  }
}
