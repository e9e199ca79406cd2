// Asking extenders, one request after the other.
import Client
import HTTP
import JSON
import Logging
import Schema

/// Sends a request to an extender, within its time.
public typealias ExtenderSender =
  @Sendable (_ request: HTTPRequest, _ extender: ExtenderConfiguration) async throws -> HTTPResponse

extension ExtenderConfiguration {
  /// It has a say about the pod.
  func isInterested(in spec: PodSpec) -> Bool {
    guard !managedResources.isEmpty else { return true }
    let managed = Set(managedResources.map(\.name))
    return (spec.containers + spec.initContainers).contains { container in
      container.requests.keys.contains(where: managed.contains)
        || container.limits.keys.contains(where: managed.contains)
    }
  }

  var ignoredResources: [String] { managedResources.filter(\.isIgnoredByScheduler).map(\.name) }
}

/// What the scheduler itself has found for a pod, before extenders are asked.
struct Survey: Sendable {
  /// Nodes that will do, with what they score.
  var totals: [(node: String, total: Int64)]
  var error: FitError
}

/// Whole objects, for extenders that do not follow the cluster themselves.
struct WholeNode: APIObject {
  static let reference = ResourceReference.nodes
  let metadata: ObjectMeta
  let json: JSONValue

  init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    self.json = json
  }
}

/// The extenders of a scheduler. Any thread.
final class ExtenderCalls: Sendable {
  let extenders: [ExtenderConfiguration]
  /// Whole nodes, if some extender needs them.
  let nodes: Informer<WholeNode>?
  private let sender: ExtenderSender
  private let client: APIClient
  private let logger: Logger

  /// An answer with more is none: whole nodes of 5,000 are below it.
  private static let answerMaximum = 256 << 20
  /// Scores of extenders go to ten, those of plugins to a hundred.
  private static let scoreFactor: Int64 = 10

  init(_ extenders: [ExtenderConfiguration], _ sender: @escaping ExtenderSender, _ client: APIClient, _ logger: Logger)
  {
    self.extenders = extenders
    self.sender = sender
    self.client = client
    self.logger = logger
    let needsNodes = extenders.contains {
      !$0.isNodeCacheCapable && !($0.filterVerb.isEmpty && $0.prioritizeVerb.isEmpty)
    }
    nodes = needsNodes ? Informer(client: client, logger: logger) : nil
  }

  var ignoredResources: Set<String> { Set(extenders.flatMap(\.ignoredResources)) }

  /// Whether somebody must be asked before the pod gets a node.
  func haveASay(about spec: PodSpec) -> Bool {
    extenders.contains {
      !($0.filterVerb.isEmpty && $0.prioritizeVerb.isEmpty && $0.preemptVerb.isEmpty) && $0.isInterested(in: spec)
    }
  }

  private func interested(in pod: Pod, _ verb: KeyPath<ExtenderConfiguration, String>) -> [ExtenderConfiguration] {
    extenders.filter { !$0[keyPath: verb].isEmpty && $0.isInterested(in: pod.spec) }
  }

  // MARK: Verbs

  /// Takes from the survey what extenders refuse, and adds what they score. Throws when one that matters fails.
  func judge(_ pod: Pod, _ survey: Survey) async throws -> (survey: Survey, failed: [ExtenderVerdict]) {
    var survey = survey
    var failed: [ExtenderVerdict] = []
    let whole = try await whole(pod)
    for extender in interested(in: pod, \.filterVerb) where !survey.totals.isEmpty {
      let names = survey.totals.map(\.node)
      do {
        let answer = try await send(arguments(whole, names, extender), extender.filterVerb, extender)
        let verdict = try ExtenderMessages.verdict(answer, about: names, of: extender.urlPrefix)
        let left = Set(verdict.names)
        survey.totals.removeAll { !left.contains($0.node) }
        failed.append(verdict)
      } catch {
        guard extender.isIgnorable else { throw error }
        logger.info("skipping extender \(extender.urlPrefix), which is ignorable: \(error)")
      }
    }
    guard survey.totals.count > 1 else { return (survey, failed) }
    for extender in interested(in: pod, \.prioritizeVerb) {
      do {
        let names = survey.totals.map(\.node)
        let answer = try await send(arguments(whole, names, extender), extender.prioritizeVerb, extender)
        let scores = ExtenderMessages.priorities(answer)
        for position in survey.totals.indices {
          let score = scores[survey.totals[position].node] ?? 0
          survey.totals[position].total += score * extender.weight * Self.scoreFactor
        }
      } catch {
        // Whom nobody prefers may go anywhere.
        logger.info("extender \(extender.urlPrefix) does not score: \(error)")
      }
    }
    return (survey, failed)
  }

