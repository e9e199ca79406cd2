// The types of core/v1 beside pods and storage. Notation: TypeTable.

extension TypeTable {
  static let coreV1 = #"""
    AttachedVolume:
      1:name*! string; 2:devicePath*! string
    ClientIPConfig:
      1:timeoutSeconds? int32
    ComponentCondition:
      1:type*! string; 2:status*! string; 3:message string; 4:error string
    ComponentStatus @kind "Health of a component of the control plane. Deprecated.":
      1:metadata! meta.v1.ObjectMeta; 2:conditions ComponentCondition[] @map(type) @merge(type)
    ConfigMap @kind "Configuration data for pods to consume.":
      1:metadata! meta.v1.ObjectMeta
      2:data map<string> "Text by key."
      3:binaryData map<bytes> "Bytes by key."
      4:immutable? bool "Forbid changes of the data."
    ConfigMapNodeConfigSource:
      1:namespace*! string; 2:name*! string; 3:uid string; 4:resourceVersion string; 5:kubeletConfigKey*! string
    ContainerImage:
      1:names! string[]; 2:sizeBytes int64
    DaemonEndpoint:
      1:Port*! int32
    EndpointAddress @atomic:
      1:ip*! string; 2:targetRef? ObjectReference; 3:hostname string; 4:nodeName? string
    EndpointPort @atomic:
      1:name string; 2:port*! int32; 3:protocol string =TCP {SCTP,TCP,UDP}; 4:appProtocol? string
    EndpointSubset:
      1:addresses EndpointAddress[]; 2:notReadyAddresses EndpointAddress[]; 3:ports EndpointPort[]
    Endpoints @kind "The addresses that implement a service.":
      1:metadata! meta.v1.ObjectMeta; 2:subsets EndpointSubset[]
    Event @kind "A report of something that happened in the cluster. Kept for an hour.":
      1:metadata*! meta.v1.ObjectMeta
      2:involvedObject*! ObjectReference "What the event is about."
      3:reason string "Short, machine-readable cause."
      4:message string "What happened, for people."
      5:source! EventSource; 6:firstTimestamp! Time; 7:lastTimestamp! Time
      8:count int32 "How often it happened."
      9:type string "Normal or Warning."
      10:eventTime! MicroTime; 11:series? EventSeries; 12:action string; 13:related? ObjectReference
      14:reportingComponent! string; 15:reportingInstance! string
    EventSeries:
      1:count int32; 2:lastObservedTime! MicroTime
    EventSource:
      1:component string; 2:host string
    LimitRange @kind "Limits and defaults for the resources of each object of a namespace.":
      1:metadata! meta.v1.ObjectMeta; 2:spec! LimitRangeSpec
    LimitRangeItem:
      1:type*! string; 2:max map<Quantity>; 3:min map<Quantity>; 4:default map<Quantity>
      5:defaultRequest map<Quantity>; 6:maxLimitRequestRatio map<Quantity>
    LimitRangeSpec:
      1:limits*! LimitRangeItem[]
    LoadBalancerIngress:
      1:ip string; 2:hostname string; 3:ipMode? string; 4:ports PortStatus[]
    LoadBalancerStatus:
      1:ingress LoadBalancerIngress[] @atomic
    LocalObjectReference @atomic:
      1:name string
    Namespace @kind "A scope for names, quota and access.":
      1:metadata! meta.v1.ObjectMeta
      2:spec! NamespaceSpec "Finalizers of the namespace."
      3:status! NamespaceStatus ={} "Phase and conditions."
    NamespaceCondition:
      1:type*! string; 2:status*! string; 4:lastTransitionTime! Time; 5:reason string; 6:message string
    NamespaceSpec:
      1:finalizers string[] @atomic
    NamespaceStatus:
      1:phase string =Active {Active,Terminating}
      2:conditions NamespaceCondition[] @map(type) @merge(type)
    Node @kind "A worker machine of the cluster.":
      1:metadata! meta.v1.ObjectMeta
      2:spec! NodeSpec "What the node is given."
      3:status! NodeStatus "Most recently reported state."
    NodeAddress:
      1:type*! string; 2:address*! string
    NodeCondition:
      1:type*! string; 2:status*! string; 3:lastHeartbeatTime! Time; 4:lastTransitionTime! Time; 5:reason string
      6:message string
    NodeConfigSource:
      2:configMap? ConfigMapNodeConfigSource
    NodeConfigStatus:
      1:assigned? NodeConfigSource; 2:active? NodeConfigSource; 3:lastKnownGood? NodeConfigSource; 4:error string
    NodeDaemonEndpoints:
      1:kubeletEndpoint! DaemonEndpoint
    NodeFeatures:
      1:supplementalGroupsPolicy? bool
    NodeProxyOptions @kind:
      1:path string
    NodeRuntimeHandler:
      1:name! string; 2:features? NodeRuntimeHandlerFeatures
    NodeRuntimeHandlerFeatures:
      1:recursiveReadOnlyMounts? bool; 2:userNamespaces? bool
    NodeSpec "What a node is given.":
      1:podCIDR string; 2:externalID string; 3:providerID string; 4:unschedulable bool; 5:taints Taint[]
      6:configSource? NodeConfigSource; 7:podCIDRs string[] @set @merge
    NodeStatus "What a node reports.":
      1:capacity map<Quantity>; 2:allocatable map<Quantity>; 3:phase string
      4:conditions NodeCondition[] @map(type) @merge(type); 5:addresses NodeAddress[] @map(type) @merge(type)
      6:daemonEndpoints! NodeDaemonEndpoints; 7:nodeInfo! NodeSystemInfo; 8:images ContainerImage[]
      9:volumesInUse string[]; 10:volumesAttached AttachedVolume[]; 11:config? NodeConfigStatus
      12:runtimeHandlers NodeRuntimeHandler[]; 13:features? NodeFeatures
    NodeSystemInfo:
      1:machineID*! string; 2:systemUUID*! string; 3:bootID*! string; 4:kernelVersion*! string; 5:osImage*! string
      6:containerRuntimeVersion*! string; 7:kubeletVersion*! string; 8:kubeProxyVersion*! string
      9:operatingSystem*! string; 10:architecture*! string
    ObjectReference @atomic:
      1:kind string; 2:namespace string; 3:name string; 4:uid string; 5:apiVersion string; 6:resourceVersion string
      7:fieldPath string
    PortStatus:
      1:port*! int32; 2:protocol*! string; 3:error? string
    ReplicationController @kind "Keeps a given number of pods running. Deployments succeed it.":
      1:metadata! meta.v1.ObjectMeta
      2:spec! ReplicationControllerSpec "Desired behaviour."
      3:status! ReplicationControllerStatus "Most recently observed state."
    ReplicationControllerCondition:
      1:type*! string; 2:status*! string; 3:lastTransitionTime! Time; 4:reason string; 5:message string
    ReplicationControllerSpec:
      1:replicas? int32 =1 "Number of pods wanted."
      2:selector map<string> @atomic "Labels of the pods to count."
      3:template? PodTemplateSpec "What to make pods from."
      4:minReadySeconds int32
    ReplicationControllerStatus:
      1:replicas*! int32; 2:fullyLabeledReplicas int32; 3:observedGeneration int64; 4:readyReplicas int32
      5:availableReplicas int32; 6:conditions ReplicationControllerCondition[] @map(type) @merge(type)
    ResourceQuota @kind "A ceiling on the total consumption of a namespace.":
      1:metadata! meta.v1.ObjectMeta; 2:spec! ResourceQuotaSpec; 3:status! ResourceQuotaStatus
    ResourceQuotaSpec:
      1:hard map<Quantity>; 2:scopes string[]; 3:scopeSelector? ScopeSelector
    ResourceQuotaStatus:
      1:hard map<Quantity>; 2:used map<Quantity>
    ScopeSelector @atomic:
      1:matchExpressions ScopedResourceSelectorRequirement[]
    ScopedResourceSelectorRequirement:
      1:scopeName*! string; 2:operator*! string; 3:values string[]
    Secret @kind "Sensitive data: passwords, tokens, keys.":
      1:metadata! meta.v1.ObjectMeta
      2:data map<bytes> "Bytes by key, base64 in JSON."
      3:type string =Opaque "What the data is for; immutable."
      4:stringData map<string> "Text by key, write only: merged into data."
      5:immutable? bool "Forbid changes of the data."
    Service @kind "A stable name and address for a changing set of pods.":
      1:metadata! meta.v1.ObjectMeta
      2:spec! ServiceSpec "Desired behaviour of the service."
      3:status! ServiceStatus "Most recently observed state."
    ServiceAccount @kind "An identity for processes in pods.":
      1:metadata! meta.v1.ObjectMeta; 2:secrets ObjectReference[] @map(name) @merge(name)
      3:imagePullSecrets LocalObjectReference[]; 4:automountServiceAccountToken? bool
    ServicePort:
      1:name string; 2:protocol string =TCP {SCTP,TCP,UDP}; 3:port*! int32; 4:targetPort! IntOrString
      5:nodePort int32; 6:appProtocol? string
    ServiceProxyOptions @kind:
      1:path string
    ServiceSpec "How a service is reached and which pods it selects.":
      1:ports ServicePort[] @map(port,protocol) @merge(port) "The ports the service exposes."
      2:selector map<string> @atomic "Labels of the pods behind the service."
      3:clusterIP string "Virtual address; None for a headless service."
      4:type string =ClusterIP {ClusterIP,ExternalName,LoadBalancer,NodePort} "How the service is exposed."
      5:externalIPs string[]; 7:sessionAffinity string =None {ClientIP,None}; 8:loadBalancerIP string
      9:loadBalancerSourceRanges string[]; 10:externalName string; 11:externalTrafficPolicy string {Cluster,Local}
      12:healthCheckNodePort int32; 13:publishNotReadyAddresses bool; 14:sessionAffinityConfig? SessionAffinityConfig
      17:ipFamilyPolicy? string {PreferDualStack,RequireDualStack,SingleStack}
      18:clusterIPs string[]; 19:ipFamilies string[]; 20:allocateLoadBalancerNodePorts? bool
      21:loadBalancerClass? string; 22:internalTrafficPolicy? string {Cluster,Local}; 23:trafficDistribution? string
    ServiceStatus:
      1:loadBalancer! LoadBalancerStatus; 2:conditions meta.v1.Condition[] @map(type) @merge(type)
    SessionAffinityConfig:
      1:clientIP? ClientIPConfig
    Taint:
      1:key*! string; 2:value string
      3:effect*! string {NoExecute,NoSchedule,PreferNoSchedule}
      4:timeAdded? Time
    TopologySelectorLabelRequirement:
      1:key*! string; 2:values*! string[]
    TopologySelectorTerm @atomic:
      1:matchLabelExpressions TopologySelectorLabelRequirement[]
    TypedLocalObjectReference @atomic:
      1:apiGroup?! string; 2:kind*! string; 3:name*! string
    """#
}
