// The Service "kubernetes" and what it leads to: every server that is alive (spec/2 §2.10).
import JSON
import Replica
import Schema

extension BootstrapPlanner {
  private static let name = "kubernetes"
  private static let namespace = "default"

  /// The Service, and its address in the books of the allocator. Its target is the servers' port, the lowest where they
  /// differ.
  func service(_ servers: [ServerEndpoint], _ context: Context) -> [BootstrapWrite] {
    guard let network = CIDR(options.serviceNetwork), let address = network.address(at: 1) else {
      preconditionFailure("\(options.serviceNetwork) is no network for services")
    }
    let port = servers.map(\.port).min() ?? 6443
    let wanted: JSONValue = [
      "kind": "Service", "apiVersion": "v1",
      "metadata": [
        "name": .string(Self.name), "namespace": .string(Self.namespace),
        "labels": ["provider": "kubernetes", "component": "apiserver"],
      ],
      "spec": [
        "type": "ClusterIP", "clusterIP": .string(address.description), "clusterIPs": [.string(address.description)],
        "ipFamilies": [.string(address.family.name)], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
        "ports": [["name": "https", "protocol": "TCP", "port": 443, "targetPort": .integer(Int64(port))]],
      ],
    ]
    let key = place(wanted).key
    let ours = ServiceRanges.addressKey(address.description)
    let reservation = Mutation.put(ours, APIServer.holding(ours, of: key))
    guard context.state.object(key) == nil else {
      // Somebody may have made the Service before the address was on the books.
      guard context.state.object(ours) == nil else { return [] }
      return [BootstrapWrite(preconditions: [.exists(key), .absent(ours)], mutations: [reservation])]
    }
    // An address that another Service holds is not taken from it: the operator must decide.
    guard context.state.object(ours) == nil, var write = ensure(wanted, context, mend: { _, _ in false }) else {
      return []
    }
    write.preconditions.append(.absent(ours))
    write.mutations.append(reservation)
    return [write]
  }

  /// Endpoints and EndpointSlices: servers that share a port share a subset and a slice.
  func endpoints(_ servers: [ServerEndpoint], _ context: Context) -> [BootstrapWrite] {
    var groups: [Group: [String]] = [:]
    for server in Set(servers) {
      guard let address = IPAddress(server.address) else { continue }
      groups[Group(port: server.port, family: address.family.name), default: []].append(address.description)
    }
    let ordered = groups.sorted { $0.key < $1.key }.map { ($0.key, $0.value.sorted()) }
    guard !ordered.isEmpty else { return [] }
    return [endpointsWrite(ordered, context)].compactMap { $0 } + sliceWrites(ordered, context)
  }

  private struct Group: Hashable, Comparable {
    var port: Int
    var family: String
    static func < (left: Self, right: Self) -> Bool { (left.port, left.family) < (right.port, right.family) }
  }

  private func endpointsWrite(_ groups: [(Group, [String])], _ context: Context) -> BootstrapWrite? {
    let subsets = groups.map { group, addresses -> JSONValue in
      [
        "addresses": .array(addresses.map { ["ip": .string($0)] }),
        "ports": [["name": "https", "port": .integer(Int64(group.port)), "protocol": "TCP"]],
      ]
    }
    let wanted: JSONValue = [
      "kind": "Endpoints", "apiVersion": "v1",
      "metadata": [
        "name": .string(Self.name), "namespace": .string(Self.namespace),
        "labels": ["endpointslice.kubernetes.io/skip-mirror": "true"],
      ],
      "subsets": .array(subsets),
    ]
    return ensure(wanted, context) { stored, expected in Self.replace("subsets", expected, &stored) }
  }

  /// The first group's slice has the Service's name, the others its name and their port.
  private func sliceWrites(_ groups: [(Group, [String])], _ context: Context) -> [BootstrapWrite] {
    var names: Set<String> = []
    var writes: [BootstrapWrite] = []
    for (index, (group, addresses)) in groups.enumerated() {
      let name = index == 0 ? Self.name : "\(Self.name)-\(group.family.lowercased())-\(group.port)"
      names.insert(name)
      let wanted: JSONValue = [
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
        "metadata": [
          "name": .string(name), "namespace": .string(Self.namespace),
          "labels": ["kubernetes.io/service-name": .string(Self.name)],
        ],
        "addressType": .string(group.family),
        "endpoints": .array(addresses.map { ["addresses": [.string($0)], "conditions": ["ready": true]] }),
        "ports": [["name": "https", "port": .integer(Int64(group.port)), "protocol": "TCP"]],
      ]
      let write = ensure(wanted, context) { stored, expected in
        let isChanged = ["addressType", "endpoints", "ports"].map { Self.replace($0, expected, &stored) }
        return isChanged.contains(true)
      }
      if let write { writes.append(write) }
    }
    let resource = "endpointslices.discovery.k8s.io"
    let stored = context.state.objects(resource: resource, namespace: Self.namespace, after: nil, limit: 0).objects
    for slice in stored
    where slice.labels["kubernetes.io/service-name"] == Self.name && slice.key.name.hasPrefix(Self.name)
      && slice.labels["endpointslice.kubernetes.io/managed-by"] == nil && !names.contains(slice.key.name)
    {
      writes.append(
        BootstrapWrite(preconditions: [.revision(slice.key, slice.revision)], mutations: [.delete(slice.key)]))
    }
    return writes
  }

  private static func replace(_ member: String, _ expected: JSONValue, _ stored: inout JSONValue) -> Bool {
    guard stored[member] != expected[member] else { return false }
    stored[member] = expected[member]
    return true
  }
}
