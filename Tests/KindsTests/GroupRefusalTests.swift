// Tables of what is wrong with objects of the groups beside core, apps and batch, in the words, at the places, in the
// order and as often as Kubernetes 1.32 tells it.
import JSON
import Schema
import Testing

@testable import Kinds

/// A kind, an object of it and everything that is wrong with it.
struct GroupRefusal: Sendable, CustomTestStringConvertible {
  var apiVersion: String
  var kind: String
  var object: JSONValue
  var problems: [String]
  var testDescription: String { "\(kind): \(problems.first ?? "nothing")" }

  init(_ apiVersion: String, _ kind: String, _ object: JSONValue, _ problems: [String]) {
    self.apiVersion = apiVersion
    self.kind = kind
    self.object = object
    self.problems = problems
  }
}

@Suite struct `What is refused of other groups` {
  static let networking: [GroupRefusal] = [
    GroupRefusal(
      "networking.k8s.io/v1", "NetworkPolicy",
      [
        "metadata": ["name": "p"],
        "spec": [
          "podSelector": [:], "policyTypes": ["Ingress", "Egress", "Ingress"],
          "ingress": [
            [
              "ports": [["protocol": "ICMP"], ["port": 90, "endPort": 80], ["port": "web", "endPort": 80]],
              "from": [[:]],
            ]
          ],
        ],
      ],
      [
        "spec.ingress[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\"",
        "spec.ingress[0].ports[1].endPort: Invalid value: 90: must be greater than or equal to `port`",
        "spec.ingress[0].ports[2].endPort: Invalid value: 80: may not be specified when `port` is non-numeric",
        "spec.ingress[0].from[0]: Required value: must specify a peer",
        "spec.policyTypes: Invalid value: []networking.PolicyType{\"Ingress\", \"Egress\", \"Ingress\"}: may not specify "
          + "more than two policyTypes",
      ]),
    GroupRefusal(
      "networking.k8s.io/v1", "IngressClass",
      [
        "metadata": ["name": "c"],
        "spec": ["controller": "a.b/c", "parameters": ["kind": "K", "name": "n", "scope": "World"]],
      ],
      ["spec.parameters.scope: Unsupported value: \"World\": supported values: \"Cluster\", \"Namespace\""]),
    GroupRefusal(
      "networking.k8s.io/v1", "IngressClass",
      [
        "metadata": ["name": "c"],
        "spec": ["controller": "a.b/c", "parameters": ["kind": "K", "name": "n", "scope": "Namespace"]],
      ],
      ["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"]),
  ]

  static let access: [GroupRefusal] = [
    GroupRefusal(
      "rbac.authorization.k8s.io/v1", "RoleBinding",
      [
        "metadata": ["name": "b"], "roleRef": ["apiGroup": "x", "kind": "y", "name": "z"],
        "subjects": [["kind": "ServiceAccount", "name": "a"]],
      ],
      [
        "roleRef.apiGroup: Unsupported value: \"x\": supported values: \"rbac.authorization.k8s.io\"",
        "roleRef.kind: Unsupported value: \"y\": supported values: \"Role\", \"ClusterRole\"",
      ]),
    GroupRefusal(
      "rbac.authorization.k8s.io/v1", "ClusterRoleBinding",
      [
        "metadata": ["name": "b"],
        "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "z"],
        "subjects": [["kind": "ServiceAccount", "name": "a"]],
      ],
      ["subjects[0].namespace: Required value"]),
    GroupRefusal(
      "rbac.authorization.k8s.io/v1", "ClusterRole",
      [
        "metadata": ["name": "r"],
        "aggregationRule": ["clusterRoleSelectors": [["matchExpressions": [["key": "a", "operator": "Is"]]]]],
      ],
      [
        "aggregationRule.clusterRoleSelectors[0].matchExpressions[0].operator: Invalid value: \"Is\": not a valid "
          + "selector operator",
        "aggregationRule.clusterRoleSelectors[0]: Invalid value: \"null\": invalid label selector.",
      ]),
  ]

