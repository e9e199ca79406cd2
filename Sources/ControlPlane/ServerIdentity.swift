// Which API servers there are, as Kubernetes tells it: each keeps a Lease of its own in kube-system.
import Client
import HTTP
import JSON
import Schema
import TLS
import World

/// Keeps the Lease of one server, and, where it leads, clears away those of servers that are gone for long.
struct ServerIdentity: Sendable {
  private static let namespace = "kube-system"
  private static let label = "apiserver.kubernetes.io/identity"
  private static let component = "kube-apiserver"
  private static let leaseSeconds: Int64 = 3600
  private static let period = Duration.seconds(10)
  /// A server that is gone is told of for an hour: nobody waits for the minute in which that ends.
  private static let periodsBetweenSweeps = 60

  private let server: String
  private let client: APIClient
  /// Of this start of the server.
  private let holder: String
  let lease: String

  init(server: String, client: APIClient) {
    self.server = server
    self.client = client
    lease = Self.leaseName(of: server)
    holder = "\(lease)_\(client.world.uuid())"
  }

  /// The reference's: a digest of where and what the server is.
  static func leaseName(of server: String) -> String {
    var bytes: [UInt8] = []
    for part in [server, component] {
      let text = Array(part.utf8)
      bytes += [UInt8(truncatingIfNeeded: text.count >> 8), UInt8(truncatingIfNeeded: text.count)] + text
    }
    return "apiserver-\(base32(Crypto.sha256(bytes).prefix(16)))"
  }

  /// RFC 4648, lower case, without padding.
  private static func base32(_ bytes: some Collection<UInt8>) -> String {
    let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567")
    var (text, buffer, bits) = ("", 0, 0)
    for byte in bytes {
      buffer = buffer << 8 | Int(byte)
      bits += 8
      while bits >= 5 {
        bits -= 5
        text.append(alphabet[buffer >> bits & 31])
      }
      buffer &= (1 << bits) - 1
    }
    if bits > 0 { text.append(alphabet[buffer << (5 - bits) & 31]) }
    return text
  }

  /// Until the task is cancelled. What fails is tried again at the next turn.
  func run(isLeader: @escaping @Sendable () -> Bool) async {
    var turns = 0
    while !Task.isCancelled {
      try? await client.world.withDeadline(Self.period) { try await renew() }
      turns += 1
      if turns % Self.periodsBetweenSweeps == 0, isLeader() {
        try? await client.world.withDeadline(Self.period) { try await sweep() }
      }
      try? await client.world.sleep(for: Self.period)
    }
  }

  private func renew() async throws {
    let spec: JSONValue = [
      "holderIdentity": .string(holder), "leaseDurationSeconds": .integer(Self.leaseSeconds),
      "renewTime": .string(client.world.wallClock.rfc3339Micro),
    ]
    if var known = try await client.find(.leases, namespace: Self.namespace, name: lease) {
      known["spec"] = spec
      try await client.update(.leases, namespace: Self.namespace, name: lease, known)
      return
    }
    try await client.create(
      .leases, namespace: Self.namespace,
      [
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": [
          "name": .string(lease), "namespace": .string(Self.namespace),
          "labels": [Self.label: .string(Self.component), "kubernetes.io/hostname": .string(server)],
        ],
        "spec": spec,
      ])
  }

  /// Deletes what has not been renewed for as long as it says.
  func sweep() async throws {
    let all = try await client.list(
      .leases, namespace: Self.namespace, ListOptions(labelSelector: "\(Self.label)=\(Self.component)"))
    let now = client.world.wallClock
    for object in all.items {
      let found = LeaseObject(json: object)
      guard let renewed = WallTime(rfc3339: found.renewTime), renewed + .seconds(found.durationSeconds) < now else {
        continue
      }
      try await client.delete(
        .leases, namespace: Self.namespace, name: found.name,
        DeleteOptions(uid: found.metadata.uid, resourceVersion: found.metadata.resourceVersion))
    }
  }
}
