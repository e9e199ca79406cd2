// Small requests that are dear to answer. The measure is not the clock of this machine but growth: a request eight times as
// large may be about eight times as much work, never 64.
import APIServer
import Glibc
import HTTP
import JSON
import Replica
import Schema
import TLS
import TestSupport
import Testing

@Suite("CVE-2019-11253, CVE-2019-11254, CVE-2019-1002100: bombs") struct BombTests {
  /// A request as a function of its size.
  struct Bomb: Sendable, CustomTestStringConvertible {
    var name: String
    /// Sent before, at the same size.
    var before: [@Sendable (Int) -> Sent] = []
    var request: @Sendable (Int) -> Sent
    var testDescription: String { name }
  }
  struct Sent: Sendable {
    var method: String
    var target: String
    var type = "application/json"
    var body: [UInt8]
  }

  static let maps = "/api/v1/namespaces/default/configmaps"

  private static func map(_ count: Int, prefix: String = "k", value: JSONValue = "v") -> JSONValue {
    .object(JSONObject(uniqueMembers: (0..<count).map { ("\(prefix)\($0)", value) }))
  }
  private static func configMap(_ data: JSONValue, _ metadata: JSONValue = [:]) -> JSONValue {
    var object: JSONValue = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data]
    object["metadata"]["name"] = "bomb"
    return object
  }
  private static func post(_ object: JSONValue, _ path: String = maps) -> Sent {
    Sent(method: "POST", target: path, body: object.bytes)
  }
  private static func patch(_ body: JSONValue, _ type: String, _ path: String = "\(maps)/bomb") -> Sent {
    Sent(method: "PATCH", target: path + "?fieldManager=m&force=true", type: "application/\(type)", body: body.bytes)
  }
  @Sendable private static func full(_ count: Int) -> Sent { post(configMap(map(count))) }
  @Sendable private static func empty(_ count: Int) -> Sent { post(configMap([:])) }
  private static func pod(_ spec: JSONValue, _ metadata: JSONValue = [:]) -> Sent {
    var object: JSONValue = [
      "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": ["containers": [["name": "c", "image": "i"]]],
    ]
    object["metadata"]["name"] = "bomb"
    for (key, value) in spec.object ?? [:] { object["spec"][key] = value }
    return post(object, "/api/v1/namespaces/default/pods")
  }
  private static func list(_ count: Int, _ item: (Int) -> JSONValue) -> JSONValue { .array((0..<count).map(item)) }

  static let bombs: [Bomb] = objects + patches + lists

  private static let objects = [
    Bomb(name: "a map of many keys") { post(configMap(map($0))) },
    Bomb(name: "the same as YAML") { count in
      var sent = post(configMap(map(count)))
      (sent.body, sent.type) = (YAML.bytes(configMap(map(count))), "application/yaml")
      return sent
    },
    Bomb(name: "a key many times") { count in
      Sent(
        method: "POST", target: maps,
        body: Array(
          #"{"metadata":{"name":"bomb"},"data":{\#(String(repeating: #""a":"b","#, count: count))"z":""}}"#.utf8))
    },
    Bomb(name: "many unknown members") { count in
      var object = configMap([:])
      object["unknown"] = map(count)
      for number in 0..<min(200, count) { object["u\(number)"] = 1 }
      return post(object)
    },
    Bomb(name: "many labels") { post(configMap([:], ["labels": map($0)])) },
    Bomb(name: "many annotations") { post(configMap([:], ["annotations": map($0)])) },
    Bomb(name: "many finalizers") { count in post(configMap([:], ["finalizers": list(count) { .string("a.b/f\($0)") }]))
    },
    Bomb(name: "many owners") { count in
      post(
        configMap(
          [:],
          [
            "ownerReferences": list(count) {
              ["apiVersion": "v1", "kind": "Pod", "name": .string("p\($0)"), "uid": .string("u\($0)")]
            }
          ]))
    },
    Bomb(name: "many managers") { count in
      post(
        configMap(
          [:],
          [
            "managedFields": list(count) {
              [
                "manager": .string("m\($0)"), "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                "time": "2026-01-01T00:00:00Z",
                "fieldsV1": ["f:data": .object(JSONObject(uniqueMembers: [("f:k\($0)", [:])]))],
              ]
            }
          ]))
    },
    Bomb(name: "a map changed at every key", before: [full]) { count in
      Sent(method: "PUT", target: "\(maps)/bomb", body: configMap(map(count, value: "w")).bytes)
    },
    Bomb(name: "a long number") { count in
      Sent(
        method: "POST", target: maps, body: Array(#"{"data":{"a":\#(String(repeating: "9", count: 20 * count))}}"#.utf8)
      )
    },
    Bomb(name: "a long quantity") { count in
      pod([
        "containers": [
          [
            "name": "c", "image": "i",
            "resources": ["requests": ["cpu": .string(String(repeating: "9", count: 20 * count))]],
          ]
        ]
      ])
    },
    Bomb(name: "an unending quantity") { count in
      pod(["overhead": ["cpu": .string("0." + String(repeating: "3", count: 20 * count) + "e999999")]])
    },
  ]

  private static let patches = [
    Bomb(name: "a merge patch that adds", before: [empty]) { patch(["data": map($0)], "merge-patch+json") },
    Bomb(name: "a merge patch that removes", before: [full]) { count in
      patch(["data": .object(JSONObject(uniqueMembers: (0..<count).map { ("k\($0)", .null) }))], "merge-patch+json")
    },
    Bomb(name: "a merge patch that changes", before: [full]) {
      patch(["data": map($0, value: "w")], "merge-patch+json")
    },
    Bomb(name: "a strategic patch that removes", before: [full]) { count in
      patch(
        ["data": .object(JSONObject(uniqueMembers: (0..<count).map { ("k\($0)", .null) }))],
        "strategic-merge-patch+json")
    },
    Bomb(name: "a strategic patch that changes", before: [full]) {
      patch(["data": map($0, value: "w")], "strategic-merge-patch+json")
    },
    Bomb(name: "many orders of elements", before: [empty]) { count in
      patch(
        ["metadata": .object(JSONObject(uniqueMembers: (0..<count).map { ("$setElementOrder/k\($0)", ["a"]) }))],
        "strategic-merge-patch+json")
    },
    Bomb(name: "many keys retained", before: [full]) { count in
      patch(["data": ["$retainKeys": list(count) { .string("x\($0)") }]], "strategic-merge-patch+json")
    },
    Bomb(
      name: "many finalizers removed one by one",
      before: [{ count in post(configMap([:], ["finalizers": list(count) { .string("a.b/f\($0)") }])) }]
    ) { count in
      patch(
        ["metadata": ["$deleteFromPrimitiveList/finalizers": list(count) { .string("a.b/f\($0)") }]],
        "strategic-merge-patch+json")
    },
    Bomb(name: "many finalizers joined", before: [empty]) { count in
      patch(["metadata": ["finalizers": list(count) { .string("a.b/f\($0)") }]], "strategic-merge-patch+json")
    },
    Bomb(name: "many items merged", before: [empty]) { count in
      patch(
        [
          "metadata": [
            "ownerReferences": list(count) {
              ["apiVersion": "v1", "kind": "Pod", "name": .string("p\($0)"), "uid": .string("u\($0)")]
            }
          ]
        ], "strategic-merge-patch+json")
    },
    Bomb(name: "an apply of many keys", before: [empty]) { patch(configMap(map($0)), "apply-patch+yaml") },
    Bomb(
      name: "an apply that gives up many keys",
      before: [empty, { patch(configMap(map($0)), "apply-patch+yaml") }]
    ) { patch(configMap(map($0, prefix: "n")), "apply-patch+yaml") },
    Bomb(name: "operations on a large map", before: [{ post(configMap(map(4 * $0))) }]) { count in
      patch(
        list(min(count, 10_000)) { ["op": "replace", "path": .string("/data/k\(4 * $0)"), "value": "w"] },
        "json-patch+json")
    },
    Bomb(
      name: "insertions at the front of a list",
      before: [{ count in post(configMap([:], ["finalizers": list(4 * count) { .string("a.b/f\($0)") }])) }]
    ) { count in
      patch(
        list(min(count, 10_000)) { ["op": "add", "path": "/metadata/finalizers/0", "value": .string("a.b/n\($0)")] },
        "json-patch+json")
    },
    Bomb(name: "copies that double", before: [empty]) { count in
      patch(
        list(count) { _ in ["op": "copy", "from": "/metadata", "path": "/metadata/annotations"] }, "json-patch+json")
    },
    Bomb(name: "moves of a large value", before: [full]) { count in
      patch(
        list(min(count, 10_000)) { number in
          number % 2 == 0
            ? ["op": "move", "from": "/data", "path": "/binaryData"]
            : ["op": "move", "from": "/binaryData", "path": "/data"]
        }, "json-patch+json")
    },
  ]

  private static let lists = [
    Bomb(name: "many containers") { count in
      pod(["containers": list(count) { ["name": .string("c\($0)"), "image": "i"] }])
    },
    Bomb(name: "many volumes and mounts") { count in
      pod([
        "volumes": list(count) { ["name": .string("v\($0)"), "emptyDir": [:]] },
        "containers": [
          [
            "name": "c", "image": "i",
            "volumeMounts": list(count) { ["name": .string("v\($0)"), "mountPath": .string("/v\($0)")] },
          ]
        ],
      ])
    },
    Bomb(
      name: "many default limits",
      before: [
        { count in
          let defaults = map(count, prefix: "example.com/r", value: "1")
          return post(
            [
              "apiVersion": "v1", "kind": "LimitRange", "metadata": ["name": "bomb"],
              "spec": ["limits": [["type": "Container", "default": defaults]]],
            ], "/api/v1/namespaces/default/limitranges")
        }
      ]
    ) { _ in pod(["containers": list(4) { ["name": .string("c\($0)"), "image": "i"] }]) },
    Bomb(name: "many ports") { count in
      pod([
        "containers": [
          [
            "name": "c", "image": "i",
            "ports": list(count) { ["containerPort": .integer(Int64($0 % 65535 + 1)), "name": .string("p\($0)")] },
          ]
        ]
      ])
    },
    Bomb(name: "many variables") { count in
      pod([
        "containers": [
          ["name": "c", "image": "i", "env": list(count) { ["name": .string("E\($0)"), "value": "$(E1)"] }]
        ]
      ])
    },
    Bomb(name: "many tolerations") { count in
      pod(["tolerations": list(count) { ["key": .string("k\($0)"), "operator": "Exists"] }])
    },
    Bomb(name: "many spread constraints") { count in
      pod([
        "topologySpreadConstraints": list(count) {
          ["maxSkew": 1, "topologyKey": .string("k\($0)"), "whenUnsatisfiable": "ScheduleAnyway"]
        }
      ])
    },
    Bomb(name: "many host aliases and gates") { count in
      pod([
        "hostAliases": list(count) { _ in ["ip": "10.0.0.1", "hostnames": ["a"]] },
        "schedulingGates": list(count) { ["name": .string("g\($0)")] },
      ])
    },
    Bomb(name: "many service ports") { count in
      post(
        [
          "apiVersion": "v1", "kind": "Service", "metadata": ["name": "bomb"],
          "spec": ["ports": list(count) { ["name": .string("p\($0)"), "port": .integer(Int64($0 % 65535 + 1))] }],
        ], "/api/v1/namespaces/default/services")
    },
    Bomb(name: "many addresses") { count in
      post(
        [
          "apiVersion": "v1", "kind": "Endpoints", "metadata": ["name": "bomb"],
          "subsets": [["addresses": list(count) { ["ip": .string("10.\($0 / 65536).\($0 / 256 % 256).\($0 % 256)")] }]],
        ], "/api/v1/namespaces/default/endpoints")
    },
    Bomb(name: "many taints") { count in
      post(
        [
          "apiVersion": "v1", "kind": "Node", "metadata": ["name": "bomb"],
          "spec": ["taints": list(count) { ["key": .string("k\($0)"), "effect": "NoSchedule"] }],
          "status": ["addresses": list(count) { ["type": "Hostname", "address": .string("h\($0)")] }],
        ], "/api/v1/nodes")
    },
    Bomb(name: "many rules") { count in
      post(
        [
          "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": ["name": "bomb"],
          "rules": list(count) { ["apiGroups": [""], "resources": [.string("r\($0)")], "verbs": ["get"]] },
        ], "/apis/rbac.authorization.k8s.io/v1/clusterroles")
    },
    Bomb(name: "many paths of an ingress") { count in
      post(
        [
          "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": ["name": "bomb"],
          "spec": [
            "rules": list(count) {
              [
                "host": .string("h\($0).com"),
                "http": [
                  "paths": [
                    ["path": "/", "pathType": "Prefix", "backend": ["service": ["name": "s", "port": ["number": 1]]]]
                  ]
                ],
              ]
            }
          ],
        ], "/apis/networking.k8s.io/v1/namespaces/default/ingresses")
    },
    Bomb(name: "many webhooks") { count in
      Sent(
        method: "POST", target: "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations?dryRun=All",
        body: ([
          "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
          "metadata": ["name": "bomb"],
          "webhooks": list(count / 10) {
            [
              "name": .string("w\($0).a.b"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
              "clientConfig": ["url": "https://a.b/c"],
            ]
          },
        ] as JSONValue).bytes)
    },
    Bomb(name: "a long selector") { count in
      let selector = (0..<min(count, 3000)).map { "k\($0)=v" }.joined(separator: ",")
      return Sent(method: "GET", target: "\(maps)?labelSelector=\(selector)", body: [])
    },
    Bomb(name: "many parameters") { count in
      Sent(
        method: "GET", target: "\(maps)?" + (0..<min(count, 5000)).map { "p\($0)=1" }.joined(separator: "&"), body: [])
    },
    Bomb(name: "many properties of a definition") { count in
      post(
        [
          "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": ["name": "as.b.dev"],
          "spec": [
            "group": "b.dev", "scope": "Namespaced", "names": ["plural": "as", "kind": "A"],
            "versions": [
              [
                "name": "v1", "served": true, "storage": true,
                "schema": [
                  "openAPIV3Schema": [
                    "type": "object",
                    "properties": ["spec": ["type": "object", "properties": map(count, value: ["type": "string"])]],
                  ]
                ],
              ]
            ],
          ],
        ], "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    },
  ]

  private static let tokenKey = try! PrivateKey.generateP256()

  /// What this thread has worked: others' work on the machine is none of it.
  private static var worked: Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }

  /// How much work a bomb of a size is, each time for a server of its own.
  private static func time(_ bomb: Bomb, _ size: Int) throws -> (duration: Duration, status: Int) {
    let world = VirtualWorld(seed: 1)
    let store = LocalStore(world: world)
    let security = SecurityParts(store: store, tokenKey: Self.tokenKey, world: world)
    let server = APIServer(
      store: store, dependencies: security.dependencies(checks: { [] }), currentWorld: { world })
    let admin = InProcessTransport(
      handler: server, identity: TrustedContext(user: "admin", groups: ["system:masters"]))
    return try world.run(limit: .seconds(100_000)) {
      func send(_ sent: Sent) async throws -> Int {
        let response = try await admin.send(
          HTTPRequest(
            method: sent.method, target: sent.target, headers: ["content-type": sent.type],
            body: sent.body.isEmpty ? .empty : .bytes(sent.body)))
        _ = try await response.body.collect()
        return response.status
      }
      _ = try await send(
        Sent(method: "POST", target: "/api/v1/namespaces", body: Array(#"{"metadata":{"name":"default"}}"#.utf8)))
      _ = try await send(
        Sent(
          method: "POST", target: "/api/v1/namespaces/default/serviceaccounts",
          body: Array(#"{"metadata":{"name":"default"}}"#.utf8)))
      for before in bomb.before { #expect([200, 201].contains(try await send(before(size))), "\(bomb.name)") }
      let sent = bomb.request(size)
      let start = Self.worked
      let status = try await send(sent)
      return (Self.worked - start, status)
    }
  }

  @Test("cost no more than their size", arguments: bombs)
  func growth(bomb: Bomb) throws {
    let (small, large) = (1000, 8000)
    // Other work of the machine makes a measurement longer, never shorter: the best of a few counts.
    var (fast, slow) = (Duration.seconds(1000), Duration.seconds(1000))
    var statuses: Set<Int> = []
    for _ in 0..<8 {
      let (first, second) = (try Self.time(bomb, small), try Self.time(bomb, large))
      (fast, slow) = (min(fast, first.duration), min(slow, second.duration))
      statuses.formUnion([first.status, second.status])
      if slow < fast * 20 || slow < .milliseconds(100) { break }
    }
    #expect(statuses.allSatisfy { $0 < 500 }, "\(statuses)")
    // Eight times the size: 64 times as long would be quadratic.
    #expect(slow < fast * 32 || slow < .milliseconds(200), "\(small): \(fast), \(large): \(slow)")
  }
}