  static let autoscaling: [GroupRefusal] = [
    GroupRefusal(
      "autoscaling/v2", "HorizontalPodAutoscaler",
      [
        "apiVersion": "autoscaling/v2", "metadata": ["name": "a"],
        "spec": [
          "scaleTargetRef": ["kind": "Deployment", "name": "web"], "minReplicas": 0, "maxReplicas": 2,
          "metrics": [
            ["type": "Foo"],
            ["type": "Resource", "pods": ["metric": ["name": ""], "target": ["type": "AverageValue"]]],
            ["type": "Resource", "resource": ["name": "cpu", "target": ["type": "Value", "averageValue": "0"]]],
          ],
          "behavior": [
            "scaleUp": ["selectPolicy": "Mid", "policies": [["type": "Pods", "value": 1, "periodSeconds": 2000]]]
          ],
        ],
      ],
      [
        "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
        "spec.metrics[0].type: Unsupported value: \"Foo\": supported values: \"ContainerResource\", \"External\", "
          + "\"Object\", \"Pods\", \"Resource\"",
        "spec.metrics[0].type: Unsupported value: \"Foo\": supported values: \"ContainerResource\", \"External\", "
          + "\"Object\", \"Pods\", \"Resource\"",
        "spec.metrics[1].pods.metric.name: Required value: must specify a metric name",
        "spec.metrics[1].pods.target.averageValue: Required value: must specify a positive target averageValue",
        "spec.metrics[1].resource: Required value: must populate information for the given metric source",
        "spec.metrics[2].resource.target.averageValue: Invalid value: resource.Quantity{i:resource.int64Amount{value:0, "
          + "scale:0}, d:resource.infDecAmount{Dec:(*inf.Dec)(nil)}, s:\"0\", Format:\"DecimalSI\"}: must be positive",
        "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas",
        "spec.behavior.scaleUp.selectPolicy: Unsupported value: \"Mid\": supported values: \"Disabled\", \"Max\", \"Min\"",
        "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 2000: must be less than or equal to 1800",
      ]),
    GroupRefusal(
      "autoscaling/v1", "HorizontalPodAutoscaler",
      [
        "apiVersion": "autoscaling/v1", "metadata": ["name": "a"],
        "spec": [
          "scaleTargetRef": ["kind": "Deployment", "name": "web"], "maxReplicas": 2,
          "targetCPUUtilizationPercentage": 0,
        ],
      ],
      ["spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0"]),
  ]

  static let storage: [GroupRefusal] = [
    GroupRefusal(
      "storage.k8s.io/v1", "StorageClass",
      [
        "metadata": ["name": "c"], "provisioner": "a/b", "reclaimPolicy": "Recycle", "volumeBindingMode": "Immediate",
        "allowedTopologies": [["matchLabelExpressions": [["key": "zone", "values": ["a", "a"]], ["key": "zone"]]]],
      ],
      [
        "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"",
        "allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"a\"",
        "allowedTopologies[0].matchLabelExpressions[1].values: Required value",
        "allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: \"zone\"",
      ]),
    GroupRefusal(
      "storage.k8s.io/v1", "CSIDriver",
      [
        "metadata": ["name": "d"],
        "spec": [
          "podInfoOnMount": false, "storageCapacity": false, "seLinuxMount": false, "volumeLifecycleModes": ["Eternal"],
          "tokenRequests": [["audience": "a", "expirationSeconds": 1], ["audience": "a"]],
        ],
      ],
      [
        "spec.attachedRequired: Required value",
        "spec.tokenRequests[0].expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
        "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
        "spec.volumeLifecycleModes: Unsupported value: \"Eternal\": supported values: \"Persistent\", \"Ephemeral\"",
      ]),
    GroupRefusal(
      "storage.k8s.io/v1", "VolumeAttachment", ["metadata": ["name": "v"], "spec": ["nodeName": "n"]],
      [
        "spec.attacher: Required value",
        "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
      ]),
    GroupRefusal(
      "storage.k8s.io/v1", "CSINode",
      [
        "metadata": ["name": "n"],
        "spec": ["drivers": [["name": "d.io", "nodeID": "", "topologyKeys": ["zone", "zone"]]]],
      ],
      ["spec.drivers[0].nodeID: Required value", "spec.drivers[0]: Duplicate value: \"zone\""]),
  ]

