import APIServer
import HTTP
import JSON
import Replica
import Schema
import TLS
import Testing
import World

@Suite struct HealthTests {
  /// A server of an empty cluster whose checks say `problems`.
  private func server(_ problems: [(name: String, problem: String?)]) throws -> APIServer {
    let store = LocalStore(world: testLoop)
    let dependencies = SecurityParts.dependencies(
      store: store, tokenKey: try PrivateKey.generateP256(), world: testLoop, checks: { problems })
    return APIServer(store: store, dependencies: dependencies, currentWorld: { testLoop })
  }

  private func ask(_ server: APIServer, _ target: String, method: String = "GET") async throws -> (Int, String) {
    let response = await server.respond(to: HTTPRequest(method: method, target: target))
    return (response.status, String(decoding: try await response.body.collect(), as: UTF8.self))
  }

  private let well: [(name: String, problem: String?)] = [("ping", nil), ("log", nil), ("raft-leader", nil)]
  private let leaderless: [(name: String, problem: String?)] = [
    ("ping", nil), ("log", nil), ("raft-leader", "no leader is known"),
  ]

  @Test(arguments: ["/livez", "/readyz", "/healthz"])
  func anybodyMayAskAClusterThatHasNoRolesYet(path: String) async throws {
    let server = try server(well)
    let response = await server.respond(to: HTTPRequest(method: "GET", target: path))
    #expect(response.status == 200)
    #expect(response.headers["content-type"] == "text/plain; charset=utf-8")
    #expect(String(decoding: try await response.body.collect(), as: UTF8.self) == "ok")
  }

  @Test func aServerWithoutALeaderLivesButIsNotReady() async throws {
    let server = try server(leaderless)
    #expect(try await ask(server, "/livez") == (200, "ok"))
    let (status, text) = try await ask(server, "/readyz")
    #expect(status == 500)
    #expect(text == "[+]ping ok\n[+]log ok\n[-]raft-leader failed: reason withheld\nreadyz check failed\n")
    #expect(try await ask(server, "/healthz").0 == 500)
  }

  @Test func verboseListsEveryCheck() async throws {
    let server = try server(well)
    #expect(try await ask(server, "/livez?verbose") == (200, "[+]ping ok\n[+]log ok\nlivez check passed\n"))
    #expect(
      try await ask(server, "/readyz?verbose=1")
        == (200, "[+]ping ok\n[+]log ok\n[+]raft-leader ok\nreadyz check passed\n"))
  }

  @Test func whatChecksSayIsCounted() async throws {
    let server = try server(leaderless)
    for path in ["/livez", "/readyz", "/readyz"] { _ = try await ask(server, path) }
    #expect(try await ask(server, "/metrics/slis").0 == 401)
    let admin = HTTPRequest(
      method: "GET", target: "/metrics/slis",
      peer: PeerIdentity(commonName: "admin", organizations: ["system:masters"], fingerprint: ""))
    let response = await server.respond(to: admin)
    #expect(response.status == 200)
    let text = String(decoding: try await response.body.collect(), as: UTF8.self)
    for line in [
      #"kubernetes_healthcheck{name="raft-leader",type="readyz"} 0"#,
      #"kubernetes_healthcheck{name="ping",type="livez"} 1"#,
      #"kubernetes_healthchecks_total{name="raft-leader",status="error",type="readyz"} 2"#,
      #"kubernetes_healthchecks_total{name="log",status="success",type="livez"} 1"#,
    ] {
      #expect(text.contains(line), "\(line)")
    }
    #expect(!text.contains(#"name="raft-leader",type="livez""#), "a server without a leader lives")
  }

  @Test func aCheckMayBeLeftOut() async throws {
    let server = try server(leaderless)
    #expect(try await ask(server, "/readyz?exclude=raft-leader") == (200, "ok"))
    let (status, text) = try await ask(server, "/readyz?verbose&exclude=raft-leader&exclude=nothing")
    #expect(status == 200)
    #expect(
      text
        == "[+]ping ok\n[+]log ok\n[+]raft-leader excluded: ok\n"
        + "warn: some health checks cannot be excluded: no matches for \"nothing\"\nreadyz check passed\n")
  }

  @Test func singleChecksHavePathsOfTheirOwnForThoseWhoMayAsk() async throws {
    let server = try server(leaderless)
    #expect(try await ask(server, "/readyz/raft-leader").0 == 403, "anybody may ask the whole, nobody the parts")
    func admin(_ target: String) async throws -> (Int, String) {
      let request = HTTPRequest(method: "GET", target: target)
      let response = try await InProcessTransport(
        handler: server, identity: TrustedContext(user: "admin", groups: ["system:masters"])
      ).send(request)
      return (response.status, String(decoding: try await response.body.collect(), as: UTF8.self))
    }
    #expect(try await admin("/readyz/ping") == (200, "ok"))
    #expect(try await admin("/readyz/raft-leader") == (500, "internal server error: no leader is known\n"))
    #expect(try await admin("/readyz/unknown").0 == 404)
    #expect(try await admin("/livez/raft-leader").0 == 404, "livez does not ask for a leader")
  }

  @Test func headAnswersWithoutABody() async throws {
    #expect(try await ask(try server(well), "/readyz", method: "HEAD") == (200, ""))
  }

  @Test func anonymousRequestsReachHealthPathsOnly() async throws {
    let server = try server(well)
    for path in ["/", "/api", "/api/v1/pods", "/metrics", "/openapi/v3", "/livezzz", "//livez", "/trireme/status"] {
      #expect(try await ask(server, path).0 == 401, "\(path)")
    }
    #expect(try await ask(server, "/readyz", method: "POST").0 != 200)
  }
}
