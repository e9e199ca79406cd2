import JSON
import Testing

@testable import Client

/// What informers read from the bytes of an object is what is read from its tree.
@Suite struct ReadingTests {
  private static let pod: JSONValue = [
    "kind": "Pod", "apiVersion": "v1",
    "metadata": [
      "name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2,
      "creationTimestamp": "2026-01-01T11:00:00Z", "labels": ["a": "b"], "annotations": ["x": "\"managedFields\":[1]"],
      "ownerReferences": [
        ["apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "s", "controller": true]
      ],
      "finalizers": ["f"], "managedFields": [["manager": "k", "fieldsV1": ["f:spec": [:]]]],
    ],
    "spec": [
      "nodeName": "node", "priority": 5, "hostNetwork": true, "nodeSelector": ["zone": "z"],
      "tolerations": [["key": "k", "operator": "Exists", "tolerationSeconds": 300]],
      "containers": [
        [
          "name": "c", "image": "i", "command": ["sh"], "args": ["-c"],
          "resources": ["requests": ["cpu": "100m", "memory": "nonsense"]], "ports": [["containerPort": 80]],
          "readinessProbe": ["httpGet": ["port": 80]],
        ]
      ],
      "volumes": [
        ["name": "v", "persistentVolumeClaim": ["claimName": "claim"]], ["name": "e", "ephemeral": [:]],
        ["name": "d", "rbd": ["image": "disk"]],
      ],
      "affinity": ["podAntiAffinity": ["preferred": [["weight": .double(1.5)]]]],
      "topologySpreadConstraints": [["maxSkew": 1]],
    ],
    "status": [
      "phase": "Running", "podIP": "10.0.0.1", "podIPs": [["ip": "10.0.0.1"]],
      "conditions": [["type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T11:00:00Z"]],
      "containerStatuses": [["name": "c", "restartCount": 3]], "initContainerStatuses": [["name": "i"]],
    ],
  ]

  private func cursor(_ json: JSONValue) throws -> JSONTape.Cursor { try JSONTape(parsing: json.bytes).root }

  @Test func aPodIsTheSameFromTapeAndTree() throws {
    let lies = Pod.read(try cursor(Self.pod))
    let stands = Pod(json: Self.pod)
    #expect(lies.metadata == stands.metadata)
    #expect(String(reflecting: lies.spec) == String(reflecting: stands.spec))
    #expect(String(reflecting: lies.status) == String(reflecting: stands.status))
    #expect(lies.spec.claims == ["claim"] && lies.spec.ephemeralVolumes == ["e"] && lies.spec.disks.count == 1)
    #expect(lies.spec.containers.first?.requests.keys.sorted() == ["cpu"], "what does not parse is left out")
    #expect(lies.status.restartCount == 3 && lies.status.containerStatuses.count == 2)
  }

  @Test func whatIsMissingIsMissingInBoth() throws {
    for json: JSONValue in [[:], ["metadata": .null, "spec": [], "status": "x"], ["spec": ["containers": [1, [:]]]]] {
      let lies = Pod.read(try cursor(json))
      let stands = Pod(json: json)
      #expect(lies.metadata == stands.metadata)
      #expect(String(reflecting: lies.spec) == String(reflecting: stands.spec))
      #expect(String(reflecting: lies.status) == String(reflecting: stands.status))
    }
  }

  @Test func numbersAreTheSameHoweverTheyAreWritten() throws {
    for text in ["1", "-1", "3.0", "1e2", "1.5", "9223372036854775807", "9223372036854775808", "\"1\"", "true", "null"]
    {
      #expect(
        try JSONTape(parsing: Array(text.utf8)).root.integer == JSONValue(parsing: Array(text.utf8)).integer, "\(text)")
    }
  }

  private struct Whole: APIObject {
    static let reference = ResourceReference.pods
    let metadata: ObjectMeta
    let json: JSONValue
    init(json: JSONValue) {
      metadata = ObjectMeta(json: json["metadata"])
      self.json = json
    }
  }

  @Test func objectsThatAreKeptWholeAreKeptWithoutManagedFields() throws {
    var expected = Self.pod
    expected["metadata"]["managedFields"] = .null
    #expect(Whole.read(try cursor(Self.pod)).json == expected)
    var spoken = Self.pod
    spoken["spec"]["managedFields"] = ["somebody else's"]
    #expect(Whole.read(try cursor(spoken)).json["spec"] == spoken["spec"])
  }

  @Test func itemsOfAListSayOfWhatKindTheyAre() throws {
    var item = Self.pod
    item["kind"] = .null
    item["apiVersion"] = .null
    let whole = Whole.read(try cursor(item))
    #expect(whole.json["kind"] == "Pod" && whole.json["apiVersion"] == "v1")
  }
}
