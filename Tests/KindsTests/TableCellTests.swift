// What tables say of objects in odd states, as kubectl prints them.
import JSON
import Schema
import Testing
import World

@testable import Kinds

@Suite struct `The cells of tables` {
  private func cells(_ apiVersion: String, _ kind: String, _ object: JSONValue) -> [JSONValue] {
    var object = object
    object["apiVersion"] = .string(apiVersion)
    object["kind"] = .string(kind)
    object["metadata"]["name"] = "x"
    object["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    let now = WallTime(rfc3339: "2025-01-01T00:05:00Z")!.secondsSinceEpoch
    return Given.kind(apiVersion, kind).rules.tableCells(object, now: now)
  }

  private func columns(_ apiVersion: String, _ kind: String) -> [String] {
    Given.kind(apiVersion, kind).columns.map {
      "\($0.name) \($0.type)\($0.format.isEmpty ? "" : " \($0.format)")\($0.priority == 0 ? "" : " \($0.priority)")"
    }
  }

  @Test func `columns in the reference's order and types`() {
    #expect(
      columns("v1", "Event") == [
        "Last Seen string", "Type string", "Reason string", "Object string", "Subobject string 1", "Source string 1",
        "Message string", "First Seen string 1", "Count string 1", "Name string name 1",
      ])
    #expect(columns("events.k8s.io/v1", "Event") == columns("v1", "Event"))
    #expect(columns("apps/v1", "ControllerRevision")[2] == "Revision string")
    #expect(columns("flowcontrol.apiserver.k8s.io/v1", "FlowSchema")[2] == "MatchingPrecedence string")
    #expect(
      columns("storage.k8s.io/v1", "VolumeAttachment") == [
        "Name string name", "Attacher string name", "PV string", "Node string", "Attached boolean", "Age string",
      ])
    #expect(TableLayout.scale.columns.allSatisfy { $0.format.isEmpty })
    #expect(columns("rbac.authorization.k8s.io/v1", "Role") == ["Name string name", "Created At date"])
  }

  @Test func `an event that was seen several times`() {
    let event: JSONValue = [
      "type": "Warning", "reason": "Failed", "message": " no luck\n", "count": 3,
      "firstTimestamp": "2025-01-01T00:01:00Z", "lastTimestamp": "2025-01-01T00:04:00Z",
      "involvedObject": ["kind": "Pod", "name": "web", "fieldPath": "spec.containers{main}"],
      "source": ["component": "kubelet", "host": "n1"],
    ]
    #expect(
      cells("v1", "Event", event) == [
        "60s", "Warning", "Failed", "pod/web", "spec.containers{main}", "kubelet, n1", "no luck", "4m", 3, "x",
      ])
  }

  @Test(
    arguments: [
      (["type": "ClusterIP"], [:], "<none>"), (["type": "NodePort", "externalIPs": ["9.9.9.9"]], [:], "9.9.9.9"),
      (["type": "LoadBalancer"], [:], "<pending>"), (["type": "ExternalName", "externalName": "a.b"], [:], "a.b"),
      ([:], [:], "<unknown>"),
      // What the balancer says, sorted and each once; then what the owner asked for, as it is.
      (
        ["type": "LoadBalancer", "externalIPs": ["5.5.5.5", "1.1.1.1"]],
        [
          "loadBalancer": [
            "ingress": [["ip": "9.9.9.9"], ["hostname": "b.example"], ["ip": "1.1.1.1"], ["ip": "9.9.9.9"]]
          ]
        ],
        "1.1.1.1,9.9.9.9,b.example,5.5.5.5,1.1.1.1"
      ),
    ] as [(JSONValue, JSONValue, JSONValue)])
  func `where a service is reached from outside`(spec: JSONValue, status: JSONValue, address: JSONValue) {
    #expect(cells("v1", "Service", ["spec": spec, "status": status])[3] == address)
  }

  @Test(
    arguments: [
      ([], "*"), ([""], "*"), (["a", ""], "a"), (["a", "b", "c"], "a,b,c"),
      (["a", "b", "c", "d"], "a,b,c + 1 more..."),
      (["a", "", "b", "c", ""], "a,b,c + 2 more..."), (["a", "", "b", "c"], "a,b,c"),
    ] as [([String], JSONValue)])
  func `hosts of an ingress`(hosts: [String], text: JSONValue) {
    let rules: [JSONValue] = hosts.map { $0.isEmpty ? [:] : ["host": .string($0)] }
    #expect(cells("networking.k8s.io/v1", "Ingress", ["spec": ["rules": .array(rules)]])[2] == text)
  }

  @Test func `addresses of an ingress are sorted, each once`() {
    let status: JSONValue = [
      "loadBalancer": ["ingress": [["ip": "9.9.9.9"], ["hostname": "h"], ["ip": "1.1.1.1"], ["ip": "9.9.9.9"]]]
    ]
    #expect(cells("networking.k8s.io/v1", "Ingress", ["status": status])[3] == "1.1.1.1,9.9.9.9,h")
  }

  @Test func `endpoints go port by port`() {
    let ips: JSONValue = [["ip": "10.0.0.1"], ["ip": "fd00::2"]]
    let ports: JSONValue = [["port": 80], ["port": 443]]
    #expect(
      cells("v1", "Endpoints", ["subsets": [["addresses": ips, "ports": ports]]])[1]
        == "10.0.0.1:80,[fd00::2]:80,10.0.0.1:443 + 1 more...")
    #expect(cells("v1", "Endpoints", ["subsets": [["addresses": ips]]])[1] == "10.0.0.1,fd00::2")
    #expect(cells("v1", "Endpoints", ["subsets": [["notReadyAddresses": ips, "ports": ports]]])[1] == "")
    #expect(cells("v1", "Endpoints", [:])[1] == "<none>")
    let slice: JSONValue = ["addressType": "IPv4", "ports": [["name": "web"], ["port": 80], [:]], "endpoints": []]
    #expect(cells("discovery.k8s.io/v1", "EndpointSlice", slice)[2] == "web,80,*")
  }

  @Test func `a claim whose volume is not yet known is as large as nothing`() {
    #expect(cells("v1", "PersistentVolumeClaim", ["spec": ["volumeName": "v"]])[3] == "0")
    #expect(cells("v1", "PersistentVolumeClaim", ["spec": [:]])[3] == "")
  }

  @Test func `a component that is not known to be well is not`() {
    #expect(
      cells("v1", "ComponentStatus", ["conditions": [["type": "Healthy", "status": "Unknown"]]])[1] == "Unhealthy")
    #expect(cells("v1", "ComponentStatus", [:])[1] == "Unknown")
  }

  @Test func `a job whose criteria are met still runs`() {
    func status(_ types: [String], deleted: Bool = false) -> JSONValue {
      var job: JSONValue = [
        "status": ["conditions": .array(types.map { ["type": .string($0), "status": "True"] })]
      ]
      if deleted { job["metadata"]["deletionTimestamp"] = "2025-01-01T00:00:00Z" }
      return cells("batch/v1", "Job", job)[1]
    }
    #expect(status(["SuccessCriteriaMet"]) == "Running")
    #expect(status(["SuccessCriteriaMet", "Complete"]) == "Complete")
    #expect(status(["FailureTarget"]) == "FailureTarget")
    #expect(status(["Suspended"], deleted: true) == "Terminating")
  }

  @Test func `targets of an autoscaler`() {
    let cpu: JSONValue = ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 50]]
    let queue: JSONValue = ["metric": ["name": "q"], "target": ["type": "AverageValue", "averageValue": "5"]]
    let spec: JSONValue = [
      "scaleTargetRef": ["kind": "Deployment", "name": "web"], "maxReplicas": 5,
      "metrics": [["type": "External", "external": queue], ["type": "Resource", "resource": cpu]],
    ]
    let status: JSONValue = [
      "currentReplicas": 2,
      "currentMetrics": [
        ["type": ""],
        [
          "type": "Resource",
          "resource": ["name": "cpu", "current": ["averageUtilization": 40, "averageValue": "4m"]],
        ],
      ],
    ]
    #expect(
      cells("autoscaling/v2", "HorizontalPodAutoscaler", ["spec": spec, "status": status]) == [
        "x", "Deployment/web", "<unknown>/5 (avg), cpu: 40%/50%", "<unset>", 5, 2, "5m",
      ])
    let v1 = AutoscalerConversion.toV1([
      "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": [:], "spec": spec,
      "status": status,
    ])
    let targets = cells("autoscaling/v1", "HorizontalPodAutoscaler", v1)[2]
    #expect(targets.string?.contains("cpu: ") == true && targets.string?.contains("/5 (avg)") == true, "\(targets)")
    let odd: JSONValue = ["metrics": [["type": "Resource", "resource": ["name": "cpu"]], ["type": "Odd"]]]
    #expect(
      cells("autoscaling/v2", "HorizontalPodAutoscaler", ["spec": odd])[2] == "cpu: <unknown>/<auto>, <unknown type>")
  }

  @Test func `a policy's parameters that are selected`() {
    let reference: JSONValue = [
      "selector": [
        "matchLabels": ["b": "2", "a": "1"],
        "matchExpressions": [["key": "c", "operator": "In", "values": ["x", "y"]]],
      ]
    ]
    #expect(
      cells(
        "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding",
        ["spec": ["policyName": "p", "paramRef": reference]])[2]
        == .string(
          "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},MatchExpressions:[]LabelSelectorRequirement{"
            + "LabelSelectorRequirement{Key:c,Operator:In,Values:[x y],},},}"))
  }

  @Test func `flow schemas are listed by their precedence`() {
    let kind = Given.kind("flowcontrol.apiserver.k8s.io/v1", "FlowSchema")
    let objects: [JSONValue] = [("a", 9000), ("b", 1), ("c", 1)].map { name, precedence in
      ["metadata": ["name": .string(name)], "spec": ["matchingPrecedence": .integer(precedence)]]
    }
    let rows = TableBuilder(kind, now: 0).table(objects, at: ListPosition(resourceVersion: "1"))["rows"].elements
    #expect(rows.map { $0["cells"][0] } == ["b", "c", "a"])
    let exempt: JSONValue = ["spec": ["type": "Exempt", "exempt": ["nominalConcurrencyShares": 0]]]
    #expect(cells("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration", exempt)[2] == "<none>")
  }

  @Test func `what is not set is empty`() {
    #expect(cells("v1", "Namespace", [:]) == ["x", "", "5m"])
    #expect(
      cells("certificates.k8s.io/v1", "CertificateSigningRequest", [:]) == [
        "x", "5m", "<none>", "", "<none>", "Pending",
      ])
  }

  @Test func `an empty list of a kind without columns of its own has no rows at all`() {
    let position = ListPosition(resourceVersion: "1")
    let roles = TableBuilder(Given.kind("rbac.authorization.k8s.io/v1", "Role"), now: 0).table([], at: position)
    #expect(roles.object?["rows"] == .null)
    let pods = TableBuilder(Given.kind("v1", "Pod"), now: 0).table([], at: position)
    #expect(pods["rows"] == [])
  }
}
