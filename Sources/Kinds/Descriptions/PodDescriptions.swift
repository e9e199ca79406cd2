// Pods: containers, probes, security, scheduling.

extension FieldDescriptions {
  static let pods = #"""
    Affinity: Which nodes and which neighbours a pod wants.
    nodeAffinity: Which nodes, by their labels.
    podAffinity: Near which pods.
    podAntiAffinity: Away from which pods.
    requiredDuringSchedulingIgnoredDuringExecution: What must hold when the pod is placed.
    preferredDuringSchedulingIgnoredDuringExecution: What should hold when the pod is placed, each with a weight.
    nodeSelectorTerms: Terms of which one must hold.
    matchFields: Requirements on the node's fields that all must hold.
    preference: What is preferred.
    podAffinityTerm: What is preferred.
    topologyKey: The node label whose equal values mean the same place.
    namespaces: In which namespaces.
    matchLabelKeys: Labels of the pod itself that the others must share.
    mismatchLabelKeys: Labels of the pod itself that the others must not share.
    AppArmorProfile: The AppArmor profile of a container.
    localhostProfile: A profile on the node, by its path below the kubelet's folder.
    Binding.target: The node.
    Capabilities: POSIX capabilities beside those that are given by default.
    add: Those that are given.
    drop: Those that are taken away.
    ConfigMapEnvSource: All keys of a config map as variables.
    ConfigMapKeySelector: One key of a config map.
    SecretEnvSource: All keys of a secret as variables.
    SecretKeySelector: One key of a secret.
    workingDir: The folder the container starts in.
    command: The program and its arguments, in place of the image's entry point.
    args: Arguments, in place of the image's.
    lifecycle: What is done after the start and before the end.
    postStart: Done right after the start.
    preStop: Done before the end.
    stopSignal: The signal that asks the container to end.
    terminationMessagePath: The file whose content becomes the message of the end.
    terminationMessagePolicy: Whether the log is used where that file is empty.
    securityContext: Rights and restrictions.
    stdin: Whether there is a standard input.
    stdinOnce: Whether it closes when the first client leaves.
    stdout: Whether standard output is wanted.
    stderr: Whether standard error is wanted.
    tty: Whether there is a terminal.
    env: Environment variables.
    envFrom: Sources of many environment variables.
    prefix: What stands before each key.
    valueFrom: Where the value comes from.
    fieldRef: A field of the pod.
    resourceFieldRef: A limit or request of a container.
    configMapRef: A config map.
    secretRef: A secret.
    configMapKeyRef: A key of a config map.
    secretKeyRef: A key of a secret.
    containerName: The container.
    container: The container.
    divisor: The unit in which the value is given.
    volumeDevices: Block devices of the container.
    volumeMounts: Volumes of the container.
    startupProbe: Must succeed before the other probes begin.
    livenessProbe: When it fails, the container is started anew.
    readinessProbe: While it fails, the pod gets no traffic.
    resizePolicy: Whether a change of resources restarts the container.
    restartPolicy: When a container that has ended is started again.
    ContainerPort: A port that the container listens on.
    containerPort: The port in the container.
    hostPort: The port on the node.
    hostIP: The address of the node.
    resourceName: The resource.
    ContainerState: One of waiting, running or terminated.
    waiting: It has not started yet.
    running: It runs.
    terminated: It has ended.
    startedAt: When it started.
    finishedAt: When it ended.
    exitCode: What it ended with.
    signal: The signal it ended by.
    containerID: The container's name at the runtime.
    ContainerStatus: What became of one container.
    state: As it is now.
    lastState: As it was before.
    ready: Whether it is ready.
    restartCount: How often it was started again.
    image: The image.
    imageID: The image that runs, by its content.
    imagePullPolicy: When the image is fetched.
    started: Whether the startup probe has succeeded.
    allocatedResources: What the node has set aside.
    allocatedResourcesStatus: The health of what was set aside.
    volumeMountStatus: How volumes are mounted.
    EphemeralContainer: A container added to a running pod, to look at it.
    targetContainerName: The container whose processes it can see.
    ephemeralContainers: Containers added to look at the pod while it runs.
    exec: A command in the container; exit code 0 is success.
    httpGet: An HTTP request; 2xx and 3xx are success.
    tcpSocket: A connection to a port.
    grpc: A gRPC health check.
    sleep: A pause.
    scheme: HTTP or HTTPS.
    httpHeaders: Further headers of the request.
    service: The service.
    handler: What is done.
    initialDelaySeconds: Seconds from the start to the first probe.
    periodSeconds: Seconds from one probe to the next.
    successThreshold: Successes in a row after which it counts as succeeding.
    failureThreshold: Failures in a row after which it counts as failing.
    terminationGracePeriodSeconds: Seconds to end in before it is killed.
    HostAlias: A line of the hosts file.
    hostnames: Names of the address.
    hostAliases: Lines for the hosts file.
    nameservers: Addresses of DNS servers.
    searches: Domains that names are looked up in.
    options: Options by name.
    dnsPolicy: Where names are looked up.
    dnsConfig: Further settings of the resolver.
    serviceAccount: Deprecated; use serviceAccountName.
    serviceAccountName: The account the pod acts as.
    automountServiceAccountToken: Whether the account's token is mounted.
    hostNetwork: Whether it uses the node's network.
    hostPID: Whether it sees the node's processes.
    hostIPC: Whether it shares the node's IPC.
    hostUsers: Whether it uses the node's users; false gives it its own.
    shareProcessNamespace: Whether its containers see one another's processes.
    imagePullSecrets: Secrets for fetching images.
    subdomain: The domain of its name within the cluster.
    setHostnameAsFQDN: Whether its host name is the full one.
    schedulerName: Who places it.
    priority: Its priority; set from priorityClassName.
    priorityClassName: Its priority, by name.
    preemptionPolicy: Whether pods of lower priority may be ended for it.
    readinessGates: Conditions that must be true for it to be ready.
    conditionType: The type of the condition.
    runtimeClassName: How its containers are run.
    enableServiceLinks: Whether services appear as environment variables.
    overhead: What running it costs beside its containers.
    tolerations: Taints that do not keep it away.
    topologySpreadConstraints: How pods are spread over places.
    os: Its operating system.
    schedulingGates: While there is one, it is not placed.
    resourceClaims: Claims of devices.
    resourceClaimName: The claim.
    resourceClaimTemplateName: What a claim is made from.
    claims: Claims the container uses.
    request: What is asked for.
    activeDeadlineSeconds: Seconds after which it is ended.
    podIP: Its address.
    podIPs: Its addresses, one a family.
    hostIPs: Addresses of its node.
    startTime: When its node began to run it.
    containerStatuses: What became of its containers.
    initContainerStatuses: What became of its init containers.
    ephemeralContainerStatuses: What became of its ephemeral containers.
    resourceClaimStatuses: Claims that were made for it.
    qosClass: Guaranteed, Burstable or BestEffort.
    nominatedNodeName: The node on which room is being made for it.
    resize: How far a change of its resources has come.
    seLinuxOptions: The SELinux label.
    seLinuxChangePolicy: How volumes get their SELinux label.
    windowsOptions: Settings for Windows.
    runAsUser: The user id of its processes.
    runAsGroup: The group id of its processes.
    runAsNonRoot: Whether it is refused where it would run as root.
    supplementalGroups: Further groups of its processes.
    supplementalGroupsPolicy: Whether the image's groups are added.
    fsGroup: The group that owns its volumes.
    fsGroupChangePolicy: When ownership of volumes is changed.
    sysctls: Kernel parameters.
    seccompProfile: Which system calls are allowed.
    appArmorProfile: The AppArmor profile.
    privileged: Whether it has all rights of the node.
    procMount: How /proc is mounted.
    readOnlyRootFilesystem: Whether its root file system is read-only.
    allowPrivilegeEscalation: Whether a process may gain more rights than its parent.
    capabilities: POSIX capabilities.
    gmsaCredentialSpecName: The name of the GMSA credentials.
    gmsaCredentialSpec: The GMSA credentials.
    runAsUserName: The Windows user.
    hostProcess: Whether it runs as a process of the host.
    role: The SELinux role.
    level: The SELinux level.
    seconds: How many seconds.
    Toleration: A taint that does not keep the pod away.
    effect: NoSchedule, PreferNoSchedule or NoExecute.
    tolerationSeconds: Seconds it may stay under NoExecute; forever when absent.
    TopologySpreadConstraint: How evenly pods are spread over places.
    maxSkew: By how many pods places may differ.
    whenUnsatisfiable: Whether a pod that would break it waits or goes anyway.
    minDomains: How many places there should be.
    nodeAffinityPolicy: Whether nodes the pod cannot use count.
    nodeTaintsPolicy: Whether tainted nodes count.
    follow: Whether the log is followed.
    previous: Whether it is the log of the container before.
    sinceSeconds: How many seconds back.
    sinceTime: Since when.
    timestamps: Whether lines carry their time.
    tailLines: How many lines from the end.
    limitBytes: At most so many bytes.
    insecureSkipTLSVerifyBackend: Whether the kubelet's certificate goes unchecked.
    stream: All, Stdout or Stderr.
    resourceID: The device.
    health: Healthy, Unhealthy or Unknown.
    Sysctl: A kernel parameter.
    PodIP: An address of a pod.
    LifecycleHandler: What is done at a point of a container's life.
    ExecAction: A command.
    HTTPGetAction: An HTTP request.
    TCPSocketAction: A connection.
    linux: On Linux.
    gid: The group id.
    GRPCAction: A gRPC health check.
    """#
}
