// There is one virtual world: the simulator's.
@_exported import Simulation
