import APIServer
import HTTP
import JSON
import Replica
import Schema
import TLS
import Testing
import World

@Suite struct SecurityAuthenticationTests {
  @Test func aCertificateNamesItsUserAndGroups() async throws {
    let cluster = try await SecurityCluster()
    let peer = PeerIdentity(commonName: "jane", organizations: ["developers"], fingerprint: "abcd")
    let user = try await cluster.whoAmI(peer: peer).json["status"]["userInfo"]
    #expect(user["username"] == "jane")
    #expect(user["groups"] == ["developers", "system:authenticated"])
    #expect(user["extra"]["authentication.kubernetes.io/credential-id"] == ["X509SHA256=abcd"])
  }

  @Test func withoutCredentialsNothingButHealthAnswers() async throws {
    let cluster = try await SecurityCluster()
    #expect(try await cluster.outside("GET", "/api/v1/pods").status == 401)
    #expect(try await cluster.outside("GET", "/readyz").status == 200)
    let version = try await cluster.outside("GET", "/version")
    #expect(version.status == 200, "kubectl chooses its own version by it")
    let reply = try await cluster.outside("GET", "/api/v1/pods")
    #expect(reply.reason == "Unauthorized")
    #expect(reply.message == "Unauthorized")
  }

  @Test(arguments: ["Bearer nonsense", "Bearer a.b.c", "Basic YTpi", "Bearer", "Bearer  "])
  func wrongCredentialsAreNotAnonymous(value: String) async throws {
    let cluster = try await SecurityCluster()
    let reply = try await cluster.outside("GET", "/livez", headers: ["authorization": value])
    #expect(reply.status == 401)
  }

  // MARK: Service account tokens

  @Test func aTokenStandsForItsServiceAccount() async throws {
    let cluster = try await SecurityCluster()
    let reply = try await cluster.token("default")
    #expect(reply.status == 201)
    #expect(reply.json["spec"]["expirationSeconds"] == 3600)
    let token = try #require(reply.json["status"]["token"].string)
    let user = try await cluster.whoAmI(token: token).json["status"]["userInfo"]
    #expect(user["username"] == "system:serviceaccount:default:default")
    #expect(
      user["groups"] == ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    #expect(user["extra"]["authentication.kubernetes.io/credential-id"][0].string?.hasPrefix("JTI=") == true)
    let browser = try await cluster.whoAmI(headers: [
      "sec-websocket-protocol":
        "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.\(Crypto.base64URL(token.utf8))"
    ])
    #expect(browser.json["status"]["userInfo"] == user, "browsers carry it as a subprotocol")
  }

  @Test func anExpiredTokenIsRefused() async throws {
    let cluster = try await SecurityCluster(clock: TurnedClock(ahead: .seconds(3601)))
    let token = try #require(try await cluster.token("default").json["status"]["token"].string)
    #expect(try await cluster.whoAmI(token: token).status == 401)
  }

  @Test func aTokenFromAnotherClusterIsRefused() async throws {
    let (cluster, other) = (try await SecurityCluster(), try await SecurityCluster())
    let token = try #require(try await other.token("default").json["status"]["token"].string)
    #expect(try await cluster.whoAmI(token: token).status == 401)
  }

  @Test func aTokenForAnotherAudienceIsRefused() async throws {
    let cluster = try await SecurityCluster()
    let reply = try await cluster.token("default", ["audiences": ["vault"]])
    let token = try #require(reply.json["status"]["token"].string)
    #expect(reply.json["spec"]["audiences"] == ["vault"])
    #expect(try await cluster.whoAmI(token: token).status == 401)
  }