  static let others: [GroupRefusal] = [
    GroupRefusal(
      "discovery.k8s.io/v1", "EndpointSlice",
      [
        "metadata": ["name": "s"], "addressType": "IPv4",
        "endpoints": [["addresses": ["10.0.0.1"], "hints": ["forZones": [["name": "a"], ["name": "a"]]]]],
      ],
      ["endpoints[0].hints.forZones[1].name: Duplicate value: \"a\""]),
    GroupRefusal(
      "scheduling.k8s.io/v1", "PriorityClass", ["metadata": ["name": "p"], "value": 1, "preemptionPolicy": "Maybe"],
      ["preemptionPolicy: Unsupported value: \"Maybe\": supported values: \"PreemptLowerPriority\", \"Never\""]),
    GroupRefusal(
      "apiregistration.k8s.io/v1", "APIService",
      [
        "metadata": ["name": "v2."],
        "spec": [
          "version": "v2", "groupPriorityMinimum": 1, "versionPriority": 1, "caBundle": "YWJj",
        ],
      ],
      [
        "spec.group: Required value: only v1 may have an empty group and it better be legacy kube",
        "spec.caBundle: Invalid value: \"3 bytes\": local APIServices may not have a caBundle",
      ]),
    GroupRefusal(
      "certificates.k8s.io/v1", "CertificateSigningRequest",
      [
        "metadata": ["name": "c"],
        "spec": [
          "request": "YQ==", "signerName": "Example/x", "usages": ["any", "any", "fun"], "expirationSeconds": 1,
        ],
      ],
      [
        "spec.request: Invalid value: []byte{0x61}: PEM block type must be CERTIFICATE REQUEST",
        "spec.usages[2]: Unsupported value: \"fun\": supported values: \"any\", \"cert sign\", \"client auth\", "
          + "\"code signing\", \"content commitment\", \"crl sign\", \"data encipherment\", \"decipher only\", "
          + "\"digital signature\", \"email protection\", \"encipher only\", \"ipsec end system\", \"ipsec tunnel\", "
          + "\"ipsec user\", \"key agreement\", \"key encipherment\", \"microsoft sgc\", \"netscape sgc\", "
          + "\"ocsp signing\", \"s/mime\", \"server auth\", \"signing\", \"timestamping\"",
        "spec.usages[1]: Duplicate value: \"any\"",
        "spec.signerName: Invalid value: \"Example\": validating label \"Example\": a lowercase RFC 1123 label must "
          + "consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character "
          + "(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        "spec.signerName: Invalid value: \"Example\": should be a domain with at least two segments separated by dots",
        "spec.expirationSeconds: Invalid value: 1: may not specify a duration less than 600 seconds (10 minutes)",
      ]),
    GroupRefusal(
      "flowcontrol.apiserver.k8s.io/v1", "FlowSchema",
      [
        "metadata": ["name": "f"],
        "spec": [
          "matchingPrecedence": 1, "distinguisherMethod": ["type": "Foo"], "priorityLevelConfiguration": [:],
          "rules": [
            [
              "subjects": [["kind": "User", "group": ["name": "g"]]],
              "resourceRules": [["verbs": ["*", "get"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["A"]]],
              "nonResourceRules": [["verbs": ["run"], "nonResourceURLs": ["/a*"]]],
            ]
          ],
        ],
      ],
      [
        "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
        "spec.distinguisherMethod.type: Unsupported value: flowcontrol.FlowDistinguisherMethod{Type:\"Foo\"}: supported "
          + "values: \"ByNamespace\", \"ByUser\"",
        "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
        "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
        "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
        "spec.rules[0].resourceRules[0].verbs: Invalid value: []string{\"*\", \"get\"}: if '*' is present, must not "
          + "specify other verbs",
        "spec.rules[0].resourceRules[0].namespaces[0]: Invalid value: \"A\": each member of this list must be '*' or a "
          + "DNS-1123 label; a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
          + "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation "
          + "is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        "spec.rules[0].nonResourceRules[0].verbs: Unsupported value: []string{\"run\"}: supported values: \"create\", "
          + "\"delete\", \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\"",
        "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"/a*\": wildcard can only do suffix "
          + "matching",
      ]),
    GroupRefusal(
      "flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration",
      [
        "metadata": ["name": "l"],
        "spec": [
          "type": "Limited",
          "limited": [
            "nominalConcurrencyShares": -1, "lendablePercent": 101, "borrowingLimitPercent": -1,
            "limitResponse": ["type": "Queue", "queuing": ["queues": 1024, "handSize": 8, "queueLengthLimit": 0]],
          ],
        ],
      ],
      [
        "spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
        "spec.limited.limitResponse.queuing.queueLengthLimit: Invalid value: 0: must be positive",
        "spec.limited.limitResponse.queuing.handSize: Invalid value: 8: required entropy bits of deckSize 1024 and "
          + "handSize 8 should not be greater than 60",
        "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
        "spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer",
      ]),
    GroupRefusal(
      "flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration",
      ["metadata": ["name": "mine"], "spec": ["type": "Exempt"]],
      ["spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'"]),
  ]

  @Test(arguments: networking + access + autoscaling + storage + others)
  func `objects`(refusal: GroupRefusal) {
    #expect(Given.kind(refusal.apiVersion, refusal.kind).problems(refusal.object) == refusal.problems)
  }

  @Test func `updates of roles are looked at twice, those of ingress classes from the end`() {
    let role: JSONValue = [
      "metadata": ["name": "r"], "rules": [["verbs": [], "apiGroups": [""], "resources": ["pods"]]],
    ]
    let problem = "rules[0].verbs: Required value: verbs must contain at least one value"
    #expect(
      Given.kind("rbac.authorization.k8s.io/v1", "Role").replacementProblems(role, role) == [problem, problem])
    let old: JSONValue = ["spec": ["controller": "a.b/c"]]
    #expect(
      Given.kind("networking.k8s.io/v1", "IngressClass").replacementProblems(["spec": ["controller": "a.b"]], old) == [
        "spec.controller: Invalid value: \"a.b\": field is immutable",
        "spec.controller: Invalid value: \"a.b\": must be a domain-prefixed path (such as \"acme.io/foo\")",
      ])
  }

