import Client
import Logging
import World

/// What the parts of one node share.
struct NodeContext: Sendable {
  let world: any World
  let client: APIClient
  let runtime: any ContainerRuntime
  let recorder: EventRecorder
  let logger: Logger
  let nodeName: String
  /// The node's InternalIP.
  let address: String

  func record(
    _ pod: Pod, _ type: EventRecorder.EventType, _ reason: String, _ message: String, _ fieldPath: String = ""
  ) {
    recorder.record(EventRecorder.Subject(pod, fieldPath: fieldPath), type, reason: reason, message: message)
  }
}
