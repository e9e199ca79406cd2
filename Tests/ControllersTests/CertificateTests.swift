// Certificate requests: what is approved without a person, what is signed, what is refused, what is cleaned away.
import Client
import ControlPlane
import JSON
import Schema
import TLS
import TestSupport
import Testing
import World

@testable import Controllers

private func block(_ type: String, _ text: String) -> String {
  "-----BEGIN \(type)-----\n\(Base64.encode(Array(text.utf8)))\n-----END \(type)-----\n"
}

/// Reads "CN=a;O=b;DNS=c" for a request and returns a text that says what was signed.
private struct TextSigner: CertificateSigner {
  struct Malformed: Error, CustomStringConvertible { let description = "malformed" }
  func names(inRequest pem: String) throws -> CertificateNames {
    var names = CertificateNames(commonName: "")
    let lines = pem.split(separator: "\n")
    let text = lines.count == 3 ? String(decoding: try Base64.decode(String(lines[1])), as: UTF8.self) : pem
    for part in text.split(separator: ";") {
      let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
      guard pair.count == 2 else { throw Malformed() }
      switch pair[0] {
      case "CN": names.commonName = pair[1]
      case "O": names.organizations.append(pair[1])
      case "DNS": names.dnsNames.append(pair[1])
      case "IP": names.ipAddresses.append(pair[1])
      default: names.uris.append(pair[1])
      }
    }
    return names
  }
  func sign(request pem: String, forServers: Bool, forClients: Bool, seconds: Int64) throws -> String {
    block("CERTIFICATE", "\(pem) servers=\(forServers) clients=\(forClients) \(seconds)")
  }
  func expiry(ofCertificate pem: String) -> Int64? { nil }
}

@Suite struct CertificatePlanTests {
  private static let kubelet = "CN=system:node:n1;O=system:nodes"

  private func request(
    _ text: String, signer: String = "kubernetes.io/kube-apiserver-client-kubelet",
    usages: [String] = ["digital signature", "client auth"], user: String = "system:bootstrap:abc",
    conditions: JSONValue = .null, created: String = "2026-01-01T00:00:00Z", certificate: String = ""
  ) -> CertificateSigningRequest {
    var json: JSONValue = [
      "metadata": ["name": "r", "creationTimestamp": .string(created)],
      "spec": [
        "signerName": .string(signer), "username": .string(user), "usages": .array(usages.map { .string($0) }),
        "request": .string(Base64.encode(Array(text.utf8))),
      ],
    ]
    if !conditions.isNull { json["status"]["conditions"] = conditions }
    if !certificate.isEmpty { json["status"]["certificate"] = .string(Base64.encode(Array(certificate.utf8))) }
    return CertificateSigningRequest(json: json)
  }

  @Test(arguments: [
    (kubelet, ["digital signature", "client auth"], "system:bootstrap:abc", [CertificatePlan.Recognition.nodeClient]),
    (
      kubelet, ["digital signature", "key encipherment", "client auth"], "system:node:n1",
      [.selfNodeClient, .nodeClient]
    ),
    (kubelet, ["digital signature", "server auth"], "system:node:n1", []),
    (kubelet + ";DNS=x", ["digital signature", "client auth"], "system:node:n1", []),
    ("CN=system:node:n1;O=system:masters", ["digital signature", "client auth"], "system:node:n1", []),
    ("CN=n1;O=system:nodes", ["digital signature", "client auth"], "system:node:n1", []),
  ])
  func onlyKubeletsOwnRequestsAreRecognized(
    text: String, usages: [String], user: String, expected: [CertificatePlan.Recognition]
  ) throws {
    let request = request(text, usages: usages, user: user)
    #expect(CertificatePlan.recognitions(request, try TextSigner().names(inRequest: text)) == expected)
  }

  @Test func otherSignersAreNeverApproved() throws {
    let serving = request(Self.kubelet + ";DNS=n1", signer: "kubernetes.io/kubelet-serving", user: "system:node:n1")
    #expect(CertificatePlan.recognitions(serving, CertificateNames(commonName: "system:node:n1")).isEmpty)
  }

