// Nodes, services, networking, quotas, events, leases.

extension FieldDescriptions {
  static let cluster = #"""
    ClientIPConfig: How long a client stays with its server.
    error: What went wrong.
    sizeBytes: How large it is.
    names: Its names.
    DaemonEndpoint.Port: The port.
    targetRef: The object behind it.
    notReadyAddresses: Addresses of pods that are not ready.
    subsets: Addresses and the ports they have in common.
    firstTimestamp: When it was first seen.
    lastTimestamp: When it was last seen.
    eventTime: When it was first seen, to the microsecond.
    series: How it repeats.
    regarding: What it is about.
    related: Another object that has to do with it.
    involvedObject: What it is about.
    reportingComponent: Who reports it.
    reportingController: Who reports it.
    reportingInstance: Which instance reports it.
    note: What happened, in words for people.
    lastObservedTime: When it was last seen.
    component: Who saw it.
    deprecatedSource: Where older clients find who saw it.
    deprecatedFirstTimestamp: Where older clients find when it was first seen.
    deprecatedLastTimestamp: Where older clients find when it was last seen.
    deprecatedCount: Where older clients find how often it was seen.
    max: The most.
    min: The least.
    default: The limit of what names none.
    defaultRequest: The request of what names none.
    maxLimitRequestRatio: By how many times a limit may exceed its request.
    LimitRangeSpec.limits: The bounds, one entry a type.
    ingress: Where traffic comes in.
    ipMode: Whether traffic reaches the node with this address: VIP or Proxy.
    address: The address.
    kubeletConfigKey: The key with the configuration.
    configSource: No longer used.
    assigned: What is to be used.
    lastKnownGood: What worked before.
    kubeletEndpoint: Where the kubelet listens.
    daemonEndpoints: Where the node's daemons listen.
    podCIDR: The network of the node's pods.
    podCIDRs: The networks of the node's pods, one a family.
    externalID: No longer used.
    providerID: The node's identity at the provider.
    unschedulable: Whether new pods stay away.
    taints: What keeps pods away that do not tolerate it.
    timeAdded: Since when.
    nodeInfo: What the node runs.
    images: Images on the node.
    volumesInUse: Volumes that are mounted.
    volumesAttached: Volumes that are attached.
    config: No longer used.
    runtimeHandlers: How containers can be run.
    features: What it can do.
    recursiveReadOnlyMounts: Whether recursive read-only mounts work.
    userNamespaces: Whether pods can have users of their own.
    machineID: The machine's identity.
    systemUUID: The system's identity.
    bootID: Changes with every boot.
    kernelVersion: The kernel.
    osImage: The operating system.
    containerRuntimeVersion: The container runtime.
    kubeletVersion: The kubelet.
    kubeProxyVersion: No longer set.
    operatingSystem: linux or windows.
    architecture: amd64, arm64, …
    hard: The most that may be used of each resource.
    used: What is used of each resource.
    scopes: Which objects count.
    scopeSelector: Which objects count, by expressions.
    scopeName: What is looked at.
    secrets: Secrets of the account.
    nodePort: The port on every node.
    targetPort: The port of the pods, by number or name.
    clusterIP: The address within the cluster; None for none.
    clusterIPs: The addresses within the cluster, one a family.
    externalIPs: Further addresses it answers to.
    sessionAffinity: ClientIP keeps a client at its pod.
    sessionAffinityConfig: How long.
    clientIP: By the client's address.
    loadBalancer: What a load balancer has set up.
    loadBalancerIP: Deprecated.
    loadBalancerClass: Who sets up the load balancer.
    loadBalancerSourceRanges: Networks whose clients are let in.
    allocateLoadBalancerNodePorts: Whether node ports are set aside for the load balancer.
    externalName: The name it stands for.
    externalTrafficPolicy: Cluster, or Local to keep traffic on the node it reached.
    internalTrafficPolicy: Cluster, or Local to keep traffic on its node.
    trafficDistribution: Which endpoints are preferred.
    healthCheckNodePort: Where load balancers ask whether the node has endpoints.
    publishNotReadyAddresses: Whether pods count that are not ready.
    ipFamilies: IPv4, IPv6 or both.
    ipFamilyPolicy: SingleStack, PreferDualStack or RequireDualStack.
    matchLabelExpressions: Requirements that all must hold.
    serving: Whether it answers.
    deprecatedTopology: Where older clients find the topology.
    hints: For whom it is meant.
    forZones: Zones that should use it.
    addressType: IPv4, IPv6 or FQDN.
    Endpoint: Addresses of one pod or other backend.
    holderIdentity: Who holds it.
    acquireTime: Since when it is held.
    renewTime: When it was renewed last.
    leaseDurationSeconds: For how long it holds without being renewed.
    leaseTransitions: How often it changed hands.
    strategy: How it is done.
    preferredHolder: Who should hold it.
    backend: Where it goes.
    pathType: Exact, Prefix or ImplementationSpecific.
    paths: The paths.
    cidr: The network.
    except: Parts of the network that do not count.
    controller: Who is in charge.
    ingressRuleValue: What is done.
    http: Where paths lead.
    defaultBackend: Where everything else goes.
    tls: Certificates by host.
    hosts: The hosts.
    ingressClassName: Who serves it, by class.
    number: The number.
    egress: What its pods may reach.
    from: From where; everywhere when empty.
    to: To where; everywhere when empty.
    endPort: The last port of a range.
    podSelector: Which pods.
    ipBlock: Which addresses.
    policyTypes: Ingress, Egress or both.
    podFixed: What a pod costs beside its containers.
    scheduling: Which nodes can run it.
    nodeSelector: Which nodes, by their labels.
    RuntimeClass.handler: The runtime's name on the node.
    globalDefault: Whether it applies to pods that name none.
    description: What it is for.
    """#
}
