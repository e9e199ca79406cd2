import JSON
import Schema
import Testing

@testable import Kinds

@Suite struct `Pods` {
  let kind = Given.kind("v1", "Pod")

  @Test func `a sound pod has no problems`() {
    #expect(kind.problems(Given.pod()) == [])
  }

  @Test func `defaults follow from other fields`() {
    var pod = Given.pod {
      $0["spec"]["containers"] = [
        ["name": "a", "image": "nginx", "resources": ["limits": ["cpu": "1"]], "ports": [["containerPort": 80]]],
        ["name": "b", "image": "registry:5000/x/y:1.0"], ["name": "c", "image": "x@sha256:12"],
      ]
      $0["spec"]["hostNetwork"] = true
      $0["spec"]["volumes"] = [["name": "v"]]
      $0["spec"]["serviceAccountName"] = "robot"
    }
    kind.rules.applyDefaults(to: &pod)
    let spec = pod["spec"]
    #expect(spec["containers"].elements.map { $0["imagePullPolicy"] } == ["Always", "IfNotPresent", "IfNotPresent"])
    #expect(spec["containers"][0]["resources"]["requests"]["cpu"] == "1")
    #expect(spec["containers"][0]["ports"][0]["hostPort"] == 80)
    #expect(spec["volumes"][0]["emptyDir"] == [:])
    #expect(spec["serviceAccount"] == "robot")
    #expect(spec["enableServiceLinks"] == true)
  }

  @Test(arguments: [
    ("nginx:latest", "Always"), ("registry:5000/nginx", "Always"), ("REGISTRY/nginx", "Always"),
    ("registry:5000/nginx:latest", "Always"), ("nginx:latest2", "IfNotPresent"), ("nginx:", "IfNotPresent"),
    ("Nginx", "IfNotPresent"), ("Nginx:latest", "IfNotPresent"), ("nginx:LATEST", "IfNotPresent"),
    ("nginx:latest@sha256:12", "Always"), ("registry/", "IfNotPresent"), ("", "IfNotPresent"),
  ]) func `what may change is always pulled`(image: String, policy: String) {
    #expect(PodDefaults.pullPolicy(image: image) == policy)
  }

  @Test func `creation sets phase and quality of service`() {
    var pod = Given.pod { $0["spec"]["schedulingGates"] = [["name": "wait"]] }
    kind.rules.prepareForCreate(&pod, context: Given.context)
    #expect(pod["status"]["phase"] == "Pending")
    #expect(pod["status"]["qosClass"] == "BestEffort")
    #expect(pod["status"]["conditions"][0]["reason"] == "SchedulingGated")
  }

  @Test(
    arguments: [
      (["requests": ["cpu": "1", "memory": "1Gi"], "limits": ["cpu": "1000m", "memory": "1024Mi"]], "Guaranteed"),
      (["requests": ["cpu": "1"]], "Burstable"), (["limits": ["cpu": "1"]], "Burstable"),
      (["requests": ["cpu": "0"]], "BestEffort"), ([:], "BestEffort"),
    ] as [(JSONValue, String)])
  func `quality of service follows from resources`(resources: JSONValue, expected: String) {
    #expect(PodQoS.ofPod(Given.pod { $0["spec"]["containers"][0]["resources"] = resources }) == expected)
  }

