import JSON
import Schema
import Testing

@testable import Kinds

@Suite struct `Workloads` {
  let deployments = Given.kind("apps/v1", "Deployment")

  @Test func `a deployment gets its strategy`() {
    let deployment = Given.deployment()
    #expect(
      deployment["spec"]["strategy"] == [
        "type": "RollingUpdate", "rollingUpdate": ["maxUnavailable": "25%", "maxSurge": "25%"],
      ])
    #expect(deployments.problems(deployment) == [])
  }

  @Test func `selector and template belong together`() {
    #expect(
      deployments.problems(Given.deployment { $0["spec"]["selector"] = .null }) == [
        "spec.selector: Required value",
        "spec.template.metadata.labels: Invalid value: map[string]string{\"app\":\"web\"}: `selector` does not match "
          + "template `labels`",
      ])
    #expect(
      deployments.problems(Given.deployment { $0["spec"]["template"]["metadata"]["labels"]["app"] = "other" }) == [
        "spec.template.metadata.labels: Invalid value: map[string]string{\"app\":\"other\"}: `selector` does not "
          + "match template `labels`"
      ])
    #expect(
      deployments.problems(Given.deployment { $0["spec"]["selector"] = [:] }).first
        == "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string(nil), "
        + "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: empty selector is invalid for deployment")
  }

  @Test func `a selector stays`() {
    let new = Given.deployment {
      $0["spec"]["selector"]["matchLabels"]["app"] = "x"
    }
    #expect(
      deployments.updateProblems(new, Given.deployment()) == [
        "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"app\":\"x\"}, "
          + "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable"
      ])
  }

  @Test func `mistakes of a deployment`() {
    #expect(
      deployments.problems(Given.deployment { $0["spec"]["replicas"] = -1 }) == [
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
      ])
    #expect(
      deployments.problems(Given.deployment { $0["spec"]["template"]["spec"]["restartPolicy"] = "Never" }) == [
        "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""
      ])
    #expect(
      deployments.problems(
        Given.deployment {
          $0["spec"]["strategy"] = [
            "type": "RollingUpdate", "rollingUpdate": ["maxSurge": 0, "maxUnavailable": "0%"],
          ]
        }) == [
          "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: intstr.IntOrString{Type:1, IntVal:0, "
            + "StrVal:\"0%\"}: may not be 0 when `maxSurge` is 0"
        ])
    #expect(
      deployments.problems(Given.deployment { $0["spec"]["minReadySeconds"] = 600 }) == [
        "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"
      ])
  }

  @Test func `a replication controller takes its selector from its template`() {
    let kind = Given.kind("v1", "ReplicationController")
    var controller: JSONValue = [
      "metadata": ["name": "nifty-rc"],
      "spec": ["replicas": 4, "template": ["metadata": ["labels": ["App": "Nifty"]], "spec": Given.podSpec]],
    ]
    kind.rules.applyDefaults(to: &controller)
    #expect(controller["spec"]["selector"] == ["App": "Nifty"])
    #expect(controller["metadata"]["labels"] == ["App": "Nifty"])
    #expect(kind.problems(controller) == [])
    #expect(kind.problems(["spec": [:]]) == ["spec.selector: Required value", "spec.template: Required value"])
  }

  @Test func `scale shows and sets the size`() {
    var deployment = Given.deployment { $0["status"] = ["replicas": 2] }
    let scale = Scale.of(deployment)
    #expect(scale["spec"]["replicas"] == 3)
    #expect(scale["status"] == ["replicas": 2, "selector": "app=web"])
    Scale.apply(["spec": ["replicas": 7]], to: &deployment)
    #expect(deployment["spec"]["replicas"] == 7)
    Scale.apply(["spec": [:]], to: &deployment)
    #expect(deployment["spec"]["replicas"] == 0)
    #expect(Scale.of(["spec": ["selector": ["b": "2", "a": "1"]]])["status"]["selector"] == "a=1,b=2")
    #expect(Scale.validate(["spec": ["replicas": -1]]).count == 1)
  }

  @Test func `a stateful set updates in a rolling way unless told otherwise`() {
    let kind = Given.kind("apps/v1", "StatefulSet")
    func strategy(_ given: JSONValue) -> JSONValue {
      var set: JSONValue = ["spec": ["updateStrategy": given, "template": ["spec": Given.podSpec]]]
      kind.structure.applyDefaults(to: &set)
      kind.rules.applyDefaults(to: &set)
      return set["spec"]["updateStrategy"]
    }
    #expect(strategy([:]) == ["type": "RollingUpdate", "rollingUpdate": ["partition": 0]])
    #expect(strategy(["type": "RollingUpdate"]) == ["type": "RollingUpdate"])
    #expect(strategy(["type": "OnDelete"]) == ["type": "OnDelete"])
  }

  @Test func `a stateful set changes only in some fields`() {
    let kind = Given.kind("apps/v1", "StatefulSet")
    let old: JSONValue = ["spec": ["replicas": 1, "serviceName": "a"]]
    #expect(kind.updateProblems(["spec": ["replicas": 2, "serviceName": "a"]], old) == [])
    #expect(
      kind.updateProblems(["spec": ["replicas": 1, "serviceName": "b"]], old).first?.hasPrefix(
        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas'") == true)
  }

  @Test func `a job finds its pods by its own UID`() {
    let kind = Given.kind("batch/v1", "Job")
    var job: JSONValue = [
      "metadata": ["name": "once", "uid": "u-1"], "spec": ["template": ["spec": Given.podSpec]],
    ]
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    kind.rules.applyDefaults(to: &job)
    kind.rules.prepareForCreate(&job, context: Given.context)
    #expect(job["spec"]["selector"]["matchLabels"] == ["batch.kubernetes.io/controller-uid": "u-1"])
    #expect(job["spec"]["template"]["metadata"]["labels"]["job-name"] == "once")
    #expect(job["spec"]["completions"] == 1 && job["spec"]["backoffLimit"] == 6)
    #expect(kind.problems(job) == [])
    job["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    #expect(
      kind.problems(job) == [
        "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""
      ])
  }

  @Test(
    arguments: [
      ("*/5 * * * *", nil), ("0 9 1-5 jan,feb mon", nil), ("@hourly", nil),
      ("@sometimes", "unrecognized descriptor: @sometimes"),
      ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
      ("61 * * * *", "end of range (61) above maximum (59): 61"),
      ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"), ("1,,2 * * * *", nil),
      ("5/2 * * * *", nil), ("@every 1h", nil), ("1/0 * * * *", "step of range should be a positive number: 1/0"),
      ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
      ("-1 * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax"),
    ] as [(String, String?)])
  func `a schedule is five fields or a name`(schedule: String, problem: String?) {
    #expect(CronSchedule.problem(with: schedule) == problem)
  }

  @Test func `an autoscaler survives the way through v1`() {
    let old = GroupVersionKind(group: "autoscaling", version: "v1", kind: "HorizontalPodAutoscaler")
    let new = GroupVersionKind(group: "autoscaling", version: "v2", kind: "HorizontalPodAutoscaler")
    let autoscaler: JSONValue = [
      "kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2", "metadata": ["name": "web"],
      "spec": [
        "scaleTargetRef": ["kind": "Deployment", "name": "web"], "maxReplicas": 5,
        "metrics": [
          [
            "type": "Resource",
            "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 70]],
          ],
          [
            "type": "Pods",
            "pods": ["metric": ["name": "q"], "target": ["type": "AverageValue", "averageValue": "5"]],
          ],
        ],
        "behavior": [
          "scaleUp": [
            "stabilizationWindowSeconds": 3, "policies": [["type": "Pods", "value": 4, "periodSeconds": 15]],
          ]
        ],
      ],
    ]
    let seen = KindConversion.convert(autoscaler, from: new, to: old)
    #expect(seen["spec"]["targetCPUUtilizationPercentage"] == 70)
    #expect(seen["spec"]["metrics"].isNull)
    let annotations = seen["metadata"]["annotations"]
    #expect(annotations.object?.count == 2)
    #expect(
      annotations["autoscaling.alpha.kubernetes.io/metrics"]
        == #"[{"type":"Pods","pods":{"metricName":"q","targetAverageValue":"5"}}]"#)
    #expect(
      annotations["autoscaling.alpha.kubernetes.io/behavior"]
        == #"{"ScaleUp":{"StabilizationWindowSeconds":3,"SelectPolicy":null,"Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}]},"ScaleDown":null}"#
    )
    var back = KindConversion.convert(seen, from: old, to: new)
    #expect(back["spec"]["metrics"] == .array(autoscaler["spec"]["metrics"].elements.reversed()), "the CPU comes last")
    back["spec"]["metrics"] = autoscaler["spec"]["metrics"]
    #expect(back == autoscaler)
  }

  @Test func `what an autoscaler measured travels in annotations, the CPU's raw value too`() {
    let old = GroupVersionKind(group: "autoscaling", version: "v1", kind: "HorizontalPodAutoscaler")
    let new = GroupVersionKind(group: "autoscaling", version: "v2", kind: "HorizontalPodAutoscaler")
    let autoscaler: JSONValue = [
      "kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2", "metadata": ["name": "web"],
      "spec": [
        "maxReplicas": 5,
        "metrics": [
          [
            "type": "Resource",
            "resource": ["name": "memory", "target": ["type": "AverageValue", "averageValue": "1Gi"]],
          ]
        ],
      ],
      "status": [
        "desiredReplicas": 2,
        "currentMetrics": [
          [
            "type": "Resource",
            "resource": ["name": "cpu", "current": ["averageUtilization": 10, "averageValue": "5m"]],
          ]
        ],
        "conditions": [["type": "AbleToScale", "status": "True"]],
      ],
    ]
    let seen = KindConversion.convert(autoscaler, from: new, to: old)
    #expect(seen["spec"]["targetCPUUtilizationPercentage"].isNull)
    #expect(seen["status"] == ["desiredReplicas": 2, "currentCPUUtilizationPercentage": 10])
    #expect(
      seen["metadata"]["annotations"] == [
        "autoscaling.alpha.kubernetes.io/metrics":
          #"[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}}]"#,
        "autoscaling.alpha.kubernetes.io/current-metrics":
          #"[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":10,"currentAverageValue":"5m"}}]"#,
        "autoscaling.alpha.kubernetes.io/conditions": #"[{"type":"AbleToScale","status":"True"}]"#,
      ])
    #expect(KindConversion.convert(seen, from: old, to: new) == autoscaler)
  }

  @Test func `an autoscaler of v1 that names no target means 80 percent of the CPU`() {
    let old = GroupVersionKind(group: "autoscaling", version: "v1", kind: "HorizontalPodAutoscaler")
    let new = GroupVersionKind(group: "autoscaling", version: "v2", kind: "HorizontalPodAutoscaler")
    let seen = KindConversion.convert(["metadata": ["name": "web"], "spec": ["maxReplicas": 5]], from: old, to: new)
    #expect(
      seen["spec"]["metrics"] == [
        [
          "type": "Resource",
          "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 80]],
        ]
      ])
  }

  @Test func `the generation of a daemon set's template ends with the numbers`() {
    let daemonSets = Given.kind("apps/v1", "DaemonSet")
    let old: JSONValue = [
      "metadata": ["annotations": ["deprecated.daemonset.template.generation": "9223372036854775807"]],
      "spec": ["template": ["metadata": ["labels": ["a": "1"]]]],
    ]
    var new = old
    new["spec"]["template"]["metadata"]["labels"]["a"] = "2"
    daemonSets.rules.prepareForUpdate(&new, old: old, context: Given.context)
    #expect(new["metadata"] == old["metadata"])
  }

  @Test func `bounds of limit ranges may lie as far apart as quantities do`() {
    let ranges = Given.kind("v1", "LimitRange")
    let problems = ranges.problems([
      "metadata": ["name": "l", "namespace": "default"],
      "spec": [
        "limits": [
          [
            "type": "Container", "max": ["cpu": "9000000000000000"], "min": ["cpu": "1m"],
            "maxLimitRequestRatio": ["cpu": "9223372036854775807"],
          ]
        ]
      ],
    ])
    // (In thousandths the ratio is no number any more, as in the reference.)
    #expect(problems == [])
  }
}
