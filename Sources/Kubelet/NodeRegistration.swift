// The Node object and its signs of life: a Lease every ten seconds, a status every five minutes or when it changes
// (spec/7 §7.2–7.3).
import Client
import JSON
import Logging
import Schema
import World

struct NodeRegistration: Sendable {
  private static let leaseDuration: Int64 = 40
  private static let renewPeriod = Duration.seconds(10)
  private static let statusPeriod = Duration.seconds(300)
  private static let firstBackoff = Duration.milliseconds(100)
  private static let lastBackoff = Duration.seconds(7)

  let description: NodeDescription
  let context: NodeContext
  private let bootID: String

  init(description: NodeDescription, context: NodeContext) {
    self.description = description
    self.context = context
    bootID = context.world.uuid()
  }

  /// Creates the Node, or takes over the one that is there. Tries until it succeeds.
  func register() async {
    var backoff = Self.firstBackoff
    while !Task.isCancelled {
      do {
        try await registerOnce()
        context.recorder.record(subject, .normal, reason: "Starting", message: "Starting kubelet.")
        return
      } catch {
        context.logger.info("registering node \(description.name): \(error); trying again in \(backoff)")
        try? await context.world.sleep(for: backoff)
        backoff = min(backoff * 2, Self.lastBackoff)
      }
    }
  }

  /// Renews the Lease and the status until cancelled.
  func keepAlive() async {
    var lastStatus: MonotonicTime?
    var lease: JSONValue = .null
    while !Task.isCancelled {
      let now = context.world.now
      var isDue = lastStatus.map { now - $0 >= Self.statusPeriod } ?? true
      // A node that was taken for dead says at once that it is not.
      if !isDue { isDue = await isDoubted() }
      if isDue {
        if (try? await writeStatus()) != nil { lastStatus = now }
      }
      do {
        try await renew(&lease)
        try? await context.world.sleep(for: Self.renewPeriod)
      } catch {
        context.logger.debug("lease of node \(description.name): \(error)")
        try? await context.world.sleep(for: .milliseconds(500))
      }
    }
  }

  /// Events about nodes carry the node's name as uid: that is where kubectl looks for them.
  private var subject: EventRecorder.Subject {
    EventRecorder.Subject(reference: .nodes, namespace: "", name: description.name, uid: description.name)
  }

  // MARK: Node

  private var labels: [String: String] {
    var labels = description.labels
    labels["kubernetes.io/hostname"] = description.name
    labels["kubernetes.io/os"] = description.operatingSystem
    labels["kubernetes.io/arch"] = description.architecture
    labels["beta.kubernetes.io/os"] = description.operatingSystem
    labels["beta.kubernetes.io/arch"] = description.architecture
    return labels
  }

  private func registerOnce() async throws {
    var labelsJSON: JSONValue = [:]
    for (key, value) in labels.sorted(by: { $0.key < $1.key }) { labelsJSON[key] = .string(value) }
    do {
      try await context.client.create(
        .nodes,
        [
          "apiVersion": "v1", "kind": "Node",
          "metadata": [
            "name": .string(description.name), "labels": labelsJSON,
            "annotations": ["volumes.kubernetes.io/controller-managed-attach-detach": "true"],
          ],
          "status": status(previous: []),
        ])
    } catch let error as APIStatus where error.reason == "AlreadyExists" {
      try await context.client.patch(
        .nodes, name: description.name, ["metadata": ["labels": labelsJSON]], type: .strategic)
      try await writeStatus()
    }
  }

  /// The API shows this node other than ready; any server's answer will do.
  private func isDoubted() async -> Bool {
    guard let json = try? await context.client.get(.nodes, name: description.name, resourceVersion: "0") else {
      return false
    }
    return !Node(json: json).isReady
  }

