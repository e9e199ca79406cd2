// Attacks by requests that look permitted: a server in memory, users with few rights.
import APIServer
import HTTP
import JSON
import LoopSupport
import Replica
import Schema
import Synchronization
import TestSupport
import Testing

private struct Reply {
  var status: Int
  var json: JSONValue
  var text: String { json.description }
  var message: String { json["message"].string ?? "" }
}

extension TestCluster {
  fileprivate func send(
    _ user: String, _ method: String, _ target: String, _ body: JSONValue? = nil, type: String = "application/json"
  ) throws -> Reply {
    let transport = transport(user)
    return try world.run {
      let response = try await transport.send(
        HTTPRequest(
          method: method, target: target, headers: ["content-type": type], body: body.map { .bytes($0.bytes) } ?? .empty
        ))
      return Reply(
        status: response.status, json: (try? JSONValue(parsing: try await response.body.collect())) ?? .null)
    }
  }

  /// Rules in every namespace for a user.
  fileprivate func grant(_ user: String, _ verbs: [JSONValue], _ resources: [JSONValue], names: [JSONValue] = []) throws
  {
    let rbac = "/apis/rbac.authorization.k8s.io/v1"
    var rule: JSONValue = ["apiGroups": ["", "apps"], "resources": .array(resources), "verbs": .array(verbs)]
    if !names.isEmpty { rule["resourceNames"] = .array(names) }
    let name = JSONValue.string("\(user)-\(resources.count)-\(verbs.count)")
    let role = try send("admin", "POST", "\(rbac)/clusterroles", ["metadata": ["name": name], "rules": [rule]])
    let binding = try send(
      "admin", "POST", "\(rbac)/clusterrolebindings",
      [
        "metadata": ["name": name],
        "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name],
        "subjects": [["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": .string(user)]],
      ])
    #expect(role.status == 201 && binding.status == 201, "\(role.text) \(binding.text)")
  }
}

private let maps = "/api/v1/namespaces/default/configmaps"
private let pods = "/api/v1/namespaces/default/pods"

@Suite("CVE-2019-11247, CVE-2022-3162: scope confusion") struct ScopeTests {
  private static let definition: JSONValue = [
    "metadata": ["name": "globals.x.dev"],
    "spec": [
      "group": "x.dev", "scope": "Cluster", "names": ["plural": "globals", "kind": "Global"],
      "versions": [["name": "v1", "served": true, "storage": true, "schema": ["openAPIV3Schema": ["type": "object"]]]],
    ],
  ]

  @Test func aCustomResourceOfTheClusterHasNoNamespacedPath() throws {
    let cluster = try TestCluster()
    _ = try cluster.send("admin", "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", Self.definition)
    _ = try cluster.world.run { try await cluster.server.reconcileDefinitions() }
    let made = try cluster.send(
      "admin", "POST", "/apis/x.dev/v1/globals",
      ["apiVersion": "x.dev/v1", "kind": "Global", "metadata": ["name": "g"]])
    #expect(made.status == 201, "\(made.text)")
    for (method, path) in [
      ("GET", "namespaces/default/globals/g"), ("GET", "namespaces/default/globals"),
      ("DELETE", "namespaces/default/globals/g"), ("POST", "namespaces/default/globals"),
      ("PATCH", "namespaces/default/globals/g"), ("PUT", "namespaces/default/globals/g"),
      ("GET", "watch/namespaces/default/globals"), ("GET", "namespaces/default/globals/g/status"),
    ] {
      let reply = try cluster.send("admin", method, "/apis/x.dev/v1/\(path)", method == "GET" ? nil : [:])
      #expect(reply.status == 404, "\(method) \(path): \(reply.text)")
    }
    #expect(try cluster.send("admin", "GET", "/apis/x.dev/v1/globals/g").status == 200)
  }

