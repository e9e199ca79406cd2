// A service of the cluster that really listens: TLS on loopback, its certificate signed by an authority of its own.
import APIServer
import EventLoop
import HTTP
import JSON
import Replica
import Schema
import Synchronization
import TLS
import Testing
import World

/// Answers requests by a closure, remembers what it was asked.
final class TLSService: HTTPHandler {
  struct Call: Sendable {
    var method: String
    var target: String
    var headers: HTTPHeaders
    var peer: String?
    var json: JSONValue
  }
  typealias Answer = @Sendable (HTTPRequest, JSONValue) async throws -> HTTPResponse

  let authority: CertificateAuthority
  private let answer: Mutex<Answer>
  private let log = Mutex<[Call]>([])
  private let server = Mutex<HTTPServer?>(nil)
  private let listening = Mutex<UInt16>(0)

  /// `dnsName`: what the certificate is good for, beside loopback. `clientTrust`: clients are asked for certificates.
  init(
    dnsName: String, clientTrust: [Certificate]? = nil, _ answer: @escaping Answer
  ) async throws {
    self.answer = Mutex(answer)
    let now = testLoop.wallClock
    authority = try CertificateAuthority.generate(commonName: "service-ca", lifetime: .seconds(86_400), now: now)
    let identity = try authority.issue(
      CertificateTemplate(
        commonName: dnsName, dnsNames: [dnsName, "localhost"], ipAddresses: ["127.0.0.1"],
        usages: [.serverAuthentication], lifetime: .seconds(86_400)), now: now)
    let tls = try TLSConfiguration.server(
      identity: identity, clientTrust: clientTrust, protocols: ["h2", "http/1.1"], minimumVersion: .tls12)
    let server = HTTPServer(loops: [testLoop], address: .ip("127.0.0.1", port: 0), tls: tls, handler: self)
    let address = try await server.start()
    listening.withLock { $0 = address.port }
    self.server.withLock { $0 = server }
  }

  var port: UInt16 { listening.withLock { $0 } }
  var caBundle: JSONValue { .string(Base64.encode(Array(authority.certificate.pem.utf8))) }
  var calls: [Call] { log.withLock { $0 } }
  func setAnswer(_ answer: @escaping Answer) { self.answer.withLock { $0 = answer } }
  func stop() async { await server.withLock { $0 }?.shutdown(deadline: .zero) }

  func respond(to request: HTTPRequest) async -> HTTPResponse {
    let bytes = (try? await request.body.collect()) ?? []
    let json = (try? JSONValue(parsing: bytes)) ?? .null
    log.withLock {
      $0.append(
        Call(
          method: request.method, target: request.target, headers: request.headers, peer: request.peer?.commonName,
          json: json))
    }
    var request = request
    request.body = .bytes(bytes)
    do { return try await answer.withLock { $0 }(request, json) } catch {
      return HTTPResponse(status: 500, body: .bytes(Array("\(error)".utf8)))
    }
  }
}

extension TestServer {
  /// A Service in the namespace default, answered at a port of loopback.
  func createService(_ name: String, port: UInt16) async throws {
    let service = try await post(
      "/api/v1/namespaces/default/services",
      [
        "apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name)],
        "spec": ["ports": [["port": 443, "targetPort": .integer(Int64(port))]]],
      ])
    try #require(service.status == 201, "\(service.text)")
    try storeEndpoints(
      name, [["addresses": [["ip": "127.0.0.1"]], "ports": [["port": .integer(Int64(port))]]]])
  }

  /// Endpoints on loopback, which the API refuses to clients: into the store, as the servers' own are.
  func storeEndpoints(_ name: String, _ subsets: JSONValue) throws {
    let object: JSONValue = [
      "kind": "Endpoints", "apiVersion": "v1",
      "metadata": ["name": .string(name), "namespace": "default", "uid": "e"], "subsets": subsets,
    ]
    let key = ObjectKey(resource: "endpoints", namespace: "default", name: name)
    _ = try store.commitNow(Command(mutations: [.put(key, UnversionedObject(tree: object))]))
  }
}
