// Tokens of an OpenID Connect issuer that the test runs, over real TLS.
import APIServer
import EventLoop
import HTTP
import JSON
import Schema
import Synchronization
import TLS
import Testing
import World

/// An issuer with a key of each kind.
private final class Issuer: Sendable {
  let server: LocalTLSServer
  let elliptic: PrivateKey
  let rsa: PrivateKey
  private let state: SharedState

  private final class SharedState: Sendable {
    let url = Mutex("")
    let keys = Mutex<[JSONValue]>([])
    let fetches = Mutex(0)
  }

  static func start() async throws -> Issuer {
    let state = SharedState()
    let server = try await LocalTLSServer { request in
      let answer: JSONValue
      switch request.target {
      case "/realm/.well-known/openid-configuration":
        let url = state.url.withLock { $0 }
        answer = ["issuer": .string(url), "jwks_uri": .string("\(url)/keys")]
      case "/realm/keys":
        state.fetches.withLock { $0 += 1 }
        answer = ["keys": .array(state.keys.withLock { $0 })]
      default: return HTTPResponse(status: 404)
      }
      return HTTPResponse(status: 200, headers: ["content-type": "application/json"], body: .bytes(answer.bytes))
    }
    return try Issuer(server, state)
  }

  private init(_ server: LocalTLSServer, _ state: SharedState) throws {
    self.server = server
    self.state = state
    elliptic = try PrivateKey.generateP256()
    rsa = try PrivateKey.generateRSA()
    let url = "\(server.url)/realm"
    state.url.withLock { $0 = url }
    let keys = [Self.document(elliptic, id: "ec"), Self.document(rsa, id: "rsa")]
    state.keys.withLock { $0 = keys }
  }

  var url: String { "\(server.url)/realm" }
  var fetches: Int { state.fetches.withLock { $0 } }
  func publish(_ key: PrivateKey, id: String) {
    let document = Self.document(key, id: id)
    state.keys.withLock { $0.append(document) }
  }

  private static func document(_ key: PrivateKey, id: String) -> JSONValue {
    func text(_ bytes: [UInt8]) -> JSONValue { .string(Crypto.base64URL(bytes)) }
    switch key.publicKey.parameters {
    case .ellipticCurve(let curve, let x, let y)?:
      return [
        "kty": "EC", "crv": .string(curve.rawValue), "use": "sig", "kid": .string(id), "x": text(x), "y": text(y),
      ]
    case .rsa(let modulus, let exponent)?:
      return ["kty": "RSA", "use": "sig", "kid": .string(id), "n": text(modulus), "e": text(exponent)]
    case nil: return .null
    }
  }

  /// A token with these claims beside the usual ones.
  func token(_ more: JSONValue = [:], key: PrivateKey? = nil, id: String = "rsa") throws -> String {
    let key = key ?? (id == "ec" ? elliptic : rsa)
    let now = testLoop.wallClock.secondsSinceEpoch
    var claims: JSONValue = [
      "iss": .string(url), "aud": "kubernetes", "sub": "ann", "iat": .integer(now), "exp": .integer(now + 600),
    ]
    for (name, value) in more.object ?? [:] { claims[name] = value }
    let header: JSONValue = ["alg": .string(key.algorithm?.rawValue ?? ""), "kid": .string(id)]
    let signed = "\(Crypto.base64URL(header.bytes)).\(Crypto.base64URL(claims.bytes))"
    return "\(signed).\(Crypto.base64URL(try key.sign(signed.utf8)))"
  }
}

@Suite struct OIDCTests {
  private func cluster(_ configuration: OIDCConfiguration, clock: any World = testLoop) async throws -> SecurityCluster
  {
    var options = SecurityOptions()
    options.tokens = [
      OIDCAuthenticator(configuration, transport: WebhookConnections(loop: testLoop), world: clock)
    ]
    return try await SecurityCluster(clock: clock, options: options)
  }

  private func user(_ cluster: SecurityCluster, _ token: String) async throws -> JSONValue {
    let reply = try await cluster.whoAmI(token: token)
    return reply.status == 201 ? reply.json["status"]["userInfo"] : .integer(Int64(reply.status))
  }