  /// The class of attacks that let the token choose how it is checked.
  @Test func aTokenCannotChooseHowItIsChecked() async throws {
    let cluster = try await SecurityCluster()
    let token = try #require(try await cluster.token("default").json["status"]["token"].string)
    let parts = token.split(separator: ".").map(String.init)
    for algorithm in ["none", "HS256", "None", ""] {
      let header: JSONValue = ["alg": .string(algorithm)]
      for signature in ["", parts[2], Crypto.base64URL(Crypto.hmacSHA256(key: [], "\(parts[0])".utf8))] {
        let forged = "\(Crypto.base64URL(header.bytes)).\(parts[1]).\(signature)"
        #expect(try await cluster.whoAmI(token: forged).status == 401)
      }
    }
    var claims = try JSONValue(parsing: try #require(Crypto.decodeBase64URL(parts[1])))
    claims["kubernetes.io"]["serviceaccount"]["name"] = "other"
    let changed = "\(parts[0]).\(Crypto.base64URL(claims.bytes)).\(parts[2])"
    #expect(try await cluster.whoAmI(token: changed).status == 401)
  }

  @Test func aTokenDiesWithItsAccountEvenIfOneOfThatNameIsMadeAgain() async throws {
    let cluster = try await SecurityCluster()
    let token = try #require(try await cluster.token("default").json["status"]["token"].string)
    try await cluster.inside.delete("\(serviceAccounts)/default")
    #expect(try await cluster.whoAmI(token: token).status == 401)
    try await cluster.inside.post(serviceAccounts, account("default"))
    #expect(try await cluster.whoAmI(token: token).status == 401)
  }

  @Test func aBoundTokenDiesWithItsPod() async throws {
    let cluster = try await SecurityCluster()
    let made = try await cluster.inside.post(pods, pod("worker"))
    #expect(made.status == 201, "\(made.text)")
    let uid = made.json["metadata"]["uid"]
    let reference: JSONValue = ["kind": "Pod", "apiVersion": "v1", "name": "worker", "uid": uid]
    let reply = try await cluster.token("default", ["boundObjectRef": reference])
    let token = try #require(reply.json["status"]["token"].string)
    let user = try await cluster.whoAmI(token: token).json["status"]["userInfo"]
    #expect(user["extra"]["authentication.kubernetes.io/pod-name"] == ["worker"])
    #expect(user["extra"]["authentication.kubernetes.io/pod-uid"] == [uid])
    try await cluster.inside.delete("\(pods)/worker?gracePeriodSeconds=0")
    #expect(try await cluster.whoAmI(token: token).status == 401)
  }

  @Test func tokensAreBoundOnlyToWhatIsThereAndTheirs() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.inside.post(serviceAccounts, account("other"))
    try await cluster.inside.post(pods, pod("worker"))
    let missing = try await cluster.token("default", ["boundObjectRef": ["kind": "Pod", "name": "gone"]])
    #expect(missing.status == 404)
    let foreign = try await cluster.token("other", ["boundObjectRef": ["kind": "Pod", "name": "worker"]])
    #expect(foreign.status == 400)
    let stale = try await cluster.token("default", ["boundObjectRef": ["kind": "Pod", "name": "worker", "uid": "x"]])
    #expect(stale.status == 409)
    #expect(stale.message.hasPrefix("Operation cannot be fulfilled on Pod \"worker\": the UID in the bound object"))
    for reference: JSONValue in [
      ["kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "name": "x"],
      ["kind": "Pod", "apiVersion": "apps/v1", "name": "worker"],
    ] {
      let other = try await cluster.token("default", ["boundObjectRef": reference])
      #expect(other.status == 400)
      let (version, kind) = (reference["apiVersion"].string ?? "", reference["kind"].string ?? "")
      #expect(other.message == "cannot bind token to object of type \(version), Kind=\(kind)")
    }
    let elsewhere = try await cluster.inside.post(
      "\(serviceAccounts)/default/token", ["metadata": ["name": "other"], "spec": [:]])
    #expect(elsewhere.status == 422)
    #expect(
      elsewhere.message
        == "TokenRequest.authentication.k8s.io \"default\" is invalid: metadata.name: Invalid value: \"other\": must "
        + "match the service account name if specified")
    #expect(try await cluster.token("nobody").status == 404)
  }

