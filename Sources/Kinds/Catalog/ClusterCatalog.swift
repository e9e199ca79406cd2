// The resources of events, networking, storage, nodes, coordination and the server itself.
import Schema

extension Catalog {
  static func events(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "Event", "events", shortNames: ["ev"], traits: [\.createsOnUpdate, \.isGarbageCollected],
        rules: EventRules(isNewForm: true), table: .newEvent,
        selectors: [
          "regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid", "regarding.apiVersion",
          "regarding.resourceVersion", "regarding.fieldPath", "reason", "reportingController", "type",
        ],
        storage: GroupVersionKind(group: "", version: "v1", kind: "Event"))
    ]
  }

  static func networking(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "IngressClass", "ingressclasses", isNamespaced: false, traits: [\.tracksGeneration], rules: IngressClassRules(),
        table: .ingressClass),
      group.kind(
        "Ingress", "ingresses", shortNames: ["ing"], subresources: [.status], traits: [\.tracksGeneration],
        rules: IngressRules(), table: .ingress),
      group.kind(
        "NetworkPolicy", "networkpolicies", shortNames: ["netpol"], traits: [\.tracksGeneration],
        rules: NetworkPolicyRules(), table: .networkPolicy),
    ]
  }

  static func storage(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "CSIDriver", "csidrivers", isNamespaced: false,
        traits: [\.requiresResourceVersionOnUpdate, \.tracksGeneration, \.deleteReturnsObject], rules: CSIDriverRules(),
        table: .csiDriver),
      group.kind(
        "CSINode", "csinodes", isNamespaced: false,
        traits: [\.requiresResourceVersionOnUpdate, \.deleteReturnsObject], rules: CSINodeRules(), table: .csiNode),
      group.kind(
        "CSIStorageCapacity", "csistoragecapacities", traits: [\.requiresResourceVersionOnUpdate],
        rules: CSIStorageCapacityRules(), table: .csiStorageCapacity),
      group.kind(
        "StorageClass", "storageclasses", shortNames: ["sc"], isNamespaced: false, traits: [\.deleteReturnsObject],
        rules: StorageClassRules(), table: .storageClassTable),
      group.kind(
        "VolumeAttachment", "volumeattachments", isNamespaced: false, subresources: [.status],
        traits: [\.requiresResourceVersionOnUpdate, \.deleteReturnsObject], rules: VolumeAttachmentRules(),
        table: .volumeAttachment),
    ]
  }

  static func coordination(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "Lease", "leases", traits: [\.createsOnUpdate, \.requiresResourceVersionOnUpdate], rules: LeaseRules(),
        table: .lease)
    ]
  }

  static func node(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "RuntimeClass", "runtimeclasses", isNamespaced: false,
        traits: [\.createsOnUpdate, \.requiresResourceVersionOnUpdate], rules: RuntimeClassRules(), table: .runtimeClass
      )
    ]
  }

  static func discovery(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "EndpointSlice", "endpointslices", traits: [\.tracksGeneration], rules: EndpointSliceRules(),
        table: .endpointSlice)
    ]
  }

  static func flowControl(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "FlowSchema", "flowschemas", isNamespaced: false, subresources: [.status], traits: [\.tracksGeneration],
        rules: FlowSchemaRules(), table: .flowSchema),
      group.kind(
        "PriorityLevelConfiguration", "prioritylevelconfigurations", isNamespaced: false, subresources: [.status],
        traits: [\.tracksGeneration], rules: PriorityLevelRules(), table: .priorityLevel),
    ]
  }
}
