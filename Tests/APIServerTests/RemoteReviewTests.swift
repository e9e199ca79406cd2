// Services that are asked whose a token is and who may do what, over real TLS.
import APIServer
import EventLoop
import HTTP
import JSON
import Schema
import Synchronization
import TLS
import Testing
import World

/// Answers reviews by a closure, remembers them.
private final class Reviewer: Sendable {
  let server: LocalTLSServer
  private let log: Log

  private final class Log: Sendable {
    let asked = Mutex<[(review: JSONValue, token: String)]>([])
  }

  static func start(_ status: @escaping @Sendable (JSONValue) -> JSONValue) async throws -> Reviewer {
    let log = Log()
    let server = try await LocalTLSServer { request in
      let review = ((try? await request.body.collect()).flatMap { try? JSONValue(parsing: $0) }) ?? .null
      log.asked.withLock { $0.append((review, request.headers["authorization"] ?? "")) }
      var answer = review
      answer["status"] = status(review["spec"])
      if answer["status"]["code"] == 500 { return HTTPResponse(status: 500) }
      return HTTPResponse(status: 201, headers: ["content-type": "application/json"], body: .bytes(answer.bytes))
    }
    return Reviewer(server, log)
  }

  private init(_ server: LocalTLSServer, _ log: Log) {
    self.server = server
    self.log = log
  }

  var asked: [(review: JSONValue, token: String)] { log.asked.withLock { $0 } }

  func reviews() throws -> RemoteReviews {
    try RemoteReviews(
      url: "\(server.url)/review", authorityPEM: server.authorityPEM, bearerToken: "secret",
      transport: WebhookConnections(loop: testLoop), world: testLoop)
  }
}

@Suite struct RemoteReviewTests {
  @Test func aServiceKnowsTokensThatNobodyElseDoes() async throws {
    let reviewer = try await Reviewer.start { spec in
      guard spec["token"] == "known" else { return ["authenticated": false] }
      return [
        "authenticated": true,
        "user": ["username": "ann", "uid": "7", "groups": ["dev"], "extra": ["k": ["v"]]],
      ]
    }
    var options = SecurityOptions()
    var webhook = WebhookTokens.Options()
    webhook.version = "v1"
    options.tokens = [WebhookTokens(try reviewer.reviews(), options: webhook, world: testLoop)]
    let cluster = try await SecurityCluster(options: options)
    for _ in 0..<3 {
      let user = try await cluster.whoAmI(token: "known").json["status"]["userInfo"]
      #expect(user["username"] == "ann" && user["uid"] == "7" && user["extra"] == ["k": ["v"]], "\(user)")
      #expect(user["groups"] == ["dev", "system:authenticated"])
      #expect(try await cluster.whoAmI(token: "unknown").status == 401)
    }
    // Each was asked about once.
    let asked = reviewer.asked
    #expect(asked.count == 2 && asked.allSatisfy { $0.token == "Bearer secret" })
    #expect(asked[0].review["apiVersion"] == "authentication.k8s.io/v1" && asked[0].review["kind"] == "TokenReview")
    #expect(asked[0].review["spec"]["audiences"] == ["https://kubernetes.default.svc.cluster.local"])
    // The cluster's own tokens are nobody else's business.
    let token = try #require(try await cluster.token("default").json["status"]["token"].string)
    #expect(try await cluster.whoAmI(token: token).status == 201)
    #expect(reviewer.asked.count == 2)
    await reviewer.server.stop()
  }

  @Test func tokensOfAFileAreKnown() async throws {
    var options = SecurityOptions()
    options.tokens = [try StaticTokens(parsing: "# people\nt-1,ann,1,\"dev,ops\"\nt-2,bob,2\n")]
    let cluster = try await SecurityCluster(options: options)
    let ann = try await cluster.whoAmI(token: "t-1").json["status"]["userInfo"]
    #expect(ann["username"] == "ann" && ann["groups"] == ["dev", "ops", "system:authenticated"])
    #expect(try await cluster.whoAmI(token: "t-2").json["status"]["userInfo"]["uid"] == "2")
    #expect(try await cluster.whoAmI(token: "t-3").status == 401)
    #expect(throws: InvalidConfiguration.self) { try StaticTokens(parsing: "only,two") }
  }

  private func cluster(
    _ reviewer: Reviewer, _ change: (inout WebhookAuthorizer.Options) throws -> Void = { _ in }
  ) async throws -> SecurityCluster {
    var webhook = WebhookAuthorizer.Options()
    webhook.version = "v1"
    try change(&webhook)
    var options = SecurityOptions()
    options.authorizers = [
      .webhook(WebhookAuthorizer(try reviewer.reviews(), options: webhook, world: testLoop)), .node, .rbac,
    ]
    return try await SecurityCluster(options: options)
  }

