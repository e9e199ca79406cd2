// The types of policy/v1. Notation: TypeTable.

extension TypeTable {
  static let policyV1 = #"""
    Eviction @kind "Asks to delete a pod, within its disruption budget.":
      1:metadata! meta.v1.ObjectMeta; 2:deleteOptions? meta.v1.DeleteOptions
    PodDisruptionBudget @kind "How many pods of a set may be missing at once by intent.":
      1:metadata! meta.v1.ObjectMeta; 2:spec! PodDisruptionBudgetSpec; 3:status! PodDisruptionBudgetStatus
    PodDisruptionBudgetSpec:
      1:minAvailable? IntOrString; 2:selector? meta.v1.LabelSelector @atomic @replace; 3:maxUnavailable? IntOrString
      4:unhealthyPodEvictionPolicy? string {AlwaysAllow,IfHealthyBudget}
    PodDisruptionBudgetStatus:
      1:observedGeneration int64; 2:disruptedPods map<Time>; 3:disruptionsAllowed*! int32; 4:currentHealthy*! int32
      5:desiredHealthy*! int32; 6:expectedPods*! int32; 7:conditions meta.v1.Condition[] @map(type) @merge(type)
    """#
}
