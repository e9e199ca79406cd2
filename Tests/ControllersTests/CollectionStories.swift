// Objects of kinds that have just come: what they own goes with them, and they with their namespace.
import APIServer
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

@Suite struct CollectionStories {
  private static let definitions = ResourceReference(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced: false)
  private static let beacons = ResourceReference("sea.example.com", "v1", "beacons", "Beacon")

  /// Defines a kind of sea.example.com and returns when it is served.
  private static func define(
    _ kind: String, version: String = "v1", in plane: ControlPlane
  ) async throws -> ResourceReference {
    let plural = "\(kind.lowercased())s"
    try await plane.admin.create(
      definitions,
      [
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": ["name": .string("\(plural).sea.example.com")],
        "spec": [
          "group": "sea.example.com", "scope": "Namespaced",
          "names": ["plural": .string(plural), "kind": .string(kind)],
          "versions": [
            [
              "name": .string(version), "served": true, "storage": true,
              "schema": ["openAPIV3Schema": ["type": "object", "x-kubernetes-preserve-unknown-fields": true]],
            ]
          ],
        ],
      ])
    let resource = ResourceReference("sea.example.com", version, plural, kind)
    try await plane.world.eventually("\(plural) are served") {
      try await plane.cluster.server.reconcileDefinitions()
      return (try? await plane.admin.list(resource, namespace: "default")) != nil
    }
    return resource
  }

  private static func make(_ resource: ResourceReference, _ name: String, in plane: ControlPlane) async throws
    -> JSONValue
  {
    try await plane.admin.create(
      resource, namespace: "default",
      [
        "apiVersion": .string(resource.apiVersion), "kind": .string(resource.kind),
        "metadata": ["name": .string(name), "namespace": "default"],
      ])
  }

  private static func makeLight(of owner: JSONValue, in plane: ControlPlane) async throws {
    try await plane.admin.create(
      .configMaps, namespace: "default",
      [
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": [
          "name": .string("light"),
          "ownerReferences": [
            OwnerReference(
              apiVersion: owner["apiVersion"].string ?? "", kind: owner["kind"].string ?? "",
              name: owner["metadata"]["name"].string ?? "", uid: owner["metadata"]["uid"].string ?? ""
            ).json
          ],
        ],
      ])
  }

  private static func lightGoes(in plane: ControlPlane, within limit: Duration = .seconds(5)) async throws {
    try await plane.world.eventually("what it owned goes too", within: limit) {
      try await plane.cluster.server.reconcileDefinitions()
      return try await plane.admin.find(.configMaps, namespace: "default", name: "light") == nil
    }
  }

  /// The collector looked at the owned object while it did not follow the owner's kind yet, and never again.
  @Test(arguments: [0, 1, 200, 5000])
  func whatAnOwnerOfANewKindOwnedGoesWithIt(milliseconds: Int) throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      // Given a collector that knows all kinds there are
      try await plane.world.sleep(for: .seconds(10))
      // when a kind comes, and an object of it that owns another, and goes soon
      let beacons = try await Self.define("Beacon", in: plane)
      try await Self.makeLight(of: Self.make(beacons, "north", in: plane), in: plane)
      try await plane.world.sleep(for: .milliseconds(milliseconds))
      try await plane.admin.delete(beacons, namespace: "default", name: "north")
      // then the other goes with it.
      try await Self.lightGoes(in: plane)
    }
  }

  @Test func aKindThatOnlyALesserVersionOfItsGroupHasIsFollowed() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      _ = try await Self.define("Buoy", version: "v2", in: plane)
      let beacons = try await Self.define("Beacon", version: "v1", in: plane)
      try await Self.makeLight(of: Self.make(beacons, "north", in: plane), in: plane)
      try await plane.world.sleep(for: .seconds(60))
      try await plane.admin.delete(beacons, namespace: "default", name: "north")
      try await Self.lightGoes(in: plane)
    }
  }

  @Test func whatTheObjectsOfAKindOwnedGoesWithTheirDefinition() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      let beacons = try await Self.define("Beacon", in: plane)
      try await Self.makeLight(of: Self.make(beacons, "north", in: plane), in: plane)
      try await plane.world.sleep(for: .seconds(60))
      try await plane.admin.delete(Self.definitions, name: "beacons.sea.example.com")
      try await Self.lightGoes(in: plane, within: .seconds(30))
    }
  }

  /// The namespace's controller went by what was served half a minute ago.
  @Test func aNamespaceTakesObjectsOfNewKindsWithIt() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      // Given a controller that has just asked what is served, for another namespace
      for name in ["before", "sea"] {
        try await plane.admin.create(
          .namespaces, ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(name)]])
      }
      try await plane.admin.delete(.namespaces, name: "before")
      try await plane.world.eventually("gone", within: .seconds(30)) {
        try await plane.admin.find(.namespaces, name: "before") == nil
      }
      // when a kind comes, and an object of it, and its namespace goes
      let beacons = try await Self.define("Beacon", in: plane)
      try await plane.admin.create(
        beacons, namespace: "sea",
        ["apiVersion": .string(beacons.apiVersion), "kind": "Beacon", "metadata": ["name": "south"]])
      try await plane.admin.delete(.namespaces, name: "sea")
      try await plane.world.eventually("gone", within: .seconds(30)) {
        try await plane.admin.find(.namespaces, name: "sea") == nil
      }
      // then nothing of it is left.
      #expect(try await plane.admin.list(beacons).items.isEmpty)
    }
  }
}
