// Who stands behind a Service, of which family, in which zone and for whom.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

private let start = WallTime(secondsSinceEpoch: 1_000_000)

private func pod(_ name: String, _ ips: [String], node: String = "n", ready: Bool = true, since: Int64 = 0) -> Pod {
  var json = Fixture.pod(name, node: node, labels: ["app": "web"])
  json["metadata"]["uid"] = .string("uid-\(name)")
  json["status"] = [
    "phase": "Running", "podIP": .string(ips[0]), "podIPs": .array(ips.map { ["ip": .string($0)] }),
    "conditions": [
      [
        "type": "Ready", "status": ready ? "True" : "False",
        "lastTransitionTime": .string((start + .seconds(since)).rfc3339),
      ]
    ],
  ]
  return Pod(json: json)
}

private func service(_ families: [String] = ["IPv4"], ports: JSONValue = [["port": 80, "targetPort": 8080]]) -> Service
{
  Service(json: [
    "metadata": ["name": "web", "namespace": "default", "uid": "s", "creationTimestamp": .string(start.rfc3339)],
    "spec": [
      "clusterIP": "10.96.0.5", "selector": ["app": "web"], "ports": ports,
      "ipFamilies": .array(families.map { .string($0) }),
    ],
  ])
}

@Suite struct EndpointTests {
  @Test func everyFamilyHasAddressesOfItsOwn() {
    let pods = [pod("both", ["10.0.0.1", "fd00::1"]), pod("old", ["10.0.0.2"]), pod("new", ["fd00::3"])]
    func ips(_ service: Service, _ family: String? = nil) -> [String] {
      EndpointGroups(service: service, pods: pods, family: family).groups.flatMap(\.addresses).map(\.ip).sorted()
    }
    let dual = service(["IPv4", "IPv6"])
    #expect(ips(dual, "IPv4") == ["10.0.0.1", "10.0.0.2"] && ips(dual, "IPv6") == ["fd00::1", "fd00::3"])
    // Endpoints know one family, the Service's first.
    #expect(ips(service(["IPv6"])) == ["fd00::1", "fd00::3"])
  }

  @Test func ofTooManyAddressesReadyOnesStay() {
    let pods = (0..<6).map { pod("p\($0)", ["10.0.0.\($0 + 1)"], ready: $0 >= 3) }
    func cut(_ maximum: Int) -> (ready: Int, notReady: Int, isCut: Bool) {
      let (subsets, isCut) = EndpointSubsets.json(
        EndpointGroups(service: service(), pods: pods), of: service(), maximum: maximum)
      func count(_ list: String) -> Int { subsets.reduce(0) { $0 + $1[list].elements.count } }
      return (count("addresses"), count("notReadyAddresses"), isCut)
    }
    #expect(cut(6) == (3, 3, false))
    #expect(cut(4) == (3, 1, true))
    #expect(cut(2) == (2, 0, true))
  }

  @Test func podsThatAnswerOnNoPortStandBehindNone() {
    let named = service(ports: [["port": 80, "targetPort": "http"]])
    var json = Fixture.pod("side", node: "n", labels: ["app": "web"])
    json["spec"]["initContainers"] = [
      ["name": "proxy", "restartPolicy": "Always", "ports": [["name": "http", "containerPort": 9000]]]
    ]
    json["status"] = ["phase": "Running", "podIP": "10.0.0.9", "conditions": [["type": "Ready", "status": "True"]]]
    let groups = EndpointGroups(service: named, pods: [pod("bare", ["10.0.0.1"]), Pod(json: json)])
    let (subsets, _) = EndpointSubsets.json(groups, of: named, maximum: 1000)
    #expect(subsets.count == 1 && subsets[0]["addresses"].elements.map { $0["ip"] } == ["10.0.0.9"])
    #expect(subsets[0]["ports"][0]["port"] == 9000, "a sidecar's port is the pod's")
  }

  @Test func triggersAreWhatWasNotSeenBefore() {
    var triggers = TriggerTimes()
    let web = service()
    #expect(triggers.note(web, [pod("a", ["10.0.0.1"], since: 50)]) == start, "the Service itself")
    #expect(triggers.note(web, [pod("a", ["10.0.0.1"], since: 50)]) == nil)
    let later = [pod("a", ["10.0.0.1"], since: 70), pod("b", ["10.0.0.2"], since: 60)]
    #expect(triggers.note(web, later) == start + .seconds(60))
    #expect(triggers.note(web, [later[0]]) == nil, "who went tells no time")
  }

