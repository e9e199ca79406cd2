// Tables of what is wrong with workloads, in the words, at the places, in the order and as often as Kubernetes 1.32 tells
// it.
import JSON
import Schema
import Testing

@testable import Kinds

extension Given {
  static func statefulSet() -> JSONValue {
    completed(
      "apps/v1", "StatefulSet",
      [
        "metadata": ["name": "db", "namespace": "default"],
        "spec": [
          "selector": ["matchLabels": ["app": "db"]], "serviceName": "db",
          "template": ["metadata": ["labels": ["app": "db"]], "spec": podSpec],
        ],
      ])
  }

  static func daemonSet() -> JSONValue {
    completed(
      "apps/v1", "DaemonSet",
      [
        "metadata": ["name": "agent", "namespace": "default"],
        "spec": [
          "selector": ["matchLabels": ["app": "agent"]],
          "template": ["metadata": ["labels": ["app": "agent"]], "spec": podSpec],
        ],
      ])
  }

  /// As a new job stands before it is checked.
  static func job(_ edit: (inout JSONValue) -> Void = { _ in }) -> JSONValue {
    var job = completed(
      "batch/v1", "Job",
      [
        "metadata": ["name": "once", "namespace": "default", "uid": "u-1"],
        "spec": ["template": ["spec": podSpec]],
      ])
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    edit(&job)
    kind("batch/v1", "Job").rules.prepareForCreate(&job, context: context)
    return job
  }

  static func cronJob() -> JSONValue {
    var job = completed(
      "batch/v1", "CronJob",
      [
        "metadata": ["name": "often", "namespace": "default"],
        "spec": ["schedule": "*/5 * * * *", "jobTemplate": ["spec": ["template": ["spec": podSpec]]]],
      ])
    job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    return job
  }

  /// With all defaults.
  static func completed(_ apiVersion: String, _ name: String, _ object: JSONValue) -> JSONValue {
    let kind = kind(apiVersion, name)
    var object = object
    object["kind"] = .string(name)
    object["apiVersion"] = .string(apiVersion)
    kind.structure.applyDefaults(to: &object)
    kind.rules.applyDefaults(to: &object)
    return object
  }
}

