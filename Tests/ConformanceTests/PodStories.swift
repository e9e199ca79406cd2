// Pods as the API server makes them: class of service, runtime classes, kernel settings, limits; policies that refuse.
import Client
import HTTP
import JSON
import Schema
import TestSupport
import Testing

extension Conformance {
  static let podStories: [Int: Story] = [
    169: { try await $0.runsAPodFromAnImage() },
    264: { try await $0.setsTheQualityOfService() },
    286: { try await $0.refusesADeletedRuntimeClass() },
    287: { try await $0.refusesAnUnknownRuntimeClass("nonexistent") },
    301: { try await $0.refusesInvalidKernelSettings() },
    311: { try await $0.fillsInTheDefaultsOfALimitRange() },
    323: { try await $0.keepsInlineVolumes() },
  ]
  static let policyStories: [Int: Story] = [
    85: { try await $0.usesVariablesInExpressions() },
    88: { try await $0.checksADeployment() },
  ]

  private func runsAPodFromAnImage() async throws {
    try await makeAccount()
    let pod = try await make(
      .pods,
      [
        "apiVersion": "v1", "kind": "Pod",
        "metadata": ["name": "e2e-test-httpd-pod", "labels": ["run": "e2e-test-httpd-pod"]],
        "spec": [
          "restartPolicy": "Never", "dnsPolicy": "ClusterFirst",
          "containers": [["name": "e2e-test-httpd-pod", "image": "httpd:2.4.38-4", "resources": [:]]],
        ], "status": [:],
      ])
    #expect(pod["spec"]["restartPolicy"] == "Never")
    #expect(pod["spec"]["containers"][0]["image"] == "httpd:2.4.38-4")
    #expect(pod["status"]["phase"] == "Pending")
  }

  private func setsTheQualityOfService() async throws {
    try await makeAccount()
    let amounts: JSONValue = ["cpu": "100m", "memory": "100Mi"]
    let pod = try await make(
      .pods,
      Self.pod(
        "pod-qos-class",
        [
          "containers": [
            ["name": "agnhost", "image": "agnhost:2.53", "resources": ["limits": amounts, "requests": amounts]]
          ]
        ]))
    #expect(pod["status"]["qosClass"] == "Guaranteed")
    #expect(try await read(.pods, "pod-qos-class")["status"]["qosClass"] == "Guaranteed")
  }

