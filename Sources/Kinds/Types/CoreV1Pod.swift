// The types of core/v1 that a pod is made of; volumes stand in CoreV1Volumes. Notation: TypeTable.

extension TypeTable {
  static let coreV1Pod = #"""
    Affinity:
      1:nodeAffinity? NodeAffinity; 2:podAffinity? PodAffinity; 3:podAntiAffinity? PodAntiAffinity
    AppArmorProfile:
      1:type*! string {Localhost,RuntimeDefault,Unconfined}
      2:localhostProfile? string
    Binding @kind "Ties a pod to a node; what a scheduler posts.":
      1:metadata! meta.v1.ObjectMeta; 2:target*! ObjectReference
    Capabilities:
      1:add string[]; 2:drop string[]
    ConfigMapEnvSource:
      1:localObjectReference(inline) LocalObjectReference; 2:optional? bool
    ConfigMapKeySelector @atomic:
      1:localObjectReference(inline) LocalObjectReference; 2:key*! string; 3:optional? bool
    Container "One process image of a pod and its surroundings.":
      1:name*! string "Unique within the pod, a DNS label."
      2:image string "The image to run."
      3:command string[] "Entry point; the image decides when empty."
      4:args string[] "Arguments of the entry point."
      5:workingDir string
      6:ports ContainerPort[] @map(containerPort,protocol) @merge(containerPort) "Ports it listens on."
      7:env EnvVar[] @map(name) @merge(name) "Environment variables."
      8:resources! ResourceRequirements "Compute resources the container needs."
      9:volumeMounts VolumeMount[] @map(mountPath) @merge(mountPath) "Where volumes are mounted."
      10:livenessProbe? Probe "Restart the container when this fails."
      11:readinessProbe? Probe "Send no traffic while this fails."
      12:lifecycle? Lifecycle; 13:terminationMessagePath string =/dev/termination-log
      14:imagePullPolicy string {Always,IfNotPresent,Never} "When to pull the image."
      15:securityContext? SecurityContext; 16:stdin bool; 17:stdinOnce bool; 18:tty bool; 19:envFrom EnvFromSource[]
      20:terminationMessagePolicy string =File {FallbackToLogsOnError,File}
      21:volumeDevices VolumeDevice[] @map(devicePath) @merge(devicePath)
      22:startupProbe? Probe; 23:resizePolicy ContainerResizePolicy[]; 24:restartPolicy? string
    ContainerPort:
      1:name string; 2:hostPort int32; 3:containerPort*! int32; 4:protocol string =TCP {SCTP,TCP,UDP}; 5:hostIP string
    ContainerResizePolicy:
      1:resourceName*! string; 2:restartPolicy*! string
    ContainerState:
      1:waiting? ContainerStateWaiting; 2:running? ContainerStateRunning; 3:terminated? ContainerStateTerminated
    ContainerStateRunning:
      1:startedAt! Time
    ContainerStateTerminated:
      1:exitCode*! int32; 2:signal int32; 3:reason string; 4:message string; 5:startedAt! Time; 6:finishedAt! Time
      7:containerID string
    ContainerStateWaiting:
      1:reason string; 2:message string
    ContainerStatus:
      1:name*! string; 2:state! ContainerState; 3:lastState! ContainerState; 4:ready*! bool; 5:restartCount*! int32
      6:image*! string; 7:imageID*! string; 8:containerID string; 9:started? bool; 10:allocatedResources map<Quantity>
      11:resources? ResourceRequirements
      12:volumeMounts VolumeMountStatus[] @map(mountPath) @merge(mountPath)
      13:user? ContainerUser; 14:allocatedResourcesStatus ResourceStatus[] @map(name) @merge(name)
    ContainerUser:
      1:linux? LinuxContainerUser
    EnvFromSource:
      1:prefix string; 2:configMapRef? ConfigMapEnvSource; 3:secretRef? SecretEnvSource
    EnvVar:
      1:name*! string; 2:value string; 3:valueFrom? EnvVarSource
    EnvVarSource:
      1:fieldRef? ObjectFieldSelector; 2:resourceFieldRef? ResourceFieldSelector
      3:configMapKeyRef? ConfigMapKeySelector; 4:secretKeyRef? SecretKeySelector
    EphemeralContainer "A container added to a running pod, for debugging.":
      1:ephemeralContainerCommon(inline) EphemeralContainerCommon; 2:targetContainerName string
    EphemeralContainerCommon:
      1:name*! string; 2:image string; 3:command string[]; 4:args string[]; 5:workingDir string
      6:ports ContainerPort[] @map(containerPort,protocol) @merge(containerPort)
      7:env EnvVar[] @map(name) @merge(name); 8:resources! ResourceRequirements
      9:volumeMounts VolumeMount[] @map(mountPath) @merge(mountPath)
      10:livenessProbe? Probe; 11:readinessProbe? Probe; 12:lifecycle? Lifecycle
      13:terminationMessagePath string =/dev/termination-log
      14:imagePullPolicy string {Always,IfNotPresent,Never}
      15:securityContext? SecurityContext; 16:stdin bool; 17:stdinOnce bool; 18:tty bool; 19:envFrom EnvFromSource[]
      20:terminationMessagePolicy string =File {FallbackToLogsOnError,File}
      21:volumeDevices VolumeDevice[] @map(devicePath) @merge(devicePath)
      22:startupProbe? Probe; 23:resizePolicy ContainerResizePolicy[]; 24:restartPolicy? string
    ExecAction:
      1:command string[]
    GRPCAction:
      1:port*! int32; 2:service?! string =""
    HTTPGetAction:
      1:path string =/; 2:port*! IntOrString; 3:host string; 4:scheme string =HTTP {HTTP,HTTPS}
      5:httpHeaders HTTPHeader[]
    HTTPHeader:
      1:name*! string; 2:value*! string
    HostAlias:
      1:ip*! string; 2:hostnames string[]
    HostIP:
      1:ip*! string
    Lifecycle:
      1:postStart? LifecycleHandler; 2:preStop? LifecycleHandler
    LifecycleHandler:
      1:exec? ExecAction; 2:httpGet? HTTPGetAction; 3:tcpSocket? TCPSocketAction; 4:sleep? SleepAction
    LinuxContainerUser:
      1:uid*! int64; 2:gid*! int64; 3:supplementalGroups int64[]
    NodeAffinity:
      1:requiredDuringSchedulingIgnoredDuringExecution? NodeSelector
      2:preferredDuringSchedulingIgnoredDuringExecution PreferredSchedulingTerm[]
    NodeSelector @atomic:
      1:nodeSelectorTerms*! NodeSelectorTerm[]
    NodeSelectorRequirement:
      1:key*! string
      2:operator*! string {DoesNotExist,Exists,Gt,In,Lt,NotIn}
      3:values string[]
    NodeSelectorTerm @atomic:
      1:matchExpressions NodeSelectorRequirement[]; 2:matchFields NodeSelectorRequirement[]
    ObjectFieldSelector @atomic:
      1:apiVersion string =v1; 2:fieldPath*! string
    Pod @kind "A group of containers that run together on one node.":
      1:metadata! meta.v1.ObjectMeta
      2:spec! PodSpec "Desired behaviour of the pod."
      3:status! PodStatus "Most recently observed state."
    PodAffinity:
      1:requiredDuringSchedulingIgnoredDuringExecution PodAffinityTerm[]
      2:preferredDuringSchedulingIgnoredDuringExecution WeightedPodAffinityTerm[]
    PodAffinityTerm:
      1:labelSelector? meta.v1.LabelSelector; 2:namespaces string[]; 3:topologyKey*! string
      4:namespaceSelector? meta.v1.LabelSelector; 5:matchLabelKeys string[]; 6:mismatchLabelKeys string[]
    PodAntiAffinity:
      1:requiredDuringSchedulingIgnoredDuringExecution PodAffinityTerm[]
      2:preferredDuringSchedulingIgnoredDuringExecution WeightedPodAffinityTerm[]
    PodAttachOptions @kind:
      1:stdin bool; 2:stdout bool =true; 3:stderr bool =true; 4:tty bool; 5:container string
    PodCondition:
      1:type*! string; 2:status*! string; 3:lastProbeTime! Time; 4:lastTransitionTime! Time; 5:reason string
      6:message string
    PodDNSConfig:
      1:nameservers string[] @atomic; 2:searches string[] @atomic; 3:options PodDNSConfigOption[]
    PodDNSConfigOption:
      1:name string; 2:value? string
    PodExecOptions @kind:
      1:stdin bool; 2:stdout bool =true; 3:stderr bool =true; 4:tty bool; 5:container string; 6:command! string[]
    PodIP:
      1:ip*! string
    PodLogOptions @kind:
      1:container string; 2:follow bool; 3:previous bool; 4:sinceSeconds? int64; 5:sinceTime? Time; 6:timestamps bool
      7:tailLines? int64; 8:limitBytes? int64; 9:insecureSkipTLSVerifyBackend bool; 10:stream? string
    PodOS:
      1:name*! string
    PodPortForwardOptions @kind:
      1:ports int32[]
    PodProxyOptions @kind:
      1:path string
    PodReadinessGate:
      1:conditionType*! string
    PodResourceClaim:
      1:name*! string; 3:resourceClaimName? string; 4:resourceClaimTemplateName? string
    PodResourceClaimStatus:
      1:name*! string; 2:resourceClaimName? string
    PodSchedulingGate:
      1:name*! string
    PodSecurityContext "Privileges of all containers of a pod.":
      1:seLinuxOptions? SELinuxOptions; 2:runAsUser? int64; 3:runAsNonRoot? bool; 4:supplementalGroups int64[]
      5:fsGroup? int64; 6:runAsGroup? int64; 7:sysctls Sysctl[]; 8:windowsOptions? WindowsSecurityContextOptions
      9:fsGroupChangePolicy? string; 10:seccompProfile? SeccompProfile; 11:appArmorProfile? AppArmorProfile
      12:supplementalGroupsPolicy? string; 13:seLinuxChangePolicy? string
    PodSpec "What should run in a pod, and how.":
      1:volumes Volume[] @map(name) @merge(name) @retainKeys "Volumes that containers of the pod may mount."
      2:containers*! Container[] @map(name) @merge(name) "At least one; cannot be added or removed later."
      3:restartPolicy string =Always {Always,Never,OnFailure} "When containers are started again."
      4:terminationGracePeriodSeconds? int64 =30 "Seconds the processes get to end on their own."
      5:activeDeadlineSeconds? int64 "Seconds the pod may be active before it is failed."
      6:dnsPolicy string =ClusterFirst {ClusterFirst,ClusterFirstWithHostNet,Default,None}
      7:nodeSelector map<string> @atomic "Labels a node must have for the pod to fit on it."
      8:serviceAccountName string "The service account the pod runs as."
      9:serviceAccount string
      10:nodeName string "The node the pod is bound to; empty until scheduled."
      11:hostNetwork bool "Use the network of the node."
      12:hostPID bool; 13:hostIPC bool; 14:securityContext? PodSecurityContext ={}
      15:imagePullSecrets LocalObjectReference[] @map(name) @merge(name); 16:hostname string; 17:subdomain string
      18:affinity? Affinity "Constraints and preferences for scheduling."
      19:schedulerName string =default-scheduler "Which scheduler places the pod."
      20:initContainers Container[] @map(name) @merge(name) "Run to completion, in order, before the others."
      21:automountServiceAccountToken? bool
      22:tolerations Toleration[] "Taints of nodes that the pod bears."
      23:hostAliases HostAlias[] @map(ip) @merge(ip)
      24:priorityClassName string "Name of the priority class."
      25:priority? int32; 26:dnsConfig? PodDNSConfig; 27:shareProcessNamespace? bool
      28:readinessGates PodReadinessGate[]; 29:runtimeClassName? string; 30:enableServiceLinks? bool
      31:preemptionPolicy? string {Never,PreemptLowerPriority}
      32:overhead map<Quantity>
      33:topologySpreadConstraints TopologySpreadConstraint[] @map(topologyKey,whenUnsatisfiable) @merge(topologyKey)
      34:ephemeralContainers EphemeralContainer[] @map(name) @merge(name); 35:setHostnameAsFQDN? bool; 36:os? PodOS
      37:hostUsers? bool; 38:schedulingGates PodSchedulingGate[] @map(name) @merge(name)
      39:resourceClaims PodResourceClaim[] @map(name) @merge(name) @retainKeys
      40:resources? ResourceRequirements
    PodStatus "What is known of a pod; may trail the truth.":
      1:phase string {Failed,Pending,Running,Succeeded,Unknown}
      2:conditions PodCondition[] @map(type) @merge(type); 3:message string; 4:reason string; 5:hostIP string
      6:podIP string; 7:startTime? Time; 8:containerStatuses ContainerStatus[]
      9:qosClass string {BestEffort,Burstable,Guaranteed}
      10:initContainerStatuses ContainerStatus[]; 11:nominatedNodeName string; 12:podIPs PodIP[] @map(ip) @merge(ip)
      13:ephemeralContainerStatuses ContainerStatus[]; 14:resize string
      15:resourceClaimStatuses PodResourceClaimStatus[] @map(name) @merge(name) @retainKeys
      16:hostIPs HostIP[] @atomic @merge(ip)
    PodTemplate @kind "A template from which pods are made.":
      1:metadata! meta.v1.ObjectMeta; 2:template! PodTemplateSpec
    PodTemplateSpec "Metadata and spec of the pods to make.":
      1:metadata! meta.v1.ObjectMeta; 2:spec! PodSpec
    PreferredSchedulingTerm:
      1:weight*! int32; 2:preference*! NodeSelectorTerm
    Probe "A check of a container, run periodically by the kubelet.":
      1:handler(inline) ProbeHandler; 2:initialDelaySeconds int32; 3:timeoutSeconds int32 =1
      4:periodSeconds int32 =10; 5:successThreshold int32 =1; 6:failureThreshold int32 =3
      7:terminationGracePeriodSeconds? int64
    ProbeHandler:
      1:exec? ExecAction; 2:httpGet? HTTPGetAction; 3:tcpSocket? TCPSocketAction; 4:grpc? GRPCAction
    ResourceClaim:
      1:name*! string; 2:request string
    ResourceFieldSelector @atomic:
      1:containerName string; 2:resource*! string; 3:divisor! Quantity
    ResourceHealth:
      1:resourceID*! string; 2:health string
    ResourceRequirements "Compute resources a container asks for and may use.":
      1:limits map<Quantity>; 2:requests map<Quantity>; 3:claims ResourceClaim[] @map(name)
    ResourceStatus:
      1:name*! string; 2:resources ResourceHealth[] @map(resourceID)
    SELinuxOptions:
      1:user string; 2:role string; 3:type string; 4:level string
    SeccompProfile:
      1:type*! string {Localhost,RuntimeDefault,Unconfined}
      2:localhostProfile? string
    SecretEnvSource:
      1:localObjectReference(inline) LocalObjectReference; 2:optional? bool
    SecretKeySelector @atomic:
      1:localObjectReference(inline) LocalObjectReference; 2:key*! string; 3:optional? bool
    SecurityContext "Privileges of one container.":
      1:capabilities? Capabilities; 2:privileged? bool; 3:seLinuxOptions? SELinuxOptions; 4:runAsUser? int64
      5:runAsNonRoot? bool; 6:readOnlyRootFilesystem? bool; 7:allowPrivilegeEscalation? bool; 8:runAsGroup? int64
      9:procMount? string; 10:windowsOptions? WindowsSecurityContextOptions; 11:seccompProfile? SeccompProfile
      12:appArmorProfile? AppArmorProfile
    SleepAction:
      1:seconds*! int64
    Sysctl:
      1:name*! string; 2:value*! string
    TCPSocketAction:
      1:port*! IntOrString; 2:host string
    Toleration:
      1:key string; 2:operator string {Equal,Exists}; 3:value string
      4:effect string {NoExecute,NoSchedule,PreferNoSchedule}
      5:tolerationSeconds? int64
    TopologySpreadConstraint:
      1:maxSkew*! int32; 2:topologyKey*! string
      3:whenUnsatisfiable*! string {DoNotSchedule,ScheduleAnyway}
      4:labelSelector? meta.v1.LabelSelector; 5:minDomains? int32; 6:nodeAffinityPolicy? string
      7:nodeTaintsPolicy? string; 8:matchLabelKeys string[] @atomic
    WeightedPodAffinityTerm:
      1:weight*! int32; 2:podAffinityTerm*! PodAffinityTerm
    WindowsSecurityContextOptions:
      1:gmsaCredentialSpecName? string; 2:gmsaCredentialSpec? string; 3:runAsUserName? string; 4:hostProcess? bool
    """#
}
