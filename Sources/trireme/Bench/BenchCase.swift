// What is measured: each case makes its own objects, in namespaces of its own, and takes them away again.
import ArgumentParser
import Client
import EventLoop
import Glibc
import HTTP
import JSON
import Schema
import Synchronization
import World

enum BenchCase: String, CaseIterable, ExpressibleByArgument {
  case createConfigMap = "create-configmap"
  case get, list, update
  case watchLatency = "watch-latency"
  case podLifecycle = "pod-lifecycle"
  case writeGap = "write-gap"
  case etcdPut = "etcd-put"
  case etcdWriteGap = "etcd-write-gap"

  /// Of a Kubernetes endpoint: they need a namespace.
  var isKubernetes: Bool { self != .etcdPut && self != .etcdWriteGap }
  /// Those that one run measures once, whatever the number of clients.
  var hasOwnClients: Bool { self == .watchLatency || self == .writeGap || self == .etcdWriteGap }
}

/// Objects and requests of the cases.
struct BenchObjects: Sendable {
  let namespace: String

  /// Data of a ConfigMap that is 1 KiB when it is stored.
  static let payload = String(repeating: "x", count: 700)
  /// Objects that GET chooses from, and that a LIST returns.
  static let readObjects = 1000
  static let label = "trireme-bench"

  var collection: String { "/api/v1/namespaces/\(namespace)/configmaps" }

  static func headers(_ accept: String = "application/json") -> HTTPHeaders {
    ["accept": accept, "content-type": "application/json", "user-agent": "trireme-bench/\(Version.trireme)"]
  }

  func configMap(_ name: String) -> JSONValue {
    [
      "apiVersion": "v1", "kind": "ConfigMap",
      "metadata": [
        "name": .string(name), "namespace": .string(namespace), "labels": ["trireme-bench": "create"],
      ],
      "data": ["value": .string(Self.payload)],
    ]
  }

  func create(_ name: String) -> BenchRequest {
    BenchRequest(
      HTTPRequest(
        method: "POST", target: collection, headers: Self.headers(), body: .bytes(configMap(name).bytes)),
      expecting: 201)
  }

  /// Replaces the object whatever its revision; the value differs from turn to turn, so that it is a write.
  func update(_ name: String, turn: Int) -> BenchRequest {
    var object = configMap(name)
    object["data"]["turn"] = .string("\(turn)")
    return BenchRequest(
      HTTPRequest(
        method: "PUT", target: "\(collection)/\(name)", headers: Self.headers(), body: .bytes(object.bytes)),
      expecting: 200)
  }

  func get(_ name: String) -> BenchRequest {
    BenchRequest(
      HTTPRequest(method: "GET", target: "\(collection)/\(name)", headers: Self.headers()), expecting: 200)
  }

  func list() -> BenchRequest {
    BenchRequest(HTTPRequest(method: "GET", target: collection, headers: Self.headers()), expecting: 200)
  }

  func pod(_ name: String) -> JSONValue {
    [
      "apiVersion": "v1", "kind": "Pod",
      "metadata": ["name": .string(name), "namespace": .string(namespace)],
      "spec": [
        "terminationGracePeriodSeconds": 0,
        "containers": [["name": "main", "image": "registry.k8s.io/pause:3.10"]],
      ],
    ]
  }
}

/// etcd's own interface, gRPC over HTTP/2 and TLS, by hand: the same client code drives both systems.
enum EtcdRequest {
  /// KV.Put (rpc.proto: PutRequest key = 1, value = 2). The length before the message, as gRPC frames it.
  static func put(_ key: String, _ value: [UInt8]) -> BenchRequest {
    var message: [UInt8] = []
    for (tag, bytes) in [(UInt8(0x0a), Array(key.utf8)), (UInt8(0x12), value)] {
      message.append(tag)
      var length = bytes.count
      while length >= 0x80 {
        message.append(UInt8(length & 0x7f) | 0x80)
        length >>= 7
      }
      message.append(UInt8(length))
      message += bytes
    }
    let length = UInt32(message.count)
    let frame: [UInt8] = [0] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: length >> UInt32($0)) } + message
    let headers: HTTPHeaders = ["content-type": "application/grpc", "te": "trailers"]
    let request = HTTPRequest(
      method: "POST", target: "/etcdserverpb.KV/Put", headers: headers, body: .bytes(frame))
    return BenchRequest(request) { response in
      let body = try await response.body.collect()
      // An error has its code in the header or trailer, and no message.
      guard response.status == 200, body.count > 5 else {
        throw CommandFailure(
          "etcd: status \(response.status) \(response.headers["grpc-status"] ?? "") "
            + "\(response.headers["grpc-message"] ?? "")")
      }
    }
  }
}
