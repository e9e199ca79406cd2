import Client
import Synchronization
import World

/// Containers that exist in memory only, with the timing of real ones: for clusters of thousands of nodes on one machine.
///
/// A container runs until it is stopped; init containers end well after a moment, those of a job's pod after a second, or
/// as long as a `sleep` in their command takes. Annotations of the pod decide over that: `hollow.trireme.dev/run-seconds`
/// ends every container after so long, with `hollow.trireme.dev/exit-code`.
public final class HollowRuntime: ContainerRuntime {
  public static let runSecondsAnnotation = "hollow.trireme.dev/run-seconds"
  public static let exitCodeAnnotation = "hollow.trireme.dev/exit-code"

  /// Measured of containerd with crun: sandbox 110–180 ms, container 60–150 ms.
  private static let sandboxTime = 110_000_000...180_000_000 as ClosedRange<Int64>
  private static let startTime = 60_000_000...150_000_000 as ClosedRange<Int64>
  /// How long a well-behaved process takes to end after SIGTERM.
  private static let stopTime = 20_000_000...80_000_000 as ClosedRange<Int64>
  private static let initTime = Duration.milliseconds(100)

  private struct Running {
    /// Ends a container that ends by itself.
    var timer: (any ScheduledTimer)?
  }
  /// How a process ends that SIGTERM interrupts.
  private static let interrupted = ContainerExit(exitCode: 143, reason: "Error")
  private struct State {
    var addresses: [String: UInt32] = [:]
    var usedAddresses: Set<UInt32> = []
    var lastAddress: UInt32
    var running: [ContainerIdentity: Running] = [:]
  }

  /// How long starting and stopping take.
  public enum Timing: Sendable {
    /// As long as with containerd and crun.
    case measured
    /// No time: what is measured then is the control plane alone.
    case none
  }

  public let version: String
  public var startsAtOnce: Bool { timing == .none }
  private let timing: Timing
  private let world: any World
  private let nodeAddress: String
  private let firstAddress: UInt32
  private let addressCount: UInt32
  private let state: Mutex<State>

  /// Pods get addresses of `podNetwork`, "10.128.0.0" standing for its 256.
  public init(world: any World, version: String, podNetwork: String, nodeAddress: String, timing: Timing = .measured) {
    self.timing = timing
    self.world = world
    self.version = "hollow://\(version)"
    self.nodeAddress = nodeAddress
    let parts = podNetwork.split(separator: ".").compactMap { UInt32($0) }
    precondition(parts.count == 4, "a pod network is an IPv4 address")
    // .0 is the network, .1 the node's own bridge, .255 the broadcast address.
    firstAddress = parts.reduce(0) { $0 << 8 | $1 } + 2
    addressCount = 253
    state = Mutex(State(lastAddress: firstAddress + addressCount - 1))
  }

  public func createSandbox(podUID: String, hostNetwork: Bool) async throws -> String {
    try await pause(Self.sandboxTime)
    if hostNetwork { return nodeAddress }
    return try state.withLock { state in
      if let known = state.addresses[podUID] { return Self.text(known) }
      guard state.usedAddresses.count < addressCount else { throw NoAddressLeft() }
      // Round and round, so that an address is not given again as soon as it is free.
      repeat {
        state.lastAddress = state.lastAddress == firstAddress + addressCount - 1 ? firstAddress : state.lastAddress + 1
      } while state.usedAddresses.contains(state.lastAddress)
      state.usedAddresses.insert(state.lastAddress)
      state.addresses[podUID] = state.lastAddress
      return Self.text(state.lastAddress)
    }
  }

  /// Hollow containers are as good as their record: what the API says ran, runs.
  public func adopt(
    podUID: String, address: String, containers: [ContainerRequest],
    onExit: @escaping @Sendable (ContainerIdentity, ContainerExit) -> Void
  ) async -> Bool {
    if address != nodeAddress {
      let isFree = state.withLock { state in
        guard let number = Self.number(address), number >= firstAddress, number < firstAddress + addressCount,
          state.usedAddresses.insert(number).inserted
        else { return false }
        state.addresses[podUID] = number
        return true
      }
      guard isFree else { return false }
    }
    for request in containers { run(request) { onExit(request.identity, $0) } }
    return true
  }

  public func start(_ request: ContainerRequest, onExit: @escaping @Sendable (ContainerExit) -> Void) async throws
    -> StartedContainer
  {
    try await pause(Self.startTime)
    run(request, onExit: onExit)
    let digest = world.uuid() + world.uuid()
    return StartedContainer(
      containerID: "hollow://\(digest.filter { $0 != "-" })", imageID: "hollow://\(request.container.image)")
  }

  /// Notes that a container runs, and ends it when its time has come.
  private func run(_ request: ContainerRequest, onExit: @escaping @Sendable (ContainerExit) -> Void) {
    let isSidecar = request.isInit && request.container.restartPolicy == "Always"
    let task = HollowTask(request)
    let life: Duration? = request.isInit && !isSidecar ? Self.initTime : task.map { .seconds($0.seconds) }
    let code = request.isInit ? 0 : task?.exitCode ?? 0
    let timer = life.map { life in
      world.schedule(after: life) { [weak self] in
        guard self?.state.withLock({ $0.running.removeValue(forKey: request.identity) }) != nil else { return }
        onExit(ContainerExit(exitCode: code, reason: code == 0 ? "Completed" : "Error"))
      }
    }
    state.withLock { $0.running[request.identity] = Running(timer: timer) }
  }

  public func stop(_ container: ContainerIdentity, grace: Duration) async -> ContainerExit {
    guard let running = state.withLock({ $0.running.removeValue(forKey: container) }) else {
      return ContainerExit(exitCode: 0, reason: "Completed")
    }
    running.timer?.cancel()
    try? await pause(Self.stopTime)
    return running.timer == nil ? ContainerExit(exitCode: 0, reason: "Completed") : Self.interrupted
  }

  public func removeSandbox(podUID: String) async {
    state.withLock { state in
      if let address = state.addresses.removeValue(forKey: podUID) { state.usedAddresses.remove(address) }
      for identity in state.running.keys where identity.podUID == podUID {
        state.running.removeValue(forKey: identity)?.timer?.cancel()
      }
    }
  }

  private struct NoAddressLeft: Error, CustomStringConvertible {
    var description: String { "the node's pod network has no address left" }
  }

  private func pause(_ range: ClosedRange<Int64>) async throws {
    guard timing == .measured else { return }
    var chance = WorldRandom(world)
    try await world.sleep(for: .nanoseconds(Int64.random(in: range, using: &chance)))
  }

  private static func number(_ address: String) -> UInt32? {
    let parts = address.split(separator: ".", omittingEmptySubsequences: false).compactMap { UInt8($0) }
    return parts.count == 4 ? parts.reduce(0) { $0 << 8 | UInt32($1) } : nil
  }

  private static func text(_ address: UInt32) -> String {
    "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
  }
}