  @Test(arguments: EllipticCurve.allCases)
  func everyCurveSignsTokensWhereItsAlgorithmIsAllowed(curve: EllipticCurve) async throws {
    let issuer = try await Issuer.start()
    let key = try PrivateKey.generate(on: curve)
    issuer.publish(key, id: "curve")
    let algorithm = try #require(key.algorithm).rawValue
    let token = try issuer.token(key: key, id: "curve")
    for (allowed, name) in [([algorithm], JSONValue.string("\(issuer.url)#ann")), (["RS256"], .null)] {
      let cluster = try await cluster(
        try OIDCConfiguration(
          issuer: issuer.url, clientID: "kubernetes", algorithms: Set(allowed),
          authorityPEM: issuer.server.authorityPEM))
      #expect(try await user(cluster, token)["username"] == name)
    }
  }

  @Test func tokensOfTheIssuerAreBelievedByTheirClaims() async throws {
    let issuer = try await Issuer.start()
    let cluster = try await cluster(
      try OIDCConfiguration(
        issuer: issuer.url, clientID: "kubernetes", groupsClaim: "groups", groupsPrefix: "oidc:",
        requiredClaims: [(claim: "team", value: "red")], algorithms: ["RS256", "ES256"],
        authorityPEM: issuer.server.authorityPEM))
    for id in ["rsa", "ec"] {
      let user = try await user(cluster, try issuer.token(["team": "red", "groups": ["dev", "ops"]], id: id))
      #expect(user["username"].string == "\(issuer.url)#ann", "\(user)")
      #expect(user["groups"] == ["oidc:dev", "oidc:ops", "system:authenticated"])
    }
    // The keys were fetched once.
    #expect(issuer.fetches == 1)
    // A single group may stand alone.
    let one = try await user(cluster, try issuer.token(["team": "red", "groups": "dev"]))
    #expect(one["groups"] == ["oidc:dev", "system:authenticated"])
    for wrong: JSONValue in [
      ["team": "blue"], [:], ["team": "red", "aud": "others"], ["team": "red", "sub": .null],
      ["team": "red", "exp": .integer(testLoop.wallClock.secondsSinceEpoch - 1)],
      ["team": "red", "nbf": .integer(testLoop.wallClock.secondsSinceEpoch + 3600)],
      ["team": "red", "iss": "https://x"],
      ["team": "red", "groups": 7],
    ] {
      #expect(try await user(cluster, try issuer.token(wrong)) == 401, "\(wrong)")
    }
    // Signed by somebody else, or changed on the way.
    let stranger = try PrivateKey.generateP256()
    #expect(try await user(cluster, try issuer.token(["team": "red"], key: stranger, id: "ec")) == 401)
    let parts = try issuer.token(["team": "red"]).split(separator: ".")
    let forged = try issuer.token(["team": "red", "sub": "bob"]).split(separator: ".")
    #expect(try await user(cluster, "\(parts[0]).\(forged[1]).\(parts[2])") == 401)
    await issuer.server.stop()
  }

  @Test func aTokenReviewKnowsThemToo() async throws {
    let issuer = try await Issuer.start()
    let cluster = try await cluster(
      try OIDCConfiguration(
        issuer: issuer.url, clientID: "kubernetes", usernamePrefix: "-", authorityPEM: issuer.server.authorityPEM))
    func review(_ token: String) async throws -> JSONValue {
      try await cluster.inside.post(
        "/apis/authentication.k8s.io/v1/tokenreviews",
        [
          "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": ["token": .string(token)],
        ]
      ).json["status"]
    }
    let good = try await review(try issuer.token())
    #expect(good["authenticated"] == true && good["user"]["username"] == "ann", "\(good)")
    #expect(good["audiences"] == ["https://kubernetes.default.svc.cluster.local"])
    let bad = try await review(try issuer.token(["exp": 1]))
    #expect(bad["authenticated"].isNull)
    #expect(bad["error"].string == "[invalid bearer token, oidc: verify token: oidc: token is expired]")
    await issuer.server.stop()
  }

  @Test func aNewKeyIsFetchedWhenATokenNamesIt() async throws {
    let issuer = try await Issuer.start()
    let authenticator = OIDCAuthenticator(
      try OIDCConfiguration(
        issuer: issuer.url, clientID: "kubernetes", algorithms: ["RS256", "ES256"],
        authorityPEM: issuer.server.authorityPEM),
      transport: WebhookConnections(loop: testLoop), world: testLoop)
    let key = try PrivateKey.generateP256()
    issuer.publish(key, id: "new")
    let now = testLoop.wallClock
    let token = try issuer.token(key: key, id: "new")
    guard case .user = await authenticator.verdict(on: token, audiences: [], now: now) else {
      Issue.record("the key of the issuer was not found")
      return
    }
    // Keys that are nobody's do not make us ask again and again.
    let stranger = try PrivateKey.generateP256()
    for _ in 0..<20 {
      let made = try issuer.token(key: stranger, id: "made up")
      guard case .refused = await authenticator.verdict(on: made, audiences: [], now: now) else {
        Issue.record("a stranger's token was believed")
        return
      }
    }
    #expect(issuer.fetches <= 2)
    await issuer.server.stop()
  }

