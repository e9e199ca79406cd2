// The resources of workloads beside core/v1: apps, batch, autoscaling, policy, scheduling.
import Schema

extension Catalog {
  static func apps(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind("ControllerRevision", "controllerrevisions"),
      group.kind(
        "DaemonSet", "daemonsets", shortNames: ["ds"], categories: ["all"], subresources: [.status],
        traits: [\.tracksGeneration]),
      group.kind(
        "Deployment", "deployments", shortNames: ["deploy"], categories: ["all"], subresources: [.scale, .status],
        traits: [\.tracksGeneration]),
      group.kind(
        "ReplicaSet", "replicasets", shortNames: ["rs"], categories: ["all"], subresources: [.scale, .status],
        traits: [\.tracksGeneration], selectors: ["status.replicas"]),
      group.kind(
        "StatefulSet", "statefulsets", shortNames: ["sts"], categories: ["all"], subresources: [.scale, .status],
        traits: [\.tracksGeneration]),
    ]
  }

  static func batch(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "CronJob", "cronjobs", shortNames: ["cj"], categories: ["all"], subresources: [.status],
        traits: [\.tracksGeneration]),
      group.kind(
        "Job", "jobs", categories: ["all"], subresources: [.status], traits: [\.tracksGeneration, \.orphansByDefault],
        selectors: ["status.successful=status.succeeded"]),
    ]
  }

  static func autoscaling(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "HorizontalPodAutoscaler", "horizontalpodautoscalers", shortNames: ["hpa"], categories: ["all"],
        subresources: [.status],
        storage: GroupVersionKind(group: "autoscaling", version: "v2", kind: "HorizontalPodAutoscaler"))
    ]
  }

  static func policy(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "PodDisruptionBudget", "poddisruptionbudgets", shortNames: ["pdb"], subresources: [.status],
        traits: [\.requiresResourceVersionOnUpdate, \.tracksGeneration])
    ]
  }

  static func scheduling(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "PriorityClass", "priorityclasses", shortNames: ["pc"], isNamespaced: false, traits: [\.tracksGeneration])
    ]
  }
}
