// "… should support X API operations" and "… lifecycle of X" (spec/4 §4.2): what Kubernetes' conformance suite asks of
// every kind, verb by verb. The number is the line of its list.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

/// One kind's line: an object of it, a change, and whether it has a status of its own.
struct Lifecycle: Sendable, CustomTestStringConvertible {
  var number: Int
  var reference: ResourceReference
  /// Without name and namespace.
  var object: JSONValue
  /// A merge patch beside the label that every test sets.
  var change: JSONValue = [:]
  /// Written through /status and expected back; null where the kind has none.
  var status: JSONValue = .null
  var hasCollectionDelete = true

  var testDescription: String { "\(number) \(reference.kind)" }

  init(
    _ number: Int, _ group: String, _ version: String, _ resource: String, _ kind: String, namespaced: Bool = true,
    _ object: JSONValue, change: JSONValue = [:], status: JSONValue = .null, hasCollectionDelete: Bool = true
  ) {
    self.number = number
    reference = ResourceReference(group, version, resource, kind, namespaced: namespaced)
    self.object = object
    self.change = change
    self.status = status
    self.hasCollectionDelete = hasCollectionDelete
  }

  static let podTemplate: JSONValue = [
    "metadata": ["labels": ["app": "x"]], "spec": ["containers": [["name": "main", "image": "web:1"]]],
  ]

