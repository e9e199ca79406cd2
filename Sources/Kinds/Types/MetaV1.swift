// The types of meta/v1 that every group uses. Notation: TypeTable.

extension TypeTable {
  static let metaV1 = #"""
    APIGroup @kind:
      1:name*! string; 2:versions*! GroupVersionForDiscovery[]; 3:preferredVersion! GroupVersionForDiscovery
      4:serverAddressByClientCIDRs ServerAddressByClientCIDR[]
    APIGroupList @kind:
      1:groups*! APIGroup[]
    APIResource:
      1:name*! string; 2:namespaced*! bool; 3:kind*! string; 4:verbs*! Verbs; 5:shortNames string[]
      6:singularName*! string; 7:categories string[]; 8:group string; 9:version string; 10:storageVersionHash string
    APIResourceList @kind:
      1:groupVersion*! string; 2:resources*! APIResource[]
    APIVersions @kind:
      1:versions*! string[]; 2:serverAddressByClientCIDRs*! ServerAddressByClientCIDR[]
    ApplyOptions @kind:
      1:dryRun string[]; 2:force! bool; 3:fieldManager! string
    Condition "One aspect of the state of an object.":
      1:type*! string; 2:status*! string; 3:observedGeneration int64; 4:lastTransitionTime*! Time; 5:reason*! string
      6:message*! string
    CreateOptions @kind:
      1:dryRun string[]; 3:fieldManager string; 4:fieldValidation string
    DeleteOptions @kind "How to delete an object.":
      1:gracePeriodSeconds? int64; 2:preconditions? Preconditions; 3:orphanDependents? bool
      4:propagationPolicy? string; 5:dryRun string[]; 6:ignoreStoreReadErrorWithClusterBreakingPotential? bool
    FieldSelectorRequirement:
      1:key*! string; 2:operator*! string; 3:values string[]
    GetOptions @kind:
      1:resourceVersion string
    GroupVersionForDiscovery:
      1:groupVersion*! string; 2:version*! string
    GroupVersionKind:
      1:group! string; 2:version! string; 3:kind! string
    GroupVersionResource:
      1:group! string; 2:version! string; 3:resource! string
    LabelSelector @atomic "A query over labels; all of its requirements must hold.":
      1:matchLabels map<string>; 2:matchExpressions LabelSelectorRequirement[]
    LabelSelectorRequirement:
      1:key*! string; 2:operator*! string; 3:values string[]
    ListMeta "Metadata of a list.":
      1:selfLink string; 2:resourceVersion string; 3:continue string; 4:remainingItemCount? int64
    ListOptions @kind:
      1:labelSelector string; 2:fieldSelector string; 3:watch bool; 4:resourceVersion string; 5:timeoutSeconds? int64
      7:limit int64; 8:continue string; 9:allowWatchBookmarks bool; 10:resourceVersionMatch string
      11:sendInitialEvents? bool
    ManagedFieldsEntry:
      1:manager string; 2:operation string; 3:apiVersion string; 4:time? Time; 6:fieldsType string
      7:fieldsV1? FieldsV1; 8:subresource string
    ObjectMeta "Metadata that every persisted object has.":
      1:name string "Unique within the namespace (or cluster) for the resource; immutable."
      2:generateName string "Prefix for a name that the server completes when name is empty."
      3:namespace string "The scope of the name; immutable."
      4:selfLink string
      5:uid string "Unique in time and space; set by the server."
      6:resourceVersion string "Changes with every write; opaque to clients; the key of optimistic locking."
      7:generation int64 "Counts changes of the desired state; set by the server."
      8:creationTimestamp! Time "When the object was created; set by the server."
      9:deletionTimestamp? Time "When the object is to be gone; set by a graceful deletion."
      10:deletionGracePeriodSeconds? int64 "Seconds the object was given to end gracefully."
      11:labels map<string> "Keys and values to organise and select objects by."
      12:annotations map<string> "Unstructured keys and values of tools; not for selection."
      13:ownerReferences OwnerReference[] @map(uid) @merge(uid) "Objects it depends on; when all are gone, so is this."
      14:finalizers string[] @set @merge "Must be empty before the object can go."
      17:managedFields ManagedFieldsEntry[] "Which manager set which fields."
    OwnerReference @atomic "An object that this one depends on and is collected with.":
      1:kind*! string; 3:name*! string; 4:uid*! string; 5:apiVersion*! string; 6:controller? bool
      7:blockOwnerDeletion? bool
    PartialObjectMetadata @kind:
      1:metadata ObjectMeta
    PatchOptions @kind:
      1:dryRun string[]; 2:force? bool; 3:fieldManager string; 4:fieldValidation string
    Preconditions:
      1:uid? string; 2:resourceVersion? string
    RootPaths:
      1:paths! string[]
    ServerAddressByClientCIDR:
      1:clientCIDR*! string; 2:serverAddress*! string
    Status @kind "The outcome of a request that returns no other object.":
      1:metadata ListMeta; 2:status string; 3:message string; 4:reason string; 5:details? StatusDetails; 6:code int32
    StatusCause:
      1:reason string; 2:message string; 3:field string
    StatusDetails:
      1:name string; 2:group string; 3:kind string; 4:causes StatusCause[]; 5:retryAfterSeconds int32; 6:uid string
    TableOptions @kind:
      1:includeObject string
    UpdateOptions @kind:
      1:dryRun string[]; 2:fieldManager string; 3:fieldValidation string
    WatchEvent "One change in a watch.":
      1:type*! string; 2:object*! RawExtension
    """#
}
