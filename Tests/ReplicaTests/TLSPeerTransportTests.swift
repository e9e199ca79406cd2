import EventLoop
import FileSupport
import Glibc
import Logging
import LoopSupport
import Raft
import Storage
import TLS
import Testing
import World

@testable import Replica

/// Three servers over real TLS connections on the loopback interface.
@Suite(.serialized) struct TLSPeerTransportTests {
  /// One server: a loop for consensus, another that accepts connections, as in production.
  private final class Server: Sendable {
    let replica: Replica
    let transport: TLSPeerTransport
    let loop: EventLoop
    let apiLoop: EventLoop
    init(replica: Replica, transport: TLSPeerTransport, loop: EventLoop, apiLoop: EventLoop) {
      self.replica = replica
      self.transport = transport
      self.loop = loop
      self.apiLoop = apiLoop
    }
    func end() async {
      await replica.stop()
      loop.stop()
      apiLoop.stop()
    }
  }

  /// Listens on a port of the kernel's choice and hands TLS connections to `accept`; returns the address.
  private static func listen(
    on loop: EventLoop, _ configuration: TLSConfiguration,
    accept: @escaping @Sendable (TLSStream, PeerCertificate?) -> Void
  ) async throws -> String {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<String, any Error>) in
      loop.execute {
        do {
          let listener = try StreamListener(loop: loop, address: Address("127.0.0.1:0")!) { transport, _ in
            var secured: TLSStream?
            secured = TLSStream(server: configuration, over: transport) { result in
              guard let stream = secured else { return }
              secured = nil
              if case .success(let handshake) = result { accept(stream, handshake.peer) } else { stream.abort() }
            }
          }
          continuation.resume(returning: listener.localAddress.description)
        } catch {
          continuation.resume(throwing: error)
        }
      }
    }
  }

  private func start(
    _ authority: CertificateAuthority, impostor: NodeID? = nil, in folder: TemporaryFolder
  ) async throws -> [Server] {
    let ids: [NodeID] = [1, 2, 3]
    let gates = ids.map { _ in Shared<TLSPeerTransport?>(nil) }
    let now = EventLoop(name: "clock").wallClock
    var addresses: [String] = []
    var loops: [(EventLoop, EventLoop)] = []
    var identities: [Identity] = []
    for id in ids {
      let name = id == impostor ? "system:node:worker" : "system:trireme:server:server-\(id)"
      let identity = try authority.issue(
        CertificateTemplate(
          commonName: name, usages: [.serverAuthentication, .clientAuthentication], lifetime: .seconds(3600)),
        now: now)
      identities.append(identity)
      let apiLoop = EventLoop.start(name: "api \(id)")
      loops.append((EventLoop.start(name: "consensus \(id)"), apiLoop))
      let gate = gates[Int(id) - 1]
      addresses.append(
        try await Self.listen(
          on: apiLoop,
          .server(
            identity: identity, clientTrust: [authority.certificate],
            protocols: [TLSPeerTransport.applicationProtocol])
        ) { stream, certificate in
          if let transport = gate.value { transport.accept(stream, certificate: certificate) } else { stream.abort() }
        })
    }
    let members = ids.map { Member(id: $0, name: "server-\($0)", address: addresses[Int($0) - 1]) }
    return try ids.enumerated().map { position, id in
      let (loop, apiLoop) = loops[position]
      let client = try TLSConfiguration.client(
        trust: .certificates([authority.certificate]), identity: identities[position],
        protocols: [TLSPeerTransport.applicationProtocol])
      let transport = TLSPeerTransport(
        loop: loop, cluster: "test", node: id, name: "server-\(id)", configuration: { client },
        authorize: { $0.commonName == "system:trireme:server:\($1)" },
        logger: Logger(label: "server \(id)") { _ in SwiftLogNoOpLogHandler() })
      gates[position].update { $0 = transport }
      let disk = try ReplicaDisk.open(
        path: "\(folder.path)/\(id)", identity: StorageIdentity(cluster: "test", node: id))
      let replica = try Replica(
        disk: disk, options: ReplicaOptions(node: id, members: members), transport: transport, world: loop,
        logger: Logger(label: "server \(id)") { _ in SwiftLogNoOpLogHandler() })
      replica.start()
      return Server(replica: replica, transport: transport, loop: loop, apiLoop: apiLoop)
    }
  }

  private func authority() throws -> CertificateAuthority {
    try CertificateAuthority.generate(
      commonName: "test", lifetime: .seconds(7200), now: EventLoop(name: "clock").wallClock)
  }

  @Test func aGroupReplicatesOverTLSAndSurvivesItsLeader() async throws {
    let folder = TemporaryFolder("tls")
    defer { withExtendedLifetime(folder) {} }
    let servers = try await start(authority(), in: folder)
    let replicas = servers.map(\.replica)
    for (number, replica) in replicas.enumerated() {
      for index in 0..<20 { #expect(try await replica.create("pod-\(number)-\(index)")) }
    }
    // Larger than any buffer on the way.
    let big = String(repeating: "d", count: 1 << 20)
    for index in 0..<5 { #expect(try await replicas[index % 3].create("big-\(index)", big)) }
    try await eventually("all to be applied everywhere") {
      replicas.allSatisfy { $0.current.count(resource: "pods", namespace: "") == 65 }
    }
    #expect(replicas.allSatisfy { $0.status.members.filter(\.isConnected).count == 3 })
    let leader = try #require(servers.first { $0.replica.leadership.isLeader })
    await leader.end()
    let start = ContinuousClock.now
    let survivor = try #require(servers.first { $0 !== leader })
    #expect(try await survivor.replica.create("after"))
    print("a write after an orderly stop of the leader took", ContinuousClock.now - start)
    for server in servers where server !== leader { await server.end() }
  }

  @Test func serversHearEachOtherWhileTheirClientsLoopsStandStill() async throws {
    let folder = TemporaryFolder("tls")
    defer { withExtendedLifetime(folder) {} }
    let servers = try await start(authority(), in: folder)
    // Given servers of which each has heard the others.
    for (number, server) in servers.enumerated() { #expect(try await server.replica.create("before-\(number)")) }
    let mayGoOn = Shared(false)
    let standing = Shared(0)
    for server in servers {
      server.apiLoop.execute {
        standing.update { $0 += 1 }
        while !mayGoOn.value { usleep(1000) }
      }
    }
    try await eventually("all loops to stand still") { standing.value == servers.count }
    for (number, server) in servers.enumerated() { #expect(try await server.replica.create("meanwhile-\(number)")) }
    mayGoOn.update { $0 = true }
    for server in servers { await server.end() }
  }

  @Test func whoeverHasNoServersCertificateIsNotHeard() async throws {
    let folder = TemporaryFolder("tls")
    defer { withExtendedLifetime(folder) {} }
    let servers = try await start(authority(), impostor: 3, in: folder)
    #expect(try await servers[0].replica.create("a"))
    #expect(try await servers[1].replica.create("b"))
    #expect(servers[2].replica.current.revision == 1)
    #expect(servers[2].replica.leadership.leader == nil)
    for server in servers { await server.end() }
  }

  @Test func aConnectionThatWasFollowedByAnotherSaysNothingOfItsPeer() async throws {
    let loop = EventLoop.start(name: "consensus")
    let authority = try authority()
    let client = try TLSConfiguration.client(trust: .certificates([authority.certificate]))
    let transport = TLSPeerTransport(
      loop: loop, cluster: "test", node: 1, name: "server-1", configuration: { client }, authorize: { _, _ in true },
      logger: Logger(label: "server 1") { _ in SwiftLogNoOpLogHandler() })
    let disconnections = Shared(0)
    loop.execute {
      transport.start(peers: []) { event in
        if case .disconnected(2) = event { disconnections.update { $0 += 1 } }
      }
    }
    let certificate = PeerCertificate(authority.certificate)
    let address = try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<Address, any Error>) in
      loop.execute {
        continuation.resume(
          with: Result {
            try StreamListener(loop: loop, address: Address("127.0.0.1:0")!) { stream, _ in
              transport.accept(stream, certificate: certificate)
            }.localAddress
          })
      }
    }
    // Given a connection that outlived a partition, and the one that was opened after it.
    let old = try await Self.greet(address, on: loop)
    let new = try await Self.greet(address, on: loop)
    // When the old one breaks, the peer is still there; when the new one does, it is gone.
    loop.execute { old.value?.abort() }
    _ = try await Self.greet(address, on: loop, as: 3)
    #expect(disconnections.value == 0)
    loop.execute { new.value?.abort() }
    try await eventually("the end of the last connection to be told") { disconnections.value == 1 }
    loop.execute { transport.stop() }
    loop.stop()
  }

  /// Opens a control connection as a peer does; returns when it is answered.
  private static func greet(_ address: Address, on loop: EventLoop, as node: NodeID = 2) async throws -> Held {
    let held = Held()
    let isAnswered = Shared(false)
    held.onAnswer = { isAnswered.update { $0 = true } }
    loop.execute {
      StreamConnector.connect(to: address, on: loop, deadline: .seconds(20)) { result in
        guard case .success(let stream) = result else { return }
        held.value = stream
        stream.handler = held
        let hello = PeerHello(cluster: "test", node: node, name: "server-\(node)", lane: .control)
        stream.write(FrameParser.wire([hello.encoded()]))
      }
    }
    try await eventually("the greeting to be answered") { isAnswered.value }
    return held
  }

  /// A stream that stays on its loop.
  private final class Held: StreamHandler, @unchecked Sendable {
    var value: (any Stream)?
    var onAnswer: (@Sendable () -> Void)?
    func streamDidReceive(_ bytes: UnsafeRawBufferPointer) { onAnswer?() }
    func streamDidClose(_ error: StreamError?) { value = nil }
  }
}
