// Workloads, autoscaling, jobs, disruption budgets.

extension FieldDescriptions {
  static let workloads = #"""
    ControllerRevision.data: The state, as it was.
    ControllerRevision.revision: Its number.
    updateStrategy: How pods are replaced when the template changes.
    rollingUpdate: Settings of a rolling update.
    currentNumberScheduled: Nodes that should have a pod and do.
    numberMisscheduled: Nodes that have a pod and should not.
    desiredNumberScheduled: Nodes that should have a pod.
    numberReady: Nodes whose pod is ready.
    updatedNumberScheduled: Nodes whose pod is made from the newest template.
    numberAvailable: Nodes whose pod is available.
    numberUnavailable: Nodes whose pod is missing or not available.
    partition: Pods with a smaller number are not updated.
    start: The number of the first pod.
    ordinals: How pods are numbered.
    whenDeleted: What becomes of claims when the set is deleted.
    whenScaled: What becomes of claims of pods that are no longer wanted.
    volumeClaimTemplates: Claims that each pod gets of its own.
    volumeClaimTemplate: The claim that is made for the pod.
    serviceName: The service that gives pods their names.
    podManagementPolicy: Whether pods come and go one after the other or at once.
    persistentVolumeClaimRetentionPolicy: What becomes of claims.
    currentRevision: The revision of pods that are not updated yet.
    updateRevision: The revision pods are updated to.
    schedule: When, in the notation of cron.
    startingDeadlineSeconds: How late a run may still begin.
    concurrencyPolicy: Whether runs may overlap: Allow, Forbid or Replace.
    suspend: Whether it is halted.
    jobTemplate: What jobs are made from.
    successfulJobsHistoryLimit: How many jobs that succeeded are kept.
    failedJobsHistoryLimit: How many jobs that failed are kept.
    timeZone: The time zone of the schedule.
    active: What runs at present.
    lastScheduleTime: When a run last was due.
    lastSuccessfulTime: When a run last succeeded.
    parallelism: How many pods run at a time.
    completions: How many pods must succeed.
    manualSelector: Whether the selector is the user's own.
    backoffLimit: How many failures make the job fail.
    backoffLimitPerIndex: How many failures make an index fail.
    maxFailedIndexes: How many indexes may fail before the job does.
    ttlSecondsAfterFinished: Seconds after its end at which it is deleted.
    completionMode: NonIndexed, or Indexed to number the pods.
    podFailurePolicy: What failures of pods mean.
    podReplacementPolicy: When a pod is replaced: TerminatingOrFailed or Failed.
    managedBy: Which controller runs the job.
    successPolicy: When the job counts as succeeded early.
    completionTime: When it ended well.
    succeeded: Pods that ended well.
    failed: Pods that failed.
    completedIndexes: Indexes that ended well, as in 1,3-5.
    failedIndexes: Indexes that failed, as in 1,3-5.
    uncountedTerminatedPods: Pods that have ended and are not counted yet.
    terminating: Pods on their way out.
    rules: The rules, in order.
    onExitCodes: Exit codes the rule applies to.
    onPodConditions: Pod conditions the rule applies to.
    action: What is done.
    succeededIndexes: Which indexes must succeed.
    succeededCount: How many indexes must succeed.
    scaleTargetRef: What is scaled.
    minReplicas: Never fewer.
    maxReplicas: Never more.
    targetCPUUtilizationPercentage: The share of the requested processor time that is aimed at.
    currentCPUUtilizationPercentage: The share of the requested processor time that is used.
    lastScaleTime: When the number of pods last changed.
    metrics: What the number of pods is computed from; the largest answer wins.
    behavior: How fast it scales up and down.
    scaleUp: How it scales up.
    scaleDown: How it scales down.
    selectPolicy: Which policy wins: Max, Min or Disabled.
    policies: How much may change in a period.
    stabilizationWindowSeconds: How long past advice is heeded, against swinging.
    currentMetrics: The metrics as last read.
    metric: The metric.
    target: What is aimed at.
    current: What is.
    averageValue: Per pod.
    averageUtilization: Per pod, in percent of what is requested.
    describedObject: The object the metric is about.
    object: A metric of another object.
    pods: A metric of each pod.
    external: A metric from outside of the cluster.
    containerResource: A resource of one container of each pod.
    minAvailable: How many must stay available, as a number or in percent.
    unhealthyPodEvictionPolicy: Whether pods that are not ready may be evicted anyway.
    disruptedPods: Pods whose eviction is under way.
    disruptionsAllowed: How many pods may be evicted now.
    currentHealthy: Pods that are healthy.
    desiredHealthy: Pods that must be healthy.
    expectedPods: Pods that count.
    deleteOptions: How the pod is deleted.
    """#
}