@Suite struct `What is refused of workloads` {
  static let statefulSets: [Refusal] = [
    Refusal("nothing", []) { _ in },
    Refusal("what pods are made of is their business", []) {
      $0["spec"]["template"]["spec"]["containers"][0]["image"] = .null
      $0["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = [["name": "data", "mountPath": "/data"]]
      $0["spec"]["revisionHistoryLimit"] = -1
    },
    Refusal(
      "an order of pods that is none",
      ["spec.podManagementPolicy: Invalid value: \"Random\": must be 'OrderedReady' or 'Parallel'"]
    ) { $0["spec"]["podManagementPolicy"] = "Random" },
    Refusal(
      "a strategy that is none",
      [
        "spec.updateStrategy: Invalid value: apps.StatefulSetUpdateStrategy{Type:\"Foo\", "
          + "RollingUpdate:(*apps.RollingUpdateStatefulSetStrategy)(nil)}: must be 'RollingUpdate' or 'OnDelete'"
      ]
    ) { $0["spec"]["updateStrategy"] = ["type": "Foo"] },
    Refusal(
      "a partition of nothing that rolls",
      [
        "spec.updateStrategy.rollingUpdate: Invalid value: apps.RollingUpdateStatefulSetStrategy{Partition:2, "
          + "MaxUnavailable:(*intstr.IntOrString)(nil)}: only allowed for updateStrategy 'RollingUpdate'"
      ]
    ) { $0["spec"]["updateStrategy"] = ["type": "OnDelete", "rollingUpdate": ["partition": 2]] },
    Refusal(
      "claims, numbers and pods",
      [
        "spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: \"Keep\": supported values: "
          + "\"Retain\", \"Delete\"",
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        "spec.ordinals.start: Invalid value: -2: must be greater than or equal to 0",
        "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
        "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not Supported",
      ]
    ) {
      $0["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] = "Keep"
      $0["spec"]["replicas"] = -1
      $0["spec"]["ordinals"] = ["start": -2]
      $0["spec"]["template"]["spec"]["restartPolicy"] = "Never"
      $0["spec"]["template"]["spec"]["activeDeadlineSeconds"] = 5
    },
  ]

  @Test(arguments: statefulSets) func `of stateful sets`(refusal: Refusal) {
    var set = Given.statefulSet()
    refusal.edit(&set)
    #expect(Given.kind("apps/v1", "StatefulSet").problems(set) == refusal.problems)
  }

  static let daemonSets: [Refusal] = [
    Refusal("nothing", []) { _ in },
    Refusal(
      "no selector is told of the labels only",
      [
        "spec.template.metadata.labels: Invalid value: map[string]string{\"app\":\"agent\"}: `selector` does not match "
          + "template `labels`"
      ]
    ) { $0["spec"]["selector"] = .null },
    Refusal(
      "a strategy that is none",
      [
        "spec.updateStrategy: Unsupported value: apps.DaemonSetUpdateStrategy{Type:\"Foo\", "
          + "RollingUpdate:(*apps.RollingUpdateDaemonSet)(nil)}: supported values: \"RollingUpdate\", \"OnDelete\""
      ]
    ) { $0["spec"]["updateStrategy"] = ["type": "Foo"] },
    Refusal(
      "both paces",
      [
        "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: intstr.IntOrString{Type:1, IntVal:0, "
          + "StrVal:\"5\"}: a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
          + "'93%', regex used for validation is '[0-9]+%')",
        "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: intstr.IntOrString{Type:1, IntVal:0, "
          + "StrVal:\"110%\"}: must not be greater than 100%",
        "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: intstr.IntOrString{Type:1, IntVal:0, "
          + "StrVal:\"110%\"}: may not be set when maxUnavailable is non-zero",
      ]
    ) { $0["spec"]["updateStrategy"]["rollingUpdate"] = ["maxUnavailable": "5", "maxSurge": "110%"] },
    Refusal(
      "a deadline",
      [
        "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported"
      ]
    ) { $0["spec"]["template"]["spec"]["activeDeadlineSeconds"] = 5 },
  ]

  @Test(arguments: daemonSets) func `of daemon sets`(refusal: Refusal) {
    var set = Given.daemonSet()
    refusal.edit(&set)
    let kind = Given.kind("apps/v1", "DaemonSet")
    #expect(kind.problems(set) == refusal.problems)
    #expect(kind.replacementProblems(set, Given.daemonSet()) == refusal.problems + refusal.problems, "updates: twice")
  }

  @Test func `a strategy of deployments that is none`() {
    let deployment = Given.deployment { $0["spec"]["strategy"] = ["type": "Foo"] }
    #expect(
      Given.kind("apps/v1", "Deployment").problems(deployment) == [
        "spec.strategy: Unsupported value: apps.DeploymentStrategy{Type:\"Foo\", "
          + "RollingUpdate:(*apps.RollingUpdateDeployment)(nil)}: supported values: \"Recreate\", \"RollingUpdate\""
      ])
  }

  static let jobs: [Refusal] = [
    Refusal("nothing", []) { _ in },
    Refusal(
      "labels of another job",
      [
        "spec.template.metadata.labels[job-name]: Invalid value: map[string]string{"
          + "\"batch.kubernetes.io/controller-uid\":\"u-1\", \"batch.kubernetes.io/job-name\":\"once\", "
          + "\"controller-uid\":\"u-1\", \"job-name\":\"other\"}: must be 'once'"
      ]
    ) { $0["spec"]["template"]["metadata"]["labels"] = ["job-name": "other"] },
    Refusal(
      "a selector of other pods",
      [
        "spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"a\":\"b\", "
          + "\"batch.kubernetes.io/controller-uid\":\"u-1\"}, "
          + "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: `selector` not auto-generated",
        "spec.template.metadata.labels: Invalid value: map[string]string{"
          + "\"batch.kubernetes.io/controller-uid\":\"u-1\", \"batch.kubernetes.io/job-name\":\"once\", "
          + "\"controller-uid\":\"u-1\", \"job-name\":\"once\"}: `selector` does not match template `labels`",
      ]
    ) { $0["spec"]["selector"] = ["matchLabels": ["a": "b"]] },
    Refusal(
      "failed indexes without a limit of their own",
      [
        "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
        "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode",
      ]
    ) { $0["spec"]["maxFailedIndexes"] = 1 },
    Refusal(
      "too many of everything",
      [
        "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed",
        "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
        "spec.parallelism: Invalid value: 100001: must be less than or equal to 10000 when completions are above 100000 "
          + "and used with backoff limit per index",
      ]
    ) {
      $0["spec"]["completionMode"] = "Indexed"
      $0["spec"]["completions"] = 100_001
      $0["spec"]["parallelism"] = 100_001
      $0["spec"]["backoffLimitPerIndex"] = 1
    },
    Refusal(
      "who manages it, how it completes and when it ends",
      [
        "spec.managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as \"acme.io/foo\")",
        "spec.completionMode: Unsupported value: \"Foo\": supported values: \"NonIndexed\", \"Indexed\"",
        "spec.podReplacementPolicy: Unsupported value: \"Foo\": supported values: \"Failed\", \"TerminatingOrFailed\"",
      ]
    ) {
      $0["spec"]["managedBy"] = "me"
      $0["spec"]["completionMode"] = "Foo"
      $0["spec"]["podReplacementPolicy"] = "Foo"
    },
    Refusal(
      "a policy for failures",
      [
        "spec.podFailurePolicy.rules[0].action: Required value: valid values: [\"Count\" \"FailIndex\" \"FailJob\" "
          + "\"Ignore\"]",
        "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
        "spec.podFailurePolicy.rules[1].action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set",
        "spec.podFailurePolicy.rules[1].onExitCodes.containerName: Invalid value: \"x\": must be one of the container or "
          + "initContainer names in the pod template",
        "spec.podFailurePolicy.rules[1].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
        "spec.podFailurePolicy.rules[1].onExitCodes.values[2]: Duplicate value: 5",
        "spec.podFailurePolicy.rules[1].onExitCodes.values: Invalid value: []int32{5, 0, 5}: must be ordered",
        "spec.podFailurePolicy.rules[2].onPodConditions[0].status: Unsupported value: \"Yes\": supported values: "
          + "\"False\", \"True\", \"Unknown\"",
        "spec.podReplacementPolicy: Unsupported value: \"TerminatingOrFailed\": supported values: \"Failed\"",
        "spec.template.spec.restartPolicy: Invalid value: \"OnFailure\": only \"Never\" is supported when "
          + "podFailurePolicy is specified",
      ]
    ) {
      $0["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure"
      $0["spec"]["podFailurePolicy"] = [
        "rules": [
          [:],
          ["action": "FailIndex", "onExitCodes": ["containerName": "x", "operator": "In", "values": [5, 0, 5]]],
          ["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget", "status": "Yes"]]],
        ]
      ]
    },
    Refusal(
      "a policy for success",
      [
        "spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified",
        "spec.successPolicy.rules[1].succeededIndexes: Invalid value: \"2,1\": error parsing succeededIndexes: "
          + "non-increasing order, previous: 2, current: 1",
        "spec.successPolicy.rules[2].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of "
          + "indexes in the specified succeededIndexes field)",
        "spec.successPolicy.rules[3].succeededIndexes: Invalid value: \"5\": error parsing succeededIndexes: too large "
          + "index: \"5\"",
      ]
    ) {
      $0["spec"]["completionMode"] = "Indexed"
      $0["spec"]["completions"] = 5
      $0["spec"]["successPolicy"] = [
        "rules": [
          [:], ["succeededIndexes": "2,1"], ["succeededIndexes": "0-1", "succeededCount": 3], ["succeededIndexes": "5"],
        ]
      ]
    },
    Refusal(
      "a name that its pods cannot have",
      [
        "metadata.name: Invalid value: \"once.more\": will not able to create pod with invalid DNS label: once.more-1"
      ]
    ) {
      $0["metadata"]["name"] = "once.more"
      $0["spec"]["completionMode"] = "Indexed"
      $0["spec"]["completions"] = 2
    },
  ]

