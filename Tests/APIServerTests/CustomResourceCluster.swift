// Definitions and objects that the stories of custom resources are told with.
import APIServer
import JSON
import Replica
import Testing

let definitionsPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
let cronTabs = "/apis/stable.example.com/v1/namespaces/default/crontabs"

/// The properties of CronTabs.
let cronTabSchema: JSONValue = [
  "type": "object",
  "properties": [
    "spec": [
      "type": "object", "required": ["cronSpec"],
      "properties": [
        "cronSpec": ["type": "string", "pattern": #"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$"#],
        "image": ["type": "string", "maxLength": 10, "minLength": 1],
        "replicas": ["type": "integer", "minimum": 1, "maximum": 10, "default": 1],
        "suspend": ["type": "boolean"],
        "mode": ["type": "string", "enum": ["Fast", "Slow"], "default": "Slow"],
        "port": ["x-kubernetes-int-or-string": true],
        "weight": ["type": "number", "multipleOf": .double(0.5)],
        "comment": ["type": "string", "nullable": true],
        "free": ["type": "object", "x-kubernetes-preserve-unknown-fields": true],
        "labels": ["type": "object", "additionalProperties": ["type": "string"], "maxProperties": 2],
        "hosts": [
          "type": "array", "maxItems": 3, "x-kubernetes-list-type": "set",
          "items": ["type": "string", "format": "hostname"],
        ],
        "ports": [
          "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
          "items": [
            "type": "object", "required": ["name"],
            "properties": ["name": ["type": "string"], "number": ["type": "integer", "format": "int32"]],
          ],
        ],
      ],
    ],
    "status": [
      "type": "object",
      "properties": [
        "replicas": ["type": "integer"], "labelSelector": ["type": "string"], "phase": ["type": "string"],
      ],
    ],
  ],
]

/// One served version that is stored.
func version(_ name: String, storage: Bool = true, served: Bool = true, schema: JSONValue = cronTabSchema) -> JSONValue
{
  [
    "name": .string(name), "served": .bool(served), "storage": .bool(storage),
    "schema": ["openAPIV3Schema": schema],
  ]
}

func definition(
  plural: String = "crontabs", kind: String = "CronTab", group: String = "stable.example.com",
  scope: String = "Namespaced", versions: [JSONValue] = [version("v1")], names: JSONValue = [:]
) -> JSONValue {
  var all: JSONValue = ["plural": .string(plural), "kind": .string(kind)]
  for (name, value) in names.object ?? [:] { all[name] = value }
  return [
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": ["name": .string("\(plural).\(group)")],
    "spec": ["group": .string(group), "scope": .string(scope), "names": all, "versions": .array(versions)],
  ]
}

/// CronTabs with status and scale.
func cronTabDefinition() -> JSONValue {
  var version = version("v1")
  version["subresources"] = [
    "status": [:],
    "scale": [
      "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
      "labelSelectorPath": ".status.labelSelector",
    ],
  ]
  version["additionalPrinterColumns"] = [
    ["name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec", "description": "When it runs."],
    ["name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"],
    ["name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "priority": 1],
  ]
  version["selectableFields"] = [["jsonPath": ".spec.mode"]]
  return definition(
    versions: [version], names: ["shortNames": ["ct"], "categories": ["all"], "singular": "crontab"])
}

func cronTab(_ name: String, _ spec: JSONValue = ["cronSpec": "* * * * */5"], version: String = "v1") -> JSONValue {
  [
    "apiVersion": .string("stable.example.com/\(version)"), "kind": "CronTab", "metadata": ["name": .string(name)],
    "spec": spec,
  ]
}

extension TestServer {
  /// Posts a definition and lets the controller of definitions do its work.
  @discardableResult
  func define(_ definition: JSONValue) async throws -> Reply {
    let reply = try await post(definitionsPath, definition)
    try #require(reply.status == 201, "\(reply.text)")
    try await server.reconcileDefinitions()
    return try await get("\(definitionsPath)/\(reply.name)")
  }

  func condition(_ type: String, of definition: String) async throws -> JSONValue {
    let reply = try await get("\(definitionsPath)/\(definition)")
    return reply.json["status"]["conditions"].elements.first { $0["type"].string == type } ?? .null
  }
}
