import Client
import Logging
import World

/// All controllers, for as long as this process is the elected one.
public struct ControllerManager: Sendable {
  private let context: ControllerContext

  public init(context: ControllerContext) { self.context = context }

  /// Runs every controller until the task is cancelled. Each run begins with fresh informers: nothing that an earlier
  /// term believed survives into this one.
  public func run() async {
    let informers = SharedInformers(client: context.client(""), logger: context.logger)
    var controllers: [any Controller] = [
      ReplicaController<ReplicaSet>(context: context, owners: informers.replicaSets, pods: informers.pods),
      ReplicaController<ReplicationController>(
        context: context, owners: informers.replicationControllers, pods: informers.pods),
      DeploymentController(context: context, informers: informers),
      JobController(context: context, informers: informers),
      StatefulSetController(context: context, informers: informers),
      DaemonSetController(context: context, informers: informers),
      CronJobController(context: context, informers: informers),
      TTLAfterFinishedController(context: context, informers: informers),
      AutoscalerController(context: context, informers: informers),
      EndpointsController(context: context, informers: informers),
      EndpointSliceController(context: context, informers: informers),
      EndpointSliceMirroringController(context: context, informers: informers),
      NamespaceController(context: context, informers: informers),
      ServiceAccountController(context: context, informers: informers),
      AccountTokenController(context: context),
      LegacyTokenCleaner(context: context),
      RootCertificateController(context: context, informers: informers),
      GarbageCollector(context: context, informers: informers),
      NodeLifecycleController(context: context, informers: informers),
      NodeTTLController(context: context, informers: informers),
      PodGarbageCollector(context: context, informers: informers),
      ClaimProtectionController(context: context, informers: informers),
      VolumeProtectionController(context: context, informers: informers),
      VolumeBinder(context: context, informers: informers),
      EphemeralVolumeController(context: context, informers: informers),
      DisruptionController(context: context, informers: informers),
      ResourceQuotaController(context: context, informers: informers),
      ClusterRoleAggregationController(context: context, informers: informers),
    ]
    if let networks = NodeNetworkController(context: context, informers: informers) { controllers.append(networks) }
    if let certificates = CertificateController(context: context) { controllers.append(certificates) }
    informers.start()
    await withTaskGroup(of: Void.self) { group in
      for controller in controllers { group.addTask(on: context.world) { await controller.run() } }
      await withTaskCancellationHandler {
        await group.waitForAll()
      } onCancel: {
        informers.stop()
      }
    }
    informers.stop()
  }
}