  @Test(arguments: jobs) func `of jobs`(refusal: Refusal) {
    #expect(Given.kind("batch/v1", "Job").problems(Given.job(refusal.edit)) == refusal.problems)
  }

  static let jobUpdates: [Refusal] = [
    Refusal("scheduling of a suspended job", []) {
      $0["spec"]["template"]["spec"]["nodeSelector"] = ["a": "b"]
      $0["spec"]["template"]["spec"]["affinity"] = ["nodeAffinity": [:]]
    },
    Refusal(
      "completions alone",
      ["spec.completions: Invalid value: 4: can only be modified in tandem with spec.parallelism"]
    ) { $0["spec"]["completions"] = 4 },
    Refusal("completions with parallelism", []) {
      $0["spec"]["completions"] = 4
      $0["spec"]["parallelism"] = 4
    },
    Refusal("the limit of each index", ["spec.backoffLimitPerIndex: Invalid value: \"null\": field is immutable"]) {
      $0["spec"]["backoffLimitPerIndex"] = .null
    },
  ]

  @Test(arguments: jobUpdates) func `of changes of jobs`(refusal: Refusal) {
    let old = Given.job {
      $0["spec"]["suspend"] = true
      $0["spec"]["completionMode"] = "Indexed"
      $0["spec"]["completions"] = 3
      $0["spec"]["backoffLimitPerIndex"] = 1
    }
    var new = old
    refusal.edit(&new)
    #expect(Given.kind("batch/v1", "Job").updateProblems(new, old) == refusal.problems)
  }

