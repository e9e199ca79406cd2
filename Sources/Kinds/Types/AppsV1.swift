// The types of apps/v1. Notation: TypeTable.

extension TypeTable {
  static let appsV1 = #"""
    ControllerRevision @kind "An immutable snapshot of the state of a controller.":
      1:metadata! meta.v1.ObjectMeta; 2:data! RawExtension; 3:revision*! int64
    DaemonSet @kind "Runs one pod on every node that matches.":
      1:metadata! meta.v1.ObjectMeta
      2:spec! DaemonSetSpec "Desired behaviour."
      3:status! DaemonSetStatus "Most recently observed state."
    DaemonSetCondition:
      1:type*! string; 2:status*! string; 3:lastTransitionTime! Time; 4:reason string; 5:message string
    DaemonSetSpec:
      1:selector*?! meta.v1.LabelSelector; 2:template*! core.v1.PodTemplateSpec
      3:updateStrategy! DaemonSetUpdateStrategy ={}; 4:minReadySeconds int32; 6:revisionHistoryLimit? int32 =10
    DaemonSetStatus:
      1:currentNumberScheduled*! int32; 2:numberMisscheduled*! int32; 3:desiredNumberScheduled*! int32
      4:numberReady*! int32; 5:observedGeneration int64; 6:updatedNumberScheduled int32; 7:numberAvailable int32
      8:numberUnavailable int32; 9:collisionCount? int32; 10:conditions DaemonSetCondition[] @map(type) @merge(type)
    DaemonSetUpdateStrategy:
      1:type string =RollingUpdate {OnDelete,RollingUpdate}
      2:rollingUpdate? RollingUpdateDaemonSet
    Deployment @kind "Declarative updates for pods and replica sets.":
      1:metadata! meta.v1.ObjectMeta
      2:spec! DeploymentSpec "Desired behaviour."
      3:status! DeploymentStatus "Most recently observed state."
    DeploymentCondition:
      1:type*! string; 2:status*! string; 4:reason string; 5:message string; 6:lastUpdateTime! Time
      7:lastTransitionTime! Time
    DeploymentSpec "What a deployment should bring about.":
      1:replicas? int32 =1 "Number of pods wanted."
      2:selector*?! meta.v1.LabelSelector "Which pods are those of the deployment; immutable."
      3:template*! core.v1.PodTemplateSpec "What to make pods from; a change rolls out."
      4:strategy! DeploymentStrategy ={} @retainKeys "How old pods are replaced by new ones."
      5:minReadySeconds int32 "Seconds a pod must be ready to count as available."
      6:revisionHistoryLimit? int32 =10 "Old replica sets to keep for rollback."
      7:paused bool "Changes of the template do not roll out while set."
      9:progressDeadlineSeconds? int32 =600 "Seconds without progress before the rollout counts as failed."
    DeploymentStatus "What a deployment has brought about so far.":
      1:observedGeneration int64; 2:replicas int32; 3:updatedReplicas int32; 4:availableReplicas int32
      5:unavailableReplicas int32; 6:conditions DeploymentCondition[] @map(type) @merge(type); 7:readyReplicas int32
      8:collisionCount? int32
    DeploymentStrategy:
      1:type string =RollingUpdate {Recreate,RollingUpdate}
      2:rollingUpdate? RollingUpdateDeployment
    ReplicaSet @kind "Keeps a given number of pods running.":
      1:metadata! meta.v1.ObjectMeta
      2:spec! ReplicaSetSpec "Desired behaviour."
      3:status! ReplicaSetStatus "Most recently observed state."
    ReplicaSetCondition:
      1:type*! string; 2:status*! string; 3:lastTransitionTime! Time; 4:reason string; 5:message string
    ReplicaSetSpec:
      1:replicas? int32 =1 "Number of pods wanted."
      2:selector*?! meta.v1.LabelSelector "Which pods are those of the set; immutable."
      3:template! core.v1.PodTemplateSpec; 4:minReadySeconds int32
    ReplicaSetStatus:
      1:replicas*! int32; 2:fullyLabeledReplicas int32; 3:observedGeneration int64; 4:readyReplicas int32
      5:availableReplicas int32; 6:conditions ReplicaSetCondition[] @map(type) @merge(type)
    RollingUpdateDaemonSet:
      1:maxUnavailable? IntOrString; 2:maxSurge? IntOrString
    RollingUpdateDeployment:
      1:maxUnavailable? IntOrString; 2:maxSurge? IntOrString
    RollingUpdateStatefulSetStrategy:
      1:partition? int32; 2:maxUnavailable? IntOrString
    StatefulSet @kind "Pods with stable names, order and storage.":
      1:metadata! meta.v1.ObjectMeta
      2:spec! StatefulSetSpec "Desired behaviour."
      3:status! StatefulSetStatus "Most recently observed state."
    StatefulSetCondition:
      1:type*! string; 2:status*! string; 3:lastTransitionTime! Time; 4:reason string; 5:message string
    StatefulSetOrdinals:
      1:start! int32
    StatefulSetPersistentVolumeClaimRetentionPolicy:
      1:whenDeleted string =Retain {Delete,Retain}; 2:whenScaled string =Retain {Delete,Retain}
    StatefulSetSpec:
      1:replicas? int32 =1; 2:selector*?! meta.v1.LabelSelector; 3:template*! core.v1.PodTemplateSpec
      4:volumeClaimTemplates core.v1.PersistentVolumeClaim[]; 5:serviceName*! string
      6:podManagementPolicy string =OrderedReady {OrderedReady,Parallel}
      7:updateStrategy! StatefulSetUpdateStrategy ={}; 8:revisionHistoryLimit? int32 =10; 9:minReadySeconds int32
      10:persistentVolumeClaimRetentionPolicy? StatefulSetPersistentVolumeClaimRetentionPolicy ={}
      11:ordinals? StatefulSetOrdinals
    StatefulSetStatus:
      1:observedGeneration int64; 2:replicas*! int32; 3:readyReplicas int32; 4:currentReplicas int32
      5:updatedReplicas int32; 6:currentRevision string; 7:updateRevision string; 9:collisionCount? int32
      10:conditions StatefulSetCondition[] @map(type) @merge(type); 11:availableReplicas! int32
    StatefulSetUpdateStrategy:
      1:type string {OnDelete,RollingUpdate}
      2:rollingUpdate? RollingUpdateStatefulSetStrategy
    """#
}
