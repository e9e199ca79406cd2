// The types of batch/v1. Notation: TypeTable.

extension TypeTable {
  static let batchV1 = #"""
    CronJob @kind "Makes jobs by a schedule.":
      1:metadata! meta.v1.ObjectMeta
      2:spec! CronJobSpec "Desired behaviour."
      3:status! CronJobStatus "Most recently observed state."
    CronJobSpec:
      1:schedule*! string; 2:startingDeadlineSeconds? int64
      3:concurrencyPolicy string =Allow {Allow,Forbid,Replace}
      4:suspend? bool =false; 5:jobTemplate*! JobTemplateSpec; 6:successfulJobsHistoryLimit? int32 =3
      7:failedJobsHistoryLimit? int32 =1; 8:timeZone? string
    CronJobStatus:
      1:active core.v1.ObjectReference[] @atomic; 4:lastScheduleTime? Time; 5:lastSuccessfulTime? Time
    Job @kind "Runs pods to completion.":
      1:metadata! meta.v1.ObjectMeta
      2:spec! JobSpec "Desired behaviour."
      3:status! JobStatus "Most recently observed state."
    JobCondition:
      1:type*! string; 2:status*! string; 3:lastProbeTime! Time; 4:lastTransitionTime! Time; 5:reason string
      6:message string
    JobSpec:
      1:parallelism? int32; 2:completions? int32; 3:activeDeadlineSeconds? int64; 4:selector? meta.v1.LabelSelector
      5:manualSelector? bool; 6:template*! core.v1.PodTemplateSpec; 7:backoffLimit? int32
      8:ttlSecondsAfterFinished? int32
      9:completionMode? string {Indexed,NonIndexed}
      10:suspend? bool; 11:podFailurePolicy? PodFailurePolicy; 12:backoffLimitPerIndex? int32
      13:maxFailedIndexes? int32
      14:podReplacementPolicy? string {Failed,TerminatingOrFailed}
      15:managedBy? string; 16:successPolicy? SuccessPolicy
    JobStatus:
      1:conditions JobCondition[] @atomic @merge(type); 2:startTime? Time; 3:completionTime? Time; 4:active int32
      5:succeeded int32; 6:failed int32; 7:completedIndexes string; 8:uncountedTerminatedPods? UncountedTerminatedPods
      9:ready? int32; 10:failedIndexes? string; 11:terminating? int32
    JobTemplateSpec:
      1:metadata! meta.v1.ObjectMeta; 2:spec! JobSpec
    PodFailurePolicy:
      1:rules*! PodFailurePolicyRule[] @atomic
    PodFailurePolicyOnExitCodesRequirement:
      1:containerName? string; 2:operator*! string; 3:values*! int32[] @set
    PodFailurePolicyOnPodConditionsPattern:
      1:type*! string; 2:status*! string =True
    PodFailurePolicyRule:
      1:action*! string; 2:onExitCodes? PodFailurePolicyOnExitCodesRequirement
      3:onPodConditions PodFailurePolicyOnPodConditionsPattern[] @atomic
    SuccessPolicy:
      1:rules*! SuccessPolicyRule[]
    SuccessPolicyRule:
      1:succeededIndexes? string; 2:succeededCount? int32
    UncountedTerminatedPods:
      1:succeeded string[] @set; 2:failed string[] @set
    """#
}