  static let all: [Lifecycle] = [
    Lifecycle(
      1, "flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "FlowSchema", namespaced: false,
      [
        "spec": [
          "matchingPrecedence": 10000, "priorityLevelConfiguration": ["name": "global-default"],
          "distinguisherMethod": ["type": "ByUser"],
          "rules": [
            [
              "subjects": [["kind": "User", "user": ["name": "e2e-test-user"]]],
              "nonResourceRules": [["verbs": ["*"], "nonResourceURLs": ["*"]]],
            ]
          ],
        ]
      ], change: ["spec": ["matchingPrecedence": 9999]],
      status: [
        "conditions": [
          [
            "type": "Dangling", "status": "False", "reason": "StatusUpdated", "message": "by a test",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
          ]
        ]
      ]),
    Lifecycle(
      2, "flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations", "PriorityLevelConfiguration",
      namespaced: false,
      [
        "spec": [
          "type": "Limited",
          "limited": ["nominalConcurrencyShares": 2, "limitResponse": ["type": "Reject"]],
        ]
      ], change: ["spec": ["limited": ["nominalConcurrencyShares": 4]]],
      status: [
        "conditions": [
          [
            "type": "Tested", "status": "False", "reason": "StatusUpdated", "message": "by a test",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
          ]
        ]
      ]),
    Lifecycle(
      86, "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy",
      namespaced: false,
      [
        "spec": [
          "matchConstraints": [
            "resourceRules": [
              [
                "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"],
              ]
            ]
          ], "validations": [["expression": "object.spec.replicas > 1"]],
        ]
      ], change: ["spec": ["validations": [["expression": "object.spec.replicas > 2"]]]],
      status: [
        "conditions": [
          [
            "type": "StatusUpdated", "status": "True", "reason": "E2E", "message": "by a test",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
          ]
        ]
      ]),
    Lifecycle(
      87, "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings",
      "ValidatingAdmissionPolicyBinding", namespaced: false,
      ["spec": ["policyName": "replicalimit-policy.example.com", "validationActions": ["Deny"]]]),
    Lifecycle(
      100, "batch", "v1", "cronjobs", "CronJob",
      [
        "spec": [
          "schedule": "* */1 * * ?", "concurrencyPolicy": "Allow",
          "jobTemplate": [
            "spec": [
              "template": [
                "spec": ["restartPolicy": "OnFailure", "containers": [["name": "c", "image": "busybox"]]]
              ]
            ]
          ],
        ]
      ], change: ["spec": ["suspend": true]], status: ["lastScheduleTime": "2026-01-01T00:00:00Z"]),
    Lifecycle(
      150, "certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", namespaced: false,
      [
        "spec": [
          "signerName": "example.com/e2e-test", "usages": ["digital signature", "key encipherment", "server auth"],
          "request": .string(Base64.encode(Array(certificateRequest.utf8))),
        ]
      ],
      status: [
        "conditions": [
          [
            "type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "by a test",
            "lastUpdateTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z",
          ]
        ]
      ]),
    Lifecycle(
      192, "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice",
      [
        "addressType": "IPv4", "ports": [["name": "http", "protocol": "TCP", "port": 80]],
        "endpoints": [["addresses": ["10.0.0.1"], "conditions": ["ready": true]]],
      ]),
    Lifecycle(
      195, "networking.k8s.io", "v1", "ingresses", "Ingress",
      ["spec": ["defaultBackend": ["service": ["name": "default-backend", "port": ["number": 80]]]]],
      status: ["loadBalancer": ["ingress": [["ip": "169.1.1.1"]]]]),
    Lifecycle(
      196, "networking.k8s.io", "v1", "ingressclasses", "IngressClass", namespaced: false,
      ["spec": ["controller": "example.com/controller"]]),
    Lifecycle(
      212, "", "v1", "services", "Service",
      ["spec": ["type": "LoadBalancer", "ports": [["name": "http", "port": 80]]]],
      status: ["loadBalancer": ["ingress": [["ip": "203.0.113.1"]]]]),
    Lifecycle(
      225, "", "v1", "configmaps", "ConfigMap", ["data": ["valueName": "value"]],
      change: ["data": ["valueName": "value1"]]),
    Lifecycle(
      257, "coordination.k8s.io", "v1", "leases", "Lease",
      ["spec": ["holderIdentity": "holder", "leaseDurationSeconds": 30, "renewTime": "2026-01-01T00:00:00.000000Z"]],
      change: ["spec": ["holderIdentity": "holder2"]]),
    Lifecycle(
      260, "", "v1", "nodes", "Node", namespaced: false, ["status": ["capacity": ["cpu": "1"]]],
      status: ["phase": "Running"]),
    Lifecycle(261, "", "v1", "podtemplates", "PodTemplate", ["template": podTemplate]),
    Lifecycle(
      290, "node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", namespaced: false, ["handler": "fine"]),
    Lifecycle(
      294, "", "v1", "secrets", "Secret", ["data": ["key": "dmFsdWU="]], change: ["data": ["key": "dmFsdWUx"]]),
    Lifecycle(
      312, "", "v1", "limitranges", "LimitRange",
      ["spec": ["limits": [["type": "Container", "default": ["cpu": "500m"], "defaultRequest": ["cpu": "100m"]]]]]),
    Lifecycle(
      318, "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced: false,
      ["value": 1000, "description": "first"], change: ["description": "second"]),
    Lifecycle(
      322, "storage.k8s.io", "v1", "csidrivers", "CSIDriver", namespaced: false,
      ["spec": ["volumeLifecycleModes": ["Ephemeral"]]]),
    Lifecycle(
      324, "storage.k8s.io", "v1", "csinodes", "CSINode", namespaced: false,
      ["spec": ["drivers": [["name": "e2e-driver", "nodeID": "node"]]]]),
    Lifecycle(
      325, "storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity",
      ["storageClassName": "one", "nodeTopology": [:], "capacity": "10Gi"]),
    Lifecycle(
      404, "storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced: false,
      ["provisioner": "e2e-provisioner", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"]),
    Lifecycle(
      411, "storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", namespaced: false,
      ["spec": ["attacher": "e2e", "nodeName": "node", "source": ["persistentVolumeName": "pv"]]],
      status: ["attached": true]),
    Lifecycle(
      158, "", "v1", "serviceaccounts", "ServiceAccount", [:], change: ["automountServiceAccountToken": false]),
    Lifecycle(
      178, "events.k8s.io", "v1", "events", "Event",
      [
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "test-controller",
        "reportingInstance": "test-node", "action": "Do", "reason": "Test", "type": "Normal", "note": "a note",
        "regarding": ["namespace": "e2e-tests"],
      ], change: ["series": ["count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"]]),
    Lifecycle(
      180, "", "v1", "events", "Event",
      [
        "type": "Normal", "reason": "Test", "message": "a message", "source": ["component": "test"],
        "involvedObject": ["namespace": "e2e-tests"],
      ], change: ["message": "a better message"]),
    Lifecycle(
      79, "", "v1", "resourcequotas", "ResourceQuota", ["spec": ["hard": ["services": "5"]]],
      change: ["spec": ["hard": ["services": "6"]]], status: ["hard": ["services": "7"]]),
    Lifecycle(
      118, "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget",
      ["spec": ["minAvailable": 1, "selector": ["matchLabels": ["foo": "bar"]]]],
      change: ["spec": ["minAvailable": 2]], status: ["disruptionsAllowed": 1]),
    Lifecycle(
      221, "", "v1", "endpoints", "Endpoints",
      ["subsets": [["addresses": [["ip": "10.0.0.24"]], "ports": [["name": "http", "port": 80]]]]]),
  ]
}

/// The life of an object, told of every verb.
struct LifecycleStory {
  let line: Lifecycle
  let client: APIClient
  let namespace: String

