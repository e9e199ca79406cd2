// Endpoints written by hand are found as slices.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

@Suite struct MirroringStories {
  private static func service(_ name: String) -> JSONValue {
    [
      "apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name), "namespace": "default"],
      "spec": ["ports": [["port": 80]]],
    ]
  }

  private static func endpoints(_ name: String, _ subsets: JSONValue, labels: JSONValue = [:]) -> JSONValue {
    [
      "apiVersion": "v1", "kind": "Endpoints",
      "metadata": [
        "name": .string(name), "namespace": "default", "labels": labels,
        "annotations": ["example.org/note": "n", "endpoints.kubernetes.io/last-change-trigger-time": "never"],
      ],
      "subsets": subsets,
    ]
  }

  private static func slices(_ plane: ControlPlane, _ name: String) async throws -> [EndpointSlice] {
    try await plane.admin.list(
      .endpointSlices, namespace: "default",
      ListOptions(
        labelSelector:
          "kubernetes.io/service-name=\(name),endpointslice.kubernetes.io/managed-by=endpointslicemirroring-controller.k8s.io"
      )
    ).items.map(EndpointSlice.init(json:)).sorted { $0.addressType < $1.addressType }
  }

  @Test func endpointsOfAServiceWithoutASelectorAreMirrored() throws {
    try ControlPlane(nodes: 0).tell { plane in
      try await plane.admin.create(.services, namespace: "default", Self.service("db"))
      let subsets: JSONValue = [
        [
          "addresses": [["ip": "192.0.2.1", "hostname": "a"], ["ip": "2001:db8::1"]],
          "notReadyAddresses": [["ip": "192.0.2.2"]], "ports": [["name": "sql", "port": 5432, "protocol": "TCP"]],
        ]
      ]
      try await plane.admin.create(
        .endpoints, namespace: "default", Self.endpoints("db", subsets, labels: ["tier": "data"]))
      try await plane.world.eventually("two slices, one a family") {
        try await Self.slices(plane, "db").count == 2
      }
      let slices = try await Self.slices(plane, "db")
      #expect(slices.map(\.addressType) == ["IPv4", "IPv6"])
      #expect(slices.allSatisfy { $0.name.hasPrefix("db-") && $0.metadata.labels["tier"] == "data" })
      #expect(slices.allSatisfy { $0.metadata.annotations == ["example.org/note": "n"] })
      #expect(slices.allSatisfy { $0.metadata.controller?.kind == "Endpoints" })
      let v4 = slices[0].endpoints.elements
      #expect(v4.map { $0["addresses"][0].string } == ["192.0.2.1", "192.0.2.2"])
      #expect(v4.map { $0["conditions"]["ready"].bool } == [true, false] && v4[0]["hostname"].string == "a")
      #expect(slices[0].ports[0]["port"].integer == 5432 && slices[0].ports[0]["name"].string == "sql")

      // A change is followed in place; a family that goes takes its slice along.
      try await plane.admin.patch(
        .endpoints, namespace: "default", name: "db",
        ["subsets": [["addresses": [["ip": "192.0.2.9"]], "ports": [["name": "sql", "port": 5432]]]]], type: .merge)
      try await plane.world.eventually("one slice with the new address") {
        let now = try await Self.slices(plane, "db")
        return now.count == 1 && now[0].name == slices[0].name
          && now[0].endpoints.elements.map { $0["addresses"][0].string } == ["192.0.2.9"]
      }
      // The Service finds pods by itself from now on: nothing is mirrored any more.
      try await plane.admin.patch(
        .services, namespace: "default", name: "db", ["spec": ["selector": ["app": "db"]]], type: .merge)
      try await plane.world.eventually("no mirror") { try await Self.slices(plane, "db").isEmpty }
    }
  }

  @Test func whatIsNotToBeMirroredIsNot() throws {
    try ControlPlane(nodes: 0).tell { plane in
      let subsets: JSONValue = [["addresses": [["ip": "192.0.2.1"]], "ports": [["port": 1]]]]
      for name in ["skipped", "mirrored", "gone"] {
        try await plane.admin.create(.services, namespace: "default", Self.service(name))
        let labels: JSONValue = name == "skipped" ? ["endpointslice.kubernetes.io/skip-mirror": "true"] : [:]
        try await plane.admin.create(.endpoints, namespace: "default", Self.endpoints(name, subsets, labels: labels))
      }
      try await plane.admin.create(.endpoints, namespace: "default", Self.endpoints("nobodys", subsets))
      for name in ["mirrored", "gone"] {
        try await plane.world.eventually("a slice") { try await Self.slices(plane, name).count == 1 }
      }
      try await plane.admin.delete(.endpoints, namespace: "default", name: "gone")
      try await plane.world.eventually("it is gone") { try await Self.slices(plane, "gone").isEmpty }
      // Somebody else's edit is undone.
      let slice = try await Self.slices(plane, "mirrored")[0]
      try await plane.admin.patch(
        .endpointSlices, namespace: "default", name: slice.name, ["endpoints": []], type: .merge)
      try await plane.world.eventually("it is as it was") {
        try await Self.slices(plane, "mirrored").first?.endpoints.elements.count == 1
      }
      let (skipped, nobodys) = (try await Self.slices(plane, "skipped"), try await Self.slices(plane, "nobodys"))
      #expect(skipped.isEmpty && nobodys.isEmpty)
    }
  }

  @Test func ofTooManyAddressesTheReadyOnesAreTaken() throws {
    try ControlPlane(nodes: 0).tell { plane in
      try await plane.admin.create(.services, namespace: "default", Self.service("many"))
      func addresses(_ third: Int) -> JSONValue {
        .array((0..<600).map { ["ip": .string("10.\(third).\($0 >> 8).\($0 & 255)")] })
      }
      let subsets: JSONValue = [
        ["addresses": addresses(1), "notReadyAddresses": addresses(2), "ports": [["port": 1]]]
      ]
      try await plane.admin.create(.endpoints, namespace: "default", Self.endpoints("many", subsets))
      try await plane.world.eventually("mirrored") { try await Self.slices(plane, "many").count == 1 }
      let endpoints = try await Self.slices(plane, "many")[0].endpoints.elements
      #expect(endpoints.count == 1000 && endpoints.filter { $0["conditions"]["ready"].bool == true }.count == 600)
      try await plane.world.eventually("an event") {
        try await plane.events(of: "many").contains(
          "TooManyAddressesToMirror: A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. "
            + "200 addresses were skipped")
      }
    }
  }

  @Test func whatIsNoAddressIsCounted() {
    let mirror = EndpointsMirror(
      Endpoints(json: ["subsets": [["addresses": [["ip": "nonsense"], ["ip": "10.0.0.1"]], "ports": [["port": 1]]]]]))
    #expect(mirror.invalidAddresses == 1 && mirror.surplusAddresses == 0 && mirror.slices.count == 1)
  }
}