  @Test func tokensLiveTenMinutesAtLeast() async throws {
    let cluster = try await SecurityCluster()
    let short = try await cluster.token("default", ["expirationSeconds": 599])
    #expect(short.status == 422)
    #expect(
      short.message
        == "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 599: may not "
        + "specify a duration less than 10 minutes")
    #expect(try await cluster.token("default", ["expirationSeconds": 4_294_967_297]).status == 422)
  }

  @Test func aKubeletsTokenOutlivesClientsThatNeverReadItAgain() async throws {
    let cluster = try await SecurityCluster(clock: TurnedClock(ahead: .seconds(7200)))
    try await cluster.inside.post(pods, pod("worker"))
    let reference: JSONValue = ["kind": "Pod", "name": "worker"]
    let reply = try await cluster.token("default", ["expirationSeconds": 3607, "boundObjectRef": reference])
    #expect(reply.json["spec"]["expirationSeconds"] == 3607)
    let token = try #require(reply.json["status"]["token"].string)
    #expect(try await cluster.whoAmI(token: token).status == 201, "two hours later")
    let unbound = try await cluster.token("default", ["expirationSeconds": 3607])
    #expect(try await cluster.whoAmI(token: unbound.json["status"]["token"].string).status == 401)
  }

  @Test func othersLearnFromAReviewWhoseTokenTheyWereShown() async throws {
    let cluster = try await SecurityCluster()
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    func review(_ token: String, _ audiences: JSONValue = .null) async throws -> JSONValue {
      var body: JSONValue = [
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": ["token": .string(token)],
      ]
      body["spec"]["audiences"] = audiences
      return try await cluster.inside.post(reviews, body).json["status"]
    }
    let token = try #require(
      try await cluster.token("default", ["audiences": ["vault", "db"]]).json["status"]["token"].string)
    let good = try await review(token, ["vault", "x"])
    #expect(good["authenticated"] == true)
    #expect(good["audiences"] == ["vault"])
    #expect(good["user"]["username"] == "system:serviceaccount:default:default")
    let wrong = try await review(token)
    #expect(wrong["authenticated"].isNull)
    #expect(wrong["error"].string?.contains("invalid bearer token") == true)
    let allowed = try await cluster.user("bob").post(
      reviews, ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"])
    #expect(allowed.status == 403)
  }

  /// Thousands of audiences in a token, tens of thousands in the review, a token of nothing but dots: told apart by
  /// their number, not its square, and by no more parts than tokens have.
  @Test(.timeLimit(.minutes(1))) func reviewsOfHostileTokensAreAnsweredAtOnce() async throws {
    let cluster = try await SecurityCluster()
    let own = (0..<1500).map { JSONValue.string("a\($0)") }
    let token = try #require(
      try await cluster.token("default", ["audiences": .array(own)]).json["status"]["token"].string)
    // Longer ones are not looked at.
    #expect(token.utf8.count <= 16 << 10)
    func review(_ token: String, _ audiences: [JSONValue]) async throws -> (status: JSONValue, took: Duration) {
      let body: JSONValue = [
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": ["token": .string(token), "audiences": .array(audiences)],
      ]
      let begun = ContinuousClock.now
      let reply = try await cluster.inside.post("/apis/authentication.k8s.io/v1/tokenreviews", body)
      return (reply.json["status"], ContinuousClock.now - begun)
    }
    let others = (0..<100_000).map { JSONValue.string("b\($0)") }
    let none = try await review(token, others)
    #expect(none.status["authenticated"].isNull && none.took < .seconds(5), "\(none.took)")
    let one = try await review(token, others + ["a7"])
    #expect(one.status["audiences"] == ["a7"] && one.took < .seconds(5), "\(one.took)")
    let dots = try await review(String(repeating: ".", count: 2_500_000), [])
    #expect(dots.status["authenticated"].isNull && dots.took < .seconds(2), "\(dots.took)")
  }

  @Test func theIssuerTellsItsKeys() async throws {
    let cluster = try await SecurityCluster()
    let pod = cluster.serviceAccount("default")
    let document = try await pod.get("/.well-known/openid-configuration")
    #expect(document.status == 200)
    #expect(document.json["issuer"] == "https://kubernetes.default.svc.cluster.local")
    let keys = try await pod.get("/openid/v1/jwks")
    #expect(keys.headers["content-type"] == "application/jwk-set+json")
    let token = try #require(try await cluster.token("default").json["status"]["token"].string)
    let header = try JSONValue(parsing: try #require(Crypto.decodeBase64URL(token.prefix { $0 != "." })))
    #expect(keys.json["keys"][0]["kid"] == header["kid"])
    #expect(keys.json["keys"][0]["kty"] == "EC")
  }

  // MARK: Bootstrap tokens

  private func bootstrapToken(_ changes: [String: String] = [:]) -> JSONValue {
    var values = [
      "token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
      "auth-extra-groups": "system:bootstrappers:workers,system:masters",
    ]
    values.merge(changes) { $1 }
    var data: JSONValue = [:]
    for (key, value) in values { data[key] = .string(Crypto.base64(value.utf8)) }
    return secret("bootstrap-token-abcdef", data, type: "bootstrap.kubernetes.io/token")
  }

  @Test func aBootstrapTokenLetsANodeIn() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.inside.post("/api/v1/namespaces/kube-system/secrets", bootstrapToken())
    let user = try await cluster.whoAmI(token: "abcdef.0123456789abcdef").json["status"]["userInfo"]
    #expect(user["username"] == "system:bootstrap:abcdef")
    #expect(
      user["groups"] == ["system:bootstrappers", "system:bootstrappers:workers", "system:authenticated"],
      "no other group can be had that way")
    #expect(try await cluster.whoAmI(token: "abcdef.0123456789abcdee").status == 401)
  }

  @Test(arguments: [
    ["expiration": "2020-01-01T00:00:00Z"], ["expiration": "nonsense"], ["usage-bootstrap-authentication": "false"],
    ["token-id": "zzzzzz"],
  ])
  func aBootstrapTokenThatDoesNotHoldIsRefused(changes: [String: String]) async throws {
    let cluster = try await SecurityCluster()
    try await cluster.inside.post("/api/v1/namespaces/kube-system/secrets", bootstrapToken(changes))
    #expect(try await cluster.whoAmI(token: "abcdef.0123456789abcdef").status == 401)
  }

  // MARK: Impersonation

  @Test func whoMayActsAsSomebodyElse() async throws {
    let cluster = try await SecurityCluster()
    let peer = PeerIdentity(commonName: "root", organizations: ["system:masters"], fingerprint: "1")
    let jane = try await cluster.whoAmI(
      peer: peer,
      headers: [
        "impersonate-user": "jane", "impersonate-group": "developers", "impersonate-extra-example.com%2Fscope": "dev",
      ])
    #expect(jane.json["status"]["userInfo"]["username"] == "jane")
    #expect(jane.json["status"]["userInfo"]["groups"] == ["developers", "system:authenticated"])
    #expect(jane.json["status"]["userInfo"]["extra"]["example.com/scope"] == ["dev"])
    let account = try await cluster.whoAmI(
      peer: peer, headers: ["impersonate-user": "system:serviceaccount:default:robot"])
    #expect(
      account.json["status"]["userInfo"]["groups"]
        == ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    // Who is to be taken for somebody unknown is not made known.
    for user in ["jane", "system:anonymous"] {
      try await cluster.grantEverywhere(
        [rule(["create"], ["selfsubjectreviews"], groups: ["authentication.k8s.io"])], to: user)
      let stranger = try await cluster.whoAmI(
        peer: peer, headers: ["impersonate-user": user, "impersonate-group": "system:unauthenticated"])
      #expect(stranger.json["status"]["userInfo"]["groups"] == ["system:unauthenticated"])
    }
  }

  @Test func actingAsSomebodyElseNeedsARightForEachPart() async throws {
    let cluster = try await SecurityCluster()
    let peer = PeerIdentity(commonName: "bob", organizations: [], fingerprint: "1")
    let refused = try await cluster.whoAmI(peer: peer, headers: ["impersonate-user": "jane"])
    #expect(refused.status == 403)
    #expect(
      refused.message
        == "users \"jane\" is forbidden: User \"bob\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
    )
    try await cluster.grantEverywhere([rule(["impersonate"], ["users"], names: ["jane"])], to: "bob")
    #expect(try await cluster.whoAmI(peer: peer, headers: ["impersonate-user": "jane"]).status == 201)
    #expect(try await cluster.whoAmI(peer: peer, headers: ["impersonate-user": "root"]).status == 403)
    let group = try await cluster.whoAmI(
      peer: peer, headers: ["impersonate-user": "jane", "impersonate-group": "system:masters"])
    #expect(group.status == 403)
    #expect(try await cluster.whoAmI(peer: peer, headers: ["impersonate-group": "a"]).status == 400)
  }
}
