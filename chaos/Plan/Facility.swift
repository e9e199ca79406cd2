// What a fault takes of the machine on which the run happens: some machines lack some of it.

public enum Facility: String, CaseIterable, Sendable, Hashable {
  /// Namespaces, and file systems on loop devices.
  case machines
  /// Errors of system calls at will (strace).
  case injectedErrors
  /// Bounds on writes a second (control groups).
  case throttledDisks
  /// Packets handed to a program (NFQUEUE).
  case packetQueues
  /// A wall clock of a process's own (libfaketime).
  case movableClocks
  /// Two load balancers with one address (keepalived).
  case balancerPairs
}
