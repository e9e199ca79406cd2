// What is wrong with definitions, and the rules that their schemas may hold.
import APIServer
import JSON
import Testing

@Suite struct DefinitionRuleTests {
  let cluster = TestServer()

  private func causes(_ schema: JSONValue) async throws -> [String] {
    let reply = try await cluster.post(definitionsPath, definition(versions: [version("v1", schema: schema)]))
    #expect(reply.status == 422, "\(reply.text)")
    return reply.json["details"]["causes"].elements.map { "\($0["field"].string ?? ""): \($0["message"].string ?? "")" }
  }

  @Test(
    arguments: [
      (["properties": ["a": ["type": "string"]]], "type: Required value: must not be empty at the root"),
      (["type": "string"], #"type: Invalid value: "string": must be object at the root"#),
      (
        ["type": "object", "properties": ["a": [:]]],
        "properties[a].type: Required value: must not be empty for specified object fields"
      ),
      (
        ["type": "object", "properties": ["a": ["type": "array"]]],
        "properties[a].items: Required value: must be specified"
      ),
      (
        ["type": "object", "properties": ["a": ["type": "array", "items": ["minLength": 1]]]],
        "properties[a].items.type: Required value: must not be empty for specified array items"
      ),
      (
        [
          "type": "object",
          "properties": ["metadata": ["type": "object", "properties": ["labels": ["type": "object"]]]],
        ],
        "properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified"
      ),
      (["type": "object", "anyOf": [["type": "object"]]], "anyOf[0].type: Forbidden: must be empty to be structural"),
      (
        ["type": "object", "anyOf": [["properties": ["a": ["minLength": 1]]]]],
        "properties[a]: Required value: because it is defined in spec.validation.openAPIV3Schema.anyOf[0].properties[a]"
      ),
      (
        ["type": "object", "properties": ["a": ["type": "string", "pattern": "("]]],
        #"properties[a].pattern: Invalid value: "(": must be a valid regular expression, but isn't: error parsing regexp: missing closing ): `(`"#
      ),
      (
        ["type": "object", "properties": ["a": ["type": "integer", "default": "x"]]],
        #"properties[a].default: Invalid value: "string": "#
      ),
      (
        [
          "type": "object",
          "properties": [
            "a": [
              "type": "integer", "default": 5, "x-kubernetes-validations": [["rule": "self < 3", "message": "few"]],
            ]
          ],
        ],
        #"properties[a].default: Invalid value: "integer": few"#
      ),
      (
        [
          "type": "object",
          "properties": [
            "a": [
              "type": "object", "default": ["b": ["c": "x"]],
              "properties": [
                "b": [
                  "type": "object",
                  "properties": [
                    "c": ["type": "string", "maxLength": 9, "x-kubernetes-validations": [["rule": "self == 'y'"]]]
                  ],
                ]
              ],
            ]
          ],
        ],
        #"properties[a].default.b.c: Invalid value: "string": failed rule: self == 'y'"#
      ),
      (
        [
          "type": "object",
          "properties": ["a": ["type": "array", "items": ["type": "string"], "x-kubernetes-list-type": "map"]],
        ],
        "properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"
      ),
      (
        ["type": "object", "properties": ["a": ["type": "array", "uniqueItems": true, "items": ["type": "string"]]]],
        "properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
      ),
    ] as [(JSONValue, String)])
  func aSchemaThatIsNotStructuralIsRefused(_ schema: JSONValue, _ expected: String) async throws {
    let found = try await causes(schema)
    #expect(found.contains { $0.hasPrefix("spec.validation.openAPIV3Schema.\(expected)") }, "\(found)")
  }

  @Test func versionsNamesAndGroupsAreChecked() async throws {
    var two = definition(versions: [version("v1"), version("v2")])
    var reply = try await cluster.post(definitionsPath, two)
    #expect(reply.message.contains("must have exactly one version marked as storage version"))
    let none = try await cluster.post(definitionsPath, definition(versions: [version("v1", storage: false)]))
    #expect(
      none.message.contains(
        "status.storedVersions: Invalid value: []string(nil): must have at least one stored version"))
    let nameless = try await cluster.post(definitionsPath, definition(kind: ""))
    let missing = nameless.json["details"]["causes"].elements.compactMap { $0["field"].string }
    #expect(missing == ["spec.names.singular", "spec.names.kind", "spec.names.listKind"])
    two = definition(group: "example")
    reply = try await cluster.post(definitionsPath, two)
    #expect(reply.message.contains(#"spec.group: Invalid value: "example": should be a domain with at least one dot"#))
    reply = try await cluster.post(definitionsPath, definition(group: "my.k8s.io"))
    #expect(
      reply.message.contains(
        "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation"
      ))
    reply = try await cluster.post(definitionsPath, definition(names: ["shortNames": ["Bad"]]))
    #expect(reply.json["details"]["causes"][0]["field"] == "spec.names.shortNames[0]")
    // Names may not change once they are served.
    try await cluster.define(cronTabDefinition())
    var changed = try await cluster.get("\(definitionsPath)/crontabs.stable.example.com").json
    changed["spec"]["scope"] = "Cluster"
    reply = try await cluster.put("\(definitionsPath)/crontabs.stable.example.com", changed)
    #expect(
      reply.json["details"]["causes"][0]["message"] == "Invalid value: \"Cluster\": field is immutable", "\(reply.text)"
    )
  }

  // MARK: - Rules

  private func ruled(_ rules: JSONValue) -> JSONValue {
    [
      "type": "object",
      "properties": [
        "spec": [
          "type": "object", "x-kubernetes-validations": rules,
          "properties": [
            "minReplicas": ["type": "integer"], "replicas": ["type": "integer"],
            "names": [
              "type": "array", "maxItems": 10,
              "items": [
                "type": "string", "maxLength": 10,
                "x-kubernetes-validations": [["rule": "self.startsWith('a')", "message": "must begin with a"]],
              ],
            ],
          ],
        ]
      ],
    ]
  }

  @Test func rulesOfTheSchemaAreKept() async throws {
    let rules: JSONValue = [
      ["rule": "self.minReplicas <= self.replicas", "message": "replicas should be at least minReplicas"],
      [
        "rule": "self.replicas <= oldSelf.replicas + 2",
        "messageExpression": "'at most two more than ' + (oldSelf.replicas == 2 ? 'two' : 'before')",
      ],
      ["rule": "self.replicas != 13", "reason": "FieldValueForbidden", "fieldPath": ".replicas"],
    ]
    try await cluster.define(definition(versions: [version("v1", schema: ruled(rules))]))
    let wrong = try await cluster.post(cronTabs, cronTab("a", ["minReplicas": 3, "replicas": 2]))
    #expect(
      wrong.message
        == "CronTab.stable.example.com \"a\" is invalid: spec: Invalid value: \"object\": replicas should be at least "
        + "minReplicas")
    let unlucky = try await cluster.post(cronTabs, cronTab("a", ["minReplicas": 3, "replicas": 13]))
    #expect(
      unlucky.message
        == "CronTab.stable.example.com \"a\" is invalid: spec.replicas: Forbidden: failed rule: self.replicas != 13")
    let named = try await cluster.post(cronTabs, cronTab("a", ["minReplicas": 1, "replicas": 2, "names": ["a", "b"]]))
    #expect(named.json["details"]["causes"][0]["field"] == "spec.names[1]")
    #expect(
      named.json["details"]["causes"][0]["message"] == "Invalid value: \"string\": must begin with a", "\(named.text)")
    #expect(try await cluster.post(cronTabs, cronTab("a", ["minReplicas": 1, "replicas": 2])).status == 201)
    let jump = try await cluster.patch("\(cronTabs)/a", ["spec": ["replicas": 9]])
    #expect(jump.message.hasSuffix("spec: Invalid value: \"object\": at most two more than two"), "\(jump.text)")
    // What the schema refuses is not shown to rules.
    let typed = try await cluster.post(cronTabs, cronTab("b", ["minReplicas": "x", "replicas": 2]))
    #expect(
      typed.message.contains(
        "<nil>: Invalid value: \"null\": some validation rules were not checked because the object was invalid"))
  }

  // MARK: - Rules that are checked when they are written

  private static let schema = "spec.validation.openAPIV3Schema"

  private func rule(_ text: String, _ members: JSONValue = [:]) -> JSONValue {
    var rule: JSONValue = ["rule": .string(text)]
    for (name, value) in members.object ?? [:] { rule[name] = value }
    return rule
  }

  /// Objects with one property that has these rules.
  private func property(_ property: JSONValue, _ rules: [JSONValue]) -> JSONValue {
    var property = property
    property["x-kubernetes-validations"] = .array(rules)
    return ["type": "object", "properties": ["spec": property]]
  }

  @Test func rulesMustCompile() async throws {
    let spec: JSONValue = ["type": "object", "properties": ["replicas": ["type": "integer"]]]
    let place = "\(Self.schema).properties[spec].x-kubernetes-validations[0]"
    let shown =
      #"apiextensions.ValidationRule{Rule:"self.foo > 1", Message:"", MessageExpression:"", "#
      + #"Reason:(*apiextensions.FieldValueErrorReason)(nil), FieldPath:"", OptionalOldSelf:(*bool)(nil)}"#
    var found = try await causes(property(spec, [rule("self.foo > 1")]))
    #expect(
      found == [
        "\(place).rule: Invalid value: \(shown): compilation failed: ERROR: <input>:1:5: undefined field 'foo'\n"
          + " | self.foo > 1\n | ....^"
      ])
    found = try await causes(property(spec, [rule("self.replicas")]))
    #expect(found.count == 1 && found[0].hasSuffix(": cel expression must evaluate to a bool"), "\(found)")
    found = try await causes(property(spec, [rule("true", ["messageExpression": "self.replicas"])]))
    #expect(
      found.count == 1 && found[0].hasPrefix("\(place).messageExpression: Invalid value: ")
        && found[0].hasSuffix(": messageExpression must evaluate to a string"), "\(found)")
    found = try await causes(property(spec, [rule("self.replicas > 1", ["optionalOldSelf": true])]))
    #expect(
      found == ["\(place).optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"])
    found = try await causes(property(spec, [rule("self.replicas > 1", ["fieldPath": ".other"])]))
    #expect(found == ["\(place).fieldPath: Invalid value: \".other\": fieldPath must be a valid path"])
    // A schema that is wrong is told alone.
    found = try await causes(property(["type": "object"], [rule("self.x"), rule(" ")]))
    #expect(
      found == [
        "\(Self.schema).properties[spec].x-kubernetes-validations[1].rule: Required value: rule is not specified"
      ])
  }

  @Test func whatWasThereBeforeIsAskedForOnlyWhereItCanBeTold() async throws {
    let items: JSONValue = [
      "type": "string", "maxLength": 10, "x-kubernetes-validations": [rule("self == oldSelf")],
    ]
    let found = try await causes([
      "type": "object", "properties": ["names": ["type": "array", "maxItems": 10, "items": items]],
    ])
    #expect(
      found == [
        "\(Self.schema).properties[names].items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": "
          + "oldSelf cannot be used on the uncorrelatable portion of the schema within \(Self.schema).properties[names]"
      ])
  }

  @Test func rulesThatMayCostTooMuchAreRefused() async throws {
    // The documentation's own example: nothing bounds the list or its texts.
    let tags: JSONValue = ["type": "array", "items": ["type": "string"]]
    let hint =
      "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are "
      + "declared)"
    let place = "\(Self.schema).properties[spec].x-kubernetes-validations[0].rule"
    let found = try await causes(property(tags, [rule("self.all(x, x.contains('gpu'))")]))
    #expect(
      found == [
        "\(place): Forbidden: estimated rule cost exceeds budget by factor of more than 100x \(hint)",
        "\(place): Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema",
        "\(Self.schema): Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema "
          + "exceeds budget by factor of more than 100x \(hint)",
      ])
    // With bounds it is fine.
    let bounded: JSONValue = ["type": "array", "maxItems": 100, "items": ["type": "string", "maxLength": 100]]
    let rules = [rule("self.all(x, x.contains('gpu'))")]
    let reply = try await cluster.post(
      definitionsPath, definition(versions: [version("v1", schema: property(bounded, rules))]))
    #expect(reply.status == 201, "\(reply.text)")
  }

  @Test func rulesThatStayAsTheyWereAreNotJudgedAgain() async throws {
    try await cluster.define(
      definition(versions: [version("v1", schema: property(["type": "integer"], [rule("self > 1")]))]))
    let path = "\(definitionsPath)/crontabs.stable.example.com"
    #expect(try await cluster.patch(path, ["metadata": ["labels": ["a": "b"]]]).status == 200)
    var changed = try await cluster.get(path).json
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = property(["type": "integer"], [rule("self.x > 1")])
    let refused = try await cluster.put(path, changed)
    #expect(
      refused.status == 422 && refused.message.contains("compilation failed: ERROR: <input>:1:5"), "\(refused.text)")
  }

  // MARK: - Groups of the project

  @Test func definitionsOfTheProjectsGroupsSayWhoApprovedThem() async throws {
    var gateway = definition(plural: "gateways", kind: "Gateway", group: "gateway.networking.k8s.io")
    let annotation = "api-approved.kubernetes.io"
    gateway["metadata"]["annotations"] = [annotation: "yes"]
    let refused = try await cluster.post(definitionsPath, gateway)
    #expect(
      refused.message.contains(
        "metadata.annotations[\(annotation)]: Invalid value: \"yes\": protected groups must have approval annotation "
          + "\"\(annotation)\" with either a URL or a reason starting with \"unapproved\""), "\(refused.text)")
    gateway["metadata"]["annotations"] = [annotation: "https://github.com/kubernetes-sigs/gateway-api/pull/1538"]
    try await cluster.define(gateway)
    let name = "gateways.gateway.networking.k8s.io"
    let condition = try await cluster.condition("KubernetesAPIApprovalPolicyConformant", of: name)
    #expect(condition["status"] == "True" && condition["reason"] == "ApprovedAnnotation")
    #expect(condition["message"] == "approved in https://github.com/kubernetes-sigs/gateway-api/pull/1538")
  }
}
