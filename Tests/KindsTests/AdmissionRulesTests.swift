// Webhook configurations and bindings of policies: what is wrong with them, in the reference's words.
import JSON
import Kinds
import Schema
import Testing

@Suite struct AdmissionRulesTests {
  private func errors(_ kind: String, _ object: JSONValue) throws -> [String] {
    let descriptor = try #require(KindRegistry.builtIn.kind(apiVersion: "admissionregistration.k8s.io/v1", kind: kind))
    var object = object
    descriptor.structure.applyDefaults(to: &object)
    return descriptor.rules.validate(object).map { "\($0.field): \($0.message)" }
  }

  private func webhook(_ change: JSONValue) throws -> [String] {
    var webhook: JSONValue = [
      "name": "a.example.com", "clientConfig": ["url": "https://example.com/x"], "sideEffects": "None",
      "admissionReviewVersions": ["v1"],
    ]
    for (key, value) in change.object ?? [:] { webhook[key] = value }
    return try errors("ValidatingWebhookConfiguration", ["webhooks": [webhook]])
      .map { $0.hasPrefix("webhooks[0].") ? String($0.dropFirst("webhooks[0].".count)) : $0 }
  }

  @Test func aGoodWebhookIsFine() throws { #expect(try webhook([:]) == []) }

  @Test func addressesAreChecked() throws {
    func url(_ text: String) throws -> [String] { try webhook(["clientConfig": ["url": .string(text)]]) }
    let form = "; desired format: https://host[/path]"
    #expect(
      try url("http://example.com") == [
        "clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme\(form)"
      ])
    #expect(try url("https:///path") == ["clientConfig.url: Invalid value: \"\": host must be provided\(form)"])
    #expect(
      try url("https://me:pw@example.com/?a=b#c") == [
        "clientConfig.url: Invalid value: \"me:pw\": user information is not permitted in the URL",
        "clientConfig.url: Invalid value: \"c\": fragments are not permitted in the URL",
        "clientConfig.url: Invalid value: \"a=b\": query parameters are not permitted in the URL",
      ])
    #expect(
      try webhook(["clientConfig": [:]]) == [
        "clientConfig: Required value: exactly one of url or service is required"
      ])
    func service(_ change: JSONValue) throws -> [String] {
      var service: JSONValue = ["name": "s", "namespace": "n"]
      for (key, value) in change.object ?? [:] { service[key] = value }
      return try webhook(["clientConfig": ["service": service]])
    }
    #expect(try service(["path": "/a/b/"]) == [])
    #expect(
      try service(["path": "/a//b", "port": 0]) == [
        "clientConfig.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
        "clientConfig.service.path: Invalid value: \"/a//b\": segment[1] may not be empty",
      ])
  }

  @Test func rulesAreChecked() throws {
    func rule(_ change: JSONValue) throws -> [String] {
      var rule: JSONValue = [
        "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
      ]
      for (key, value) in change.object ?? [:] { rule[key] = value }
      return try webhook(["rules": [rule]]).map { String($0.dropFirst("rules[0].".count)) }
    }
    #expect(
      try rule(["operations": ["*", "CREATE"]]) == [
        "operations: Invalid value: []admissionregistration.OperationType{\"*\", \"CREATE\"}: if '*' is present, must "
          + "not specify other operations"
      ])
    #expect(
      try rule(["operations": ["PATCH"]]) == [
        "operations[0]: Unsupported value: \"PATCH\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", "
          + "\"UPDATE\""
      ])
    #expect(try rule(["resources": ["pods/*", "pods/exec"]]).count == 1)
    #expect(
      try rule(["resources": ["*/*", "pods"]]) == [
        "resources: Invalid value: []string{\"*/*\", \"pods\"}: if '*/*' is present, must not specify other resources"
      ])
    #expect(
      try rule(["resources": ["*", "pods"]]) == [
        "resources: Invalid value: []string{\"*\", \"pods\"}: if '*' is present, must not specify other resources "
          + "without subresources"
      ])
  }

  @Test func versionsAndSideEffectsMustBeKnown() throws {
    #expect(
      try webhook(["admissionReviewVersions": ["v2", "v2"]]) == [
        "admissionReviewVersions[1]: Invalid value: \"v2\": duplicate version",
        "admissionReviewVersions: Invalid value: []string{\"v2\", \"v2\"}: must include at least one of v1, v1beta1",
      ])
    #expect(
      try webhook(["sideEffects": "Some"]) == [
        "sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\""
      ])
    #expect(
      try webhook(["sideEffects": .null]) == ["sideEffects: Required value: must specify one of None, NoneOnDryRun"])
    #expect(
      try webhook(["timeoutSeconds": 31]) == [
        "timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"
      ])
  }

  @Test func bindingsAreChecked() throws {
    #expect(
      try errors(
        "ValidatingAdmissionPolicyBinding",
        [
          "spec": [
            "policyName": "p", "validationActions": ["Deny", "Warn", "Warn"],
            "paramRef": ["name": "a", "selector": [:], "parameterNotFoundAction": "Maybe"],
          ]
        ]) == [
          "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
          "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
          "spec.paramRef.parameterNotFoundAction: Unsupported value: \"Maybe\": supported values: \"Deny\", \"Allow\"",
          "spec.validationActions[2]: Duplicate value: \"Warn\"",
          "spec.validationActions: Invalid value: []admissionregistration.ValidationAction{\"Deny\", \"Warn\", "
            + "\"Warn\"}: must not contain both Deny and Warn (repeating the same validation failure information in "
            + "the API response and headers serves no purpose)",
        ])
  }
}