  @Test func everySignerAsksItsOwn() {
    let client = BuiltInSigner.client
    #expect(client.refusal(CertificateNames(commonName: "u"), usages: ["client auth"]) == nil)
    #expect(
      client.refusal(CertificateNames(commonName: "u"), usages: ["server auth"])
        == "invalid usage for client certificate: [server auth]")
    let serving = BuiltInSigner.kubeletServing
    let node = CertificateNames(commonName: "system:node:a", organizations: ["system:nodes"], dnsNames: ["a"])
    #expect(serving.refusal(node, usages: ["digital signature", "server auth"]) == nil)
    #expect(serving.refusal(node, usages: ["client auth"]) != nil)
    var nameless = node
    nameless.dnsNames = []
    #expect(serving.refusal(nameless, usages: ["server auth"]) == "DNS or IP subjectAltName is required")
  }

  @Test func whatIsDoneWithIsStale() throws {
    let start = try #require(WallTime(rfc3339: "2026-01-01T00:00:00Z"))
    func condition(_ type: String) -> JSONValue { [["type": .string(type), "lastUpdateTime": "2026-01-01T00:00:00Z"]] }
    let pending = request("CN=a")
    #expect(!CertificatePlan.isStale(pending, now: start + .seconds(23 * 3600), expiry: nil))
    #expect(CertificatePlan.isStale(pending, now: start + .seconds(24 * 3600), expiry: nil))
    let denied = request("CN=a", conditions: condition("Denied"))
    #expect(!CertificatePlan.isStale(denied, now: start + .seconds(3599), expiry: nil))
    #expect(CertificatePlan.isStale(denied, now: start + .seconds(3600), expiry: nil))
    let approved = request("CN=a", conditions: condition("Approved"))
    #expect(!CertificatePlan.isStale(approved, now: start + .seconds(7200), expiry: nil), "it waits for its signer")
    let issued = request("CN=a", conditions: condition("Approved"), certificate: "x")
    #expect(CertificatePlan.isStale(issued, now: start + .seconds(3600), expiry: nil))
    #expect(CertificatePlan.isStale(issued, now: start, expiry: start.secondsSinceEpoch))
  }
}

@Suite struct CertificateStories {
  private static let requests = ResourceReference.certificateSigningRequests

  private func object(
    _ name: String, _ subject: DistinguishedName, dnsNames: [String] = [], signer: String, usages: JSONValue
  ) throws -> JSONValue {
    let request = try CertificateRequest(
      subject: subject, names: SubjectAlternativeNames(dnsNames: dnsNames), privateKey: PrivateKey.generateP256())
    return [
      "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
      "metadata": ["name": .string(name)],
      "spec": [
        "signerName": .string(signer), "usages": usages,
        "request": .string(Base64.encode(Array(request.pem.utf8))),
      ],
    ]
  }

  /// The controller, with an authority of its own.
  private func start(on cluster: TestCluster) throws -> SpawnedTask {
    let signer = AuthoritySigner(
      authority: try CertificateAuthority.generate(
        commonName: "test", lifetime: .seconds(86_400), now: cluster.world.wallClock), world: cluster.world)
    let context = ControllerContext(
      world: cluster.world, logger: cluster.logger, certificateAuthorityPEM: "CA", certificateSigner: signer,
      transport: { cluster.transport("system:serviceaccount:kube-system:\($0)") })
    return cluster.world.spawn { await CertificateController(context: context)?.run() }
  }

  private static let node = DistinguishedName(commonName: "system:node:n1", organizations: ["system:nodes"])

  @Test func aNodeThatRenewsIsApprovedAndSigned() throws {
    let cluster = try TestCluster()
    let loop = try start(on: cluster)
    let admin = cluster.client()
    // kubeadm and k3s bind this role for nodes that renew; so does whoever bootstraps kubelets.
    let binding: JSONValue = [
      "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": ["name": "renewal"],
      "roleRef": [
        "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
        "name": "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
      ],
      "subjects": [["kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:nodes"]],
    ]
    try cluster.world.run {
      try await admin.create(
        ResourceReference(
          "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced: false), binding)
      let node = cluster.client("system:node:n1")
      try await node.create(
        Self.requests,
        try object(
          "own", Self.node, signer: "kubernetes.io/kube-apiserver-client-kubelet",
          usages: ["digital signature", "client auth"]))
      try await node.create(
        Self.requests,
        try object(
          "serving", Self.node, dnsNames: ["n1"], signer: "kubernetes.io/kubelet-serving",
          usages: ["digital signature", "server auth"]))
      try await cluster.world.eventually("signed") {
        try await !admin.get(Self.requests, name: "own")["status"]["certificate"].isNull
      }
      let own = try await admin.get(Self.requests, name: "own")
      #expect(own["status"]["conditions"][0]["reason"] == "AutoApproved")
      #expect(
        own["status"]["conditions"][0]["message"]
          == "Auto approving self kubelet client certificate after SubjectAccessReview.")
      let serving = try await admin.get(Self.requests, name: "serving")
      #expect(serving["status"]["conditions"].isNull, "a person approves what servers show")
    }
    loop.cancel()
  }

  @Test func whatItsSignerRefusesFails() throws {
    let cluster = try TestCluster()
    let loop = try start(on: cluster)
    let admin = cluster.client()
    try cluster.world.run {
      var made = try await admin.create(
        Self.requests,
        try object(
          "bad", DistinguishedName(commonName: "u"), signer: "kubernetes.io/kube-apiserver-client",
          usages: ["server auth"]))
      made["status"]["conditions"] = [["type": "Approved", "status": "True", "reason": "ByMe", "message": "fine"]]
      try await admin.update(Self.requests, name: "bad", made, subresource: "approval")
      try await cluster.world.eventually("failed") {
        try await admin.get(Self.requests, name: "bad")["status"]["conditions"].elements.contains {
          $0["type"] == "Failed" && $0["reason"] == "SignerValidationFailure"
        }
      }
      #expect(try await admin.get(Self.requests, name: "bad")["status"]["certificate"].isNull)
    }
    loop.cancel()
  }
}
