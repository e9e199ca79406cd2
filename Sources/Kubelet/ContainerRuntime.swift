// The seam to whatever runs containers: hollow ones in memory now, the CRI later. The kubelet decides, a runtime does.
import Client
import World

/// Names a container of a pod on this node.
public struct ContainerIdentity: Hashable, Sendable {
  public var podUID: String
  public var name: String
  public init(podUID: String, name: String) {
    self.podUID = podUID
    self.name = name
  }
}

/// What a runtime needs to know of a container.
public struct ContainerRequest: Sendable {
  public var identity: ContainerIdentity
  public var container: Container
  public var isInit: Bool
  /// Which attempt this is: 0 for the first start.
  public var attempt: Int64
  public var podAnnotations: [String: String]
  /// A container of a job's pod: it is there to end.
  public var isTask: Bool

  public init(
    identity: ContainerIdentity, container: Container, isInit: Bool, attempt: Int64, podAnnotations: [String: String],
    isTask: Bool = false
  ) {
    self.identity = identity
    self.container = container
    self.isInit = isInit
    self.attempt = attempt
    self.podAnnotations = podAnnotations
    self.isTask = isTask
  }
}

public struct StartedContainer: Sendable {
  /// "hollow://<id>", "containerd://<id>".
  public var containerID: String
  public var imageID: String
  public init(containerID: String, imageID: String) {
    self.containerID = containerID
    self.imageID = imageID
  }
}

/// How a container ended.
public struct ContainerExit: Hashable, Sendable {
  public var exitCode: Int64
  /// "Completed", "Error", "OOMKilled".
  public var reason: String
  public init(exitCode: Int64, reason: String) {
    self.exitCode = exitCode
    self.reason = reason
  }
}

/// Runs pods. Any thread; calls return when the thing is done. A container that ends by itself is reported to the
/// handler given at its start, once.
public protocol ContainerRuntime: Sendable {
  /// "hollow://0.1.0": status.nodeInfo.containerRuntimeVersion.
  var version: String { get }
  /// Sandboxes and containers take no time: there is nothing to tell of halfway.
  var startsAtOnce: Bool { get }
  /// An agent that begins anew finds pods that ran before. True when the sandbox and these containers run still; their
  /// ends are reported to `onExit`. False: they are gone, and are made again.
  func adopt(
    podUID: String, address: String, containers: [ContainerRequest],
    onExit: @escaping @Sendable (ContainerIdentity, ContainerExit) -> Void
  ) async -> Bool
  /// Makes the sandbox of a pod; returns its address.
  func createSandbox(podUID: String, hostNetwork: Bool) async throws -> String
  func start(_ request: ContainerRequest, onExit: @escaping @Sendable (ContainerExit) -> Void) async throws
    -> StartedContainer
  /// Asks a container to end and ends it after `grace`; returns how it did.
  func stop(_ container: ContainerIdentity, grace: Duration) async -> ContainerExit
  /// Removes what is left of a pod; its address is free again.
  func removeSandbox(podUID: String) async
}