  private func writeStatus() async throws {
    let node = Node(json: try await context.client.get(.nodes, name: description.name))
    try await context.client.patch(
      .nodes, name: description.name, ["status": status(previous: node.conditions)], type: .strategic,
      subresource: "status")
    if node.condition("Ready")?.status != "True" {
      context.recorder.record(
        subject, .normal, reason: "NodeReady", message: "Node \(description.name) status is now: NodeReady")
    }
  }

  private func status(previous: [NodeCondition]) -> JSONValue {
    var resources: JSONValue = [:]
    for (name, quantity) in description.capacity.sorted(by: { $0.key < $1.key }) {
      resources[name] = .string(quantity)
    }
    let now = context.world.wallClock
    func condition(_ type: String, _ status: String, _ reason: String, _ message: String) -> JSONValue {
      let old = previous.first { $0.type == type }
      let since = old?.status == status ? old?.lastTransitionTime : nil
      return [
        "type": .string(type), "status": .string(status), "lastHeartbeatTime": .string(now.rfc3339),
        "lastTransitionTime": .string((since ?? now).rfc3339), "reason": .string(reason),
        "message": .string(message),
      ]
    }
    return [
      "capacity": resources, "allocatable": resources,
      "conditions": [
        condition(
          "MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
      ],
      "addresses": [
        ["type": "InternalIP", "address": .string(description.address)],
        ["type": "Hostname", "address": .string(description.name)],
      ],
      "nodeInfo": [
        "machineID": .string(machineID), "systemUUID": .string(machineID), "bootID": .string(bootID),
        "kernelVersion": .string(description.kernelVersion), "osImage": .string(description.osImage),
        "containerRuntimeVersion": .string(context.runtime.version),
        "kubeletVersion": .string(description.kubeletVersion), "kubeProxyVersion": "",
        "operatingSystem": .string(description.operatingSystem), "architecture": .string(description.architecture),
      ],
    ]
  }

  /// Stable for a node of that name.
  private var machineID: String {
    var hash: UInt64 = 14_695_981_039_346_656_037
    for byte in description.name.utf8 { hash = (hash ^ UInt64(byte)) &* 1_099_511_628_211 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 32 - digits.count) + digits
  }

  // MARK: Lease

  private static let leaseNamespace = "kube-node-lease"

  /// `lease`: as it was after the last renewal, which is the current one as long as nobody else writes it; null when that
  /// is not known.
  private func renew(_ lease: inout JSONValue) async throws {
    if !lease.isNull, let renewed = try? await update(lease) {
      lease = renewed
      return
    }
    lease = .null
    if let found = try await context.client.find(.leases, namespace: Self.leaseNamespace, name: description.name) {
      lease = try await update(found)
    } else {
      lease = try await createLease()
    }
  }

  private func update(_ lease: JSONValue) async throws -> JSONValue {
    var renewed = lease
    renewed["spec"]["holderIdentity"] = .string(description.name)
    renewed["spec"]["leaseDurationSeconds"] = .integer(Self.leaseDuration)
    renewed["spec"]["renewTime"] = .string(context.world.wallClock.rfc3339Micro)
    return try await context.client.update(
      .leases, namespace: Self.leaseNamespace, name: description.name, renewed)
  }

  private func createLease() async throws -> JSONValue {
    let node = try await context.client.get(.nodes, name: description.name)
    let owner = OwnerReference(
      apiVersion: "v1", kind: "Node", name: description.name, uid: node["metadata"]["uid"].string ?? "",
      controller: false, blockOwnerDeletion: false)
    return try await context.client.create(
      .leases, namespace: Self.leaseNamespace,
      [
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": [
          "name": .string(description.name), "namespace": .string(Self.leaseNamespace), "ownerReferences": [owner.json],
        ],
        "spec": [
          "holderIdentity": .string(description.name), "leaseDurationSeconds": .integer(Self.leaseDuration),
          "renewTime": .string(context.world.wallClock.rfc3339Micro),
        ],
      ])
  }
}
