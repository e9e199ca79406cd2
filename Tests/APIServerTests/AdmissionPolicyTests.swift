// ValidatingAdmissionPolicy: what is refused, warned of and recorded, in the reference's words.
import APIServer
import HTTP
import JSON
import Schema
import Testing

@Suite struct AdmissionPolicyTests {
  private static let base = "/apis/admissionregistration.k8s.io/v1"

  private static func policy(_ spec: JSONValue, named name: String = "limits") -> JSONValue {
    var spec = spec
    if spec["matchConstraints"].isNull {
      spec["matchConstraints"] = [
        "resourceRules": [
          [
            "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": ["deployments"],
          ]
        ]
      ]
    }
    return [
      "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
      "metadata": ["name": .string(name)], "spec": spec,
    ]
  }

  private static func binding(
    _ name: String = "everywhere", policy: String = "limits", actions: [String] = ["Deny"], _ more: JSONValue = [:]
  ) -> JSONValue {
    var spec: JSONValue = [
      "policyName": .string(policy), "validationActions": .array(actions.map { .string($0) }),
    ]
    for (key, value) in more.object ?? [:] { spec[key] = value }
    return [
      "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
      "metadata": ["name": .string(name)], "spec": spec,
    ]
  }

  private static func deployment(_ name: String, replicas: Int64 = 1, labels: JSONValue = [:]) -> JSONValue {
    [
      "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": .string(name), "labels": labels],
      "spec": [
        "replicas": .integer(replicas), "selector": ["matchLabels": ["a": "b"]],
        "template": [
          "metadata": ["labels": ["a": "b"]], "spec": ["containers": [["name": "c", "image": "i"]]],
        ],
      ],
    ]
  }

  private static let deployments = "/apis/apps/v1/namespaces/default/deployments"

  /// A cluster where this policy is in force.
  private func cluster(_ spec: JSONValue, _ actions: [String] = ["Deny"], _ more: JSONValue = [:]) async throws
    -> SecurityCluster
  {
    let cluster = try await SecurityCluster()
    let policy = try await cluster.inside.post("\(Self.base)/validatingadmissionpolicies", Self.policy(spec))
    #expect(policy.status == 201, "\(policy.text)")
    let binding = try await cluster.inside.post(
      "\(Self.base)/validatingadmissionpolicybindings", Self.binding(actions: actions, more))
    #expect(binding.status == 201, "\(binding.text)")
    return cluster
  }

  @Test func aRequestThatViolatesAPolicyIsDenied() async throws {
    let cluster = try await cluster(["validations": [["expression": "object.spec.replicas <= 5"]]])
    let refused = try await cluster.inside.post(Self.deployments, Self.deployment("big", replicas: 6))
    #expect(refused.status == 422)
    #expect(refused.reason == "Invalid")
    #expect(
      refused.message
        == "deployments.apps \"big\" is forbidden: ValidatingAdmissionPolicy 'limits' with binding 'everywhere' denied "
        + "request: failed expression: object.spec.replicas <= 5")
    #expect(
      refused.json["details"]["causes"][0]["message"].string
        == "ValidatingAdmissionPolicy 'limits' with binding 'everywhere' denied request: failed expression: "
        + "object.spec.replicas <= 5")
    #expect(try await cluster.inside.post(Self.deployments, Self.deployment("small")).status == 201)
    // An update is judged as well.
    let grown = try await cluster.inside.patch("\(Self.deployments)/small", ["spec": ["replicas": 9]])
    #expect(grown.status == 422)
  }

  @Test func messagesAndReasonsAreThoseOfTheValidation() async throws {
    let cluster = try await cluster([
      "variables": [["name": "most", "expression": "3"], ["name": "asked", "expression": "object.spec.replicas"]],
      "validations": [
        [
          "expression": "variables.asked <= variables.most", "reason": "Forbidden", "message": "too many",
          "messageExpression": "'at most ' + string(variables.most) + ' replicas, not ' + string(variables.asked)",
        ]
      ],
    ])
    let refused = try await cluster.inside.post(Self.deployments, Self.deployment("big", replicas: 6))
    #expect(refused.status == 403)
    #expect(refused.reason == "Forbidden")
    #expect(refused.message.hasSuffix("denied request: at most 3 replicas, not 6"))
  }

  @Test func whatCannotBeEvaluatedFailsAsThePolicySays() async throws {
    let closed = try await cluster(["validations": [["expression": "object.spec.nothing == 1"]]])
    let refused = try await closed.inside.post(Self.deployments, Self.deployment("d"))
    #expect(
      refused.message.hasSuffix(
        "denied request: expression 'object.spec.nothing == 1' resulted in error: no such key: nothing"))
    let open = try await cluster([
      "failurePolicy": "Ignore", "validations": [["expression": "object.spec.nothing == 1"]],
    ])
    #expect(try await open.inside.post(Self.deployments, Self.deployment("d")).status == 201)
  }

  @Test func warningsAreToldAndTheRequestIsServed() async throws {
    let cluster = try await cluster(
      ["validations": [["expression": "object.spec.replicas <= 5", "message": "too many"]]], ["Warn", "Audit"])
    let served = try await cluster.inside.post(Self.deployments, Self.deployment("big", replicas: 6))
    #expect(served.status == 201)
    #expect(
      served.headers["warning"]
        == "299 - \"Validation failed for ValidatingAdmissionPolicy 'limits' with binding 'everywhere': too many\"")
  }

  @Test func conditionsAndSelectorsNarrowWhatIsAsked() async throws {
    let cluster = try await cluster(
      [
        "matchConditions": [["name": "not-bob", "expression": "request.userInfo.username != 'bob'"]],
        "validations": [["expression": "false", "message": "never"]],
      ], ["Deny"],
      ["matchResources": ["objectSelector": ["matchLabels": ["guarded": "yes"]]]])
    let guarded = Self.deployment("d", labels: ["guarded": "yes"])
    #expect(try await cluster.inside.post(Self.deployments, guarded).status == 422)
    #expect(try await cluster.inside.post(Self.deployments, Self.deployment("free")).status == 201)
    let bob = cluster.user("bob", groups: ["system:masters"])
    #expect(try await bob.post(Self.deployments, guarded).status == 201)
  }

  @Test func namespacesAndOldObjectsAreSeen() async throws {
    let cluster = try await cluster([
      "validations": [
        [
          "expression":
            "namespaceObject.metadata.name == 'default' && (oldObject == null || object.spec.replicas >= oldObject.spec.replicas)",
          "message": "only upwards",
        ]
      ]
    ])
    #expect(try await cluster.inside.post(Self.deployments, Self.deployment("d", replicas: 3)).status == 201)
    #expect(try await cluster.inside.patch("\(Self.deployments)/d", ["spec": ["replicas": 4]]).status == 200)
    #expect(try await cluster.inside.patch("\(Self.deployments)/d", ["spec": ["replicas": 2]]).status == 422)
  }

  @Test func theAuthorizerIsAsked() async throws {
    let cluster = try await cluster([
      "validations": [
        ["expression": "authorizer.group('').resource('secrets').namespace('default').check('delete').allowed()"],
        [
          "expression":
            "!authorizer.serviceAccount('default', 'x').group('').resource('secrets').check('get').allowed()"
        ],
        ["expression": "authorizer.requestResource.check('create').allowed()"],
        ["expression": "authorizer.path('/healthz').check('get').allowed()"],
      ]
    ])
    #expect(try await cluster.inside.post(Self.deployments, Self.deployment("mine")).status == 201)
  }

  @Test func parametersComeFromObjects() async throws {
    let cluster = try await cluster(
      [
        "paramKind": ["apiVersion": "v1", "kind": "ConfigMap"],
        "validations": [["expression": "object.spec.replicas <= int(params.data.most)", "message": "too many"]],
      ], ["Deny"],
      ["paramRef": ["name": "limits", "parameterNotFoundAction": "Deny"]])
    let missing = try await cluster.inside.post(Self.deployments, Self.deployment("a"))
    #expect(
      missing.message.hasSuffix(
        "denied request: failed to configure binding: no params found for policy binding with `Deny` "
          + "parameterNotFoundAction"))
    try await cluster.inside.post(
      "/api/v1/namespaces/default/configmaps",
      ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "limits"], "data": ["most": "2"]])
    #expect(try await cluster.inside.post(Self.deployments, Self.deployment("a", replicas: 2)).status == 201)
    #expect(try await cluster.inside.post(Self.deployments, Self.deployment("b", replicas: 3)).status == 422)
  }

  @Test func aPolicyWhoseExpressionsDoNotCompileIsRefused() async throws {
    let cluster = try await SecurityCluster()
    let refused = try await cluster.inside.post(
      "\(Self.base)/validatingadmissionpolicies",
      Self.policy([
        "variables": [["name": "v", "expression": "object.x +"]],
        "validations": [
          ["expression": "object.spec.replicas", "messageExpression": "1 + 1"], ["expression": "nothing == 1"],
          ["expression": "params.x == 1"],
        ],
      ]))
    #expect(refused.status == 422)
    let causes = refused.json["details"]["causes"].elements.map {
      "\($0["field"].string ?? ""): \($0["message"].string ?? "")"
    }
    #expect(causes.count == 5)
    #expect(
      causes.contains("spec.validations[0].expression: Invalid value: \"object.spec.replicas\": must evaluate to bool"))
    #expect(causes.contains("spec.validations[0].messageExpression: Invalid value: \"1 + 1\": must evaluate to string"))
    #expect(
      causes.contains(
        "spec.validations[1].expression: Invalid value: \"nothing == 1\": compilation failed: ERROR: <input>:1:1: "
          + "undeclared reference to 'nothing' (in container '')\n | nothing == 1\n | ^"))
    #expect(
      causes.contains(
        "spec.validations[2].expression: Invalid value: \"params.x == 1\": compilation failed: ERROR: <input>:1:1: "
          + "undeclared reference to 'params' (in container '')\n | params.x == 1\n | ^"))
  }

  @Test func webhookConditionsThatDoNotCompileAreRefused() async throws {
    let cluster = try await SecurityCluster()
    let refused = try await cluster.inside.post(
      "\(Self.base)/validatingwebhookconfigurations",
      [
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": ["name": "w"],
        "webhooks": [
          [
            "name": "w.example.org", "clientConfig": ["url": "https://example.org/"], "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "matchConditions": [["name": "c", "expression": "1 +"]],
          ]
        ],
      ])
    #expect(refused.status == 422)
    #expect(refused.json["details"]["causes"][0]["field"].string == "webhooks[0].matchConditions[0].expression")
  }

  @Test func theStatusTellsWhatSchemasKnow() async throws {
    let cluster = try await cluster(["validations": [["expression": "object.spec.replicas > 1"]]])
    let wrong = Self.policy(["validations": [["expression": "object.spec.replicaz > 'x'"]]], named: "wrong")
    try await cluster.inside.post("\(Self.base)/validatingadmissionpolicies", wrong)
    try await cluster.inside.server.checkPolicies()
    let good = try await cluster.inside.get("\(Self.base)/validatingadmissionpolicies/limits")
    #expect(good.json["status"]["observedGeneration"] == 1)
    #expect(good.json["status"]["typeChecking"] == [:])
    let bad = try await cluster.inside.get("\(Self.base)/validatingadmissionpolicies/wrong")
    let warning = bad.json["status"]["typeChecking"]["expressionWarnings"][0]
    #expect(warning["fieldRef"] == "spec.validations[0].expression")
    #expect(
      warning["warning"].string
        == "apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'replicaz'\n | object.spec.replicaz > 'x'\n"
        + " | ...........^\n")
    #expect(try await cluster.inside.server.checkPolicies())
  }

  @Test func aPolicyForAnotherVersionSeesThatVersion() async throws {
    let rules: JSONValue = [
      "resourceRules": [
        [
          "apiGroups": ["autoscaling"], "apiVersions": ["v1"], "operations": ["CREATE"],
          "resources": ["horizontalpodautoscalers"],
        ]
      ]
    ]
    let cluster = try await cluster([
      "matchConstraints": rules,
      "validations": [
        [
          "expression":
            "object.apiVersion == 'autoscaling/v1' && request.kind.version == 'v1' && request.requestKind.version == 'v2' && object.spec.targetCPUUtilizationPercentage < 60"
        ]
      ],
    ])
    func autoscaler(_ name: String, _ percent: Int64) -> JSONValue {
      [
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": ["name": .string(name)],
        "spec": [
          "maxReplicas": 3, "scaleTargetRef": ["kind": "Deployment", "name": "d", "apiVersion": "apps/v1"],
          "metrics": [
            [
              "type": "Resource",
              "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": .integer(percent)]],
            ]
          ],
        ],
      ]
    }
    let path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
    let allowed = try await cluster.inside.post(path, autoscaler("a", 50))
    #expect(allowed.status == 201, "\(allowed.text)")
    #expect(try await cluster.inside.post(path, autoscaler("b", 70)).status == 422)
  }

  @Test func whatMustBeRecordedAndCannotIsDenied() async throws {
    let cluster = try await cluster(
      ["auditAnnotations": [["key": "n", "valueExpression": "string(object.spec.nothing)"]]], ["Audit"])
    let denied = try await cluster.inside.post(Self.deployments, Self.deployment("d"))
    #expect(
      denied.message.hasSuffix(
        "denied request: expression 'string(object.spec.nothing)' resulted in error: no such key: nothing"),
      "\(denied.message)")
    // Nothing but texts can be recorded.
    let refused = try await cluster.inside.post(
      "\(Self.base)/validatingadmissionpolicies",
      Self.policy(["auditAnnotations": [["key": "n", "valueExpression": "1"]]], named: "never"))
    #expect(
      refused.message.hasSuffix(
        "spec.auditAnnotations[0].valueExpression: Invalid value: \"1\": must evaluate to one of [string null_type]"),
      "\(refused.message)")
  }

  @Test func policiesAreCheckedFieldByField() async throws {
    let cluster = try await SecurityCluster()
    func causes(_ spec: JSONValue) async throws -> [String] {
      let reply = try await cluster.inside.post("\(Self.base)/validatingadmissionpolicies", Self.policy(spec))
      #expect(reply.status == 422, "\(reply.text)")
      return reply.json["details"]["causes"].elements.map {
        "\($0["field"].string ?? ""): \($0["message"].string ?? "")"
      }
    }
    #expect(
      try await causes([:]) == [
        "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
        "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
      ])
    let found = try await causes([
      "paramKind": ["apiVersion": "a/b/c", "kind": "_"], "failurePolicy": "Maybe",
      "variables": [["name": "1x", "expression": "1"], ["name": "in", "expression": " "]],
      "validations": [
        ["expression": " ", "message": " ", "reason": "Because"], ["expression": "true", "message": "a\nb"],
      ],
      "auditAnnotations": [["key": "a/b", "valueExpression": "'x'"], ["key": "k", "valueExpression": ""]],
    ])
    let expected = [
      "spec.failurePolicy: Unsupported value: \"Maybe\": supported values: \"Fail\", \"Ignore\"",
      "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
      "spec.paramKind.kind: Invalid value: \"_\": may have mixed case, but should otherwise match: "
        + Validate.dns1035Label("_").joined(separator: ","),
      "spec.variables[0].name: Invalid value: \"1x\": name is not a valid CEL identifier",
      "spec.variables[1].name: Invalid value: \"in\": name is not a valid CEL identifier",
      "spec.variables[1].expression: Required value: expression is not specified",
      "spec.validations[0].expression: Required value: expression is not specified",
      "spec.validations[0].message: Invalid value: \" \": message must be non-empty if specified",
      "spec.validations[0].reason: Unsupported value: \"Because\": supported values: \"Forbidden\", \"Invalid\", "
        + "\"RequestEntityTooLarge\"",
      "spec.validations[1].message: Invalid value: \"a\\nb\": message must not contain line breaks",
      "spec.auditAnnotations[0].key: Invalid value: \"limits/a/b\": "
        + Validate.qualifiedName("limits/a/b").joined(separator: ","),
      "spec.auditAnnotations[1].valueExpression: Required value: valueExpression is not specified",
    ]
    #expect(found == expected)
  }

  @Test func nobodyReadsParametersThroughAPolicyThatHeMayNotRead() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grantEverywhere(
      [["apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["*"]]], to: "ann")
    let spec: JSONValue = [
      "paramKind": ["apiVersion": "v1", "kind": "Secret"],
      "validations": [["expression": "true", "messageExpression": "string(params.data)"]],
    ]
    let refused = try await cluster.user("ann").post("\(Self.base)/validatingadmissionpolicies", Self.policy(spec))
    #expect(refused.status == 422)
    #expect(
      refused.message
        == "ValidatingAdmissionPolicy.admissionregistration.k8s.io \"limits\" is invalid: spec.paramKind: Forbidden: "
        + "user &{ann  [system:authenticated] map[]} must have \"get\" permission on all objects of the referenced "
        + "paramKind (kind=Secret, apiVersion=v1)")
    try await cluster.inside.post("\(Self.base)/validatingadmissionpolicies", Self.policy(spec))
    let binding = Self.binding(
      "b", ["paramRef": ["name": "s", "namespace": "default", "parameterNotFoundAction": "Deny"]])
    let bound = try await cluster.user("ann").post("\(Self.base)/validatingadmissionpolicybindings", binding)
    #expect(
      bound.message.hasSuffix(
        "spec.paramRef: Forbidden: user &{ann  [system:authenticated] map[]} does not have \"get\" permission on the "
          + "object referenced by paramRef"), "\(bound.message)")
    #expect(
      try await cluster.inside.post("\(Self.base)/validatingadmissionpolicybindings", binding).status == 201)
  }
}
