// A Deployment with the merge keys and list types of the real one, small enough to read.
import JSON
import Schema

/// A tree written as JSON.
func tree(_ text: String) -> JSONValue {
  do { return try JSONValue(parsing: text) } catch { preconditionFailure("a test's JSON does not parse: \(error)") }
}

enum ApplyFixture {
  private static func field(
    _ number: Int, _ name: String, _ type: FieldType, pointer: Bool = false, always: Bool = false,
    list: ListSemantics = .atomic, atomic: Bool = false, patch: PatchStrategy = PatchStrategy(),
    defaultValue: JSONValue? = nil, inline: Bool = false
  ) -> Field {
    var field = Fixture.field(number, name, type, pointer: pointer, always: always, inline: inline)
    field.listSemantics = list
    field.isAtomic = atomic
    field.patchStrategy = patch
    field.defaultValue = defaultValue
    return field
  }
  private static func merge(_ key: String? = nil, retainsKeys: Bool = false) -> PatchStrategy {
    PatchStrategy(merges: true, retainsKeys: retainsKeys, mergeKey: key)
  }
  private static func keyed(_ keys: String...) -> ListSemantics { .map(keys: keys) }

  static let ownerReference = Fixture.structure(
    "meta.v1.OwnerReference", [field(3, "name", .string, always: true), field(4, "uid", .string, always: true)])
  static let objectMeta = Fixture.structure(
    "meta.v1.ObjectMeta",
    [
      field(1, "name", .string), field(3, "namespace", .string), field(5, "uid", .string),
      field(6, "resourceVersion", .string), field(7, "generation", .int64),
      field(8, "creationTimestamp", .time, always: true), field(11, "labels", .map(.string)),
      field(12, "annotations", .map(.string)),
      field(13, "ownerReferences", .array(.structure(ownerReference)), list: keyed("uid"), patch: merge("uid")),
      field(14, "finalizers", .array(.string), list: .set, patch: merge()),
      field(17, "managedFields", .array(.rawObject)),
    ])
  static let env = Fixture.structure(
    "core.v1.EnvVar", [field(1, "name", .string, always: true), field(2, "value", .string)])
  static let port = Fixture.structure(
    "core.v1.ContainerPort",
    [
      field(1, "name", .string), field(3, "containerPort", .int32, always: true),
      field(4, "protocol", .string, defaultValue: "TCP"),
    ])
  static let resources = Fixture.structure(
    "core.v1.ResourceRequirements", [field(1, "limits", .map(.quantity)), field(2, "requests", .map(.quantity))])
  static let container = Fixture.structure(
    "core.v1.Container",
    [
      field(1, "name", .string, always: true), field(2, "image", .string), field(4, "args", .array(.string)),
      field(
        6, "ports", .array(.structure(port)), list: keyed("containerPort", "protocol"), patch: merge("containerPort")),
      field(7, "env", .array(.structure(env)), list: keyed("name"), patch: merge("name")),
      field(8, "resources", .structure(resources), always: true),
    ])
  static let emptyDir = Fixture.structure("core.v1.EmptyDirVolumeSource", [field(1, "medium", .string)])
  static let secret = Fixture.structure("core.v1.SecretVolumeSource", [field(1, "secretName", .string)])
  static let volumeSource = Fixture.structure(
    "core.v1.VolumeSource",
    [
      field(2, "emptyDir", .structure(emptyDir), pointer: true),
      field(6, "secret", .structure(secret), pointer: true),
    ])
  static let volume = Fixture.structure(
    "core.v1.Volume",
    [field(1, "name", .string, always: true), field(2, "volumeSource", .structure(volumeSource), inline: true)])
  static let toleration = Fixture.structure(
    "core.v1.Toleration", [field(1, "key", .string), field(2, "operator", .string)])
  static let podSpec = Fixture.structure(
    "core.v1.PodSpec",
    [
      field(
        1, "volumes", .array(.structure(volume)), list: keyed("name"), patch: merge("name", retainsKeys: true)),
      field(2, "containers", .array(.structure(container)), always: true, list: keyed("name"), patch: merge("name")),
      field(3, "restartPolicy", .string, defaultValue: "Always"),
      field(4, "terminationGracePeriodSeconds", .int64, pointer: true),
      field(7, "nodeSelector", .map(.string), atomic: true),
      field(22, "tolerations", .array(.structure(toleration))),
    ])
  static let template = Fixture.structure(
    "core.v1.PodTemplateSpec",
    [
      field(1, "metadata", .structure(objectMeta), always: true), field(2, "spec", .structure(podSpec), always: true),
    ])
  static let rollingUpdate = Fixture.structure(
    "apps.v1.RollingUpdateDeployment", [field(1, "maxSurge", .intOrString, pointer: true)])
  static let strategy = Fixture.structure(
    "apps.v1.DeploymentStrategy",
    [field(1, "type", .string), field(2, "rollingUpdate", .structure(rollingUpdate), pointer: true)])
  static let selector = Fixture.structure("meta.v1.LabelSelector", [field(1, "matchLabels", .map(.string))])
  static let spec = Fixture.structure(
    "apps.v1.DeploymentSpec",
    [
      field(1, "replicas", .int32, pointer: true, defaultValue: 1),
      field(
        2, "selector", .structure(selector), pointer: true, always: true, atomic: true,
        patch: PatchStrategy(replaces: true)),
      field(3, "template", .structure(template), always: true),
      field(4, "strategy", .structure(strategy), always: true, patch: PatchStrategy(retainsKeys: true)),
      field(7, "paused", .boolean),
    ])
  static let condition = Fixture.structure(
    "apps.v1.DeploymentCondition",
    [field(1, "type", .string, always: true), field(2, "status", .string, always: true)])
  static let status = Fixture.structure(
    "apps.v1.DeploymentStatus",
    [
      field(2, "replicas", .int32),
      field(6, "conditions", .array(.structure(condition)), list: keyed("type"), patch: merge("type")),
    ])
  static let deployment = Fixture.structure(
    "apps.v1.Deployment",
    [
      field(0, "kind", .string), field(0, "apiVersion", .string),
      field(1, "metadata", .structure(objectMeta), always: true), field(2, "spec", .structure(spec), always: true),
      field(3, "status", .structure(status), always: true),
    ])

  static let kind = GroupVersionKind(group: "apps", version: "v1", kind: "Deployment")

  /// As the server stores it.
  static func stored(_ text: String) -> JSONValue { TypedDecoder.canonicalized(tree(text), as: deployment) }
}
