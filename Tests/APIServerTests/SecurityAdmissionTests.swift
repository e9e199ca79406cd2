import APIServer
import HTTP
import JSON
import Replica
import Schema
import Testing
import World

@Suite struct SecurityAdmissionTests {
  // MARK: Namespaces

  @Test func nothingIsMadeInANamespaceThatIsNotThere() async throws {
    let admin = try await SecurityCluster().inside
    let reply = try await admin.post("/api/v1/namespaces/nowhere/configmaps", configMap("a"))
    #expect(reply.status == 404)
    #expect(reply.message == "namespaces \"nowhere\" not found")
    // Nothing else is said of what is put there: not that its account is missing, nor what is wrong with it.
    let lost = try await admin.post("/api/v1/namespaces/nowhere/pods", pod("a"))
    #expect(lost.status == 404 && lost.message == "namespaces \"nowhere\" not found")
    let wrong = try await admin.post("/api/v1/namespaces/nowhere/configmaps", configMap("A"))
    #expect(wrong.status == 404 && wrong.message == "namespaces \"nowhere\" not found")
  }

  @Test func nothingIsMadeInANamespaceThatGoesAway() async throws {
    let admin = try await SecurityCluster().inside
    try await admin.post("/api/v1/namespaces", namespace("team"))
    // It is told by the time of its deletion, and not by whoever writes of one.
    let note: JSONValue = ["metadata": ["annotations": ["deletionTimestamp": "2024-01-01T00:00:00Z"]]]
    try await admin.patch("/api/v1/namespaces/team", note)
    let old = try await admin.post("/api/v1/namespaces/team/configmaps", configMap("old"))
    #expect(old.status == 201)
    try await admin.delete("/api/v1/namespaces/team")
    let reply = try await admin.post("/api/v1/namespaces/team/configmaps", configMap("a"))
    #expect(reply.status == 403)
    #expect(
      reply.message
        == "configmaps \"a\" is forbidden: unable to create new content in namespace team because it is being terminated"
    )
    #expect(reply.json["details"]["causes"][0]["reason"] == "NamespaceTerminating")
    let update = try await admin.patch("/api/v1/namespaces/team/configmaps/old", ["data": ["a": "2"]])
    #expect(update.status == 200, "what is there may still change")
  }

  @Test(arguments: ["default", "kube-system", "kube-public"])
  func someNamespacesStay(name: String) async throws {
    let reply = try await SecurityCluster().inside.delete("/api/v1/namespaces/\(name)")
    #expect(reply.status == 403)
    #expect(reply.message == "namespaces \"\(name)\" is forbidden: this namespace may not be deleted")
  }

  @Test func createsGoOnWhileTheirNamespaceIsBeingChanged() async throws {
    let cluster = try await SecurityCluster()
    let admin = cluster.inside
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        for number in 0..<200 {
          let label: JSONValue = ["metadata": ["labels": ["n": .string("\(number)")]]]
          let reply = try await admin.patch("/api/v1/namespaces/default", label)
          #expect(reply.status == 200)
        }
      }
      for writer in 0..<4 {
        group.addTask {
          for number in 0..<50 {
            let reply = try await admin.post(configMaps, configMap("c-\(writer)-\(number)"))
            #expect(reply.status == 201, "\(reply.text)")
          }
        }
      }
      try await group.waitForAll()
    }
  }

  // MARK: Pods

  @Test func aPodGetsItsAccountItsTokenAndItsPatience() async throws {
    let cluster = try await SecurityCluster()
    let made = try await cluster.inside.post(pods, pod("web"))
    #expect(made.status == 201, "\(made.text)")
    let spec = made.json["spec"]
    #expect(spec["serviceAccountName"] == "default")
    #expect(spec["serviceAccount"] == "default")
    let volume = spec["volumes"][0]
    #expect(volume["name"].string?.hasPrefix("kube-api-access-") == true)
    #expect(volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] == 3607)
    #expect(
      spec["containers"][0]["volumeMounts"][0]["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount")
    #expect(spec["containers"][0]["volumeMounts"][0]["readOnly"] == true)
    #expect(spec["priority"] == 0)
    #expect(spec["preemptionPolicy"] == "PreemptLowerPriority")
    #expect(
      spec["tolerations"].elements.map { $0["key"] } == [
        "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable",
      ])
    #expect(spec["tolerations"][0]["tolerationSeconds"] == 300)
  }

  @Test func aPodOfAnAccountThatIsNotThereIsRefused() async throws {
    var object = pod("web")
    object["spec"]["serviceAccountName"] = "ghost"
    let reply = try await SecurityCluster().inside.post(pods, object)
    #expect(reply.status == 403)
    #expect(
      reply.message
        == "pods \"web\" is forbidden: error looking up service account default/ghost: serviceaccount \"ghost\" not found"
    )
  }

  @Test func tokensAreNotMountedWhereNobodyWantsThem() async throws {
    let cluster = try await SecurityCluster()
    var quiet = account("quiet")
    quiet["automountServiceAccountToken"] = false
    quiet["imagePullSecrets"] = [["name": "registry"]]
    try await cluster.inside.post(serviceAccounts, quiet)
    var object = pod("a")
    object["spec"]["serviceAccountName"] = "quiet"
    let made = try await cluster.inside.post(pods, object).json["spec"]
    #expect(made["volumes"].isNull)
    #expect(made["imagePullSecrets"] == [["name": "registry"]])
    var loud = pod("b")
    loud["spec"]["automountServiceAccountToken"] = false
    #expect(try await cluster.inside.post(pods, loud).json["spec"]["volumes"].isNull)
  }

  @Test func prioritiesComeFromClasses() async throws {
    let cluster = try await SecurityCluster()
    var object = pod("a")
    object["spec"]["priorityClassName"] = "system-node-critical"
    #expect(try await cluster.inside.post(pods, object).json["spec"]["priority"] == 2_000_001_000)
    object["metadata"]["name"] = "b"
    object["spec"]["priorityClassName"] = "nope"
    let unknown = try await cluster.inside.post(pods, object)
    #expect(unknown.message == "pods \"b\" is forbidden: no PriorityClass with name nope was found")
    object["spec"]["priorityClassName"] = .null
    object["spec"]["priority"] = 5
    #expect(try await cluster.inside.post(pods, object).status == 403)
    try await cluster.inside.post(
      "/apis/scheduling.k8s.io/v1/priorityclasses",
      [
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": ["name": "usual"], "value": 7,
        "globalDefault": true, "preemptionPolicy": "Never",
      ])
    let usual = try await cluster.inside.post(pods, pod("c")).json["spec"]
    #expect(usual["priority"] == 7)
    #expect(usual["priorityClassName"] == "usual")
    #expect(usual["preemptionPolicy"] == "Never")
    try await cluster.inside.delete("/apis/scheduling.k8s.io/v1/priorityclasses/usual")
    #expect(try await cluster.inside.post(pods, pod("d")).json["spec"]["priority"] == 0)
  }

  @Test func aRuntimeClassMustBeThereAndBringsItsOverhead() async throws {
    let cluster = try await SecurityCluster()
    var object = pod("a")
    object["spec"]["runtimeClassName"] = "gvisor"
    let unknown = try await cluster.inside.post(pods, object)
    #expect(unknown.status == 403)
    #expect(unknown.message == "pods \"a\" is forbidden: pod rejected: RuntimeClass \"gvisor\" not found")
    try await cluster.inside.post(
      "/apis/node.k8s.io/v1/runtimeclasses",
      [
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": ["name": "gvisor"], "handler": "runsc",
        "overhead": ["podFixed": ["memory": "64Mi"]], "scheduling": ["nodeSelector": ["sandbox": "yes"]],
      ])
    let made = try await cluster.inside.post(pods, object)
    #expect(made.status == 201, "\(made.text)")
    #expect(made.json["spec"]["overhead"] == ["memory": "64Mi"])
    #expect(made.json["spec"]["nodeSelector"] == ["sandbox": "yes"])
  }

  // MARK: Limits

  private func limitRange(_ item: JSONValue) -> JSONValue {
    ["apiVersion": "v1", "kind": "LimitRange", "metadata": ["name": "limits"], "spec": ["limits": [item]]]
  }
  private func sized(_ name: String, requests: JSONValue = .null, limits: JSONValue = .null) -> JSONValue {
    var object = pod(name)
    object["spec"]["containers"][0]["resources"]["requests"] = requests
    object["spec"]["containers"][0]["resources"]["limits"] = limits
    return object
  }

  @Test func limitRangesFillInWhatContainersDoNotSay() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.inside.post(
      "/api/v1/namespaces/default/limitranges",
      limitRange(["type": "Container", "default": ["cpu": "500m"], "defaultRequest": ["cpu": "100m", "memory": "1Mi"]]))
    let made = try await cluster.inside.post(pods, pod("web"))
    #expect(made.status == 201, "\(made.text)")
    #expect(
      made.json["spec"]["containers"][0]["resources"] == [
        "limits": ["cpu": "500m"], "requests": ["cpu": "100m", "memory": "1Mi"],
      ])
    #expect(
      made.json["metadata"]["annotations"]["kubernetes.io/limit-ranger"]
        == "LimitRanger plugin set: cpu, memory request for container main; cpu limit for container main")
    #expect(made.json["status"]["qosClass"] == "Burstable")
  }

  @Test func limitsAreAskedForWhereNoRequestIsKnown() async throws {
    let made = try await SecurityCluster().inside.post(
      "/api/v1/namespaces/default/limitranges",
      limitRange(["type": "Container", "max": ["cpu": "1"], "min": ["cpu": "100m", "memory": "1Mi"]]))
    let limit = made.json["spec"]["limits"][0]
    #expect(limit["default"] == ["cpu": "1"], "\(made.text)")
    #expect(limit["defaultRequest"] == ["cpu": "1", "memory": "1Mi"])
  }

  @Test func ratiosOfTheLargestToTheSmallestAreTold() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.inside.post(
      "/api/v1/namespaces/default/limitranges",
      limitRange(["type": "Container", "maxLimitRequestRatio": ["cpu": "2"]]))
    let refused = try await cluster.inside.post(
      pods, sized("web", requests: ["cpu": "1m"], limits: ["cpu": "9223372036854775807"]))
    #expect(
      refused.message == "pods \"web\" is forbidden: cpu max limit to request ratio per Container is 2, but provided "
        + "ratio is 9223372036854775808000.000000", "\(refused.text)")
  }

  @Test func limitRangesRefuseWhatIsOutOfBounds() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.inside.post(
      "/api/v1/namespaces/default/limitranges",
      limitRange([
        "type": "Container", "max": ["cpu": "1"], "min": ["cpu": "100m"], "maxLimitRequestRatio": ["cpu": "4"],
      ]))
    func message(_ requests: JSONValue, _ limits: JSONValue) async throws -> String {
      try await cluster.inside.post(pods, sized("web", requests: requests, limits: limits)).message
    }
    #expect(
      try await message(["cpu": "1"], ["cpu": "2"])
        == "pods \"web\" is forbidden: maximum cpu usage per Container is 1, but limit is 2")
    #expect(
      try await message(["cpu": "50m"], ["cpu": "100m"])
        == "pods \"web\" is forbidden: minimum cpu usage per Container is 100m, but request is 50m")
    #expect(
      try await message(["cpu": "100m"], ["cpu": "500m"])
        == "pods \"web\" is forbidden: cpu max limit to request ratio per Container is 4, but provided ratio is 5.000000"
    )
    #expect(try await cluster.inside.post(pods, sized("ok", limits: ["cpu": "200m"])).status == 201)
  }

  // MARK: Quotas

  private func quota(_ hard: JSONValue, scopes: JSONValue = .null) -> JSONValue {
    var object: JSONValue = [
      "apiVersion": "v1", "kind": "ResourceQuota", "metadata": ["name": "q"], "spec": ["hard": hard],
    ]
    object["spec"]["scopes"] = scopes
    return object
  }
  private let quotas = "/api/v1/namespaces/default/resourcequotas"

  @Test func aQuotaHoldsAndDeletionGivesBack() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.inside.post(configMaps, configMap("before"))
    #expect(try await cluster.inside.post(quotas, quota(["configmaps": "2"])).status == 201)
    #expect(try await cluster.inside.post(configMaps, configMap("a")).status == 201)
    #expect(try await cluster.inside.get("\(quotas)/q").json["status"]["used"]["configmaps"] == "2")
    let full = try await cluster.inside.post(configMaps, configMap("b"))
    #expect(full.status == 403)
    #expect(
      full.message
        == "configmaps \"b\" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: configmaps=2"
    )
    try await cluster.inside.delete("\(configMaps)/before")
    #expect(try await cluster.inside.post(configMaps, configMap("b")).status == 201)
    #expect(try await cluster.inside.post("\(configMaps)?dryRun=All", configMap("c")).status == 403)
  }

  @Test func theLastPlaceIsGivenToOne() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.inside.post(quotas, quota(["count/configmaps": "5"]))
    let admin = cluster.inside
    let made = try await withThrowingTaskGroup(of: Int.self) { group in
      for number in 0..<12 {
        group.addTask { try await admin.post(configMaps, configMap("c-\(number)")).status }
      }
      return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }
    #expect(made == [201: 5, 403: 7])
    #expect(try await admin.get(configMaps).names.count == 5)
  }

  @Test func aQuotaOfResourcesObligesContainersToSayWhatTheyWant() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.inside.post(quotas, quota(["requests.cpu": "1", "limits.memory": "1Gi", "pods": "5"]))
    let silent = try await cluster.inside.post(pods, pod("web"))
    #expect(
      silent.message
        == "pods \"web\" is forbidden: failed quota: q: must specify limits.memory for: main; requests.cpu for: main")
    let object = sized("web", requests: ["cpu": "600m"], limits: ["memory": "100Mi"])
    #expect(try await cluster.inside.post(pods, object).status == 201)
    var second = object
    second["metadata"]["name"] = "second"
    let reply = try await cluster.inside.post(pods, second)
    #expect(
      reply.message
        == "pods \"second\" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1"
    )
    let used = try await cluster.inside.get("\(quotas)/q").json["status"]["used"]
    #expect(used == ["limits.memory": "100Mi", "pods": "1", "requests.cpu": "600m"])
  }

  @Test func aScopedQuotaCountsWhatIsInItsScope() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.inside.post(quotas, quota(["pods": "1"], scopes: ["BestEffort"]))
    #expect(try await cluster.inside.post(pods, pod("a")).status == 201)
    #expect(try await cluster.inside.post(pods, pod("b")).status == 403)
    #expect(try await cluster.inside.post(pods, sized("c", requests: ["cpu": "1m"])).status == 201)
    #expect(try await cluster.inside.post(configMaps, configMap("x")).status == 201)
  }

  // MARK: Classes and certificates

  @Test func claimsAndIngressesGetTheDefaultClass() async throws {
    let cluster = try await SecurityCluster()
    func storageClass(_ name: String, isDefault: Bool) -> JSONValue {
      [
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": [
          "name": .string(name),
          "annotations": ["storageclass.kubernetes.io/is-default-class": isDefault ? "true" : "false"],
        ], "provisioner": "example.com/disk",
      ]
    }
    for (name, isDefault) in [("slow", false), ("fast", true)] {
      try await cluster.inside.post("/apis/storage.k8s.io/v1/storageclasses", storageClass(name, isDefault: isDefault))
    }
    func claim(_ name: String, _ storageClass: JSONValue) -> JSONValue {
      var object: JSONValue = [
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": ["name": .string(name)],
        "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
      ]
      object["spec"]["storageClassName"] = storageClass
      return object
    }
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims"
    #expect(try await cluster.inside.post(claims, claim("a", .null)).json["spec"]["storageClassName"] == "fast")
    #expect(try await cluster.inside.post(claims, claim("b", "slow")).json["spec"]["storageClassName"] == "slow")
    #expect(try await cluster.inside.post(claims, claim("c", "")).json["spec"]["storageClassName"] == "")
    try await cluster.inside.post(
      "/apis/networking.k8s.io/v1/ingressclasses",
      [
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": ["name": "edge", "annotations": ["ingressclass.kubernetes.io/is-default-class": "true"]],
        "spec": ["controller": "example.com/edge"],
      ])
    let ingress: JSONValue = [
      "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": ["name": "web"],
      "spec": ["defaultBackend": ["service": ["name": "web", "port": ["number": 80]]]],
    ]
    let made = try await cluster.inside.post("/apis/networking.k8s.io/v1/namespaces/default/ingresses", ingress)
    #expect(made.json["spec"]["ingressClassName"] == "edge", "\(made.text)")
  }
}
