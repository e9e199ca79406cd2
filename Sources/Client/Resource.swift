import Schema

/// Where a kind is served: what a client needs to know to build its URLs.
public struct ResourceReference: Hashable, Sendable, CustomStringConvertible {
  public var group: String
  public var version: String
  /// Plural, lower case.
  public var resource: String
  public var kind: String
  public var isNamespaced: Bool

  /// The group of "group/version"; "" of a bare version, which is core's.
  public static func group(ofAPIVersion apiVersion: String) -> String {
    apiVersion.contains("/") ? String(apiVersion.prefix { $0 != "/" }) : ""
  }

  public init(_ group: String, _ version: String, _ resource: String, _ kind: String, namespaced: Bool = true) {
    self.group = group
    self.version = version
    self.resource = resource
    self.kind = kind
    isNamespaced = namespaced
  }

  public var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
  public var groupResource: GroupResource { GroupResource(group: group, resource: resource) }
  public var description: String { "\(groupResource)" }

  /// Path of the collection (all namespaces when `namespace` is empty), of an item, or of an item's subresource.
  /// Names are percent-encoded, so that no name can leave its segment.
  public func path(namespace: String = "", name: String = "", subresource: String = "") -> String {
    var path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
    if isNamespaced && !namespace.isEmpty { path += "/namespaces/\(QueryEncoding.encode(namespace))" }
    path += "/\(resource)"
    if !name.isEmpty { path += "/\(QueryEncoding.encode(name))" }
    if !subresource.isEmpty { path += "/\(subresource)" }
    return path
  }
}

extension ResourceReference {
  public static let pods = Self("", "v1", "pods", "Pod")
  public static let nodes = Self("", "v1", "nodes", "Node", namespaced: false)
  public static let namespaces = Self("", "v1", "namespaces", "Namespace", namespaced: false)
  public static let services = Self("", "v1", "services", "Service")
  public static let endpoints = Self("", "v1", "endpoints", "Endpoints")
  public static let persistentVolumes = Self("", "v1", "persistentvolumes", "PersistentVolume", namespaced: false)
  public static let persistentVolumeClaims = Self("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
  public static let configMaps = Self("", "v1", "configmaps", "ConfigMap")
  public static let secrets = Self("", "v1", "secrets", "Secret")
  public static let resourceQuotas = Self("", "v1", "resourcequotas", "ResourceQuota")
  public static let serviceAccounts = Self("", "v1", "serviceaccounts", "ServiceAccount")
  public static let events = Self("", "v1", "events", "Event")
  /// The newer form of the same objects.
  public static let seriesEvents = Self("events.k8s.io", "v1", "events", "Event")
  public static let replicationControllers = Self("", "v1", "replicationcontrollers", "ReplicationController")
  public static let replicaSets = Self("apps", "v1", "replicasets", "ReplicaSet")
  public static let deployments = Self("apps", "v1", "deployments", "Deployment")
  public static let statefulSets = Self("apps", "v1", "statefulsets", "StatefulSet")
  public static let daemonSets = Self("apps", "v1", "daemonsets", "DaemonSet")
  public static let jobs = Self("batch", "v1", "jobs", "Job")
  public static let cronJobs = Self("batch", "v1", "cronjobs", "CronJob")
  public static let horizontalPodAutoscalers = Self(
    "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
  public static let controllerRevisions = Self("apps", "v1", "controllerrevisions", "ControllerRevision")
  public static let endpointSlices = Self("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
  public static let leases = Self("coordination.k8s.io", "v1", "leases", "Lease")
  public static let certificateSigningRequests = Self(
    "certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", namespaced: false)
  public static let subjectAccessReviews = Self(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced: false)
  public static let podDisruptionBudgets = Self("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
  public static let clusterRoles = Self(
    "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced: false)
  public static let csiNodes = Self("storage.k8s.io", "v1", "csinodes", "CSINode", namespaced: false)
  public static let csiDrivers = Self("storage.k8s.io", "v1", "csidrivers", "CSIDriver", namespaced: false)
  public static let csiStorageCapacities = Self("storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity")
  public static let storageClasses = Self("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced: false)
  public static let priorityClasses = Self(
    "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced: false)
}

/// Percent-encoding of path segments and query values: everything but RFC 3986's unreserved characters.
public enum QueryEncoding {
  public static func encode(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    out.reserveCapacity(text.utf8.count)
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        out.append(byte)
      default: out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