  private func refusesAnUnknownRuntimeClass(_ name: String) async throws {
    try? await makeAccount()
    let error = await refusal {
      try await make(.pods, Self.pod("test-runtimeclass", ["runtimeClassName": .string(name)]))
    }
    #expect(error?.code == 403)
    #expect(
      error?.message
        == "pods \"test-runtimeclass\" is forbidden: pod rejected: RuntimeClass \"\(name)\" not found")
  }

  private func refusesADeletedRuntimeClass() async throws {
    try await make(.runtimeClasses, ["metadata": ["name": "delete-me"], "handler": "runc"])
    try await client.delete(.runtimeClasses, name: "delete-me")
    try await refusesAnUnknownRuntimeClass("delete-me")
  }

  private func refusesInvalidKernelSettings() async throws {
    try await makeAccount()
    let sysctls: JSONValue = [
      ["name": "foo-", "value": "bar"], ["name": "kernel.shmmax", "value": "100000000"],
      ["name": "safe-and-unsafe", "value": "100000000"], ["name": "bar..", "value": "42"],
    ]
    let error = await refusal {
      try await make(.pods, Self.pod("sysctl", ["securityContext": ["sysctls": sysctls]]))
    }
    #expect(error?.code == 422)
    #expect(
      error?.causes.map(\.field) == [
        "spec.securityContext.sysctls[0].name", "spec.securityContext.sysctls[3].name",
      ])
    #expect(error?.message.contains("Invalid value: \"foo-\"") == true)
    #expect(error?.message.contains("Invalid value: \"bar..\"") == true)
    #expect(error?.message.contains("kernel.shmmax") == false)
  }

  private func fillsInTheDefaultsOfALimitRange() async throws {
    try await makeAccount()
    try await make(
      .limitRanges,
      [
        "metadata": ["name": "limit-range"],
        "spec": [
          "limits": [
            [
              "type": "Container", "min": ["cpu": "50m", "memory": "100Mi", "ephemeral-storage": "100Gi"],
              "max": ["cpu": "500m", "memory": "500Mi", "ephemeral-storage": "500Gi"],
              "default": ["cpu": "500m", "memory": "500Mi", "ephemeral-storage": "500Gi"],
              "defaultRequest": ["cpu": "100m", "memory": "200Mi", "ephemeral-storage": "200Gi"],
            ]
          ]
        ],
      ])
    let bare = try await make(.pods, Self.pod("pod-no-resources"))
    #expect(
      bare["spec"]["containers"][0]["resources"]
        == [
          "limits": ["cpu": "500m", "ephemeral-storage": "500Gi", "memory": "500Mi"],
          "requests": ["cpu": "100m", "ephemeral-storage": "200Gi", "memory": "200Mi"],
        ])
    #expect(bare["metadata"]["annotations"]["kubernetes.io/limit-ranger"].string?.isEmpty == false)
    func pod(_ name: String, _ resources: JSONValue) -> JSONValue {
      Self.pod(name, ["containers": [["name": "pause", "image": "pause:1", "resources": resources]]])
    }
    let partial = try await make(.pods, pod("pod-partial-resources", ["requests": ["cpu": "300m"]]))
    #expect(partial["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "300m")
    #expect(partial["spec"]["containers"][0]["resources"]["requests"]["memory"] == "200Mi")
    for (name, cpu) in [("pod-too-small", "10m"), ("pod-too-big", "600m")] {
      let error = await refusal {
        try await make(.pods, pod(name, ["requests": ["cpu": .string(cpu)], "limits": ["cpu": .string(cpu)]]))
      }
      #expect(error?.code == 403, "\(name)")
    }
    try await client.delete(.limitRanges, namespace: namespace, name: "limit-range")
    try await make(.pods, pod("pfpod2", ["requests": ["cpu": "600m"], "limits": ["cpu": "600m"]]))
  }

  private func keepsInlineVolumes() async throws {
    try await makeAccount()
    let source: JSONValue = ["driver": "e2e.example.com", "volumeAttributes": ["size": "1Gi"]]
    let pod = try await make(
      .pods,
      Self.pod(
        "pod-csi-inline",
        [
          "volumes": [["name": "vol", "csi": source]],
          "containers": [
            ["name": "c", "image": "pause:1", "volumeMounts": [["name": "vol", "mountPath": "/data"]]]
          ],
        ]))
    #expect(pod["spec"]["volumes"].elements.first { $0["name"] == "vol" }?["csi"] == source)
    try await client.delete(.pods, namespace: namespace, name: "pod-csi-inline", DeleteOptions(gracePeriodSeconds: 0))
    #expect(try await client.find(.pods, namespace: namespace, name: "pod-csi-inline") == nil)
  }

  // MARK: Policies

  /// Puts a policy over deployments of the story's namespace in force.
  private func enforce(_ spec: JSONValue) async throws {
    var spec = spec
    spec["matchConstraints"] = [
      "resourceRules": [
        [
          "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"],
        ]
      ],
      "namespaceSelector": ["matchLabels": ["e2e-run": "1"]],
    ]
    try await client.create(.admissionPolicies, ["metadata": ["name": "e2e-policy"], "spec": spec])
    try await client.create(
      .admissionPolicyBindings,
      ["metadata": ["name": "e2e-binding"], "spec": ["policyName": "e2e-policy", "validationActions": ["Deny"]]])
    try await eventually("the policy is in force") {
      let reply = try await ask(
        "POST", "\(ResourceReference.deployments.path(namespace: namespace))?dryRun=All",
        Fixture.deployment("marker", replicas: 1, namespace: namespace))
      return reply.code == 422
    }
  }

  private func checksADeployment() async throws {
    try await enforce([
      "validations": [
        [
          "expression": "object.spec.replicas > 1",
          "messageExpression": "'wants replicas > 1, got ' + string(object.spec.replicas)",
        ],
        [
          "expression": .string("namespaceObject.metadata.name == '\(namespace)'"),
          "message": "Internal error! Other namespace should not be allowed.",
        ],
      ]
    ])
    let error = await refusal {
      try await make(.deployments, Fixture.deployment("replicated", replicas: 1, namespace: namespace))
    }
    #expect(error?.code == 422 && error?.reason == "Invalid")
    #expect(
      error?.message
        == "deployments.apps \"replicated\" is forbidden: ValidatingAdmissionPolicy 'e2e-policy' with binding "
        + "'e2e-binding' denied request: wants replicas > 1, got 1")
    try await make(.deployments, Fixture.deployment("replicated", replicas: 2, namespace: namespace))
  }

  private func usesVariablesInExpressions() async throws {
    try await enforce([
      "variables": [
        ["name": "replicas", "expression": "object.spec.replicas"],
        ["name": "oddReplicas", "expression": "variables.replicas % 2 == 1"],
      ],
      "validations": [
        ["expression": "variables.replicas > 1"], ["expression": "variables.oddReplicas"],
      ],
    ])
    for replicas in [1, 2] as [Int64] {
      let error = await refusal {
        try await make(.deployments, Fixture.deployment("d", replicas: replicas, namespace: namespace))
      }
      #expect(error?.code == 422)
    }
    try await make(.deployments, Fixture.deployment("d", replicas: 3, namespace: namespace))
  }
}