  @Test func `each mistake is told with its path`() {
    func problems(_ edit: (inout JSONValue) -> Void) -> [String] { kind.problems(Given.pod(edit)) }
    #expect(problems { $0["spec"]["containers"] = [] } == ["spec.containers: Required value"])
    #expect(problems { $0["spec"]["containers"][0]["image"] = "" } == ["spec.containers[0].image: Required value"])
    #expect(
      problems { $0["spec"]["containers"] = [Given.container, Given.container] } == [
        "spec.containers[1].name: Duplicate value: \"main\""
      ])
    #expect(
      problems { $0["spec"]["restartPolicy"] = "Sometimes" } == [
        "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\""
      ])
    #expect(
      problems {
        $0["spec"]["containers"][0]["resources"] = ["requests": ["cpu": "2"], "limits": ["cpu": "1"]]
      } == [
        "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"
      ])
    #expect(
      problems { $0["spec"]["containers"][0]["ports"] = [["containerPort": 70000, "protocol": "TCP"]] } == [
        "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"
      ])
    #expect(
      problems { $0["spec"]["containers"][0]["volumeMounts"] = [["name": "x", "mountPath": "/x"]] } == [
        "spec.containers[0].volumeMounts[0].name: Not found: \"x\""
      ])
    #expect(
      problems { $0["spec"]["volumes"] = [["name": "v", "secret": ["defaultMode": 420]]] } == [
        "spec.volumes[0].secret.secretName: Required value"
      ])
    #expect(
      problems { $0["spec"]["volumes"] = [["name": "v", "emptyDir": [:], "hostPath": ["path": "/"]]] } == [
        "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"
      ])
    #expect(
      problems { $0["spec"]["containers"][0]["livenessProbe"] = ["successThreshold": 2, "tcpSocket": ["port": 80]] }
        == ["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"])
    #expect(
      problems { $0["spec"]["tolerations"] = [["operator": "Exists", "tolerationSeconds": 5]] } == [
        "spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set"
      ])
    #expect(
      problems { $0["spec"]["dnsPolicy"] = "None" } == [
        "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"
      ])
    #expect(
      problems { $0["spec"]["containers"][0]["env"] = [["name": "A", "valueFrom": [:]]] } == [
        "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, "
          + "`resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
      ])
    #expect(
      problems { $0["spec"]["initContainers"] = [Given.container] } == [
        "spec.initContainers[0].name: Duplicate value: \"main\""
      ])
    #expect(
      problems {
        $0["spec"]["containers"][0]["securityContext"] = ["privileged": true, "allowPrivilegeEscalation": false]
      }.count == 1)
    #expect(problems { $0["spec"]["activeDeadlineSeconds"] = 0 }.first?.contains("between 1 and 2147483647") == true)
  }

  @Test func `ephemeral containers come later only`() {
    let pod = Given.pod { $0["spec"]["ephemeralContainers"] = [Given.container] }
    #expect(
      kind.rules.validateCreate(pod) == [.forbidden("spec.ephemeralContainers", "cannot be set on create")])
  }

  @Test func `an update may change the image, and little else`() {
    let old = Given.pod()
    #expect(kind.updateProblems(Given.pod { $0["spec"]["containers"][0]["image"] = "nginx:2" }, old) == [])
    #expect(kind.updateProblems(Given.pod { $0["spec"]["activeDeadlineSeconds"] = 5 }, old) == [])
    #expect(
      kind.updateProblems(Given.pod { $0["spec"]["tolerations"] = [["operator": "Exists"]] }, old) == [])
    let moved = kind.updateProblems(Given.pod { $0["spec"]["nodeName"] = "n2" }, old)
    #expect(moved.count == 1)
    #expect(
      moved[0].hasPrefix("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"))
    #expect(moved[0].contains("spec.nodeName"))
    #expect(
      kind.updateProblems(
        Given.pod { $0["spec"]["containers"] = [Given.container, Given.container] }, old) == [
          "spec.containers: Forbidden: pod updates may not add or remove containers"
        ])
  }

  @Test func `a deadline is only lowered`() {
    let old = Given.pod { $0["spec"]["activeDeadlineSeconds"] = 10 }
    #expect(kind.updateProblems(Given.pod { $0["spec"]["activeDeadlineSeconds"] = 9 }, old) == [])
    #expect(
      kind.updateProblems(Given.pod { $0["spec"]["activeDeadlineSeconds"] = 11 }, old) == [
        "spec.activeDeadlineSeconds: Invalid value: 11: must be less than or equal to previous value"
      ])
    #expect(kind.updateProblems(Given.pod(), old).count == 1)
  }

  @Test func `binding places a pod once`() throws {
    var pod = Given.pod()
    let binding: JSONValue = [
      "metadata": ["name": "web", "annotations": ["a": "b"]], "target": ["kind": "Node", "name": "n1"],
    ]
    #expect(PodBinding.validate(binding) == [])
    try PodBinding.apply(binding, to: &pod, now: "2025-01-01T00:00:00Z")
    #expect(pod["spec"]["nodeName"] == "n1")
    #expect(pod["metadata"]["annotations"]["a"] == "b")
    #expect(
      pod["status"]["conditions"] == [
        ["type": "PodScheduled", "status": "True", "lastTransitionTime": "2025-01-01T00:00:00Z"]
      ])
    let error = #expect(throws: APIStatus.self) {
      try PodBinding.apply(binding, to: &pod, now: "2025-01-01T00:00:00Z")
    }
    #expect(error?.code == 409)
    #expect(error?.message.hasSuffix("pod web is already assigned to node \"n1\"") == true)
    #expect(PodBinding.validate(["target": [:]]).first?.field == "target.name")
  }
}
