// Quotas: what they count, what they refuse, what comes back.
import Client
import HTTP
import JSON
import Schema
import TestSupport
import Testing

extension Conformance {
  static let quotaStories: [Int: Story] = [
    70: { try await $0.changesTheStatusOfAQuota() },
    71: { try await $0.updatesAndDeletesAQuota() },
    72: { try await $0.countsLife(of: .configMaps, as: "configmaps", ["data": ["a": "b"]]) },
    73: { try await $0.countsAPodsLife() },
    74: { try await $0.countsLife(of: .replicaSets, as: "count/replicasets.apps", Self.replicaSet) },
    75: {
      try await $0.countsLife(of: .replicationControllers, as: "replicationcontrollers", Self.replicationController)
    },
    76: { try await $0.countsLife(of: .secrets, as: "secrets", ["data": ["a": "dmFsdWU="]]) },
    77: { try await $0.countsServices() },
    78: { try await $0.calculatesPromptly() },
    80: { try await $0.countsByEffort() },
    81: { try await $0.countsByTermination() },
  ]

  private static let template: JSONValue = [
    "metadata": ["labels": ["a": "b"]], "spec": ["containers": [["name": "pause", "image": "pause:1"]]],
  ]
  private static let replicaSet: JSONValue = [
    "spec": ["replicas": 0, "selector": ["matchLabels": ["a": "b"]], "template": template]
  ]
  private static let replicationController: JSONValue = ["spec": ["replicas": 0, "template": template]]

  private func makeQuota(_ hard: JSONValue, named name: String = "test-quota", scopes: JSONValue = .null) async throws {
    var spec: JSONValue = ["hard": hard]
    if !scopes.isNull { spec["scopes"] = scopes }
    try await make(.resourceQuotas, ["metadata": ["name": .string(name)], "spec": spec])
  }

  /// What the quota says is used, once it says so.
  private func uses(_ used: JSONValue, _ name: String = "test-quota") async throws {
    try await eventually("\(name) uses \(used)", within: .seconds(20)) {
      let status = try await read(.resourceQuotas, name)["status"]
      return !status["hard"].isNull && Self.contains(status["used"], used)
    }
  }

  private func calculatesPromptly() async throws {
    startControllers()
    try await makeQuota(["services": "2", "pods": "5", "secrets": "10"])
    try await uses(["services": "0", "pods": "0", "secrets": "0"])
  }