  init(line: Lifecycle, conformance: Conformance) {
    self.line = line
    client = conformance.client
    namespace = line.reference.isNamespaced ? conformance.namespace : ""
  }

  let selector = "e2e-test=lifecycle"

  func object(_ name: String) -> JSONValue {
    var object = line.object
    object["apiVersion"] = .string(line.reference.apiVersion)
    object["kind"] = .string(line.reference.kind)
    object["metadata"]["name"] = .string(name)
    if !namespace.isEmpty { object["metadata"]["namespace"] = .string(namespace) }
    object["metadata"]["labels"] = ["e2e-test": "lifecycle"]
    return object
  }

  func tell() async throws {
    try await isDiscovered()
    let start = try await client.list(line.reference, namespace: namespace).resourceVersion
    try await isMadeAndRead()
    try await isListed()
    try await isPatchedAndUpdated()
    if !line.status.isNull { try await hasAStatus() }
    try await isDeleted()
    try await goesAsACollection()
    try await wasWatched(from: start)
  }

  private func isDiscovered() async throws {
    let path = line.reference.group.isEmpty ? "/api" : "/apis/\(line.reference.group)"
    let list = try await client.json("GET", "\(path)/\(line.reference.version)", [])
    let found = list["resources"].elements.first { $0["name"].string == line.reference.resource }
    #expect(found?["kind"].string == line.reference.kind)
    #expect(found?["namespaced"].bool == line.reference.isNamespaced)
    if !line.status.isNull {
      #expect(list["resources"].elements.contains { $0["name"].string == "\(line.reference.resource)/status" })
    }
  }

  private func isMadeAndRead() async throws {
    let made = try await client.create(line.reference, namespace: namespace, object("one"))
    #expect(made["metadata"]["uid"].string?.isEmpty == false)
    #expect(made["metadata"]["creationTimestamp"].string?.isEmpty == false)
    let read = try await client.get(line.reference, namespace: namespace, name: "one")
    #expect(read == made)
    let error = await #expect(throws: APIStatus.self) {
      try await client.create(line.reference, namespace: namespace, object("one"))
    }
    #expect(error?.reason == "AlreadyExists")
    #expect(error?.message == "\(line.reference.groupResource) \"one\" already exists")
  }

  private func isListed() async throws {
    let options = ListOptions(labelSelector: selector)
    let everywhere = try await client.list(line.reference, options)
    #expect(everywhere.items.map { $0["metadata"]["name"] } == ["one"])
    let here = try await client.list(line.reference, namespace: namespace, options)
    #expect(here.items.count == 1)
    #expect(try await client.list(line.reference, ListOptions(labelSelector: "e2e-test=other")).items.isEmpty)
  }

