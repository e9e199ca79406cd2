// Service accounts, their tokens, and who may do what.
import Client
import HTTP
import JSON
import Schema
import TestSupport
import Testing

extension Conformance {
  static let accountStories: [Int: Story] = [
    152: { try await $0.optsOutOfTokens() },
    153: { try await $0.reviewsAToken() },
    154: { try await $0.keepsTheRootCertificateInEveryNamespace() },
    157: { try await $0.livesThroughAnAccountsLife() },
    159: { try await $0.reviewsSubjects() },
  ]

  private func optsOutOfTokens() async throws {
    try await makeAccount()
    for (name, value) in [("mount", true), ("nomount", false)] {
      try await make(
        .serviceAccounts, ["metadata": ["name": .string(name)], "automountServiceAccountToken": .bool(value)])
    }
    let accounts: [(String, Bool)] = [("default", true), ("mount", true), ("nomount", false)]
    for (account, mounts) in accounts {
      for wish in [nil, true, false] as [Bool?] {
        var spec: JSONValue = ["serviceAccountName": .string(account)]
        if let wish { spec["automountServiceAccountToken"] = .bool(wish) }
        let name = "pod-\(account)-\(wish.map { $0 ? "mountspec" : "nomountspec" } ?? "none")"
        let pod = try await make(.pods, Self.pod(name, spec))
        let isMounted = pod["spec"]["containers"][0]["volumeMounts"].elements.contains {
          $0["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
        }
        #expect(isMounted == (wish ?? mounts), "\(name)")
      }
    }
  }

  private func reviewsAToken() async throws {
    try await makeAccount("sa")
    let path = ResourceReference.serviceAccounts.path(namespace: namespace, name: "sa", subresource: "token")
    let request = try await client.json(
      "POST", path, [],
      body: [
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": ["expirationSeconds": 3600],
      ])
    let token = request["status"]["token"]
    #expect(token.string?.split(separator: ".").count == 3)
    #expect(request["status"]["expirationTimestamp"].string?.isEmpty == false)
    #expect(request["spec"]["expirationSeconds"] == 3600)
    let review = try await client.json(
      "POST", "/apis/authentication.k8s.io/v1/tokenreviews", [],
      body: ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": ["token": token]])
    #expect(review["status"]["authenticated"] == true && review["status"]["error"].isNull)
    #expect(review["status"]["user"]["username"].string == "system:serviceaccount:\(namespace):sa")
    #expect(
      review["status"]["user"]["groups"].elements
        == ["system:serviceaccounts", .string("system:serviceaccounts:\(namespace)"), "system:authenticated"])
    try await client.delete(.serviceAccounts, namespace: namespace, name: "sa")
    let dead = try await client.json(
      "POST", "/apis/authentication.k8s.io/v1/tokenreviews", [],
      body: ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": ["token": token]])
    #expect(dead["status"]["authenticated"].bool != true)
  }

  private func keepsTheRootCertificateInEveryNamespace() async throws {
    startControllers()
    let name = "kube-root-ca.crt"
    @Sendable func certificate() async throws -> JSONValue {
      try await client.find(.configMaps, namespace: namespace, name: name)?["data"]["ca.crt"] ?? .null
    }
    try await eventually("it is there") { try await certificate() == "CA" }
    try await client.delete(.configMaps, namespace: namespace, name: name)
    try await eventually("it is there again") { try await certificate() == "CA" }
    try await client.patch(.configMaps, namespace: namespace, name: name, ["data": ["ca.crt": ""]], type: .merge)
    try await eventually("it is right again") { try await certificate() == "CA" }
  }

  private func livesThroughAnAccountsLife() async throws {
    let start = try await client.list(.serviceAccounts, namespace: namespace).resourceVersion
    try await make(
      .serviceAccounts, ["metadata": ["name": "testserviceaccount", "labels": ["test-serviceaccount-static": "true"]]])
    let patched = try await client.patch(
      .serviceAccounts, namespace: namespace, name: "testserviceaccount", ["automountServiceAccountToken": false],
      type: .strategic)
    #expect(patched["automountServiceAccountToken"] == false)
    let options = ListOptions(labelSelector: "test-serviceaccount-static=true")
    #expect(try await client.list(.serviceAccounts, options).items.count == 1)
    _ = try await client.json(
      "DELETE", ResourceReference.serviceAccounts.path(namespace: namespace),
      [("labelSelector", "test-serviceaccount-static=true")])
    let seen = try await events(.serviceAccounts, after: start, count: 3)
    #expect(seen == ["ADDED", "MODIFIED", "DELETED"].map { "\($0) testserviceaccount" })
  }

  private func reviewsSubjects() async throws {
    let user = "system:serviceaccount:\(namespace):e2e"
    let attributes: JSONValue = [
      "namespace": .string(namespace), "verb": "list", "group": "", "version": "v1", "resource": "configmaps",
    ]
    func allowed(_ path: String, _ kind: String, _ spec: JSONValue, metadata: JSONValue = [:]) async throws -> Bool? {
      let review = try await client.json(
        "POST", "/apis/authorization.k8s.io/v1\(path)", [],
        body: [
          "apiVersion": "authorization.k8s.io/v1", "kind": .string(kind), "metadata": metadata, "spec": spec,
        ])
      return review["status"]["allowed"].bool
    }
    let spec: JSONValue = ["resourceAttributes": attributes, "user": .string(user)]
    #expect(try await allowed("/subjectaccessreviews", "SubjectAccessReview", spec) == false)
    let local = "/namespaces/\(namespace)/localsubjectaccessreviews"
    #expect(
      try await allowed(
        local, "LocalSubjectAccessReview", spec, metadata: ["namespace": .string(namespace)]) == false)
    let group = "rbac.authorization.k8s.io"
    try await client.create(
      ResourceReference(group, "v1", "rolebindings", "RoleBinding"), namespace: namespace,
      [
        "metadata": ["name": "e2e"], "roleRef": ["apiGroup": .string(group), "kind": "ClusterRole", "name": "view"],
        "subjects": [["kind": "ServiceAccount", "name": "e2e", "namespace": .string(namespace)]],
      ])
    #expect(try await allowed("/subjectaccessreviews", "SubjectAccessReview", spec) == true)
    #expect(
      try await allowed(
        local, "LocalSubjectAccessReview", spec, metadata: ["namespace": .string(namespace)]) == true)
    #expect(
      try await allowed(
        "/selfsubjectaccessreviews", "SelfSubjectAccessReview", ["resourceAttributes": attributes]) == true)
  }
}
