// The resources of events, networking, storage, nodes, coordination and the server itself.
import Schema

extension Catalog {
  static func events(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "Event", "events", shortNames: ["ev"], traits: [\.createsOnUpdate, \.isGarbageCollected],
        selectors: [
          "regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid", "regarding.apiVersion",
          "regarding.resourceVersion", "regarding.fieldPath", "reason", "reportingController", "type",
        ],
        storage: GroupVersionKind(group: "", version: "v1", kind: "Event"))
    ]
  }

  static func networking(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind("IngressClass", "ingressclasses", isNamespaced: false, traits: [\.tracksGeneration]),
      group.kind(
        "Ingress", "ingresses", shortNames: ["ing"], subresources: [.status], traits: [\.tracksGeneration]),
      group.kind("NetworkPolicy", "networkpolicies", shortNames: ["netpol"], traits: [\.tracksGeneration]),
    ]
  }

  static func storage(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "CSIDriver", "csidrivers", isNamespaced: false,
        traits: [\.requiresResourceVersionOnUpdate, \.tracksGeneration, \.deleteReturnsObject]),
      group.kind(
        "CSINode", "csinodes", isNamespaced: false,
        traits: [\.requiresResourceVersionOnUpdate, \.deleteReturnsObject]),
      group.kind("CSIStorageCapacity", "csistoragecapacities", traits: [\.requiresResourceVersionOnUpdate]),
      group.kind(
        "StorageClass", "storageclasses", shortNames: ["sc"], isNamespaced: false, traits: [\.deleteReturnsObject]),
      group.kind(
        "VolumeAttachment", "volumeattachments", isNamespaced: false, subresources: [.status],
        traits: [\.requiresResourceVersionOnUpdate, \.deleteReturnsObject]),
    ]
  }

  static func coordination(_ group: CatalogGroup) -> [KindDescriptor] {
    [group.kind("Lease", "leases", traits: [\.createsOnUpdate, \.requiresResourceVersionOnUpdate])]
  }

  static func node(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "RuntimeClass", "runtimeclasses", isNamespaced: false,
        traits: [\.createsOnUpdate, \.requiresResourceVersionOnUpdate])
    ]
  }

  static func discovery(_ group: CatalogGroup) -> [KindDescriptor] {
    [group.kind("EndpointSlice", "endpointslices", traits: [\.tracksGeneration])]
  }

  static func flowControl(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "FlowSchema", "flowschemas", isNamespaced: false, subresources: [.status], traits: [\.tracksGeneration]),
      group.kind(
        "PriorityLevelConfiguration", "prioritylevelconfigurations", isNamespaced: false, subresources: [.status],
        traits: [\.tracksGeneration]),
    ]
  }
}
