// The types of coordination/v1. Notation: TypeTable.

extension TypeTable {
  static let coordinationV1 = #"""
    Lease @kind "Who holds something, until when: heartbeats and leader election.":
      1:metadata! meta.v1.ObjectMeta; 2:spec! LeaseSpec
    LeaseSpec:
      1:holderIdentity? string "Who holds the lease."
      2:leaseDurationSeconds? int32 "Seconds after renewTime until others may take it."
      3:acquireTime? MicroTime; 4:renewTime? MicroTime
      5:leaseTransitions? int32 "How often the holder changed."
      6:strategy? string; 7:preferredHolder? string
    """#
}
