// The types of scheduling/v1. Notation: TypeTable.

extension TypeTable {
  static let schedulingV1 = #"""
    PriorityClass @kind "A name for a priority of pods.":
      1:metadata! meta.v1.ObjectMeta; 2:value*! int32; 3:globalDefault bool; 4:description string
      5:preemptionPolicy? string =PreemptLowerPriority {Never,PreemptLowerPriority}
    """#
}