  private func countsLife(of resource: ResourceReference, as name: String, _ object: JSONValue) async throws {
    // The account and the certificate of a namespace are there first.
    startControllers()
    try await eventually("the namespace is furnished") {
      try await client.find(.configMaps, namespace: namespace, name: "kube-root-ca.crt") != nil
    }
    let before = try await names(resource).count
    try await makeQuota([name: .string(String(before + 1))])
    try await uses([name: .string(String(before))])
    var one = object
    one["metadata"]["name"] = "test-one"
    try await make(resource, one)
    try await uses([name: .string(String(before + 1))])
    var two = object
    two["metadata"]["name"] = "test-two"
    let error = await refusal { try await make(resource, two) }
    #expect(error?.code == 403 && error?.reason == "Forbidden")
    #expect(
      error?.message
        == "\(resource.groupResource) \"test-two\" is forbidden: exceeded quota: test-quota, requested: \(name)=1, "
        + "used: \(name)=\(before + 1), limited: \(name)=\(before + 1)")
    try await client.delete(resource, namespace: namespace, name: "test-one")
    try await uses([name: .string(String(before))])
  }

  private func countsServices() async throws {
    startControllers()
    try await makeQuota(["services": "3", "services.nodeports": "1", "services.loadbalancers": "1"])
    try await uses(["services": "0"])
    func service(_ name: String, _ type: String) -> JSONValue {
      ["metadata": ["name": .string(name)], "spec": ["type": .string(type), "ports": [["port": 80]]]]
    }
    try await make(.services, service("test-service", "ClusterIP"))
    try await make(.services, service("test-service-np", "NodePort"))
    let error = await refusal { try await make(.services, service("test-service-lb", "LoadBalancer")) }
    #expect(error?.code == 403)
    try await uses(["services": "2", "services.nodeports": "1", "services.loadbalancers": "0"])
    for name in ["test-service", "test-service-np"] {
      try await client.delete(.services, namespace: namespace, name: name)
    }
    try await uses(["services": "0", "services.nodeports": "0"])
  }

  private static func quotaPod(_ name: String, cpu: String = "", deadline: Int64? = nil) -> JSONValue {
    var spec: JSONValue = [:]
    var container: JSONValue = ["name": "pause", "image": "pause:1"]
    if !cpu.isEmpty {
      let amounts: JSONValue = ["cpu": .string(cpu), "memory": "252Mi"]
      container["resources"] = ["requests": amounts, "limits": amounts]
    }
    spec["containers"] = [container]
    if let deadline { spec["activeDeadlineSeconds"] = .integer(deadline) }
    return Self.pod(name, spec)
  }

  private func gone(_ name: String) async throws {
    try await client.delete(.pods, namespace: namespace, name: name, DeleteOptions(gracePeriodSeconds: 0))
  }

  private func countsAPodsLife() async throws {
    startControllers()
    try await makeAccountIfMissing()
    try await makeQuota(["pods": "5", "cpu": "1", "memory": "500Mi"])
    try await uses(["pods": "0"])
    try await make(.pods, Self.quotaPod("test-pod", cpu: "500m"))
    try await uses(["pods": "1", "cpu": "500m", "memory": "252Mi"])
    let error = await refusal { try await make(.pods, Self.quotaPod("fail-pod", cpu: "600m")) }
    #expect(error?.code == 403 && error?.message.contains("exceeded quota: test-quota, requested: cpu=600m") == true)
    // An update of what exists costs nothing.
    try await client.patch(
      .pods, namespace: namespace, name: "test-pod", ["metadata": ["labels": ["a": "b"]]], type: .merge)
    try await uses(["pods": "1", "cpu": "500m"])
    try await gone("test-pod")
    try await uses(["pods": "0", "cpu": "0", "memory": "0"])
  }

  private func makeAccountIfMissing() async throws {
    try await eventually("the account is there") {
      try await client.find(.serviceAccounts, namespace: namespace, name: "default") != nil
    }
  }

  private func countsByEffort() async throws {
    startControllers()
    try await makeAccountIfMissing()
    try await makeQuota(["pods": "5"], named: "quota-besteffort", scopes: ["BestEffort"])
    try await makeQuota(["pods": "5"], named: "quota-not-besteffort", scopes: ["NotBestEffort"])
    try await uses(["pods": "0"], "quota-besteffort")
    try await uses(["pods": "0"], "quota-not-besteffort")
    try await make(.pods, Self.quotaPod("besteffort-pod"))
    try await uses(["pods": "1"], "quota-besteffort")
    try await uses(["pods": "0"], "quota-not-besteffort")
    try await gone("besteffort-pod")
    try await make(.pods, Self.quotaPod("burstable-pod", cpu: "500m"))
    try await uses(["pods": "0"], "quota-besteffort")
    try await uses(["pods": "1"], "quota-not-besteffort")
    try await gone("burstable-pod")
    try await uses(["pods": "0"], "quota-not-besteffort")
  }

  private func countsByTermination() async throws {
    startControllers()
    try await makeAccountIfMissing()
    let hard: JSONValue = ["pods": "5", "limits.cpu": "2"]
    try await makeQuota(hard, named: "quota-terminating", scopes: ["Terminating"])
    try await makeQuota(hard, named: "quota-not-terminating", scopes: ["NotTerminating"])
    try await make(.pods, Self.quotaPod("test-pod", cpu: "500m"))
    try await uses(["pods": "0"], "quota-terminating")
    try await uses(["pods": "1", "limits.cpu": "500m"], "quota-not-terminating")
    try await gone("test-pod")
    try await make(.pods, Self.quotaPod("terminating-pod", cpu: "500m", deadline: 3600))
    try await uses(["pods": "1", "limits.cpu": "500m"], "quota-terminating")
    try await uses(["pods": "0"], "quota-not-terminating")
    try await gone("terminating-pod")
    try await uses(["pods": "0"], "quota-terminating")
  }

  private func updatesAndDeletesAQuota() async throws {
    startControllers()
    try await makeQuota(["cpu": "1", "memory": "500Mi"])
    var object = try await read(.resourceQuotas, "test-quota")
    #expect(object["spec"]["hard"] == ["cpu": "1", "memory": "500Mi"])
    object["spec"]["hard"] = ["cpu": "2", "memory": "1Gi"]
    let updated = try await client.update(.resourceQuotas, namespace: namespace, name: "test-quota", object)
    #expect(updated["spec"]["hard"] == ["cpu": "2", "memory": "1Gi"])
    try await client.delete(.resourceQuotas, namespace: namespace, name: "test-quota")
    #expect(try await client.find(.resourceQuotas, namespace: namespace, name: "test-quota") == nil)
  }

  private func changesTheStatusOfAQuota() async throws {
    try await makeQuota(["cpu": "500m", "memory": "500Mi"])
    let patched = try await client.patch(
      .resourceQuotas, namespace: namespace, name: "test-quota",
      ["status": ["hard": ["cpu": "500m", "memory": "500Mi"]]], type: .merge, subresource: "status")
    #expect(patched["status"]["hard"] == ["cpu": "500m", "memory": "500Mi"])
    var object = patched
    object["status"]["hard"] = ["cpu": "750m", "memory": "750Mi"]
    let updated = try await client.update(
      .resourceQuotas, namespace: namespace, name: "test-quota", object, subresource: "status")
    #expect(updated["status"]["hard"] == ["cpu": "750m", "memory": "750Mi"])
    #expect(updated["spec"]["hard"] == ["cpu": "500m", "memory": "500Mi"])
  }
}
