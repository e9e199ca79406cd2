import Client
import Schema

/// Turns changes of Services and pods into keys of Services whose endpoints may have changed.
struct ServiceTracker: Sendable {
  let services: Informer<Service>
  let pods: Informer<Pod>

  /// Calls `enqueue` with the key of every Service concerned, as changes come in.
  func onChange(_ enqueue: @escaping @Sendable (NamespacedName) -> Void) {
    services.onEvent { enqueue($0.object.key) }
    pods.onEvent { [services] event in
      func enqueueSelecting(_ labels: [String: String], _ namespace: String) {
        for service in services.objects(index: IndexName.namespace, value: namespace)
        where !service.selector.isEmpty && service.selector.allSatisfy({ labels[$0.key] == $0.value }) {
          enqueue(service.key)
        }
      }
      if case .updated(let old, let new) = event {
        guard old.concernsEndpoints(comparedTo: new) else { return }
        if old.metadata.labels != new.metadata.labels { enqueueSelecting(old.metadata.labels, old.namespace) }
      }
      enqueueSelecting(event.object.metadata.labels, event.object.namespace)
    }
  }

  /// The Services whose selectors a pod matches.
  func services(selecting pod: Pod) -> [NamespacedName] {
    services.objects(index: IndexName.namespace, value: pod.namespace).filter { service in
      !service.selector.isEmpty && service.selector.allSatisfy { pod.metadata.labels[$0.key] == $0.value }
    }.map(\.key)
  }

  func selectedPods(_ service: Service) -> [Pod] {
    pods.objects(index: IndexName.namespace, value: service.namespace).filter { pod in
      service.selector.allSatisfy { pod.metadata.labels[$0.key] == $0.value }
    }
  }
}

extension Pod {
  /// Whether the difference to a later version shows in endpoints; most status changes do not.
  fileprivate func concernsEndpoints(comparedTo new: Pod) -> Bool {
    metadata.labels != new.metadata.labels || status.podIP != new.status.podIP || status.podIPs != new.status.podIPs
      || isReady != new.isReady
      || isTerminal != new.isTerminal || metadata.isBeingDeleted != new.metadata.isBeingDeleted
      || spec.nodeName != new.spec.nodeName || spec.hostname != new.spec.hostname
  }
}
