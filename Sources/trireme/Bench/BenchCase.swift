// What is measured. Each case makes its own objects, in a namespace of its own, and takes them away again.
import ArgumentParser
import JSON
import Measure

enum BenchCase: String, CaseIterable, ExpressibleByArgument {
  case createConfigMap = "create-configmap"
  case updateConfigMap = "update-configmap"
  case patchConfigMap = "patch-configmap"
  case deleteConfigMap = "delete-configmap"
  case createPod = "create-pod"
  case updatePod = "update-pod"
  case patchPod = "patch-pod"
  case deletePod = "delete-pod"
  case get
  case getCached = "get-cached"
  case list
  case listPaged = "list-paged"
  case listByLabel = "list-label"
  case listTable = "list-table"
  case deleteCollection = "delete-collection"
  case watch
  case podLifecycle = "pod-lifecycle"
  case memory
  case memoryPods = "memory-pods"
  case idle
  case ready
  case writeGap = "write-gap"
  case etcdPut = "etcd-put"
  case etcdPutSmall = "etcd-put-256"
  case etcdWriteGap = "etcd-write-gap"

  /// Of a Kubernetes endpoint: they need a namespace.
  var needsNamespace: Bool { !isEtcd && self != .idle && self != .ready }
  var isEtcd: Bool { self == .etcdPut || self == .etcdPutSmall || self == .etcdWriteGap }

  /// Whether the number of clients changes what is measured.
  var hasClients: Bool {
    switch self {
    case .deleteCollection, .watch, .memory, .memoryPods, .idle, .ready: false
    default: true
    }
  }

  /// Whether the number of objects in the collection does.
  var hasObjects: Bool {
    switch self {
    case .list, .listPaged, .listByLabel, .listTable, .deleteCollection, .memory, .memoryPods, .ready: true
    default: false
    }
  }
}

/// The requests of the cases.
struct BenchObjects: Sendable {
  let namespace: String

  /// Data of a ConfigMap that is 1 KiB when it is stored.
  static let payload = String(repeating: "x", count: 700)
  /// A pod of 1 KiB is mostly what the server adds to it.
  private static let podPayload = String(repeating: "x", count: 300)
  /// Objects that GET chooses from.
  static let readObjects = 1000
  /// One object in so many has the label that lists ask for.
  static let labelledShare = 10
  static let pageSize = 500
  private static let json = [(name: "content-type", value: "application/json")]

  var configMaps: String { "/api/v1/namespaces/\(namespace)/configmaps" }
  var pods: String { "/api/v1/namespaces/\(namespace)/pods" }

  func configMap(_ name: String, label: String = "create", turn: String? = nil) -> [UInt8] {
    let turn = turn.map { #","turn":"\#($0)""# } ?? ""
    return Array(
      (#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"\#(name)","namespace":"\#(namespace)","#
        + #""labels":{"trireme-bench":"\#(label)"}},"data":{"value":"\#(Self.payload)"\#(turn)}}"#).utf8)
  }

  /// `scheduler`: nobody's name keeps a pod where it was made.
  func pod(_ name: String, scheduler: String = "nobody", payload: String = podPayload, turn: String = "0") -> [UInt8] {
    Array(
      (#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"\#(name)","namespace":"\#(namespace)","#
        + #""annotations":{"turn":"\#(turn)","payload":"\#(payload)"}},"spec":{"schedulerName":"\#(scheduler)","#
        + #""terminationGracePeriodSeconds":1,"containers":[{"name":"main","image":"registry.k8s.io/pause:3.10"}]}}"#)
        .utf8)
  }

  func create(_ path: String, _ body: [UInt8]) -> RequestTemplate {
    RequestTemplate("POST", path, body: body, headers: Self.json, status: 201)
  }

  func replace(_ path: String, _ body: [UInt8]) -> RequestTemplate {
    RequestTemplate("PUT", path, body: body, headers: Self.json, status: 200)
  }

  func mergePatch(_ path: String, _ body: String) -> RequestTemplate {
    RequestTemplate(
      "PATCH", path, body: Array(body.utf8), headers: [(name: "content-type", value: "application/merge-patch+json")],
      status: 200)
  }

  func get(_ path: String, accept: String = "application/json") -> RequestTemplate {
    RequestTemplate("GET", path, headers: [(name: "accept", value: accept)], status: 200)
  }

  func delete(_ path: String) -> RequestTemplate { RequestTemplate("DELETE", path, status: 200) }

  /// The ConfigMaps that lists and reads are asked of: one in `labelledShare` is the second kind.
  var listed: [RequestTemplate] {
    ["most", "few"].map { create(configMaps, configMap("r-{key}", label: $0)) }
  }
}

/// etcd's own interface, gRPC over HTTP/2 and TLS, by hand: the same client code drives both systems.
enum EtcdRequest {
  /// KV.Put (rpc.proto: PutRequest key = 1, value = 2), behind the length that gRPC frames it by.
  static func put(_ prefix: String, _ value: [UInt8]) -> RequestTemplate {
    let mark = Array("{key}".utf8)
    var message: [UInt8] = [0x0a] + varint(prefix.utf8.count + NumberSlot.digits) + Array(prefix.utf8) + mark
    message += [0x12] + varint(value.count) + value
    let length = UInt32(message.count - mark.count + NumberSlot.digits)
    let head: [UInt8] = [0] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: length >> UInt32($0)) }
    var template = RequestTemplate(
      "POST", "/etcdserverpb.KV/Put", body: head + message,
      headers: [(name: "content-type", value: "application/grpc"), (name: "te", value: "trailers")], status: 200)
    // An error has its code in the header or trailer, and no message.
    template.minimumBytes = 6
    return template
  }

  private static func varint(_ number: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }
}
