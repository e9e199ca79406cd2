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