  /// Whether extenders have a say about victims.
  func haveASay(aboutVictimsFor pod: Pod) -> Bool { !interested(in: pod, \.preemptVerb).isEmpty }

  /// What extenders leave of the choices.
  func judge(_ pod: Pod, victims choices: [VictimChoice]) async throws -> [VictimChoice] {
    var choices = choices
    let whole = try await whole(pod)
    for extender in interested(in: pod, \.preemptVerb) where !choices.isEmpty {
      do {
        var pods: [String: JSONValue]?
        if !extender.isNodeCacheCapable {
          var found: [String: JSONValue] = [:]
          for victim in choices.flatMap(\.victims) where found[victim.uid] == nil {
            found[victim.uid] = try await client.find(.pods, namespace: victim.key.namespace, name: victim.key.name)
          }
          pods = found
        }
        let answer = try await send(
          ExtenderMessages.preemption(whole, choices, pods: pods), extender.preemptVerb, extender)
        choices = ExtenderMessages.left(answer, of: choices)
      } catch {
        guard extender.isIgnorable else { throw error }
        logger.info("skipping extender \(extender.urlPrefix), which is ignorable: \(error)")
      }
    }
    return choices
  }

  /// Has the pod bound by the extender that binds such pods. False when there is none.
  func bind(_ pod: Pod, to node: String) async throws -> Bool {
    guard let extender = interested(in: pod, \.bindVerb).first else { return false }
    try ExtenderMessages.checkBinding(
      try await send(ExtenderMessages.binding(pod, node), extender.bindVerb, extender))
    return true
  }

  // MARK: Requests

  private func whole(_ pod: Pod) async throws -> JSONValue {
    guard let whole = try await client.find(.pods, namespace: pod.namespace, name: pod.name) else {
      throw ExtenderFailure(description: "pod \(pod.key) is gone")
    }
    return whole
  }

  private func arguments(_ pod: JSONValue, _ names: [String], _ extender: ExtenderConfiguration) -> JSONValue {
    guard !extender.isNodeCacheCapable else { return ExtenderMessages.arguments(pod, names, nodes: nil) }
    return ExtenderMessages.arguments(pod, names, nodes: names.compactMap { nodes?.get(name: $0)?.json })
  }

  private func send(_ body: JSONValue, _ verb: String, _ extender: ExtenderConfiguration) async throws -> JSONValue {
    guard let place = extender.place else { throw ExtenderFailure(description: "no URL: \(extender.urlPrefix)") }
    let target = "\(place.path)/\(verb)"
    let request = HTTPRequest(
      method: "POST", target: target, headers: ["content-type": "application/json"], body: .bytes(body.bytes))
    let (response, answer) = try await told(verb, extender) {
      let response = try await sender(request, extender)
      return (response, try await response.body.collect(upTo: Self.answerMaximum))
    }
    guard response.status == 200 else {
      throw ExtenderFailure(
        description: "failed \(verb) with extender at URL \(extender.urlPrefix), code \(response.status)")
    }
    do {
      return try JSONValue(parsing: answer)
    } catch {
      throw ExtenderFailure(description: "extender at URL \(extender.urlPrefix): \(error)")
    }
  }

  /// What fails on the way says where to, as the event of the pod shows it.
  private func told<Result>(
    _ verb: String, _ extender: ExtenderConfiguration, _ call: () async throws -> Result
  ) async throws -> Result {
    do {
      return try await call()
    } catch {
      if Task.isCancelled { throw error }
      let separator = extender.urlPrefix.hasSuffix("/") ? "" : "/"
      throw ExtenderFailure(description: "Post \"\(extender.urlPrefix)\(separator)\(verb)\": \(error)")
    }
  }
}
