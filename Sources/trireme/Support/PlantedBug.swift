// Servers with a bug planted on purpose: in builds with TRIREME_MUTANTS=1 only (deploy/mutants.sh), for trireme-chaos, whose
// checkers must find it.
#if TRIREME_MUTANTS
  import Glibc
  import Simulation
#endif

enum PlantedBug {
  /// Plants the mutant that TRIREME_MUTANT names; does nothing, and reads nothing, in all other builds.
  static func plant() throws {
    #if TRIREME_MUTANTS
      guard let name = getenv("TRIREME_MUTANT").map({ String(cString: $0) }) else { return }
      guard Mutants.plant(name) else { throw CommandFailure("there is no mutant \(name)") }
    #endif
  }
}
