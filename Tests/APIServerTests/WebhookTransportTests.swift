// Webhooks over real TLS: whom the API server believes, and what it says of those it does not.
import APIServer
import EventLoop
import HTTP
import JSON
import Schema
import TLS
import Testing
import World

@Suite struct WebhookTransportTests {
  private static let configurations = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"

  private static func review(_ request: HTTPRequest, allowed: Bool) async -> HTTPResponse {
    let body = (try? await request.body.collect()) ?? []
    let review = (try? JSONValue(parsing: body)) ?? .null
    let answer: JSONValue = [
      "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
      "response": ["uid": review["request"]["uid"], "allowed": .bool(allowed), "status": ["message": "no"]],
    ]
    return HTTPResponse(status: 200, headers: ["content-type": "application/json"], body: .bytes(answer.bytes))
  }

  private func cluster() -> TestServer {
    let caller = WebhookCaller(transport: WebhookConnections(loop: testLoop)) { testLoop.randomBits() }
    return TestServer { $0.admission = Admission(validating: [ValidatingWebhooks(caller)]) }
  }

  private func configure(
    _ cluster: TestServer, url: String, authority: String, _ more: JSONValue = [:]
  ) async throws {
    var webhook: JSONValue = [
      "name": "check.example.com",
      "clientConfig": ["url": .string(url), "caBundle": .string(Base64.encode(Array(authority.utf8)))],
      "rules": [
        ["operations": ["*"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["configmaps"]]
      ],
      "sideEffects": "None", "admissionReviewVersions": ["v1"],
    ]
    for (key, value) in more.object ?? [:] { webhook[key] = value }
    let reply = try await cluster.post(
      Self.configurations,
      [
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": ["name": "w"], "webhooks": [webhook],
      ])
    try #require(reply.status == 201, "\(reply.text)")
  }

  @Test func aWebhookWithACertificateOfItsAuthorityIsBelieved() async throws {
    let hook = try await LocalTLSServer { await Self.review($0, allowed: false) }
    let cluster = cluster()
    try await configure(cluster, url: "\(hook.url)/check", authority: hook.authorityPEM)
    let reply = try await cluster.post(configMaps, configMap("a"))
    #expect(reply.status == 400 && reply.message.hasSuffix("denied the request: no"), "\(reply.text)")
    await hook.stop()
  }

  @Test func aWebhookOfAnotherAuthorityIsNot() async throws {
    let hook = try await LocalTLSServer { await Self.review($0, allowed: true) }
    let stranger = try CertificateAuthority.generate(
      commonName: "stranger", lifetime: .seconds(3600), now: testLoop.wallClock)
    let cluster = cluster()
    try await configure(cluster, url: hook.url, authority: stranger.certificate.pem)
    let reply = try await cluster.post(configMaps, configMap("a"))
    #expect(reply.status == 500)
    #expect(
      reply.message
        == "Internal error occurred: failed calling webhook \"check.example.com\": failed to call webhook: Post "
        + "\"\(hook.url)/?timeout=10s\": tls: failed to verify certificate: x509: certificate signed by unknown "
        + "authority")
    // Where it may be passed over, it is.
    let open = self.cluster()
    try await configure(
      open, url: hook.url, authority: stranger.certificate.pem, ["failurePolicy": "Ignore"])
    #expect(try await open.post(configMaps, configMap("a")).status == 201)
    await hook.stop()
  }

  @Test func aCertificateForAnotherNameIsRefused() async throws {
    let hook = try await LocalTLSServer(dnsNames: ["elsewhere.example.com"], ipAddresses: []) {
      await Self.review($0, allowed: true)
    }
    let cluster = cluster()
    try await configure(cluster, url: hook.url, authority: hook.authorityPEM)
    let reply = try await cluster.post(configMaps, configMap("a"))
    #expect(reply.status == 500 && reply.message.contains("tls: failed to verify certificate: x509: "), "\(reply.text)")
    await hook.stop()
  }

  @Test func aWebhookThatTakesTooLongIsGivenUp() async throws {
    let hook = try await LocalTLSServer { request in
      try? await testLoop.sleep(for: .seconds(20))
      return await Self.review(request, allowed: true)
    }
    let cluster = cluster()
    try await configure(cluster, url: hook.url, authority: hook.authorityPEM, ["timeoutSeconds": 1])
    let reply = try await cluster.post(configMaps, configMap("a"))
    #expect(
      reply.status == 500 && reply.message.hasSuffix("/?timeout=1s\": context deadline exceeded"), "\(reply.text)")
    await hook.stop()
  }

  @Test func aWebhookWhoseAnswerComesByteByByteIsGivenUp() async throws {
    let hook = try await LocalTLSServer { _ in
      let pipe = BytePipe()
      testLoop.spawn {
        while (try? await pipe.write([32])) != nil { try? await testLoop.sleep(for: .milliseconds(50)) }
      }
      return HTTPResponse(status: 200, headers: ["content-type": "application/json"], body: .stream(pipe))
    }
    let cluster = cluster()
    try await configure(cluster, url: hook.url, authority: hook.authorityPEM, ["timeoutSeconds": 1])
    let reply = try await testLoop.withDeadline(.seconds(20)) { try await cluster.post(configMaps, configMap("a")) }
    #expect(
      reply.status == 500 && reply.message.hasSuffix("/?timeout=1s\": context deadline exceeded"), "\(reply.text)")
    await hook.stop()
  }

  @Test func anAnswerThatIsNoneFails() async throws {
    let hook = try await LocalTLSServer { request in
      request.target.hasPrefix("/gone")
        ? HTTPResponse(status: 404, body: .bytes(Array("not here".utf8)))
        : HTTPResponse(status: 200, headers: ["content-type": "application/json"], body: .bytes(Array("{}".utf8)))
    }
    let cluster = cluster()
    try await configure(cluster, url: "\(hook.url)/gone", authority: hook.authorityPEM)
    let gone = try await cluster.post(configMaps, configMap("a"))
    #expect(gone.message.hasSuffix("failed to call webhook: the server could not find the requested resource"))
    let other = self.cluster()
    try await configure(other, url: hook.url, authority: hook.authorityPEM)
    let empty = try await other.post(configMaps, configMap("a"))
    #expect(
      empty.message.hasSuffix("received invalid webhook response: webhook response was absent"), "\(empty.message)")
    await hook.stop()
  }
}