  // MARK: Hints

  private func plan(_ pods: [Pod], zones: [String: String], existing: [EndpointSlice] = []) -> SlicePlan {
    SlicePlan(
      existing: existing,
      groups: EndpointGroups(service: service(), pods: pods, zone: { zones[$0] ?? "" }), maximum: 100)
  }

  private func hints(_ plan: SlicePlan) -> [String: Int] {
    plan.contents.flatMap(\.endpoints).reduce(into: [:]) { counts, endpoint in
      counts[endpoint["hints"]["forZones"][0]["name"].string ?? "", default: 0] += 1
    }
  }

  private func shares(_ zones: [String: String], cpu: String = "4") -> ZoneShares {
    ZoneShares(
      zones.map { Node(json: Fixture.node($0.key, cpu: cpu, labels: ["topology.kubernetes.io/zone": $0.value])) })
  }

  @Test func closeMeansOfTheSameZone() {
    var plan = plan(
      [
        pod("a", ["10.0.0.1"], node: "n1"), pod("b", ["10.0.0.2"], node: "n2"), pod("c", ["10.0.0.3"], node: "n3"),
        pod("d", ["10.0.0.4"], node: "n1", ready: false),
      ],
      zones: ["n1": "east", "n2": "west"])
    TopologyHints.preferClose(&plan)
    #expect(hints(plan) == ["east": 1, "west": 1, "": 2])
    #expect(plan.contents[0].endpoints[0]["zone"] == "east")
  }

  @Test func zonesShareEndpointsAsTheyShareCapacity() {
    let zones = ["n1": "east", "n2": "west"]
    let pods = (0..<4).map { pod("p\($0)", ["10.0.0.\($0 + 1)"], node: "n1") }
    var first = plan(pods, zones: zones)
    #expect(TopologyHints.byCapacity(&first, shares(zones)) == nil)
    #expect(hints(first) == ["east": 2, "west": 2])
    // Nothing changed: nothing is written.
    let slices = first.creations.enumerated().map { index, content in
      EndpointSlice(json: [
        "metadata": ["name": .string("s\(index)")], "addressType": "IPv4", "endpoints": .array(content.endpoints),
        "ports": .array(content.ports),
      ])
    }
    var second = plan(pods, zones: zones, existing: slices)
    #expect(TopologyHints.byCapacity(&second, shares(zones)) == nil)
    #expect(second.updates.allSatisfy { $0.0.endpoints.elements == $0.1.endpoints } && second.updates.count == 1)
  }

  @Test func whereItCannotBeFairThereAreNoHints() {
    let zones = ["n1": "east", "n2": "west", "n3": "north"]
    func why(_ count: Int, _ zones: [String: String], _ shares: ZoneShares) -> String? {
      var plan = plan((0..<count).map { pod("p\($0)", ["10.0.0.\($0 + 1)"], node: "n1") }, zones: zones)
      let why = TopologyHints.byCapacity(&plan, shares)
      if why != nil { #expect(hints(plan)[""] == count) }
      return why
    }
    #expect(why(2, zones, shares(zones)) == "Insufficient number of endpoints (2 endpoints, 3 zones)")
    #expect(
      why(4, zones, shares(zones))
        == "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold "
        + "(4 endpoints, 3 zones)")
    #expect(why(6, zones, shares(zones)) == nil)
    #expect(why(6, [:], shares(zones)) == "One or more endpoints do not have a zone specified")
    let blind = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
    #expect(why(6, zones, shares(["n1": "east"])) == blind && why(6, zones, shares(["n1": "east", "n2": ""])) == blind)
  }

