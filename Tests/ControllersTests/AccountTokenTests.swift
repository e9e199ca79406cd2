// Secrets with tokens of service accounts: filled in, taken away, forgotten after years.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

@Suite struct AccountTokenTests {
  private static func secret(_ name: String, of account: String) -> JSONValue {
    [
      "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
      "metadata": [
        "name": .string(name), "namespace": "default",
        "annotations": ["kubernetes.io/service-account.name": .string(account)],
      ],
    ]
  }

  @Test func aSecretIsFilledInAndGoesWithItsAccount() throws {
    try ControlPlane(nodes: 0).tell { plane in
      try await plane.admin.create(
        .serviceAccounts, namespace: "default",
        ["apiVersion": "v1", "kind": "ServiceAccount", "metadata": ["name": "robot"]])
      try await plane.admin.create(.secrets, namespace: "default", Self.secret("robot-token", of: "robot"))
      @Sendable func secret() async throws -> Secret? {
        try await plane.admin.find(.secrets, namespace: "default", name: "robot-token").map(Secret.init(json:))
      }
      try await plane.world.eventually("it is filled") { try await secret()?.data["token"] != nil }
      let filled = try #require(try await secret())
      let account = try await plane.admin.get(.serviceAccounts, namespace: "default", name: "robot")
      #expect(filled.accountUID == account["metadata"]["uid"].string)
      #expect(filled.data["namespace"] == "ZGVmYXVsdA==" && filled.data["ca.crt"] == "Q0E=")
      // Somebody takes the namespace out: it is put back, and the token stays.
      try await plane.admin.patch(
        .secrets, namespace: "default", name: "robot-token", ["data": ["namespace": .null]], type: .merge)
      try await plane.world.eventually("it is whole") { try await secret()?.data["namespace"] == "ZGVmYXVsdA==" }
      #expect(try await secret()?.data["token"] == filled.data["token"])
      // The servers know the token for the account's.
      let token = String(decoding: try Base64.decode(filled.data["token"] ?? ""), as: UTF8.self)
      let review = try await plane.admin.json(
        "POST", "/apis/authentication.k8s.io/v1/tokenreviews", [],
        body: [
          "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": ["token": .string(token)],
        ])
      #expect(review["status"]["user"]["username"].string == "system:serviceaccount:default:robot")
      try await plane.admin.delete(.serviceAccounts, namespace: "default", name: "robot")
      try await plane.world.eventually("it is gone") { try await secret() == nil }
    }
  }

  @Test func aSecretOfNobodyIsTakenAway() throws {
    try ControlPlane(nodes: 0).tell { plane in
      try await plane.admin.create(.secrets, namespace: "default", Self.secret("stray", of: "nobody"))
      try await plane.world.eventually("it is gone") {
        try await plane.admin.find(.secrets, namespace: "default", name: "stray") == nil
      }
    }
  }

  // MARK: Forgotten tokens

  private let now = WallTime(rfc3339: "2026-06-15T12:00:00Z")!

  private func verdict(
    created: String = "2020-01-01T00:00:00Z", used: String? = nil, invalidSince: String? = nil, listed: Bool = true
  ) -> LegacyTokenVerdict {
    var json = Self.secret("old", of: "robot")
    json["metadata"]["creationTimestamp"] = .string(created)
    if let used { json["metadata"]["labels"][LegacyTokenVerdict.lastUsedLabel] = .string(used) }
    if let invalidSince { json["metadata"]["labels"][LegacyTokenVerdict.invalidSinceLabel] = .string(invalidSince) }
    let account = ServiceAccount(
      json: ["metadata": ["name": "robot"], "secrets": listed ? [["name": "old"]] : []])
    return LegacyTokenVerdict(Secret(json: json), account: account, now: now)
  }

  @Test func whatNobodyUsedForAYearIsMarkedAndAYearLaterGoes() {
    #expect(verdict() == .mark("2026-06-15"))
    #expect(verdict(used: "2025-01-01") == .mark("2026-06-15"))
    #expect(verdict(used: "2026-01-01") == .keep, "in use")
    #expect(verdict(created: "2026-01-01T00:00:00Z") == .keep, "not old")
    #expect(verdict(listed: false) == .keep, "made by hand")
    #expect(verdict(invalidSince: "2026-01-01") == .keep, "not long marked")
    #expect(verdict(invalidSince: "2025-06-01") == .delete)
    #expect(verdict(invalidSince: "nonsense") == .mark("2026-06-15"))
  }
}
