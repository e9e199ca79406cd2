// Fields that mean the same wherever they stand.

extension FieldDescriptions {
  static let common = #"""
    metadata: Standard metadata of the object.
    spec: What is wanted.
    status: What is, as last observed; written by the system.
    conditions: Aspects of the state, one entry a type.
    type: Which of the possible kinds this is.
    reason: Why, in one CamelCase word for programs.
    message: Why, in words for people.
    lastTransitionTime: When the status of the condition changed last.
    lastUpdateTime: When the condition was written last.
    lastProbeTime: When the condition was last looked at.
    lastHeartbeatTime: When the condition was last confirmed.
    observedGeneration: The generation of the spec that this status answers to.
    name: Its name.
    namespace: Its namespace.
    kind: The kind of the object.
    apiVersion: Group and version of the object.
    apiGroup: The API group; empty for the core group.
    apiGroups: API groups; "" is the core group, * all.
    apiVersions: Versions; * all.
    group: The API group.
    version: The version.
    resource: The resource, plural and in lower case.
    resources: Resources, plural and in lower case; * all.
    resourceNames: Names the rule is limited to; empty for all.
    resourceVersion: The version of the object, or of the list.
    uid: Unique identity of the object.
    selfLink: No longer set.
    selector: Which objects, by their labels.
    matchLabels: Labels and values that all must be there.
    matchExpressions: Requirements that all must hold.
    key: The key.
    value: The value.
    values: The values; none for Exists and DoesNotExist.
    operator: How key and values relate.
    labelSelector: Which objects, by their labels.
    namespaceSelector: Which namespaces, by their labels.
    objectSelector: Which objects, by their labels.
    verb: What is to be done, such as get, list or create; * is everything.
    verbs: What may be done, such as get, list or create; * is everything.
    nonResourceURLs: Paths that are no resources, such as /healthz; a final * matches the rest.
    subresource: The part of the resource, such as status or log.
    path: The path.
    port: The port.
    host: The host.
    hostname: The name of the host.
    ip: An IP address.
    protocol: TCP, UDP or SCTP.
    appProtocol: What is spoken on the port, such as http or kubernetes.io/h2c.
    optional: Whether it may be missing.
    readOnly: Whether writing is refused.
    items: Which keys, and the files they become; all keys when empty.
    mode: Permissions of the file, such as 0644.
    defaultMode: Permissions of files that name none, such as 0644.
    localObjectReference: The object, by its name in the same namespace.
    replicas: How many copies.
    readyReplicas: Pods that are ready.
    availableReplicas: Pods that have been ready for minReadySeconds.
    updatedReplicas: Pods made from the newest template.
    unavailableReplicas: Pods that are still missing.
    fullyLabeledReplicas: Pods that carry every label of the template.
    currentReplicas: Pods there are at present.
    desiredReplicas: Pods wanted at present.
    minReadySeconds: Seconds that a pod must have been ready before it counts as available.
    revisionHistoryLimit: How many old revisions are kept for a rollback.
    collisionCount: How often a generated name was taken already.
    template: What new pods look like.
    maxUnavailable: How many may be missing at a time, as a number or in percent.
    maxSurge: How many may exist beyond the wanted number, as a number or in percent.
    user: The user.
    users: The users.
    groups: The groups.
    extra: Further facts about the user, by name.
    username: The name of the user.
    expirationSeconds: After how many seconds it ends.
    audiences: For whom it is meant.
    audience: For whom it is meant.
    token: The token.
    caBundle: Certificates (PEM) of the authorities that are trusted.
    expression: An expression in CEL; it must return a boolean.
    messageExpression: An expression in CEL that makes the message.
    fieldPath: Which part of the object.
    generation: Counts changes of the spec.
    time: When it happened.
    count: How often.
    continue: Where the next page of the list begins; empty at its end.
    remainingItemCount: How many objects follow this page.
    dryRun: All: do everything but store the result.
    fieldManager: Who makes the change.
    fieldValidation: What is done about unknown fields: Ignore, Warn or Strict.
    force: Whether fields of other managers are taken over.
    weight: How much it counts, from 1 to 100.
    scope: Where it applies.
    shortNames: Abbreviations for use on the command line.
    categories: Groups of resources it belongs to, such as all.
    capacity: How much there is of each resource.
    limits: The most that may be used of each resource.
    requests: What is set aside of each resource.
    nodeName: The node.
    nodeID: The node's name in the eyes of the driver.
    phase: How far it has come.
    zone: The zone.
    addresses: The addresses.
    ports: The ports.
    serverAddressByClientCIDRs: Which address clients of a network use.
    versions: The versions, best first.
    preferredVersion: The version that clients should use.
    finalizers: Who still has to do something before the object can go.
    APIGroup: A group of the API and its versions.
    APIGroup.name: The name of the group.
    APIGroupList: The groups of the API.
    APIResource: A resource of a version.
    APIResource.namespaced: Whether its objects live in namespaces.
    APIResource.singularName: The name for one of them.
    APIResource.storageVersionHash: Changes when the stored version does.
    APIResourceList: The resources of a version.
    APIResourceList.groupVersion: Group and version.
    APIVersions: The versions of the core group.
    ListOptions.watch: Whether changes are sent instead of a list.
    ListOptions.limit: At most so many objects.
    ListOptions.fieldSelector: Which objects, by their fields.
    timeoutSeconds: After how many seconds it is given up.
    allowWatchBookmarks: Whether events of type BOOKMARK may be sent.
    resourceVersionMatch: How resourceVersion is applied: Exact or NotOlderThan.
    sendInitialEvents: Whether a watch begins with the state, as events.
    DeleteOptions.gracePeriodSeconds: Seconds the object is given to end; 0 ends it at once.
    DeleteOptions.preconditions: What must be true of the object.
    orphanDependents: Deprecated; use propagationPolicy.
    propagationPolicy: What happens to dependents: Orphan, Background or Foreground.
    ignoreStoreReadErrorWithClusterBreakingPotential: Deletes even what cannot be read any more.
    ManagedFieldsEntry: What one manager has set, and how.
    manager: Who set the fields.
    operation: Apply or Update.
    fieldsType: The format of fieldsV1.
    fieldsV1: The set of fields.
    OwnerReference.controller: Whether it is the one that manages the object.
    blockOwnerDeletion: Whether a foreground deletion of the owner waits for this object.
    Preconditions: What must be true before something is done.
    StatusCause: One thing that was wrong.
    StatusCause.field: Where, as a path.
    StatusDetails: What a refusal is about.
    StatusDetails.causes: Everything that was wrong.
    StatusDetails.retryAfterSeconds: Seconds to wait before trying again.
    Status.status: Success or Failure.
    Status.details: What it is about.
    Status.code: The HTTP status.
    groupVersion: Group and version, as in apps/v1.
    LabelSelectorRequirement: A key, values and how they relate.
    FieldSelectorRequirement: A field, values and how they relate.
    Condition.status: True, False or Unknown.
    includeObject: How much of the object a row carries: None, Metadata or Object.
    """#
}
