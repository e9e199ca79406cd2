// Pods as schedulers, controllers and kubelets read them.
import JSON
import Schema
import World

/// Quantities by resource name: "cpu", "memory", "ephemeral-storage", "pods", "vendor/thing".
public typealias ResourceList = [String: Quantity]

extension JSONReadable {
  /// An object of quantities; members that do not parse are left out (the API server refused them at the door).
  public var resourceList: ResourceList { stringMap.compactMapValues { Quantity($0) } }
}

public struct ContainerPort: Hashable, Sendable {
  public var name: String
  public var containerPort: Int64
  public var hostPort: Int64
  public var hostIP: String
  public var protocolName: String
}

public struct Container: Sendable {
  public var name: String
  public var image: String
  public var imagePullPolicy: String
  /// command and args, one after the other.
  public var command: [String]
  public var requests: ResourceList
  public var limits: ResourceList
  public var ports: [ContainerPort]
  /// "Always" on an init container makes it a sidecar.
  public var restartPolicy: String
  public var hasReadinessProbe: Bool

  public init(json: some JSONReadable) {
    name = json["name"].string ?? ""
    image = json["image"].string ?? ""
    imagePullPolicy = json["imagePullPolicy"].string ?? ""
    command = (json["command"].elements + json["args"].elements).compactMap { $0.string }
    requests = json["resources"]["requests"].resourceList
    limits = json["resources"]["limits"].resourceList
    ports = json["ports"].elements.map { port in
      ContainerPort(
        name: port["name"].string ?? "", containerPort: port["containerPort"].integer ?? 0,
        hostPort: port["hostPort"].integer ?? 0, hostIP: port["hostIP"].string ?? "",
        protocolName: port["protocol"].string ?? "TCP")
    }
    restartPolicy = json["restartPolicy"].string ?? ""
    hasReadinessProbe = !json["readinessProbe"].isNull
  }
}

public struct Toleration: Hashable, Sendable {
  public var key: String
  /// "Equal" (also when empty) or "Exists".
  public var operation: String
  public var value: String
  /// Empty tolerates every effect.
  public var effect: String
  public var tolerationSeconds: Int64?

  public init(json: some JSONReadable) {
    key = json["key"].string ?? ""
    operation = json["operator"].string ?? ""
    value = json["value"].string ?? ""
    effect = json["effect"].string ?? ""
    tolerationSeconds = json["tolerationSeconds"].integer
  }

  public func tolerates(_ taint: Taint) -> Bool {
    if !effect.isEmpty && effect != taint.effect { return false }
    if !key.isEmpty && key != taint.key { return false }
    switch operation {
    case "", "Equal": return value == taint.value
    case "Exists": return true
    default: return false
    }
  }
}

public struct PodCondition: Hashable, Sendable {
  public var type: String
  public var status: String
  public var reason: String
  public var message: String
  public var lastTransitionTime: WallTime?

  public init(json: some JSONReadable) {
    type = json["type"].string ?? ""
    status = json["status"].string ?? ""
    reason = json["reason"].string ?? ""
    message = json["message"].string ?? ""
    lastTransitionTime = json["lastTransitionTime"].time
  }
}

public struct PodSpec: Sendable {
  public var nodeName: String
  public var schedulerName: String
  public var priority: Int64
  public var preemptionPolicy: String
  public var nodeSelector: [String: String]
  public var tolerations: [Toleration]
  public var containers: [Container]
  public var initContainers: [Container]
  public var overhead: ResourceList
  public var restartPolicy: String
  public var terminationGracePeriodSeconds: Int64
  public var activeDeadlineSeconds: Int64?
  public var hostNetwork: Bool
  public var hostname: String
  public var subdomain: String
  public var serviceAccountName: String
  /// Names of the persistentVolumeClaims that its volumes name.
  public var claims: [String]
  /// Names of its volumes that have a claim of their own.
  public var ephemeralVolumes: [String]
  /// Its volumes that name a disk of a kind that some pods cannot share (GCE, EBS, iSCSI, RBD), as written.
  public var disks: [JSONValue]
  public var schedulingGates: [String]
  public var readinessGates: [String]
  /// affinity and topologySpreadConstraints as written; the scheduler compiles them.
  public var affinity: JSONValue
  public var topologySpreadConstraints: [JSONValue]