  @Test func namesDoNotTraverse() throws {
    let cluster = try TestCluster()
    try cluster.grant("bob", ["*"], ["configmaps"], names: ["mine"])
    for name in [
      "..", ".", "..%2f..%2fsecrets", "%2e%2e", "mine%2f..%2fyours", "mine%00", "mine/../yours", "mine%2fstatus",
    ] {
      let reply = try cluster.send("bob", "GET", "\(maps)/\(name)")
      #expect([403, 404].contains(reply.status), "\(name): \(reply.text)")
    }
    for name in ["..", ".", "a/b", "a%b", "../x", ""] {
      let reply = try cluster.send(
        "admin", "POST", maps, ["metadata": ["name": .string(name)]])
      #expect(reply.status == 422, "\(name): \(reply.text)")
    }
    // RBAC names may be almost anything, but no path.
    for name in ["..", ".", "a/b", "a%b"] {
      let reply = try cluster.send(
        "admin", "POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        ["metadata": ["name": .string(name)], "rules": []])
      #expect(reply.status == 422, "\(name): \(reply.text)")
    }
  }

  /// The name in the path decides, and the body cannot name another object.
  @Test func whatIsAuthorizedIsWhatIsStored() throws {
    let cluster = try TestCluster()
    try cluster.grant("bob", ["get", "update", "patch", "create"], ["configmaps"], names: ["mine"])
    for name in ["mine", "yours"] { _ = try cluster.send("admin", "POST", maps, ["metadata": ["name": .string(name)]]) }
    let other: JSONValue = ["metadata": ["name": "yours", "namespace": "kube-system"], "data": ["a": "b"]]
    #expect(try cluster.send("bob", "PUT", "\(maps)/mine", other).status == 400)
    #expect(try cluster.send("bob", "PUT", "\(maps)/mine", ["metadata": ["name": "yours"]]).status == 400)
    for type in ["application/merge-patch+json", "application/strategic-merge-patch+json"] {
      let reply = try cluster.send("bob", "PATCH", "\(maps)/mine", other, type: type)
      #expect(reply.status == 400, "\(reply.text)")
    }
    let apply = try cluster.send(
      "bob", "PATCH", "\(maps)/mine?fieldManager=m",
      ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "yours"]], type: "application/apply-patch+yaml")
    #expect(apply.status == 400, "\(apply.text)")
    #expect(try cluster.send("admin", "GET", "\(maps)/yours").json["data"].isNull)
  }
}

@Suite("CVE-2021-25735: admission sees the wrong old object") struct OldObjectTests {
  /// Writes the object itself when it is first asked: whoever admits must then see what was written.
  private struct Interloper: ValidatingAdmission {
    let name = "Interloper"
    let seen: Shared<[String]>
    let write: @Sendable () async -> Void
    func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
      operation == .update && resource.description == "configmaps"
    }
    func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
      let isFirst = seen.value.isEmpty
      let old = request.oldObject["data"]["a"].string ?? ""
      seen.update { $0.append(old) }
      if isFirst { await write() }
      return .allowed
    }
  }

  @Test func itIsComparedWithTheObjectThatItReplaces() async throws {
    let seen = Shared<[String]>([])
    let holder = Shared<SocketServer?>(nil)
    let server = try await SocketServer.start { dependencies, _ in
      dependencies.admission = Admission(
        validating: [
          Interloper(
            seen: seen,
            write: {
              _ = try? await holder.value?.inside(
                "PATCH", maps + "/a", ["data": ["a": "other"]], type: "application/merge-patch+json")
            })
        ])
    }
    holder.update { $0 = server }
    _ = try await server.inside("POST", maps, ["metadata": ["name": "a"], "data": ["a": "first"]])
    // When somebody writes between admission and commit, admission is asked again, about the newer object.
    let reply = try await server.inside(
      "PATCH", maps + "/a", ["data": ["b": "mine"]], type: "application/merge-patch+json")
    #expect(reply.status == 200, "\(reply.text)")
    #expect(reply.json["data"] == ["a": "other", "b": "mine"])
    #expect(seen.value.first == "first" && seen.value.last == "other", "\(seen.value)")
    await server.stop()
  }
}

@Suite("CVE-2023-2727, CVE-2023-2728: ephemeral containers as a way around") struct ContainerListTests {
  private func cluster(enforced: Bool) throws -> TestCluster {
    let cluster = try TestCluster()
    _ = try cluster.send(
      "admin", "PATCH", "/api/v1/namespaces/default",
      ["metadata": ["labels": ["pod-security.kubernetes.io/enforce": "baseline"]]], type: "application/merge-patch+json"
    )
    var account: JSONValue = ["metadata": ["name": "default"], "secrets": [["name": "mine"]]]
    if enforced { account["metadata"]["annotations"] = ["kubernetes.io/enforce-mountable-secrets": "true"] }
    let made = try cluster.send("admin", "POST", "/api/v1/namespaces/default/serviceaccounts", account)
    #expect(made.status == 201, "\(made.text)")
    let pod = try cluster.send(
      "admin", "POST", pods, ["metadata": ["name": "p"], "spec": ["containers": [["name": "c", "image": "i"]]]])
    #expect(pod.status == 201, "\(pod.text)")
    return cluster
  }

