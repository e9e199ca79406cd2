// One server of a simulated cluster: a machine with a disk, and, while it runs, the production server on it.
import APIServer
import Client
import ControlPlane
import HTTP
import Logging
import Raft
import Replica
import Storage
import TLS
import World

public final class SimulatedServer: @unchecked Sendable {
  /// One life of the server, from its start to its death.
  final class Life {
    unowned let server: SimulatedServer
    let process: SimulatedProcess
    let consensus: VirtualWorld
    let control: VirtualWorld
    let plane: ControlPlaneServer
    /// The last applied index that was made a part of the run's identity.
    var appliedNoted: LogIndex?

    init(
      of server: SimulatedServer, process: SimulatedProcess, consensus: VirtualWorld, control: VirtualWorld,
      plane: ControlPlaneServer
    ) {
      self.server = server
      self.process = process
      self.consensus = consensus
      self.control = control
      self.plane = plane
    }
  }

  public let id: NodeID
  public let name: String
  public let host: SimulatedHost
  public let disk: any ServerDisk
  var life: Life?
  /// As the group knows it, where it was added to a running one; nil for founders.
  let joined: Member?
  /// Gone for good, its disk with it: never started again.
  public internal(set) var isRetired = false
  /// How often it was started.
  public internal(set) var starts = 0
  /// Between its start and its life: it opens its disk, and may lose its power while it does.
  enum Opening { case underWay, dark }
  var opening: Opening?
  /// Why the replica stopped by itself, in its present life.
  public internal(set) var stoppedBecause: String?

  init(id: NodeID, host: SimulatedHost, disk: any ServerDisk, joined: Member? = nil) {
    self.joined = joined
    self.id = id
    name = host.name
    self.host = host
    self.disk = disk
  }

  /// Its process lives and is not paused.
  public var isRunning: Bool { life?.process.isRunning ?? false }
  public var isAlive: Bool { life != nil }
  public var isPaused: Bool { life?.process.isPaused ?? false }
  public var process: SimulatedProcess? { life?.process }
  public var plane: ControlPlaneServer? { life?.plane }
  public var replica: Replica? { life?.plane.replica }

  /// What it went by when it last lived.
  var lastConfiguration = Configuration(voters: [])
  /// The configuration that it goes by; that of its last life where it has none.
  var configuration: Configuration { inspect { $0.raft.configuration } ?? lastConfiguration }

  /// Calls `body` with the replica as it is; nil where none lives.
  public func inspect<Outcome>(_ body: (borrowing ReplicaInspection) -> Outcome) -> Outcome? {
    life?.plane.replica.inspect(body)
  }
}
