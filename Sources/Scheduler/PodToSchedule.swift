import Client
import Schema

/// A pending pod with everything compiled that filters and scores ask for once per node.
struct PodToSchedule: Sendable {
  var pod: Pod
  var request: PodRequest
  var hostPorts: [HostPort]
  var nodeAffinity: NodeAffinity
  var podAffinity: PodAffinity?
  var spread: [SpreadConstraint]
  var placed: PlacedPod

  /// `defaultSpread`: the selector of the Service or workload the pod belongs to, for the system's own soft spreading of
  /// pods that ask for none (spec/6 §6.2).
  init(_ pod: Pod, defaultSpread: LabelSelector?) {
    self.pod = pod
    request = PodRequest(pod.spec)
    hostPorts = HostPort.all(of: pod.spec)
    nodeAffinity = NodeAffinity(pod.spec.affinity)
    podAffinity = PodAffinity(pod.spec.affinity, namespace: pod.namespace)
    placed = PlacedPod(pod, request: request)
    if !pod.spec.topologySpreadConstraints.isEmpty {
      spread = pod.spec.topologySpreadConstraints.map {
        SpreadConstraint(json: $0, podLabels: pod.metadata.labels)
      }
    } else if let selector = defaultSpread {
      spread = [
        SpreadConstraint(topologyKey: "kubernetes.io/hostname", maxSkew: 3, isHard: false, selector: selector),
        SpreadConstraint(topologyKey: "topology.kubernetes.io/zone", maxSkew: 5, isHard: false, selector: selector),
      ]
    } else {
      spread = []
    }
  }
}