  @Test func `who scales to zero goes on doing so`() {
    let autoscaler: JSONValue = [
      "apiVersion": "autoscaling/v2",
      "spec": [
        "scaleTargetRef": ["kind": "Deployment", "name": "web"], "minReplicas": 0, "maxReplicas": 2,
        "metrics": [
          [
            "type": "External",
            "external": ["metric": ["name": "q"], "target": ["type": "AverageValue", "averageValue": "1"]],
          ]
        ],
      ],
    ]
    let kind = Given.kind("autoscaling/v2", "HorizontalPodAutoscaler")
    #expect(kind.replacementProblems(autoscaler, autoscaler) == [])
    #expect(kind.problems(autoscaler) == ["spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"])
  }

  @Test func `states of ingresses and budgets`() {
    #expect(
      Given.kind("networking.k8s.io/v1", "Ingress").statusProblems(
        ["status": ["loadBalancer": ["ingress": [["ip": "x"], ["hostname": "10.0.0.1"]]]]], [:]) == [
          "status.loadBalancer.ingress[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or "
            + "2001:db8::ffff)",
          "status.loadBalancer.ingress[1].hostname: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address",
        ])
    #expect(
      Given.kind("policy/v1", "PodDisruptionBudget").statusProblems(
        ["status": ["conditions": [["type": "a", "status": "Yes", "reason": "no reason"]], "currentHealthy": -1]], [:])
        == [
          "status.conditions[0].status: Unsupported value: \"Yes\": supported values: \"False\", \"True\", \"Unknown\"",
          "status.conditions[0].lastTransitionTime: Required value: must be set",
          "status.conditions[0].reason: Invalid value: \"no reason\": a condition reason must start with alphabetic "
            + "character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an "
            + "alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or "
            + "'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')",
          "status.currentHealthy: Invalid value: -1: must be greater than or equal to 0",
        ])
  }

  @Test func `the levels and schemas that must be there stay as they are`() {
    for object in ClusterBootstrap.flowSchemas + ClusterBootstrap.priorityLevels {
      let kind = Given.kind("flowcontrol.apiserver.k8s.io/v1", object["kind"].text)
      #expect(kind.problems(Given.completed("flowcontrol.apiserver.k8s.io/v1", object["kind"].text, object)) == [])
    }
    let kind = Given.kind("flowcontrol.apiserver.k8s.io/v1", "FlowSchema")
    var last = ClusterBootstrap.flowSchemas.first { $0["metadata"]["name"] == "catch-all" } ?? [:]
    last["spec"]["matchingPrecedence"] = 9999
    #expect(kind.problems(last).last?.hasSuffix("spec of 'catch-all' must equal the fixed value") == true)
  }

  @Test func `verdicts on requests come through approval only`() {
    let request: JSONValue = [
      "metadata": ["name": "c"],
      "spec": [
        "request": .string(
          Base64.encode(
            Array("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n".utf8))),
        "signerName": "example.com/x", "usages": ["any"],
      ],
    ]
    var approved = request
    approved["status"]["conditions"] = [["type": "Approved", "status": "True"]]
    let rules = Given.kind("certificates.k8s.io/v1", "CertificateSigningRequest").rules
    #expect(
      rules.validateStatusUpdate(approved, old: request).map(\.message) == [
        "Forbidden: updates may not add a condition of type \"Approved\""
      ])
    #expect(rules.validateApproval(approved, old: request).isEmpty)
    #expect(
      rules.validateApproval(request, old: approved).map(\.message) == [
        "Forbidden: updates may not remove a condition of type \"Approved\""
      ])
    var both = approved
    both["status"]["conditions"] = [["type": "Approved", "status": "True"], ["type": "Denied", "status": "False"]]
    #expect(
      rules.validateApproval(both, old: approved).map(\.message) == [
        "Unsupported value: \"False\": supported values: \"True\"",
        "Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive",
      ])
  }
}
