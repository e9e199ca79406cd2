// The controllers beside a server in memory, each with an account of its own.
import Client
import Controllers
import HTTP
import World

extension TestCluster {
  /// Starts all controllers. `fence`: of the lease under which they write; `through`: what stands between them and the
  /// server.
  @discardableResult
  public func startControllers(
    fence: TrustedContext.Fence? = nil,
    through wrap: @escaping @Sendable (any HTTPTransport) -> any HTTPTransport = { $0 }
  ) -> SpawnedTask {
    world.spawn {
      await ControllerManager(
        context: ControllerContext(
          world: world, logger: logger, certificateAuthorityPEM: "CA",
          transport: { account in
            wrap(
              transport(
                account.isEmpty ? "system:kube-controller-manager" : "system:serviceaccount:kube-system:\(account)",
                fence: fence))
          })
      ).run()
    }
  }
}
