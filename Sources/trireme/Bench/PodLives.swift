// The life of a pod: created, scheduled, running on a (hollow) node, deleted, gone.
import Client
import EventLoop
import JSON
import Synchronization
import World

struct PodLives: Sendable {
  let api: APIClient
  let loop: EventLoop
  let objects: BenchObjects

  /// A pod that takes longer counts as an error.
  private static let patience = Duration.seconds(30)

  private struct State {
    /// What each pod's client waits to see.
    var running: Set<String> = []
    var gone: Set<String> = []
    var latencies = LatencyHistogram()
    var lives = 0
    var errors = 0
    var firstError = ""
  }

  /// Pods are refused in a namespace whose default service account is still to be made.
  private func waitForServiceAccount() async throws {
    let start = loop.now
    while try await api.find(.serviceAccounts, namespace: objects.namespace, name: "default") == nil {
      guard loop.now - start < Self.patience else { throw CommandFailure("the namespace has no service account") }
      try await loop.sleep(for: .milliseconds(20))
    }
  }

  /// Latencies are from creation to Running; requests are whole lives.
  func run(into empty: BenchResult, time: Duration, _ target: BenchTarget) async throws -> BenchResult {
    let state = Mutex(State())
    let (loop, api, objects) = (loop, api, objects)
    try await waitForServiceAccount()
    let list = try await api.list(.pods, namespace: objects.namespace)
    let watch = try await api.watch(
      path: ResourceReference.pods.path(namespace: objects.namespace),
      ListOptions(resourceVersion: list.resourceVersion), timeoutSeconds: 600)
    let reader = loop.spawn {
      while let event = try? await watch.next() {
        switch event {
        case .added(let pod), .modified(let pod):
          guard pod["status"]["phase"].string == "Running", let name = pod["metadata"]["name"].string else { continue }
          state.withLock { _ = $0.running.insert(name) }
        case .deleted(let pod):
          guard let name = pod["metadata"]["name"].string else { continue }
          state.withLock { _ = $0.gone.insert(name) }
        case .bookmark: continue
        }
      }
    }
    let begin = loop.now
    let end = begin + time
    let processorBefore = target.processorSeconds
    @Sendable func wait(_ what: String, _ isTrue: @Sendable (State) -> Bool) async throws {
      let start = loop.now
      while !state.withLock({ isTrue($0) }) {
        guard loop.now - start < Self.patience else { throw CommandFailure("a pod is not \(what) in time") }
        try await loop.sleep(for: .milliseconds(1))
      }
    }
    let tasks = (0..<empty.clients).map { client in
      loop.spawn {
        var turn = 0
        while loop.now < end {
          let name = "pod-\(client)-\(turn)"
          turn += 1
          do {
            let created = loop.now
            try await api.create(.pods, namespace: objects.namespace, objects.pod(name))
            try await wait("running") { $0.running.contains(name) }
            let latency = loop.now - created
            try await api.delete(.pods, namespace: objects.namespace, name: name)
            try await wait("gone") { $0.gone.contains(name) }
            state.withLock { state in
              state.latencies.record(latency)
              if loop.now < end { state.lives += 1 }
            }
          } catch {
            state.withLock { state in
              state.errors += 1
              state.firstError = "\(error)"
            }
          }
        }
      }
    }
    for task in tasks { await task.wait() }
    watch.cancel()
    await reader.wait()
    var result = empty
    state.withLock { state in
      result.requests = state.lives
      result.errors = state.errors
      result.firstError = state.firstError
      result.take(state.latencies)
    }
    result.seconds = time.inSeconds
    if let processorBefore, let processorAfter = target.processorSeconds, result.requests > 0 {
      result.serverCPUSeconds = (processorAfter - processorBefore) * 1000 / Double(result.requests)
    }
    return result
  }
}