  private static func reading(_ secret: JSONValue) -> JSONValue {
    ["name": "x", "image": "i", "env": [["name": "S", "valueFrom": ["secretKeyRef": ["name": secret, "key": "k"]]]]]
  }

  @Test(arguments: ["containers", "initContainers", "ephemeralContainers"])
  func secretsAndPrivilegesAreCheckedInEveryList(list: String) throws {
    let cluster = try cluster(enforced: true)
    for (container, isAllowed) in [
      (Self.reading("yours"), false), (Self.reading("mine"), true),
      (["name": "x", "image": "i", "envFrom": [["secretRef": ["name": "yours"]]]], false),
      (["name": "x", "image": "i", "securityContext": ["privileged": true]], false),
    ] as [(JSONValue, Bool)] {
      let reply: Reply
      if list == "ephemeralContainers" {
        reply = try cluster.send(
          "admin", "PATCH", "\(pods)/p/ephemeralcontainers?dryRun=All",
          ["spec": .object(JSONObject(uniqueMembers: [(list, [container])]))],
          type: "application/strategic-merge-patch+json")
      } else {
        var pod: JSONValue = ["metadata": ["name": "q"], "spec": ["containers": [["name": "c", "image": "i"]]]]
        pod["spec"][list].append(container)
        reply = try cluster.send("admin", "POST", pods + "?dryRun=All", pod)
      }
      #expect(
        isAllowed ? [200, 201].contains(reply.status) : reply.status == 403, "\(list) \(container): \(reply.text)")
    }
  }

  @Test func theMessageNamesTheContainerAndTheSecret() throws {
    let cluster = try cluster(enforced: true)
    let reply = try cluster.send(
      "admin", "PATCH", "\(pods)/p/ephemeralcontainers", ["spec": ["ephemeralContainers": [Self.reading("yours")]]],
      type: "application/strategic-merge-patch+json")
    #expect(
      reply.message
        == "pods \"p\" is forbidden: ephemeral container x with envVar S referencing secret.secretName=\"yours\" is not "
        + "allowed because service account default does not reference that secret")
  }
}

@Suite("CVE-2025-5187, CVE-2025-4563: a node that deletes, relabels or serves itself") struct NodeIdentityTests {
  private func cluster() throws -> TestCluster {
    let cluster = try TestCluster()
    let node = try cluster.send(
      "admin", "POST", "/api/v1/nodes",
      ["metadata": ["name": "n"], "spec": ["taints": [["key": "k", "effect": "NoSchedule"]]]])
    #expect(node.status == 201, "\(node.text)")
    return cluster
  }

