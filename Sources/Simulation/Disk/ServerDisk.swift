// What a simulated server's disk can be asked to do, and what can befall it, whichever kind it is.
import Replica
import Storage
import World

/// How long a disk takes.
public struct DiskPace: Sendable {
  public var commit: ClosedRange<Duration> = .microseconds(80)...(.microseconds(900))
  /// How often a commit takes `slowness` longer.
  public var slowProbability = 0.0
  public var slowness: ClosedRange<Duration> = .milliseconds(5)...(.milliseconds(400))
  public init() {}

  func draw(_ random: inout SeededRandom) -> Duration {
    var time = random.duration(commit)
    if random.chance(slowProbability) { time += random.duration(slowness) }
    return time
  }
}

/// Which of a server's entries and rows may rot where all disks do at once: those that no other server's may.
public struct RotShare: Sendable {
  public var number: UInt64
  public var of: UInt64

  func takes(_ place: UInt64) -> Bool { place % of == number }
}

/// A server's disk, which outlives its processes.
public protocol ServerDisk: AnyObject {
  var pace: DiskPace { get set }
  /// Opens it for a process; its work runs on `world`. Throws as the real one does.
  func open(on world: VirtualWorld, identity: StorageIdentity) throws -> ReplicaDisk
  /// The process is gone; with the power, if `powerLost`.
  func crash(powerLost: Bool)
  /// The power goes during the write, sync or change of a name that comes after so many others. `onCut` is called from
  /// within, and is to end the process: its disk is dead by then. False: this kind of disk has no such moments.
  func cutPower(afterOperations count: UInt64, onCut: @escaping @Sendable () -> Void) -> Bool
  /// The power does not go, if it was about to.
  func keepPower()
  /// The next commit of the log fails, and what was written since the last one may or may not be there.
  func failNextSync()
  /// A new disk in the place of this one.
  func wipe()
  /// Nothing more fits, until there is room again.
  func fill()
  func makeRoom()
  /// What is said to be durable is not, until this ends; then what was written meanwhile is.
  func lie(_ lies: Bool)
  /// Bits flip at rest, in log or table; returns what was struck, nil if there was nothing to strike.
  func rot() -> String?
  /// Entries of the log are lost, of this server's share only; nil where this kind of disk cannot. The server is down.
  func loseEntries(_ share: RotShare) -> String?
  /// A write to come lands elsewhere in its file. False: this kind of disk has no places.
  func misdirectWrite() -> Bool
  /// Some reads to come fail. False: this kind of disk is not read while it is in use.
  func failReads() -> Bool
  /// All of it as it is now, to be put back later; nil where this kind cannot.
  func copy() -> (any DiskCopy)?
  /// Puts a copy in the disk's place, file by file (so that no file is the one it was) or as a volume's snapshot.
  func restore(_ copy: any DiskCopy, asFiles: Bool)
}

/// What `ServerDisk.copy` returns.
public protocol DiskCopy: AnyObject {}
