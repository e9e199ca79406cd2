// Config maps and secrets, events, services, templates, volumes.
import Client
import HTTP
import JSON
import Schema
import TestSupport
import Testing

extension Conformance {
  static let coreStories: [Int: Story] = [
    177: { try await $0.deletesACollectionOfEvents(.newEvents) },
    179: { try await $0.deletesACollectionOfEvents(.events) },
    191: { try await $0.findsTheEndpointsOfTheServer() },
    213: { try await $0.deletesACollectionOfServices() },
    214: { try await $0.findsAServiceInAllNamespaces() },
    217: { try await $0.findsTheServersService() },
    224: { try await $0.refusesAnEmptyKey(.configMaps, ["data": ["": "value-1"]]) },
    262: { try await $0.replacesATemplate() },
    263: { try await $0.livesThroughATemplatesLife() },
    293: { try await $0.refusesAnEmptyKey(.secrets, ["data": ["": "dmFsdWUtMQ=="]]) },
    335: { try await $0.freezes(.configMaps, key: "data", ["data": ["data-1": "value-1"]], change: "value-2") },
    365: { try await $0.changesTheStatusOfVolumes() },
    366: { try await $0.livesThroughVolumesLives() },
    403: { try await $0.freezes(.secrets, key: "data", ["data": ["data-1": "dmFsdWUtMQ=="]], change: "dmFsdWUtMg==") },
    410: { try await $0.changesTheStatusOfAnAttachment() },
  ]

  private func deletesACollectionOfEvents(_ resource: ResourceReference) async throws {
    let isNew = resource.group == "events.k8s.io"
    for number in 1...3 {
      let subject: JSONValue = ["namespace": .string(namespace)]
      var event: JSONValue = [
        "metadata": ["name": .string("test-event-\(number)"), "labels": ["testevent-set": "true"]],
        "type": "Normal", "reason": "Test",
      ]
      if isNew {
        event["regarding"] = subject
        event["eventTime"] = "2026-01-01T00:00:00.000000Z"
        for (key, value) in [("action", "Do"), ("reportingController", "test-c"), ("reportingInstance", "test-n")] {
          event[key] = .string(value)
        }
      } else {
        event["involvedObject"] = subject
        event["message"] = "This is a test event"
      }
      try await make(resource, event)
    }
    let selector = ListOptions(labelSelector: "testevent-set=true")
    #expect(try await names(resource, selector).count == 3)
    _ = try await client.json(
      "DELETE", resource.path(namespace: namespace), [("labelSelector", "testevent-set=true")])
    #expect(try await names(resource, selector).isEmpty)
  }

  /// In the order of a server that starts: the objects of its own service.
  private func makeServersService() async throws {
    let object: (JSONValue) -> JSONValue = { body in
      var object = body
      object["metadata"]["name"] = "kubernetes"
      return object
    }
    try await client.create(
      .services, namespace: "default",
      object([
        "metadata": ["labels": ["component": "apiserver", "provider": "kubernetes"]],
        "spec": ["ports": [["name": "https", "port": 443, "targetPort": 6443]]],
      ]))
    try await client.create(
      .endpoints, namespace: "default",
      object([
        "metadata": ["labels": ["endpointslice.kubernetes.io/skip-mirror": "true"]],
        "subsets": [["addresses": [["ip": "10.1.2.3"]], "ports": [["name": "https", "port": 6443]]]],
      ]))
    try await client.create(
      .endpointSlices, namespace: "default",
      object([
        "metadata": ["labels": ["kubernetes.io/service-name": "kubernetes"]], "addressType": "IPv4",
        "endpoints": [["addresses": ["10.1.2.3"], "conditions": ["ready": true]]],
        "ports": [["name": "https", "port": 6443, "protocol": "TCP"]],
      ]))
  }

  private func findsTheEndpointsOfTheServer() async throws {
    try await makeServersService()
    let service = try await client.get(.services, namespace: "default", name: "kubernetes")
    let endpoints = try await client.get(.endpoints, namespace: "default", name: "kubernetes")
    let slices = try await client.list(
      .endpointSlices, namespace: "default", ListOptions(labelSelector: "kubernetes.io/service-name=kubernetes"))
    #expect(service["spec"]["ports"][0]["port"] == 443)
    let addresses = Set(endpoints["subsets"].elements.flatMap { $0["addresses"].elements.map { $0["ip"] } })
    let inSlices = Set(slices.items.flatMap { $0["endpoints"].elements.flatMap { $0["addresses"].elements } })
    #expect(!addresses.isEmpty && addresses == inSlices)
  }