  private func isPatchedAndUpdated() async throws {
    var patch = line.change
    patch["metadata"]["annotations"] = ["patched": "true"]
    let patched = try await client.patch(
      line.reference, namespace: namespace, name: "one", patch, type: .merge)
    #expect(patched["metadata"]["annotations"]["patched"] == "true")
    for (key, value) in line.change.object ?? JSONObject() {
      #expect(Conformance.contains(patched[key], value), "\(key): \(patched[key])")
    }
    var updated = patched
    updated["metadata"]["annotations"]["updated"] = "true"
    let result = try await client.update(line.reference, namespace: namespace, name: "one", updated)
    #expect(result["metadata"]["annotations"]["updated"] == "true")
    #expect(result["metadata"]["resourceVersion"] != patched["metadata"]["resourceVersion"])
    let stale = await #expect(throws: APIStatus.self) {
      try await client.update(line.reference, namespace: namespace, name: "one", updated)
    }
    #expect(stale?.reason == "Conflict")
  }

  /// What writes the status of these leaves their metadata alone.
  private static let keepTheirMetadata: Set<String> = [
    "flowschemas", "prioritylevelconfigurations", "validatingadmissionpolicies", "volumeattachments",
  ]

  private func hasAStatus() async throws {
    let patched = try await client.patch(
      line.reference, namespace: namespace, name: "one",
      ["metadata": ["annotations": ["patchedstatus": "true"]], "status": line.status], type: .merge,
      subresource: "status")
    #expect(Conformance.contains(patched["status"], line.status), "\(patched["status"])")
    let isAnnotated = patched["metadata"]["annotations"]["patchedstatus"] == "true"
    #expect(isAnnotated != Self.keepTheirMetadata.contains(line.reference.resource))
    let path = line.reference.path(namespace: namespace, name: "one", subresource: "status")
    let read = try await client.json("GET", path, [])
    #expect(read == patched)
    let updated = try await client.update(
      line.reference, namespace: namespace, name: "one", read, subresource: "status")
    #expect(Conformance.contains(updated["status"], line.status))
  }

  private func isDeleted() async throws {
    try await client.delete(line.reference, namespace: namespace, name: "one", DeleteOptions(gracePeriodSeconds: 0))
    #expect(try await client.find(line.reference, namespace: namespace, name: "one") == nil)
    let error = await #expect(throws: APIStatus.self) {
      try await client.delete(line.reference, namespace: namespace, name: "one")
    }
    #expect(error?.reason == "NotFound")
  }

  private func goesAsACollection() async throws {
    for name in ["two", "three"] { try await client.create(line.reference, namespace: namespace, object(name)) }
    let collection = line.reference.path(namespace: namespace)
    _ = try await client.json("DELETE", collection, [("labelSelector", selector)])
    #expect(
      try await client.list(line.reference, namespace: namespace, ListOptions(labelSelector: selector)).items.isEmpty)
  }

  /// Everything that was done since is seen in order.
  private func wasWatched(from start: String) async throws {
    let stream = try await client.watch(
      path: line.reference.path(namespace: namespace),
      ListOptions(labelSelector: selector, resourceVersion: start), timeoutSeconds: 30)
    var seen: [String] = []
    while seen.count < 100 {
      guard let event = try await stream.next() else { break }
      switch event {
      case .added(let object): seen.append("ADDED \(object["metadata"]["name"].string ?? "")")
      case .modified(let object): seen.append("MODIFIED \(object["metadata"]["name"].string ?? "")")
      case .deleted(let object): seen.append("DELETED \(object["metadata"]["name"].string ?? "")")
      case .bookmark: break
      }
      if seen.filter({ $0.hasPrefix("DELETED") }).count == 3 { break }
    }
    stream.cancel()
    #expect(seen.first == "ADDED one")
    #expect(seen.contains("MODIFIED one"))
    #expect(seen.count { $0.hasPrefix("ADDED") } == 3)
    #expect(seen.count { $0.hasPrefix("DELETED") } == 3)
  }
}

/// A request for a certificate that its sender holds the key of.
private let certificateRequest = """
  -----BEGIN CERTIFICATE REQUEST-----
  MIHfMIGHAgEAMCUxFTATBgNVBAoMDHN5c3RlbTpub2RlczEMMAoGA1UEAwwDb25l
  MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEp6xejWOCPDuVWR08cCeM/juHpyqJ
  3NfVnH99v63vh8GGNWgUo6eNU4lx7PnO/JqP4cOibyxGPm4l70uEK1CX5qAAMAoG
  CCqGSM49BAMCA0cAMEQCIC5wx6Q5fgkYYQMUtfn7KWogpN3ikJWXxDaWoU4jJEBa
  AiBoyybJv78PvuUjyc2b06wuD4/ZJ0xOeCsZ9iD83/bnXA==
  -----END CERTIFICATE REQUEST-----
  """
