// Simulation: a whole cluster in one process, one seed, virtual time, running the production code.
// Nothing in production may depend on this; it supplies worlds, a network and disks, never behaviour.
