// What is wrong with definitions of kinds: versions, schemas, converters, in the words, at the places and in the order
// in which Kubernetes 1.32 tells it.
import JSON
import Schema
import Testing

@testable import Kinds

@Suite struct `What is refused of definitions` {
  private func definition(_ versions: [JSONValue], _ edit: (inout JSONValue) -> Void = { _ in }) -> JSONValue {
    var definition: JSONValue = [
      "metadata": ["name": "things.example.com"],
      "spec": [
        "group": "example.com", "scope": "Namespaced", "names": ["plural": "things", "kind": "Thing"],
        "versions": .array(versions),
      ],
    ]
    edit(&definition)
    let rules = Given.kind("apiextensions.k8s.io/v1", "CustomResourceDefinition").rules
    rules.applyDefaults(to: &definition)
    rules.prepareForCreate(&definition, context: Given.context)
    return definition
  }
  private func version(_ name: String, storage: Bool = true, _ schema: JSONValue = ["type": "object"]) -> JSONValue {
    ["name": .string(name), "served": true, "storage": .bool(storage), "schema": ["openAPIV3Schema": schema]]
  }
  private func problems(_ definition: JSONValue) -> [String] {
    Given.kind("apiextensions.k8s.io/v1", "CustomResourceDefinition").problems(definition)
  }

