// Clients of every server that create, replace, delete and read ConfigMaps, and write down what came back.
import ChaosChecker
import ChaosPlan
import Client
import EventLoop
import HTTP
import JSON
import Schema
import World

/// Objects the traffic knows.
enum ChaosObjects {
  static let registers = "chaos-registers"
  static let kubectl = "chaos-kubectl"
  static let loops = "chaos-loops"
  static let registerPrefix = "register-"
  /// What an object says that stands in the state from the beginning, for bits of it to flip.
  static let rotMarker = "trireme-chaos-was-here-and-left-this-text-to-be-damaged"
  /// Written last, so that watchers can be waited for.
  static let sentinel = "sentinel"
}

final class RegisterTraffic: Sendable {
  private static let workersPerServer = 2
  /// Objects at a time: few enough that workers meet, many enough that most compare-and-sets succeed.
  private static let keys = 16
  /// After this time other objects take their place and these stay as they are, to be found at the end.
  private static let epoch = Duration.seconds(5)
  /// A survivor's answer may take as long as an election; beyond this something is wrong.
  private static let patience = Duration.seconds(30)

  private let cluster: Cluster
  private let journal: Journal
  private let seed: UInt64
  private let workers: Workers

  init(cluster: Cluster, journal: Journal, seed: UInt64) {
    self.cluster = cluster
    workers = Workers(loop: cluster.loop)
    self.journal = journal
    self.seed = seed
  }

  func start() {
    var limits = HTTPClientLimits()
    limits.responseHeaderTime = Self.patience
    for (index, member) in cluster.plan.entrances.enumerated() {
      let api = cluster.client(of: member, limits: limits)
      for worker in 0..<Self.workersPerServer {
        let random = SeededGenerator(seed: seed, stream: UInt64(index * 16 + worker))
        let client = RegisterClient(api: api, server: member.name, name: "\(member.name)/\(worker)", journal: journal)
        workers.start { await self.work(client, random) }
      }
    }
  }

  /// Returns when every operation begun has ended.
  func stop() async {
    await workers.stop()
  }

  private func work(_ client: RegisterClient, _ generator: SeededGenerator) async {
    var random = generator
    var known: [String: Version] = [:]
    var older: [String: Version] = [:]
    while workers.goOn {
      let epoch = (cluster.loop.now - journal.start).wholeNanoseconds / Self.epoch.wholeNanoseconds
      let key = "\(ChaosObjects.registerPrefix)\(epoch)-\(Int.random(in: 0..<Self.keys, using: &random))"
      let request = choose(known[key], older[key], &random)
      let answer = await client.perform(request, on: key)
      if let before = known[key] { older[key] = before }
      known[key] = Self.learn(request, answer, before: known[key])
      let isStale = answer == .conflict || answer == .alreadyExists
      if isStale, case .found(let version)? = await client.perform(.read, on: key) { known[key] = version }
      // A server that is down is asked again soon, but not in a busy loop.
      let pause: Range<Int> = answer == nil ? 20..<40 : 2..<8
      try? await cluster.loop.sleep(for: .milliseconds(Int.random(in: pause, using: &random)))
    }
  }

  private func choose(_ known: Version?, _ older: Version?, _ random: inout SeededGenerator) -> RegisterRequest {
    let roll = Int.random(in: 0..<100, using: &random)
    guard let known else { return roll < 70 ? .create(value: journal.newValue()) : .read }
    switch roll {
    case ..<12: return .read
    case ..<80: return .update(value: journal.newValue(), seen: known)
    case ..<88: return .update(value: journal.newValue(), seen: older ?? known)
    case ..<94: return .delete(seen: known)
    default: return .delete(seen: nil)
    }
  }

  /// What the worker now believes to be there.
  private static func learn(_ request: RegisterRequest, _ answer: RegisterAnswer?, before: Version?) -> Version? {
    switch (answer, request) {
    case (.found(let version), _): version
    case (.done(let revision), .create(let value)), (.done(let revision), .update(let value, _)):
      Version(value: value, revision: revision)
    case (.conflict, _), (.alreadyExists, _): before
    default: nil
    }
  }
}

/// Performs one register operation at one server and writes it into the journal.
struct RegisterClient: Sendable {
  let api: APIClient
  let server: String
  let name: String
  let journal: Journal
  var namespace = ChaosObjects.registers
  /// Where what was asked and answered is written down.
  var operations: any WritableKeyPath<Journal.Content, [RegisterOperation]> & Sendable = \.operations
  /// Of an object with that value.
  var labels: @Sendable (String) -> JSONValue = { _ in [:] }

  private enum Outcome {
    case answered(RegisterAnswer)
    /// The request never left.
    case notSent(String)
    case open(String)
  }

  /// The answer; nil when the server could not be asked.
  func perform(_ request: RegisterRequest, on key: String) async -> RegisterAnswer? {
    let from = api.world.now
    let outcome = await send(request, key)
    let to = api.world.now
    switch outcome {
    case .answered(let answer):
      journal.record(key, client: name, from: from, to: to, request, answer, in: operations)
      return answer
    case .notSent(let why):
      journal.record(Problem(server: server, from: from, to: to, what: "\(request): \(why)"))
      return nil
    case .open(let why):
      if request != .read { journal.record(key, client: name, from: from, to: nil, request, .unknown, in: operations) }
      journal.record(Problem(server: server, from: from, to: to, what: "\(request): \(why)"))
      return nil
    }
  }

  private func send(_ request: RegisterRequest, _ key: String) async -> Outcome {
    do {
      return .answered(try await answer(request, key))
    } catch let status as APIStatus {
      switch (status.code, status.reason) {
      case (404, _): return .answered(.notFound)
      case (409, "AlreadyExists"): return .answered(.alreadyExists)
      case (409, _): return .answered(.conflict)
      default: return .open("\(status.code) \(status.reason): \(status.message)")
      }
    } catch HTTPError.connectFailed(let why) {
      return .notSent(why)
    } catch {
      return .open("\(error)")
    }
  }

  private func answer(_ request: RegisterRequest, _ key: String) async throws -> RegisterAnswer {
    switch request {
    case .read:
      return .found(Self.version(try await api.get(.configMaps, namespace: namespace, name: key)))
    case .create(let value):
      let object = try await api.create(.configMaps, namespace: namespace, object(key, value))
      return .done(revision: Self.version(object).revision)
    case .update(let value, let seen):
      var object = object(key, value)
      object["metadata"]["resourceVersion"] = .string(seen.revision.map(String.init) ?? "")
      let updated = try await api.update(.configMaps, namespace: namespace, name: key, object)
      return .done(revision: Self.version(updated).revision)
    case .delete(let seen):
      let options = DeleteOptions(resourceVersion: seen?.revision.map(String.init))
      try await api.delete(.configMaps, namespace: namespace, name: key, options)
      return .done(revision: nil)
    }
  }

  private func object(_ name: String, _ value: String) -> JSONValue {
    var object = Self.object(name, value, in: namespace)
    object["metadata"]["labels"] = labels(value)
    return object
  }

  static func object(
    _ name: String, _ value: String, in namespace: String = ChaosObjects.registers
  ) -> JSONValue {
    [
      "apiVersion": "v1", "kind": "ConfigMap",
      "metadata": ["name": .string(name), "namespace": .string(namespace)],
      "data": ["value": .string(value)],
    ]
  }

  static func version(_ object: JSONValue) -> Version {
    Version(
      value: object["data"]["value"].string ?? "",
      revision: object["metadata"]["resourceVersion"].string.flatMap { Int64($0) })
  }
}