  public init(json: some JSONReadable) {
    nodeName = json["nodeName"].string ?? ""
    schedulerName = json["schedulerName"].string ?? ""
    priority = json["priority"].integer ?? 0
    preemptionPolicy = json["preemptionPolicy"].string ?? ""
    nodeSelector = json["nodeSelector"].stringMap
    tolerations = json["tolerations"].elements.map(Toleration.init(json:))
    containers = json["containers"].elements.map(Container.init(json:))
    initContainers = json["initContainers"].elements.map(Container.init(json:))
    overhead = json["overhead"].resourceList
    restartPolicy = json["restartPolicy"].string ?? "Always"
    terminationGracePeriodSeconds = json["terminationGracePeriodSeconds"].integer ?? 30
    activeDeadlineSeconds = json["activeDeadlineSeconds"].integer
    hostNetwork = json["hostNetwork"].bool ?? false
    hostname = json["hostname"].string ?? ""
    subdomain = json["subdomain"].string ?? ""
    serviceAccountName = json["serviceAccountName"].string ?? ""
    let volumes = json["volumes"].elements
    claims = volumes.compactMap { $0["persistentVolumeClaim"]["claimName"].string }
    ephemeralVolumes = volumes.filter { !$0["ephemeral"].isNull }.compactMap { $0["name"].string }
    disks = volumes.filter { volume in
      ["gcePersistentDisk", "awsElasticBlockStore", "iscsi", "rbd"].contains { !volume[$0].isNull }
    }.map { $0.value }
    schedulingGates = json["schedulingGates"].elements.compactMap { $0["name"].string }
    readinessGates = json["readinessGates"].elements.compactMap { $0["conditionType"].string }
    affinity = json["affinity"].value
    topologySpreadConstraints = json["topologySpreadConstraints"].elements.map { $0.value }
  }
}

public struct PodStatus: Sendable {
  public var phase: String
  public var reason: String
  public var podIP: String
  public var podIPs: [String]
  public var hostIP: String
  public var nominatedNodeName: String
  public var startTime: WallTime?
  public var conditions: [PodCondition]
  /// Sum over all containers.
  public var restartCount: Int64
  /// As written, those of init containers first: a kubelet that begins anew reads from them what ran.
  public var containerStatuses: [JSONValue]

  public init(json: some JSONReadable) {
    phase = json["phase"].string ?? ""
    reason = json["reason"].string ?? ""
    podIP = json["podIP"].string ?? ""
    podIPs = json["podIPs"].elements.compactMap { $0["ip"].string }
    hostIP = json["hostIP"].string ?? ""
    nominatedNodeName = json["nominatedNodeName"].string ?? ""
    startTime = json["startTime"].time
    conditions = json["conditions"].elements.map(PodCondition.init(json:))
    let ordinary = json["containerStatuses"].elements
    restartCount = ordinary.reduce(0) { $0 + ($1["restartCount"].integer ?? 0) }
    containerStatuses = (json["initContainerStatuses"].elements + ordinary).map { $0.value }
  }

  public func condition(_ type: String) -> PodCondition? { conditions.first { $0.type == type } }
}

/// A class, as there are many of them and many who look at each: they share one.
public final class Pod: APIObject {
  public static let reference = ResourceReference.pods
  public let metadata: ObjectMeta
  public let spec: PodSpec
  public let status: PodStatus

  public init(json: some JSONReadable) {
    metadata = ObjectMeta(json: json["metadata"])
    spec = PodSpec(json: json["spec"])
    status = PodStatus(json: json["status"])
  }
  public static func read(_ json: JSONTape.Cursor) -> Pod { Pod(json: json) }

  /// Finished for good: Succeeded or Failed.
  public var isTerminal: Bool { status.phase == "Succeeded" || status.phase == "Failed" }
  public var isActive: Bool { !isTerminal && !metadata.isBeingDeleted }
  public var isReady: Bool { status.condition("Ready")?.status == "True" }

  /// Ready for at least `minReadySeconds` at `now`.
  public func isAvailable(minReadySeconds: Int64, now: WallTime) -> Bool {
    guard let ready = status.condition("Ready"), ready.status == "True" else { return false }
    guard minReadySeconds > 0 else { return true }
    guard let since = ready.lastTransitionTime else { return false }
    return since + .seconds(minReadySeconds) <= now
  }
}