  @Test func `one version of a definition is stored`() {
    func printed(_ name: String, _ isStored: Bool) -> String {
      "apiextensions.CustomResourceDefinitionVersion{Name:\"\(name)\", Served:true, Storage:\(isStored), "
        + "Deprecated:false, DeprecationWarning:(*string)(nil), Schema:(*apiextensions.CustomResourceValidation)(nil), "
        + "Subresources:(*apiextensions.CustomResourceSubresources)(nil), "
        + "AdditionalPrinterColumns:[]apiextensions.CustomResourceColumnDefinition(nil), "
        + "SelectableFields:[]apiextensions.SelectableField(nil)}"
    }
    let wrong = "must have exactly one version marked as storage version"
    #expect(
      problems(definition([version("v1", storage: false)])) == [
        "spec.versions: Invalid value: []apiextensions.CustomResourceDefinitionVersion{\(printed("v1", false))}: "
          + wrong,
        "status.storedVersions: Invalid value: []string(nil): must have at least one stored version",
      ])
    #expect(
      problems(definition([version("v1"), version("v2")])) == [
        "spec.versions: Invalid value: []apiextensions.CustomResourceDefinitionVersion{\(printed("v1", true)), "
          + "\(printed("v2", true))}: \(wrong)",
        "status.storedVersions: Invalid value: []string{\"v1\"}: must have the storage version v2",
      ])
  }

  @Test func `what versions have of their own is told of before names`() {
    var second = version("v2", storage: false, ["type": "object", "uniqueItems": true])
    second["deprecationWarning"] = "a\u{200b}"
    second["deprecated"] = true
    let problems = problems(
      definition([version("v1"), second]) { $0["spec"]["names"]["plural"] = "Things" })
    #expect(
      problems.map { String($0.prefix { $0 != ":" }) }
        == [
          "metadata.name", "spec.versions[1].deprecationWarning", "spec.versions[1].schema.openAPIV3Schema.uniqueItems",
          "spec.names.plural", "status.acceptedNames.plural",
        ].dropLast())
    #expect(
      problems.contains(
        "spec.versions[1].deprecationWarning: Invalid value: \"a\u{200b}\": must only contain printable UTF-8 characters; "
          + "non-printable character found at index 1"))
  }

  @Test func `the root of a schema with a status is an object`() {
    var only = version("v1", ["type": "string"])
    only["subresources"] = ["status": [:]]
    #expect(
      problems(definition([only])) == [
        "spec.validation.openAPIV3Schema.type: Invalid value: \"string\": only \"object\" is allowed as the type at the "
          + "root of the schema if the status subresource is enabled",
        "spec.validation.openAPIV3Schema.type: Invalid value: \"string\": must be object at the root",
      ])
  }

  static let schemas: [(JSONValue, [String])] = [
    (
      ["type": "object", "properties": ["a": ["$ref": "#/b"]]],
      [".properties[a].$ref: Forbidden: $ref is not supported"]
    ),
    (["type": "object", "$schema": "x"], [": Invalid value: \"\": OpenAPIV3Schema 'schema' is not supported"]),
    (
      ["nullable": true],
      [
        ".nullable: Forbidden: nullable cannot be true at the root",
        ".type: Required value: must not be empty at the root",
      ]
    ),
    (
      [
        "type": "object",
        "properties": [
          "a": ["type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]]
        ],
      ],
      [
        ".properties[a].items: Required value: must be specified",
        ".properties[a].items: Required value: must have a schema if x-kubernetes-list-type is map",
      ]
    ),
    (
      [
        "type": "object",
        "properties": [
          "a": [
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "k"],
            "items": ["type": "object", "nullable": true, "properties": ["k": ["type": "string"]]],
          ]
        ],
      ],
      [
        ".properties[a].x-kubernetes-list-map-keys: Invalid value: []string{\"k\", \"k\"}: must not contain duplicate "
          + "entries",
        ".properties[a].items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is map",
        ".properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it "
          + "must have a default or be a required property",
        ".properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it "
          + "must have a default or be a required property",
      ]
    ),
    (
      [
        "type": "object",
        "properties": [
          "a": [
            "type": "array", "x-kubernetes-list-type": "set",
            "items": ["type": "object", "x-kubernetes-map-type": "granular"],
          ]
        ],
      ],
      [
        ".properties[a].items.x-kubernetes-map-type: Invalid value: \"null\": must be atomic as item of a list with "
          + "x-kubernetes-list-type=set"
      ]
    ),
    (
      [
        "type": "object",
        "x-kubernetes-validations": [["rule": "true", "message": "a\nb", "reason": "No", "fieldPath": ".x"]],
      ],
      [
        ".x-kubernetes-validations[0].message: Invalid value: \"a\\nb\": message must not contain line breaks",
        ".x-kubernetes-validations[0].reason: Unsupported value: \"No\": supported values: \"FieldValueDuplicate\", "
          + "\"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\"",
        ".x-kubernetes-validations[0].fieldPath: Invalid value: \".x\": fieldPath must be a valid path",
      ]
    ),
  ]

  @Test(arguments: schemas.indices) func `of schemas`(index: Int) {
    let (schema, expected) = Self.schemas[index]
    #expect(problems(definition([version("v1", schema)])) == expected.map { "spec.validation.openAPIV3Schema\($0)" })
  }

  @Test(
    arguments: [
      (".spec.color", []),
      (".metadata.name", ["is an invalid path: does not refer to a valid field"]),
      (".spec.labels.tier", []),
      (".metadata.tag", ["must not point to fields in metadata"]),
      ("spec.color", ["is an invalid path: expected [ or . but got: spec"]),
      (".spec['color']", ["is an invalid path: array notation is not allowed"]),
      (".spec.color.", ["is an invalid path: unexpected end of JSON path"]),
      (".spec]", ["is an invalid path: expected [ or . but got: ]"]),
      (".spec.size", ["is an invalid path: does not refer to a valid field"]),
      (
        ".spec",
        [
          "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are "
            + "allowed."
        ]
      ),
    ] as [(String, [String])])
  func `of fields to select by`(path: String, reasons: [String]) {
    let text: JSONValue = ["type": "string"]
    let labels: JSONValue = ["type": "object", "additionalProperties": text]
    var version = version(
      "v1",
      storage: true,
      [
        "type": "object",
        "properties": [
          "metadata": ["type": "object", "properties": ["tag": text]],
          "spec": ["type": "object", "properties": ["color": text, "labels": labels]],
        ],
      ])
    version["selectableFields"] = [["jsonPath": .string(path)]]
    let place = "spec.selectableFields[0].jsonPath"
    let told = problems(definition([version])).filter { $0.hasPrefix(place) }
    #expect(told == reasons.map { "\(place): Invalid value: \"\(path)\": \($0)" })
  }

  @Test func `an authority may be wrong until the kind is served`() {
    func definition(_ bundle: String, isServed: Bool) -> JSONValue {
      self.definition([version("v1")]) {
        $0["spec"]["conversion"] = [
          "strategy": "Webhook",
          "webhook": [
            "conversionReviewVersions": ["v1"],
            "clientConfig": ["url": "https://example.com/x", "caBundle": .string(bundle)],
          ],
        ]
      }.with { if isServed { $0["status"]["conditions"] = [["type": "Established", "status": "True"]] } }
    }
    let kind = Given.kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    let wrong = definition("Cg==", isServed: false)
    #expect(problems(wrong) == [])
    #expect(!DefinitionAuthority.isSound(wrong))
    #expect(kind.replacementProblems(wrong, definition("", isServed: false)) == [])
    #expect(
      kind.replacementProblems(wrong, definition("", isServed: true)) == [
        "spec.conversion.webhookClientConfig.caBundle: Invalid value: []byte{0xa}: unable to load root certificates: "
          + "unable to parse bytes as PEM block"
      ])
    func block(_ type: String, _ content: String) -> [UInt8] {
      Array("-----BEGIN \(type)-----\n\(content)\n-----END \(type)-----\n".utf8)
    }
    let prefix = "unable to load root certificates: "
    #expect(
      PEMText.problem(ofAuthorities: block("PRIVATE KEY", "MAA=")) == prefix
        + "no valid certificate authority data seen")
    #expect(
      PEMText.problem(ofAuthorities: block("CERTIFICATE", "YWJj")) == prefix
        + "failed to parse certificate: x509: malformed certificate")
    #expect(PEMText.problem(ofAuthorities: block("CERTIFICATE", "MAA=")) == nil)
    #expect(kind.replacementProblems(wrong, definition("Cg==", isServed: true)) == [])
  }
}

extension JSONValue {
  fileprivate func with(_ edit: (inout JSONValue) -> Void) -> JSONValue {
    var result = self
    edit(&result)
    return result
  }
}
