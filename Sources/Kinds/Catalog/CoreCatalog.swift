// The resources of core/v1.
import Schema

extension Catalog {
  static func core(_ group: CatalogGroup) -> [KindDescriptor] {
    coreWorkloads(group) + coreConfiguration(group) + coreCluster(group)
  }

  private static func coreWorkloads(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind("Binding", "bindings", verbs: [.create]),
      group.kind(
        "Pod", "pods", shortNames: ["po"], categories: ["all"],
        subresources: [
          SubresourceEntry("attach", "PodAttachOptions", verbs: [.create, .get]),
          SubresourceEntry("binding", "Binding", verbs: [.create]),
          SubresourceEntry("ephemeralcontainers", verbs: [.get, .patch, .update]),
          SubresourceEntry("eviction", "Eviction", in: ("policy", "v1"), verbs: [.create]),
          SubresourceEntry("exec", "PodExecOptions", verbs: [.create, .get]),
          SubresourceEntry("log", verbs: [.get]),
          SubresourceEntry("portforward", "PodPortForwardOptions", verbs: [.create, .get]),
          .proxy("PodProxyOptions"), .status,
        ],
        traits: [\.deleteReturnsObject, \.deletesGracefully], rules: PodRules(), table: .pod,
        selectors: [
          "spec.nodeName", "spec.host=spec.nodeName", "spec.restartPolicy", "spec.schedulerName",
          "spec.serviceAccountName", "spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs",
          "status.nominatedNodeName",
        ]),
      group.kind(
        "PodTemplate", "podtemplates", traits: [\.tracksGeneration, \.deleteReturnsObject], rules: PodTemplateRules(),
        table: .podTemplate),
      group.kind(
        "ReplicationController", "replicationcontrollers", shortNames: ["rc"], categories: ["all"],
        subresources: [.scale, .status], traits: [\.tracksGeneration, \.orphansByDefault],
        rules: ReplicationControllerRules(), table: .replicationController,
        selectors: ["status.replicas"]),
      group.kind(
        "Service", "services", shortNames: ["svc"], categories: ["all"],
        subresources: [.proxy("ServiceProxyOptions"), .status],
        traits: [\.createsOnUpdate, \.deleteReturnsObject], rules: ServiceRules(), table: .service,
        selectors: ["spec.clusterIP", "spec.type"]),
      group.kind(
        "Endpoints", "endpoints", shortNames: ["ep"], traits: [\.createsOnUpdate], rules: EndpointsRules(),
        table: .endpoints),
    ]
  }

  private static func coreConfiguration(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind("ConfigMap", "configmaps", shortNames: ["cm"], rules: ConfigMapRules(), table: .configMap),
      group.kind("Secret", "secrets", rules: SecretRules(), table: .secret, selectors: ["type"]),
      group.kind(
        "ServiceAccount", "serviceaccounts", shortNames: ["sa"],
        subresources: [
          SubresourceEntry("token", "TokenRequest", in: ("authentication.k8s.io", "v1"), verbs: [.create])
        ],
        traits: [\.deleteReturnsObject], rules: ServiceAccountRules(), table: .serviceAccount),
      group.kind(
        "LimitRange", "limitranges", shortNames: ["limits"], traits: [\.createsOnUpdate], rules: LimitRangeRules()),
      group.kind(
        "ResourceQuota", "resourcequotas", shortNames: ["quota"], subresources: [.status],
        traits: [\.deleteReturnsObject], rules: ResourceQuotaRules(), table: .resourceQuota),
      group.kind(
        "PersistentVolumeClaim", "persistentvolumeclaims", shortNames: ["pvc"], subresources: [.status],
        traits: [\.deleteReturnsObject], rules: PersistentVolumeClaimRules(), table: .persistentVolumeClaim,
        selectors: ["name=metadata.name"]),
      group.kind(
        "Event", "events", shortNames: ["ev"], traits: [\.createsOnUpdate, \.isGarbageCollected],
        rules: EventRules(isNewForm: false), table: .event,
        selectors: [
          "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
          "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
          "reportingComponent", "source=source.component", "type",
        ]),
    ]
  }

  private static func coreCluster(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "Namespace", "namespaces", shortNames: ["ns"], isNamespaced: false,
        verbs: [.create, .delete, .get, .list, .patch, .update, .watch],
        subresources: [SubresourceEntry("finalize", verbs: [.update]), .status], traits: [\.deleteReturnsObject],
        rules: NamespaceRules(), table: .namespace,
        selectors: ["status.phase", "name=metadata.name"]),
      group.kind(
        "Node", "nodes", shortNames: ["no"], isNamespaced: false,
        subresources: [.proxy("NodeProxyOptions"), .status], rules: NodeRules(), table: .node,
        selectors: ["spec.unschedulable"]),
      group.kind(
        "PersistentVolume", "persistentvolumes", shortNames: ["pv"], isNamespaced: false, subresources: [.status],
        traits: [\.deleteReturnsObject], rules: PersistentVolumeRules(), table: .persistentVolume,
        selectors: ["name=metadata.name"]),
      group.kind(
        "ComponentStatus", "componentstatuses", shortNames: ["cs"], isNamespaced: false, verbs: [.get, .list],
        table: .componentStatus),
    ]
  }
}