@Suite struct AdmissionUpdateTests {
  private func configuration(_ webhook: String) throws -> JSONValue {
    try JSONValue(
      parsing: #"""
        {"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration","metadata":{"name":"a"},
        "webhooks":[\#(webhook)]}
        """#)
  }
  private func webhook(_ more: String, name: String = "a.example.com") -> String {
    #"""
    {"name":"\#(name)","failurePolicy":"Fail","matchPolicy":"Equivalent","clientConfig":{"url":"https://a"},\#(more)}
    """#
  }

  @Test func whatStoodThereBeforeIsNotHeldAgainstAnUpdate() throws {
    let rules = try #require(
      KindRegistry.builtIn.kind(
        apiVersion: "admissionregistration.k8s.io/v1", kind: "ValidatingWebhookConfiguration")
    ).rules
    let old = #""sideEffects":"Unknown","admissionReviewVersions":["v9"]"#
    let twins = try configuration([webhook(old), webhook(old)].joined(separator: ","))
    #expect(
      rules.validate(twins).map(\.field) == [
        "webhooks[0].sideEffects", "webhooks[0].admissionReviewVersions", "webhooks[1].sideEffects",
        "webhooks[1].admissionReviewVersions", "webhooks[1].name",
      ])
    #expect(rules.validate(twins, replacing: twins).isEmpty)
    // What was right must stay right.
    let good = try configuration(webhook(#""sideEffects":"None","admissionReviewVersions":["v1"]"#))
    #expect(rules.validate(twins, replacing: good).count == 5)
  }

  @Test func theStatusOfAPolicyIsChecked() throws {
    let rules = try #require(
      KindRegistry.builtIn.kind(apiVersion: "admissionregistration.k8s.io/v1", kind: "ValidatingAdmissionPolicy")
    ).rules
    let policy = try JSONValue(
      parsing: #"{"status":{"typeChecking":{"expressionWarnings":[{"fieldRef":" "}]},"conditions":[{"type":"A"}]}}"#)
    #expect(
      rules.validateStatusUpdate(policy, old: .null).map { "\($0.field): \($0.message)" } == [
        "status.typeChecking.expressionWarnings[0].warning: Required value",
        "status.typeChecking.expressionWarnings[0].fieldRef: Required value",
        #"status.conditions[0].status: Unsupported value: "": supported values: "False", "True", "Unknown""#,
        "status.conditions[0].lastTransitionTime: Required value: must be set",
        "status.conditions[0].reason: Required value: must be set",
      ])
  }
}

@Suite struct PEMTests {
  private func problems(_ kind: String, _ apiVersion: String, _ text: String) throws -> [String] {
    let rules = try #require(KindRegistry.builtIn.kind(apiVersion: apiVersion, kind: kind)).rules
    return rules.warnings(for: try JSONValue(parsing: text), replacing: .null)
  }
  private func secret(_ certificate: String, _ key: String) -> String {
    let data = [certificate, key].map { Base64.encode(Array($0.utf8)) }
    return #"{"type":"kubernetes.io/tls","data":{"tls.crt":"\#(data[0])","tls.key":"\#(data[1])"}}"#
  }
  private let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
  private let key = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"

  @Test func certificatesAndKeysThatAreNone() throws {
    for (certificate, key, expected) in [
      ("x", "x", "tls: failed to find any PEM data in certificate input"),
      (certificate, "x", "tls: failed to find any PEM data in key input"),
      (certificate, certificate, "tls: found a certificate rather than a key in the PEM for the private key"),
      (
        key, key,
        "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may "
          + "have been switched"
      ),
    ] { #expect(try problems("Secret", "v1", secret(certificate, key)) == [expected]) }
    #expect(try problems("Secret", "v1", secret(certificate, key)) == [])
  }
}
