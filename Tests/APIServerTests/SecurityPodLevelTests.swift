import APIServer
import HTTP
import JSON
import Testing

@Suite struct SecurityPodLevelTests {
  private let pods = "/api/v1/namespaces/team/pods"

  private func cluster(_ labels: JSONValue) async throws -> SecurityCluster {
    let cluster = try await SecurityCluster()
    var space = namespace("team")
    space["metadata"]["labels"] = labels
    try await cluster.inside.post("/api/v1/namespaces", space)
    try await cluster.inside.post("/api/v1/namespaces/team/serviceaccounts", account("default"))
    return cluster
  }

  @Test func aNamespaceWithoutLabelsAllowsEverything() async throws {
    let cluster = try await cluster(.null)
    var object = pod("p")
    object["spec"]["containers"][0]["securityContext"] = ["privileged": true]
    #expect(try await cluster.inside.post(pods, object).status == 201)
  }

  @Test func baselineRefusesWhatReachesTheHost() async throws {
    let cluster = try await cluster(["pod-security.kubernetes.io/enforce": "baseline"])
    #expect(try await cluster.inside.post(pods, pod("fine")).status == 201)
    var object = pod("p")
    object["spec"]["containers"][0]["securityContext"] = ["privileged": true]
    let reply = try await cluster.inside.post(pods, object)
    #expect(reply.status == 403)
    #expect(
      reply.message
        == "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": privileged (container \"main\" must not set securityContext.privileged=true)"
    )
    object["spec"]["containers"][0]["securityContext"] = ["capabilities": ["add": ["SYS_ADMIN"]]]
    object["spec"]["hostNetwork"] = true
    object["spec"]["volumes"] = [["name": "root", "hostPath": ["path": "/"]]]
    let message = try await cluster.inside.post(pods, object).message
    #expect(
      message.hasSuffix(
        "non-default capabilities (container \"main\" must not include \"SYS_ADMIN\" in securityContext.capabilities.add), "
          + "host namespaces (hostNetwork=true), hostPath volumes (volume \"root\")"), "\(message)")
  }

  @Test func labelsThatSayNothingAreRefused() async throws {
    let cluster = try await cluster(["pod-security.kubernetes.io/enforce": "baseline"])
    let team = "/api/v1/namespaces/team"
    func label(_ labels: JSONValue) async throws -> Reply {
      try await cluster.inside.patch(team, ["metadata": ["labels": labels]])
    }
    let wrong = try await label([
      "pod-security.kubernetes.io/enforce": "strict", "pod-security.kubernetes.io/warn-version": "1.2",
    ])
    #expect(wrong.status == 422)
    #expect(
      wrong.message
        == "Namespace \"team\" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": "
        + "must be one of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: "
        + "Invalid value: \"1.2\": must be \"latest\" or \"v1.x\"]")
    #expect(try await label(["pod-security.kubernetes.io/enforce-version": "v1.30"]).status == 200)
    var fresh = namespace("other")
    fresh["metadata"]["labels"] = ["pod-security.kubernetes.io/audit": "all"]
    #expect(try await cluster.inside.post("/api/v1/namespaces", fresh).status == 422)
  }

  @Test func aStricterNamespaceTellsOfThePodsThatAreThere() async throws {
    let cluster = try await cluster(.null)
    for name in ["b", "a", "c"] { try await cluster.inside.post(pods, pod(name)) }
    var bold = pod("bold")
    bold["spec"]["hostNetwork"] = true
    try await cluster.inside.post(pods, bold)
    func enforce(_ level: String) async throws -> [String] {
      let reply = try await cluster.inside.patch(
        "/api/v1/namespaces/team", ["metadata": ["labels": ["pod-security.kubernetes.io/enforce": .string(level)]]])
      #expect(reply.status == 200)
      return reply.headers.values("warning")
    }
    #expect(
      try await enforce("baseline") == [
        #"299 - "existing pods in namespace \"team\" violate the new PodSecurity enforce level \"baseline:latest\"""#,
        #"299 - "bold: host namespaces""#,
      ])
    let missing = "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile"
    #expect(
      try await enforce("restricted") == [
        #"299 - "existing pods in namespace \"team\" violate the new PodSecurity enforce level \"restricted:latest\"""#,
        "299 - \"a (and 2 other pods): \(missing)\"", "299 - \"bold: host namespaces, \(missing)\"",
      ])
    #expect(try await enforce("baseline").isEmpty, "what is let in more easily is no news")
  }

  /// CVE-2023-2727, CVE-2023-2728: every list of containers counts.
  @Test func ephemeralContainersAreNoWayAround() async throws {
    let cluster = try await cluster(["pod-security.kubernetes.io/enforce": "baseline"])
    try await cluster.inside.post(pods, pod("p"))
    let reply = try await cluster.inside.patch(
      "\(pods)/p/ephemeralcontainers",
      [
        "spec": [
          "ephemeralContainers": [["name": "debug", "image": "busybox", "securityContext": ["privileged": true]]]
        ]
      ], "strategic-merge-patch+json")
    #expect(reply.status == 403)
    #expect(reply.message.contains("container \"debug\" must not set securityContext.privileged=true"))
    var object = pod("q")
    object["spec"]["initContainers"] = [["name": "first", "image": "b", "securityContext": ["privileged": true]]]
    #expect(try await cluster.inside.post(pods, object).status == 403)
  }

  @Test func restrictedWantsPodsToGiveUpWhatTheyDoNotNeed() async throws {
    let cluster = try await cluster(["pod-security.kubernetes.io/enforce": "restricted"])
    let reply = try await cluster.inside.post(pods, pod("p"))
    #expect(
      reply.message
        == "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": "
        + "allowPrivilegeEscalation != false (container \"main\" must set securityContext.allowPrivilegeEscalation=false), "
        + "unrestricted capabilities (container \"main\" must set securityContext.capabilities.drop=[\"ALL\"]), "
        + "runAsNonRoot != true (pod or container \"main\" must set securityContext.runAsNonRoot=true), "
        + "seccompProfile (pod or container \"main\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    )
    var good = pod("good")
    good["spec"]["securityContext"] = ["runAsNonRoot": true, "seccompProfile": ["type": "RuntimeDefault"]]
    good["spec"]["containers"][0]["securityContext"] = [
      "allowPrivilegeEscalation": false, "capabilities": ["drop": ["ALL"]],
    ]
    let made = try await cluster.inside.post(pods, good)
    #expect(made.status == 201, "\(made.text)")
  }

  @Test func workloadsAreWarnedAndNotRefused() async throws {
    let cluster = try await cluster([
      "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
    ])
    let reply = try await cluster.inside.post("/apis/apps/v1/namespaces/team/deployments", deployment("web"))
    #expect(reply.status == 201)
    #expect(reply.headers.values("warning").contains { $0.contains("would violate PodSecurity") })
  }
}