  @Test func anIssuerOfAnotherAuthorityIsNotBelieved() async throws {
    let issuer = try await Issuer.start()
    let stranger = try CertificateAuthority.generate(
      commonName: "stranger", lifetime: .seconds(3600), now: testLoop.wallClock)
    let cluster = try await cluster(
      try OIDCConfiguration(
        issuer: issuer.url, clientID: "kubernetes", authorityPEM: stranger.certificate.pem))
    #expect(try await user(cluster, try issuer.token()) == 401)
    #expect(issuer.fetches == 0)
    await issuer.server.stop()
  }

  @Test func anAddressMustBeVerifiedToBeAName() async throws {
    let issuer = try await Issuer.start()
    let cluster = try await cluster(
      try OIDCConfiguration(
        issuer: issuer.url, clientID: "kubernetes", usernameClaim: "email", authorityPEM: issuer.server.authorityPEM))
    let email: JSONValue = ["email": "ann@example.com", "email_verified": true]
    #expect(try await user(cluster, try issuer.token(email))["username"] == "ann@example.com")
    #expect(try await user(cluster, try issuer.token(["email": "ann@example.com", "email_verified": false])) == 401)
    await issuer.server.stop()
  }

  @Test func aFileMapsClaimsByExpressions() async throws {
    let issuer = try await Issuer.start()
    let authority = issuer.server.authorityPEM.split(separator: "\n").map { "      \($0)" }.joined(separator: "\n")
    let file = """
      apiVersion: apiserver.config.k8s.io/v1beta1
      kind: AuthenticationConfiguration
      jwt:
      - issuer:
          url: \(issuer.url)
          audiences: [kubernetes, other]
          audienceMatchPolicy: MatchAny
          certificateAuthority: |
      \(authority)
        claimValidationRules:
        - expression: claims.exp - claims.iat <= 3600
          message: it lives too long
        claimMappings:
          username:
            expression: "'x:' + claims.sub"
          groups:
            expression: claims.roles.split(',')
          uid:
            claim: id
          extra:
          - key: example.com/tenant
            valueExpression: claims.tenant
        userValidationRules:
        - expression: "!user.username.startsWith('x:system')"
          message: names of the system are taken
      """
    let configuration = try AuthenticationConfiguration(parsing: Array(file.utf8))
    let cluster = try await cluster(try #require(configuration.issuers.first))
    let claims: JSONValue = ["roles": "dev,ops", "id": "17", "tenant": "t1", "aud": ["other", "third"]]
    let user = try await user(cluster, try issuer.token(claims, id: "ec"))
    #expect(user["username"] == "x:ann" && user["uid"] == "17", "\(user)")
    #expect(user["groups"] == ["dev", "ops", "system:authenticated"])
    #expect(user["extra"]["example.com/tenant"] == ["t1"])
    var long = claims
    long["exp"] = .integer(testLoop.wallClock.secondsSinceEpoch + 7200)
    #expect(try await self.user(cluster, try issuer.token(long)) == 401)
    var system = claims
    system["sub"] = "system:admin"
    #expect(try await self.user(cluster, try issuer.token(system)) == 401)
    await issuer.server.stop()
  }

  @Test(arguments: [
    ("jwt: [{issuer: {url: 'http://x', audiences: [a]}}]", "jwt[0].issuer.url"),
    ("jwt: [{issuer: {url: 'https://x'}}]", "jwt[0].issuer.audiences"),
    (
      "jwt: [{issuer: {url: 'https://x', audiences: [a]}, claimMappings: {username: {claim: sub}}}]",
      "jwt[0].claimMappings.username.prefix"
    ),
    (
      "jwt: [{issuer: {url: 'https://x', audiences: [a]}, claimMappings: {username: {expression: 'claims.'}}}]",
      "jwt[0].claimMappings.username.expression"
    ),
    ("anonymous: {enabled: true}", "anonymous"),
  ])
  func aFileThatIsWrongSaysWhere(_ rest: String, _ field: String) {
    let file = "apiVersion: apiserver.config.k8s.io/v1beta1\nkind: AuthenticationConfiguration\n\(rest)\n"
    #expect {
      _ = try AuthenticationConfiguration(parsing: Array(file.utf8))
    } throws: { error in
      "\(error)".hasPrefix("\(field): ")
    }
  }
}