  static let forbidden: [JSONValue] = [
    ["metadata": ["ownerReferences": [["apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "u"]]]],
    ["metadata": ["labels": ["node-restriction.kubernetes.io/x": "y"]]],
    ["metadata": ["labels": ["node-role.kubernetes.io/control-plane": ""]]],
    ["metadata": ["labels": ["x.k8s.io/y": "z"]]],
    ["spec": ["taints": nil]], ["spec": ["taints": [["key": "other", "effect": "NoExecute"]]]],
  ]

  @Test(arguments: forbidden) func aNodeMayNot(change: JSONValue) throws {
    let cluster = try cluster()
    var patch = change
    // null says "remove" in a patch.
    if change["spec"].object?.index(of: "taints") != nil, change["spec"]["taints"].isNull {
      patch = .object(["spec": .object(["taints": .null])])
    }
    for path in ["/api/v1/nodes/n", "/api/v1/nodes/n/status"] {
      let reply = try cluster.send(
        "system:node:n", "PATCH", path, patch, type: "application/merge-patch+json")
      let node = try cluster.send("admin", "GET", "/api/v1/nodes/n").json
      #expect(reply.status == 403 || path.hasSuffix("status"), "\(path) \(reply.text)")
      #expect(node["metadata"]["ownerReferences"].isNull && node["spec"]["taints"][0]["key"] == "k", "\(node)")
      #expect(
        !(node["metadata"]["labels"].object ?? [:]).keys.contains {
          $0.contains("k8s.io") || $0.contains("restriction")
        })
    }
  }

  @Test func itMayNotDeleteItselfOrTouchAnother() throws {
    let cluster = try cluster()
    #expect(try cluster.send("system:node:n", "DELETE", "/api/v1/nodes/n").status == 403)
    for path in ["/api/v1/nodes/n", "/api/v1/nodes/n/status"] {
      let reply = try cluster.send(
        "system:node:other", "PATCH", path, ["metadata": ["labels": ["a": "b"]]], type: "application/merge-patch+json")
      #expect(reply.status == 403, "\(reply.text)")
    }
  }

  @Test func aNewNodeBringsNoOwnersAndNoReservedLabels() throws {
    let cluster = try TestCluster()
    for metadata in [
      ["name": "m", "labels": ["node-restriction.kubernetes.io/x": "y"]],
      ["name": "m", "ownerReferences": [["apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "u"]]],
    ] as [JSONValue] {
      let reply = try cluster.send("system:node:m", "POST", "/api/v1/nodes", ["metadata": metadata])
      #expect(reply.status == 403, "\(reply.text)")
    }
  }

  /// CVE-2025-4563: a mirror pod that names what its node may then read.
  @Test func aMirrorPodNamesNothing() throws {
    let cluster = try cluster()
    let node = try cluster.send("admin", "GET", "/api/v1/nodes/n").json
    var pod: JSONValue = [
      "metadata": [
        "name": "m", "annotations": ["kubernetes.io/config.mirror": "x"],
        "ownerReferences": [
          [
            "apiVersion": "v1", "kind": "Node", "name": "n", "uid": node["metadata"]["uid"], "controller": true,
          ]
        ],
      ], "spec": ["nodeName": "n", "containers": [["name": "c", "image": "i"]]],
    ]
    #expect(try cluster.send("system:node:n", "POST", pods, pod).status == 201)
    pod["metadata"]["name"] = "m2"
    for (member, value) in [
      ("resourceClaims", [["name": "r", "resourceClaimName": "c"]]), ("serviceAccountName", "default"),
      ("volumes", [["name": "v", "secret": ["secretName": "s"]]]),
      ("volumes", [["name": "v", "persistentVolumeClaim": ["claimName": "s"]]]),
      ("volumes", [["name": "v", "projected": ["sources": [["configMap": ["name": "s"]]]]]]),
    ] as [(String, JSONValue)] {
      var other = pod
      other["spec"][member] = value
      let reply = try cluster.send("system:node:n", "POST", pods, other)
      #expect(reply.status == 403, "\(member): \(reply.text)")
    }
  }
}

@Suite("CVE-2020-8554, CVE-2021-25740: a service in the middle") struct ServiceAddressTests {
  @Test func externalAddressesAreDeniedWhereThatIsAskedFor() async throws {
    let service: JSONValue = [
      "metadata": ["name": "s"], "spec": ["ports": [["port": 80]], "externalIPs": ["203.0.113.7"]],
    ]
    let services = "/api/v1/namespaces/default/services"
    let open = try await SocketServer.start()
    #expect(try await open.inside("POST", services, service).status == 201)
    await open.stop()
    let server = try await SocketServer.start(plugins: ["DenyServiceExternalIPs"])
    let refused = try await server.inside("POST", services, service)
    #expect(refused.status == 403)
    #expect(
      refused.message == "services \"s\" is forbidden: Use of external IPs is denied by admission control.")
    var plain = service
    plain["spec"]["externalIPs"] = .null
    #expect(try await server.inside("POST", services, plain).status == 201)
    let added = try await server.inside(
      "PATCH", "\(services)/s", ["spec": ["externalIPs": ["203.0.113.7"]]], type: "application/merge-patch+json")
    #expect(added.status == 403, "\(added.text)")
    await server.stop()
  }

  @Test(arguments: ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "224.0.0.1", "0.0.0.0"])
  func endpointsCannotPointAtOthersLoopback(address: String) throws {
    let cluster = try TestCluster()
    let endpoints = try cluster.send(
      "admin", "POST", "/api/v1/namespaces/default/endpoints",
      ["metadata": ["name": "e"], "subsets": [["addresses": [["ip": .string(address)]], "ports": [["port": 80]]]]])
    #expect(endpoints.status == 422, "\(endpoints.text)")
    let slice = try cluster.send(
      "admin", "POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
      [
        "metadata": ["name": "e"], "addressType": .string(address.contains(":") ? "IPv6" : "IPv4"),
        "endpoints": [["addresses": [.string(address)]]], "ports": [["port": 80]],
      ])
    #expect(slice.status == 422, "\(slice.text)")
  }

  /// CVE-2021-25740: who edits a namespace does not write its endpoints.
  @Test func editorsReadEndpointSlicesAndDoNotWriteThem() throws {
    let cluster = try TestCluster()
    let binding = try cluster.send(
      "admin", "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
      [
        "metadata": ["name": "e"],
        "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"],
        "subjects": [["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "eve"]],
      ])
    #expect(binding.status == 201, "\(binding.text)")
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    #expect(try cluster.send("eve", "GET", slices).status == 200)
    #expect(try cluster.send("eve", "POST", slices, ["metadata": ["name": "e"], "addressType": "IPv4"]).status == 403)
  }
}

@Suite("CVE-2026-33343, CVE-2026-44283: parts of an operation that nobody authorized") struct NestedOperationTests {
  @Test func whatCreatesNeedsTheRightToCreate() throws {
    let cluster = try TestCluster()
    try cluster.grant("bob", ["update", "patch"], ["configmaps", "endpoints"])
    let object: JSONValue = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "new"]]
    let apply = try cluster.send(
      "bob", "PATCH", "\(maps)/new?fieldManager=m", object, type: "application/apply-patch+yaml")
    #expect(apply.status == 403 && apply.message.contains("cannot create resource \"configmaps\""), "\(apply.text)")
    let put = try cluster.send(
      "bob", "PUT", "/api/v1/namespaces/default/endpoints/new", ["metadata": ["name": "new"]])
    #expect(put.status == 403 && put.message.contains("cannot create resource \"endpoints\""), "\(put.text)")
  }

  /// A watch or list of one name gives that name alone; without the name it is another request.
  @Test func rangesAreAuthorizedAsWhatTheyAre() throws {
    let cluster = try TestCluster()
    try cluster.grant("bob", ["list", "watch", "delete", "deletecollection"], ["configmaps"], names: ["mine"])
    for name in ["mine", "yours"] { _ = try cluster.send("admin", "POST", maps, ["metadata": ["name": .string(name)]]) }
    let own = try cluster.send("bob", "GET", "\(maps)?fieldSelector=metadata.name%3Dmine")
    #expect(own.status == 200 && own.json["items"].elements.count == 1, "\(own.text)")
    for query in [
      "", "?fieldSelector=metadata.name%21%3Dmine", "?fieldSelector=metadata.name%3Dyours",
      "?fieldSelector=metadata.name%3Dmine%2Cmetadata.name%3Dyours", "?labelSelector=metadata.name%3Dmine",
    ] {
      let list = try cluster.send("bob", "GET", maps + query)
      #expect(
        list.status == 403 || list.json["items"].elements.allSatisfy { $0["metadata"]["name"] == "mine" },
        "\(query): \(list.text)")
      let watch = try cluster.send(
        "bob", "GET", maps + query + (query.isEmpty ? "?" : "&") + "watch=true&timeoutSeconds=1")
      #expect(watch.status == 403 || query.contains("yours"), "\(query): \(watch.text)")
    }
    #expect(try cluster.send("bob", "DELETE", maps).status == 403)
    #expect(try cluster.send("admin", "GET", "\(maps)/yours").status == 200)
  }

  /// Binding a pod, or evicting it, is not what "update pods" says.
  @Test func subresourcesNeedTheirOwnRights() throws {
    let cluster = try TestCluster()
    try cluster.grant("bob", ["get", "update", "patch", "create"], ["pods"])
    _ = try cluster.send(
      "admin", "POST", "/api/v1/namespaces/default/serviceaccounts", ["metadata": ["name": "default"]])
    _ = try cluster.send(
      "admin", "POST", pods, ["metadata": ["name": "p"], "spec": ["containers": [["name": "c", "image": "i"]]]])
    for (method, path, body) in [
      ("POST", "\(pods)/p/binding", ["metadata": ["name": "p"], "target": ["name": "n"]]),
      ("POST", "\(pods)/p/eviction", ["metadata": ["name": "p"]]),
      ("PUT", "\(pods)/p/status", ["metadata": ["name": "p"]]),
      ("POST", "/api/v1/namespaces/default/bindings", ["metadata": ["name": "p"], "target": ["name": "n"]]),
      ("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", [:]),
    ] as [(String, String, JSONValue)] {
      let reply = try cluster.send("bob", method, path, body)
      #expect(reply.status == 403, "\(path): \(reply.text)")
    }
  }
}