  static let jobStatuses: [Refusal] = [
    Refusal("a start", []) { $0["status"] = ["startTime": "2026-01-01T00:00:00Z", "active": 1, "ready": 1] },
    Refusal(
      "an end without its causes",
      [
        "status.completionTime: Required value: completionTime is required for Complete jobs",
        "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        "status.active: Invalid value: 1: active>0 is invalid for finished job",
        "status.startTime: Required value: startTime is required for finished job",
      ]
    ) { $0["status"] = ["active": 1, "conditions": [["type": "Complete", "status": "True"]]] },
    Refusal(
      "a failure without its target",
      [
        "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition"
      ]
    ) {
      $0["status"] = ["startTime": "2026-01-01T00:00:00Z", "conditions": [["type": "Failed", "status": "True"]]]
    },
    Refusal(
      "times and indexes",
      [
        "status.completionTime: Invalid value: 2025-01-01 00:00:00 +0000 UTC: cannot set completionTime when there is no "
          + "Complete=True condition",
        "status.completionTime: Invalid value: 2025-01-01 00:00:00 +0000 UTC: must be equal to or after `startTime`",
        "status.completedIndexes: Invalid value: \"1\": error parsing completedIndexes: too large index: \"1\"",
        "status.completedIndexes: Invalid value: \"1\": cannot set non-empty completedIndexes when non-indexed completion "
          + "mode",
        "status.ready: Invalid value: 2: cannot set more ready pods than active",
      ]
    ) {
      $0["status"] = [
        "startTime": "2026-01-01T00:00:00Z", "completionTime": "2025-01-01T00:00:00Z", "completedIndexes": "1",
        "ready": 2,
      ]
    },
  ]

  @Test(arguments: jobStatuses) func `of states of jobs`(refusal: Refusal) {
    let old = Given.job()
    var new = old
    refusal.edit(&new)
    #expect(Given.kind("batch/v1", "Job").statusProblems(new, old) == refusal.problems)
  }

  @Test func `a job that ended stays ended`() {
    let old = Given.job {
      $0["status"] = [
        "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-02T00:00:00Z", "succeeded": 1, "failed": 2,
        "conditions": [
          ["type": "SuccessCriteriaMet", "status": "True"], ["type": "Complete", "status": "True"],
        ],
      ]
    }
    var new = old
    new["status"] = ["startTime": "2026-01-01T00:00:00Z", "succeeded": 1, "failed": 1]
    #expect(
      Given.kind("batch/v1", "Job").statusProblems(new, old) == [
        "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
        "status.failed: Invalid value: 1: cannot decrease the failed counter",
        "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
      ])
  }

  @Test func `a job without labels has those of its pods`() {
    let labels: JSONValue = [
      "controller-uid": "u-1", "job-name": "once", "batch.kubernetes.io/controller-uid": "u-1",
      "batch.kubernetes.io/job-name": "once",
    ]
    #expect(Given.job()["metadata"]["labels"] == labels)
    #expect(Given.job { $0["metadata"]["labels"] = ["a": "b"] }["metadata"]["labels"] == ["a": "b"])
  }

  static let cronJobs: [Refusal] = [
    Refusal("nothing", []) { _ in },
    Refusal("a zone", []) { $0["spec"]["timeZone"] = "Europe/Berlin" },
    Refusal("a zone that is none", ["spec.timeZone: Invalid value: \"Europe/Foo\": unknown time zone Europe/Foo"]) {
      $0["spec"]["timeZone"] = "Europe/Foo"
    },
    Refusal(
      "the zone of the server",
      [
        "spec.timeZone: Invalid value: \"Local\": timeZone must be an explicit time zone as defined in "
          + "https://www.iana.org/time-zones"
      ]
    ) { $0["spec"]["timeZone"] = "Local" },
    Refusal(
      "a zone in the schedule",
      [
        "spec.schedule: Invalid value: \"TZ=UTC 0 * * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field "
          + "instead"
      ]
    ) { $0["spec"]["schedule"] = "TZ=UTC 0 * * * *" },
    Refusal(
      "a selector for jobs that are not there yet",
      [
        "spec.jobTemplate.spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{\"a\":\"b\"}, "
          + "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: `selector` will be auto-generated",
        "spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: \"nil\", \"false\"",
        "spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
      ]
    ) {
      $0["spec"]["failedJobsHistoryLimit"] = -1
      $0["spec"]["jobTemplate"]["spec"]["selector"] = ["matchLabels": ["a": "b"]]
      $0["spec"]["jobTemplate"]["spec"]["manualSelector"] = true
    },
  ]

  @Test(arguments: cronJobs) func `of cron jobs`(refusal: Refusal) {
    var job = Given.cronJob()
    refusal.edit(&job)
    let kind = Given.kind("batch/v1", "CronJob")
    #expect(kind.problems(job) == refusal.problems)
    let kept = kind.replacementProblems(job, job).filter { $0.contains("TZ") || $0.contains("timeZone") }
    #expect(kept.isEmpty, "who has a zone keeps it")
  }
}