  private func findsTheServersService() async throws {
    try await makeServersService()
    let service = try await client.get(.services, namespace: "default", name: "kubernetes")
    #expect(service["spec"]["type"] == "ClusterIP" && service["spec"]["clusterIP"].string?.isEmpty == false)
  }

  private func deletesACollectionOfServices() async throws {
    for (name, type) in [("e2e-svc-a", "ClusterIP"), ("e2e-svc-b", "ClusterIP"), ("e2e-svc-c", "NodePort")] {
      try await make(
        .services,
        [
          "metadata": ["name": .string(name), "labels": ["e2e-test-service": name == "e2e-svc-b" ? "b" : "test"]],
          "spec": ["type": .string(type), "ports": [["name": "http", "port": 8000]]],
        ])
    }
    _ = try await client.json(
      "DELETE", ResourceReference.services.path(namespace: namespace), [("labelSelector", "e2e-test-service=test")])
    #expect(try await names(.services) == ["e2e-svc-b"])
  }

  private func findsAServiceInAllNamespaces() async throws {
    try await make(
      .services, ["metadata": ["name": "kubernetes-like"], "spec": ["ports": [["port": 443]]]])
    let all = try await client.list(.services).items
    #expect(
      all.contains { $0["metadata"]["name"] == "kubernetes-like" && $0["metadata"]["namespace"].string == namespace })
  }

  private func refusesAnEmptyKey(_ resource: ResourceReference, _ body: JSONValue) async throws {
    var object = body
    object["metadata"]["name"] = "with-empty-key"
    let error = await refusal { try await make(resource, object) }
    #expect(error?.code == 422 && error?.reason == "Invalid")
    #expect(error?.causes.map(\.field) == ["data[]"])
    #expect(
      error?.message
        == "\(resource.kind) \"with-empty-key\" is invalid: data[]: Invalid value: \"\": a valid config key must "
        + "consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', "
        + "regex used for validation is '[-._a-zA-Z0-9]+')")
  }

  private func freezes(_ resource: ResourceReference, key: String, _ body: JSONValue, change: String) async throws {
    var object = body
    object["metadata"]["name"] = "immutable"
    try await make(resource, object)
    func changed(_ edit: (inout JSONValue) -> Void) async throws -> JSONValue {
      var object = try await read(resource, "immutable")
      edit(&object)
      return try await client.update(resource, namespace: namespace, name: "immutable", object)
    }
    _ = try await changed { $0[key]["data-1"] = .string(change) }
    _ = try await changed { $0["immutable"] = true }
    for (field, edit) in [
      ("data", { $0["data"]["data-2"] = .string(change) }), ("immutable", { $0["immutable"] = false }),
    ] as [(String, (inout JSONValue) -> Void)] {
      let error = await refusal { _ = try await changed(edit) }
      #expect(error?.code == 422)
      #expect(
        error?.message
          == "\(resource.kind) \"immutable\" is invalid: \(field): Forbidden: field is immutable when `immutable` is set"
      )
    }
    _ = try await changed { $0["metadata"]["labels"] = ["label1": "value1"] }
    try await client.delete(resource, namespace: namespace, name: "immutable")
  }

  private static let template: JSONValue = [
    "metadata": ["labels": ["pod": "true"]], "spec": ["containers": [["name": "test", "image": "pause:1"]]],
  ]

  private func replacesATemplate() async throws {
    let made = try await make(
      .podTemplates, ["metadata": ["name": "pt", "labels": ["e2e": "1"]], "template": Self.template])
    #expect(made["template"]["spec"]["restartPolicy"] == "Always")
    var object = made
    object["metadata"]["annotations"] = ["updated": "true"]
    let updated = try await client.update(.podTemplates, namespace: namespace, name: "pt", object)
    #expect(updated["metadata"]["annotations"]["updated"] == "true")
  }

  private func livesThroughATemplatesLife() async throws {
    try await make(.podTemplates, ["metadata": ["name": "pt"], "template": Self.template])
    let patched = try await client.patch(
      .podTemplates, namespace: namespace, name: "pt", ["metadata": ["labels": ["podtemplate": "patched"]]],
      type: .strategic)
    #expect(patched["metadata"]["labels"]["podtemplate"] == "patched")
    try await client.delete(.podTemplates, namespace: namespace, name: "pt")
    #expect(try await client.list(.podTemplates, ListOptions(labelSelector: "podtemplate=patched")).items.isEmpty)
  }

  // MARK: Volumes

  private func makeVolume(_ name: String) async throws -> JSONValue {
    try await make(
      .volumes,
      [
        "metadata": ["name": .string(name), "labels": ["e2e-pv-pool": "p"]],
        "spec": [
          "capacity": ["storage": "10Mi"], "accessModes": ["ReadWriteOnce"], "storageClassName": "sc",
          "persistentVolumeReclaimPolicy": "Retain", "hostPath": ["path": "/tmp/e2e"],
        ],
      ])
  }

  private func makeClaim(_ name: String) async throws -> JSONValue {
    try await make(
      .claims,
      [
        "metadata": ["name": .string(name), "labels": ["e2e-pv-pool": "p"]],
        "spec": [
          "accessModes": ["ReadWriteOnce"], "storageClassName": "sc", "resources": ["requests": ["storage": "5Mi"]],
        ],
      ])
  }

  private func changesTheStatusOfVolumes() async throws {
    let volume = try await makeVolume("pv")
    let claim = try await makeClaim("pvc")
    #expect(volume["status"]["phase"] == "Pending" && claim["status"]["phase"] == "Pending")
    let condition: JSONValue = [
      "type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from an e2e test",
      "lastProbeTime": .null, "lastTransitionTime": .null,
    ]
    var object = claim
    object["status"]["conditions"] = [condition]
    let updated = try await client.update(
      .claims, namespace: namespace, name: "pvc", object, subresource: "status")
    #expect(updated["status"]["conditions"][0]["type"] == "StatusUpdate")
    var other = volume
    other["status"]["message"] = "StatusUpdate"
    other["status"]["reason"] = "E2E"
    let changed = try await client.update(.volumes, name: "pv", other, subresource: "status")
    #expect(changed["status"]["reason"] == "E2E")
    let patched = try await client.patch(
      .volumes, name: "pv", ["status": ["message": "StatusPatched", "reason": "E2E patchStatus"]], type: .merge,
      subresource: "status")
    #expect(patched["status"]["message"] == "StatusPatched" && patched["status"]["phase"] == "Pending")
  }

  private func livesThroughVolumesLives() async throws {
    startControllers()
    _ = try await makeVolume("pv")
    _ = try await makeClaim("pvc")
    #expect(try await names(.volumes, ListOptions(labelSelector: "e2e-pv-pool=p")) == ["pv"])
    #expect(try await names(.claims) == ["pvc"])
    for (resource, name) in [(ResourceReference.volumes, "pv"), (.claims, "pvc")] {
      let patched = try await client.patch(
        resource, namespace: resource.isNamespaced ? namespace : "", name: name,
        ["metadata": ["labels": [name: "patched"]]], type: .strategic)
      #expect(patched["metadata"]["labels"][name] == "patched")
      #expect(try await read(resource, name) == patched)
      var object = patched
      object["metadata"]["labels"][name] = "updated"
      let updated = try await client.update(
        resource, namespace: resource.isNamespaced ? namespace : "", name: name, object)
      #expect(updated["metadata"]["labels"][name] == "updated")
    }
    try await client.delete(.claims, namespace: namespace, name: "pvc")
    try await client.delete(.volumes, name: "pv")
    _ = try await makeVolume("pv2")
    _ = try await makeClaim("pvc2")
    for resource in [ResourceReference.claims, .volumes] {
      _ = try await client.json(
        "DELETE", resource.path(namespace: resource.isNamespaced ? namespace : ""),
        [("labelSelector", "e2e-pv-pool=p")])
      try await eventually("\(resource) are gone") { try await names(resource).isEmpty }
    }
  }

  private func changesTheStatusOfAnAttachment() async throws {
    let made = try await make(
      .volumeAttachments,
      [
        "metadata": ["name": "va-e2e"],
        "spec": ["attacher": "e2e-test.storage.k8s.io", "nodeName": "node", "source": ["persistentVolumeName": "pv"]],
      ])
    #expect(made["status"] == ["attached": false] || made["status"].isNull)
    let patched = try await client.patch(
      .volumeAttachments, name: "va-e2e",
      ["status": ["attached": true]], type: .merge, subresource: "status")
    #expect(patched["status"]["attached"] == true)
    var object = patched
    object["status"]["attached"] = false
    let updated = try await client.update(.volumeAttachments, name: "va-e2e", object, subresource: "status")
    #expect(updated["status"]["attached"] == false)
  }
}
