// The types of autoscaling/v1. Notation: TypeTable.

extension TypeTable {
  static let autoscalingV1 = #"""
    CrossVersionObjectReference @atomic:
      1:kind*! string; 2:name*! string; 3:apiVersion string
    HorizontalPodAutoscaler @kind "Scales a workload by observed metrics.":
      1:metadata! meta.v1.ObjectMeta; 2:spec! HorizontalPodAutoscalerSpec; 3:status! HorizontalPodAutoscalerStatus
    HorizontalPodAutoscalerSpec:
      1:scaleTargetRef*! CrossVersionObjectReference; 2:minReplicas? int32 =1; 3:maxReplicas*! int32
      4:targetCPUUtilizationPercentage? int32
    HorizontalPodAutoscalerStatus:
      1:observedGeneration? int64; 2:lastScaleTime? Time; 3:currentReplicas*! int32; 4:desiredReplicas*! int32
      5:currentCPUUtilizationPercentage? int32
    Scale @kind "Desired and actual size of something that can be scaled.":
      1:metadata! meta.v1.ObjectMeta; 2:spec! ScaleSpec; 3:status! ScaleStatus
    ScaleSpec:
      1:replicas int32
    ScaleStatus:
      1:replicas*! int32; 2:selector string
    """#
}
