import JSON
import Schema

@testable import Kinds

/// The vocabulary of these tests: objects as people write them, through the rules as the server applies them.
enum Given {
  static func kind(_ apiVersion: String, _ kind: String) -> KindDescriptor {
    KindRegistry.builtIn.kind(apiVersion: apiVersion, kind: kind)!
  }

  /// A pod that nothing is wrong with, after defaults of the type table.
  static func pod(_ edit: (inout JSONValue) -> Void = { _ in }) -> JSONValue {
    var pod: JSONValue = [
      "kind": "Pod", "apiVersion": "v1",
      "metadata": ["name": "web", "namespace": "default", "uid": "u1", "creationTimestamp": "2025-01-01T00:00:00Z"],
      "spec": podSpec,
    ]
    edit(&pod)
    return pod
  }

  static let container: JSONValue = [
    "name": "main", "image": "nginx:1.27", "imagePullPolicy": "IfNotPresent", "terminationMessagePolicy": "File",
    "terminationMessagePath": "/dev/termination-log", "resources": [:],
  ]
  static let podSpec: JSONValue = [
    "containers": [container], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler", "securityContext": [:], "terminationGracePeriodSeconds": 30,
  ]

  static func deployment(_ edit: (inout JSONValue) -> Void = { _ in }) -> JSONValue {
    var deployment: JSONValue = [
      "kind": "Deployment", "apiVersion": "apps/v1", "metadata": ["name": "web", "namespace": "default"],
      "spec": [
        "replicas": 3, "selector": ["matchLabels": ["app": "web"]],
        "template": ["metadata": ["labels": ["app": "web"]], "spec": podSpec],
        "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
      ],
    ]
    edit(&deployment)
    kind("apps/v1", "Deployment").rules.applyDefaults(to: &deployment)
    return deployment
  }

  static func service(_ spec: JSONValue) -> JSONValue {
    var service: JSONValue = [
      "kind": "Service", "apiVersion": "v1", "metadata": ["name": "web", "namespace": "default"], "spec": spec,
    ]
    kind("v1", "Service").rules.applyDefaults(to: &service)
    return service
  }

  static let context = RuleContext(user: RequestUser(name: "jane"), now: "2025-01-01T00:00:00Z")
}

extension KindDescriptor {
  /// `field: message` of everything wrong.
  func problems(_ object: JSONValue) -> [String] { rules.validate(object).map { "\($0.field): \($0.message)" } }
  func updateProblems(_ object: JSONValue, _ old: JSONValue) -> [String] {
    rules.validateUpdate(object, old: old).map { "\($0.field): \($0.message)" }
  }
  func replacementProblems(_ object: JSONValue, _ old: JSONValue) -> [String] {
    rules.validate(object, replacing: old).map { "\($0.field): \($0.message)" }
  }
  func statusProblems(_ object: JSONValue, _ old: JSONValue) -> [String] {
    rules.validateStatusUpdate(object, old: old).map { "\($0.field): \($0.message)" }
  }
}
