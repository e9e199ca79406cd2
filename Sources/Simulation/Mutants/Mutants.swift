// The bugs that can be planted, over all rooms: each is one decision turned wrong where it is made. Whoever finds none of
// them proves nothing by finding nothing.

import APIServer
import Client
import Controllers
import Raft
import Replica
import Scheduler
import Storage

public enum Mutants {
  /// Names by room, in the order of the stairs.
  public static var byRoom: [(room: String, names: [String])] {
    [
      ("Raft", RaftMutant.allCases.map(\.rawValue)), ("Storage", StorageMutant.allCases.map(\.rawValue)),
      ("Replica", ReplicaMutant.allCases.map(\.rawValue)), ("APIServer", APIMutant.allCases.map(\.rawValue)),
      ("Client", ClientMutant.allCases.map(\.rawValue)), ("Scheduler", SchedulerMutant.allCases.map(\.rawValue)),
      ("Controllers", ControllerMutant.allCases.map(\.rawValue)),
    ]
  }
  public static var names: [String] { byRoom.flatMap(\.names) }

  /// The run that aims at a mutant's kind of bug; nil: every run meets it, all of them in turn.
  public static func run(for name: String) -> String? {
    if let target = targets.first(where: { $0.mutants.contains(name) }) { return target.run }
    return StorageMutant(rawValue: name) != nil ? "crashes" : nil
  }

  private static let targets: [(run: String, mutants: Set<String>)] = [
    ("spares", ["learners-count"]), ("narrow", ["commits-unverified"]),
    ("elections", ["configuration-too-early", "configurations-overlap"]),
    ("snapshots", ["log-before-snapshot-state", "snapshot-keeps-deleted", "event-lost-at-compaction"]),
    ("remote", ["relist-forgets-deletions", "queue-forgets", "expectations-ignored"]),
    ("disks", ["damaged-tail-dropped"]), ("races", ["address-unguarded", "quota-unguarded"]),
  ]

  /// Whether this build has them at all.
  public static var areBuiltIn: Bool {
    #if TRIREME_MUTANTS
      true
    #else
      false
    #endif
  }

  /// Plants the mutant of that name, for the rest of the process; false when there is none, or this build has none.
  public static func plant(_ name: String) -> Bool {
    #if TRIREME_MUTANTS
      RaftMutant.active = RaftMutant(rawValue: name)
      StorageMutant.active = StorageMutant(rawValue: name)
      ReplicaMutant.active = ReplicaMutant(rawValue: name)
      APIMutant.active = APIMutant(rawValue: name)
      ClientMutant.active = ClientMutant(rawValue: name)
      SchedulerMutant.active = SchedulerMutant(rawValue: name)
      ControllerMutant.active = ControllerMutant(rawValue: name)
      return names.contains(name)
    #else
      return false
    #endif
  }
}