  @Test func aServiceSaysWhoMayDoWhat() async throws {
    let reviewer = try await Reviewer.start { spec in
      switch spec["resourceAttributes"]["verb"].string {
      case "get": ["allowed": true, "reason": "you may"]
      case "delete": ["allowed": false, "denied": true, "reason": "nobody deletes"]
      default: ["allowed": false, "reason": "no idea"]
      }
    }
    let cluster = try await cluster(reviewer)
    let ann = cluster.user("ann", groups: ["dev"])
    for _ in 0..<3 { #expect(try await ann.get("/api/v1/namespaces/default/secrets/x").status == 404) }
    #expect(reviewer.asked.count == 1)
    let spec = try #require(reviewer.asked.first?.review["spec"])
    #expect(
      spec["resourceAttributes"] == [
        "namespace": "default", "verb": "get", "version": "v1", "resource": "secrets", "name": "x",
      ])
    #expect(spec["user"] == "ann" && spec["groups"] == ["dev", "system:authenticated"])
    let denied = try await ann.delete("/api/v1/namespaces/default/secrets/x")
    #expect(denied.status == 403 && denied.message.hasSuffix("in the namespace \"default\": nobody deletes"))
    // Without an opinion roles decide, and a selector is told.
    let listed = try await ann.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1&labelSelector=a%20in%20(b)")
    #expect(listed.status == 403 && listed.message.hasSuffix("at the cluster scope: no idea"), "\(listed.message)")
    let list = try #require(reviewer.asked.last?.review["spec"]["resourceAttributes"])
    #expect(
      list["fieldSelector"]["requirements"] == [["key": "spec.nodeName", "operator": "In", "values": ["n1"]]])
    #expect(list["labelSelector"]["requirements"] == [["key": "a", "operator": "In", "values": ["b"]]])
    // Administrators are not asked about.
    let count = reviewer.asked.count
    #expect(try await cluster.inside.get("/api/v1/namespaces").status == 200)
    #expect(reviewer.asked.count == count)
    await reviewer.server.stop()
  }

  @Test func conditionsAndFailuresDecideAsConfigured() async throws {
    let reviewer = try await Reviewer.start { _ in ["code": 500] }
    let cluster = try await cluster(reviewer) {
      $0.failsClosed = true
      $0.conditions = [
        try AccessCondition("has(request.resourceAttributes) && request.resourceAttributes.resource == 'secrets'")
      ]
    }
    try await cluster.grant("view", to: "ann")
    let ann = cluster.user("ann")
    #expect(try await ann.get("/api/v1/namespaces/default/configmaps").status == 200)
    #expect(reviewer.asked.isEmpty)
    #expect(throws: InvalidConfiguration.self) { try AccessCondition("request.nothing") }
    await reviewer.server.stop()
  }

  @Test func aFileSaysTheOrder() throws {
    let file = """
      apiVersion: apiserver.config.k8s.io/v1
      kind: AuthorizationConfiguration
      authorizers:
      - type: Webhook
        name: first
        webhook:
          timeout: 3s
          subjectAccessReviewVersion: v1
          matchConditionSubjectAccessReviewVersion: v1
          failurePolicy: Deny
          connectionInfo: {type: KubeConfigFile, kubeConfigFile: /etc/a.conf}
          matchConditions: [{expression: "!('system:nodes' in request.groups)"}]
      - {type: Node, name: node}
      - {type: RBAC, name: rbac}
      """
    func choices(_ text: String) throws -> [String] {
      try AuthorizationConfiguration.choices(parsing: Array(text.utf8), world: testLoop) { path in
        try RemoteReviews(
          url: "https://example.com\(path)", authorityPEM: "", transport: UnreachableWebhooks(), world: testLoop)
      }.map { choice in
        switch choice {
        case .node: "node"
        case .rbac: "rbac"
        case .webhook: "webhook"
        }
      }
    }
    #expect(try choices(file) == ["webhook", "node", "rbac"])
    for (old, new, problem) in [
      ("type: Node", "type: ABAC", "authorizers[1].type: ABAC is not offered"),
      ("timeout: 3s", "timeout: 31s", "authorizers[0].webhook.timeout"),
      ("name: node", "name: first", "authorizers[1].name: Duplicate value"),
      ("failurePolicy: Deny", "failurePolicy: Fail", "authorizers[0].webhook.failurePolicy"),
      ("'system:nodes' in", "nodes in", "authorizers[0].webhook.matchConditions[0].expression"),
    ] {
      #expect {
        _ = try choices(String(file.replacing(old, with: new)))
      } throws: { error in
        "\(error)".hasPrefix(problem)
      }
    }
  }
}
