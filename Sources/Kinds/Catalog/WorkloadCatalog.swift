// The resources of workloads beside core/v1: apps, batch, autoscaling, policy, scheduling.
import Schema

extension Catalog {
  static func apps(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "ControllerRevision", "controllerrevisions", rules: ControllerRevisionRules(), table: .controllerRevision),
      group.kind(
        "DaemonSet", "daemonsets", shortNames: ["ds"], categories: ["all"], subresources: [.status],
        traits: [\.tracksGeneration], rules: DaemonSetRules(), table: .daemonSet),
      group.kind(
        "Deployment", "deployments", shortNames: ["deploy"], categories: ["all"], subresources: [.scale, .status],
        traits: [\.tracksGeneration], rules: DeploymentRules(), table: .deployment),
      group.kind(
        "ReplicaSet", "replicasets", shortNames: ["rs"], categories: ["all"], subresources: [.scale, .status],
        traits: [\.tracksGeneration], rules: ReplicaSetRules(), table: .replicaSet, selectors: ["status.replicas"]),
      group.kind(
        "StatefulSet", "statefulsets", shortNames: ["sts"], categories: ["all"], subresources: [.scale, .status],
        traits: [\.tracksGeneration], rules: StatefulSetRules(), table: .statefulSet),
    ]
  }

  static func batch(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "CronJob", "cronjobs", shortNames: ["cj"], categories: ["all"], subresources: [.status],
        traits: [\.tracksGeneration], rules: CronJobRules(), table: .cronJob),
      group.kind(
        "Job", "jobs", categories: ["all"], subresources: [.status], traits: [\.tracksGeneration, \.orphansByDefault],
        rules: JobRules(), table: .job,
        selectors: ["status.successful=status.succeeded"]),
    ]
  }

  static func autoscaling(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "HorizontalPodAutoscaler", "horizontalpodautoscalers", shortNames: ["hpa"], categories: ["all"],
        subresources: [.status], rules: AutoscalerRules(), table: .autoscaler,
        storage: GroupVersionKind(group: "autoscaling", version: "v2", kind: "HorizontalPodAutoscaler"))
    ]
  }

  static func policy(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "PodDisruptionBudget", "poddisruptionbudgets", shortNames: ["pdb"], subresources: [.status],
        traits: [\.requiresResourceVersionOnUpdate, \.tracksGeneration], rules: DisruptionBudgetRules(),
        table: .disruptionBudget)
    ]
  }

  static func scheduling(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "PriorityClass", "priorityclasses", shortNames: ["pc"], isNamespaced: false, traits: [\.tracksGeneration],
        rules: PriorityClassRules(), table: .priorityClass)
    ]
  }
}