  @Test func aServiceSaysWhomItsEndpointsAreFor() throws {
    try ControlPlane(nodes: 2).tell { plane in
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 4))
      var service = Fixture.service("web", selector: ["app": "web"])
      service["spec"]["trafficDistribution"] = "PreferClose"
      try await plane.admin.create(.services, namespace: "default", service)
      try await plane.rolledOut("web")
      @Sendable func slice() async throws -> JSONValue {
        try await plane.admin.list(.endpointSlices, namespace: "default").items.first ?? .null
      }
      for (index, zone) in ["east", "west"].enumerated() {
        try await plane.admin.patch(
          .nodes, name: "node-\(index)", ["metadata": ["labels": ["topology.kubernetes.io/zone": .string(zone)]]],
          type: .merge)
      }
      try await plane.world.eventually("all are for their own zones") {
        let endpoints = try await slice()["endpoints"].elements
        return endpoints.count == 4
          && endpoints.allSatisfy {
            $0["zone"].string == ($0["nodeName"] == "node-0" ? "east" : "west")
              && $0["hints"]["forZones"] == [["name": $0["zone"]]]
          }
      }
      // By capacity, which both zones have the same of.
      try await plane.admin.patch(
        .services, namespace: "default", name: "web",
        ["metadata": ["annotations": ["service.kubernetes.io/topology-mode": "Auto"]]], type: .merge)
      try await plane.world.eventually("told") {
        try await plane.events(of: "web").contains(
          "TopologyAwareHintsEnabled: Topology Aware Hints has been enabled, addressType: IPv4")
      }
      // One zone is left: nobody could be preferred.
      try await plane.admin.patch(
        .nodes, name: "node-1", ["metadata": ["labels": ["topology.kubernetes.io/zone": "east"]]], type: .merge)
      try await plane.world.eventually("no hints") {
        try await slice()["endpoints"].elements.allSatisfy { $0["hints"].isNull }
      }
      // And nobody is asked for any more.
      try await plane.admin.patch(
        .services, namespace: "default", name: "web",
        ["metadata": ["annotations": .null], "spec": ["trafficDistribution": .null]], type: .merge)
      try await plane.world.eventually("told, too") {
        try await plane.events(of: "web").contains(
          "TopologyAwareHintsDisabled: Topology Aware Hints has been disabled, addressType: IPv4")
      }
    }
  }

  @Test func aServiceOfTwoFamiliesHasSlicesOfBothAndTellsWhenTheyChanged() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      try await plane.world.eventually("the account is there") {
        try await plane.admin.find(.serviceAccounts, namespace: "default", name: "default") != nil
      }
      var service = Fixture.service("web", selector: ["app": "web"])
      service["spec"]["clusterIP"] = "None"
      service["spec"]["ipFamilyPolicy"] = "PreferDualStack"
      try await plane.admin.create(.services, namespace: "default", service)
      let families = try await plane.admin.get(.services, namespace: "default", name: "web")["spec"]["ipFamilies"]
      @Sendable func slices() async throws -> [JSONValue] {
        try await plane.admin.list(.endpointSlices, namespace: "default").items
      }
      try await plane.world.eventually("slices of its families") {
        let types = try await slices().map { $0["addressType"].string ?? "" }
        return types.sorted() == families.elements.compactMap(\.string).sorted()
      }
      try await plane.world.sleep(for: .seconds(5))
      let pod = Fixture.pod("p", labels: ["app": "web"])
      try await plane.admin.create(.pods, namespace: "default", pod)
      let ready = plane.world.wallClock.rfc3339
      try await plane.admin.patch(
        .pods, namespace: "default", name: "p",
        [
          "status": [
            "phase": "Running", "podIP": "10.0.0.1", "podIPs": [["ip": "10.0.0.1"]],
            "conditions": [["type": "Ready", "status": "True", "lastTransitionTime": .string(ready)]],
          ]
        ], type: .merge, subresource: "status")
      let second = String(ready.prefix(19)) + "Z"
      try await plane.world.eventually("both say since when") {
        let objects = try await [plane.admin.get(.endpoints, namespace: "default", name: "web")] + slices()
        return objects.contains { !$0["endpoints"].elements.isEmpty }
          && objects.allSatisfy {
            $0["endpoints"] == [] || $0["addressType"] == "IPv6"
              || $0["metadata"]["annotations"][TriggerTimes.annotation].string == second
          }
      }
      let changed = try #require(try await slices().first { !$0["endpoints"].elements.isEmpty })
      #expect(changed["metadata"]["generateName"] == "web-", "a change takes nothing of the name's history")
      #expect(changed["metadata"]["managedFields"].elements.map { $0["manager"] } == ["kube-controller-manager"])
    }
  }
}
