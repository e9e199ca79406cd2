// A small API in the shape of the real one: kinds with metadata, specs, inline structures, maps, special messages.
import JSON
import Schema

enum Fixture {
  static func field(
    _ number: Int, _ name: String, _ type: FieldType, pointer: Bool = false, always: Bool = false,
    required: Bool = false, inline: Bool = false, defaultValue: JSONValue? = nil, enumeration: [String] = []
  ) -> Field {
    var field = Field(name: name, number: number, type: type)
    field.isPointer = pointer
    field.isAlwaysWritten = always
    field.isRequired = required
    field.isInline = inline
    field.defaultValue = defaultValue
    field.enumeration = enumeration
    return field
  }

  static func structure(_ name: String, preservesUnknownFields: Bool = false, _ fields: [Field]) -> Structure {
    let structure = Structure(name: name, preservesUnknownFields: preservesUnknownFields)
    structure.seal(fields: fields)
    structure.expandInline()
    return structure
  }

  static let ownerReference = structure(
    "meta.v1.OwnerReference",
    [
      field(1, "kind", .string, always: true, required: true), field(3, "name", .string, always: true, required: true),
      field(4, "uid", .string, always: true, required: true),
      field(5, "apiVersion", .string, always: true, required: true), field(6, "controller", .boolean, pointer: true),
    ])
  static let objectMeta = structure(
    "meta.v1.ObjectMeta",
    [
      field(1, "name", .string), field(2, "generateName", .string), field(3, "namespace", .string),
      field(5, "uid", .string), field(6, "resourceVersion", .string), field(7, "generation", .int64),
      field(8, "creationTimestamp", .time, always: true), field(9, "deletionTimestamp", .time, pointer: true),
      field(10, "deletionGracePeriodSeconds", .int64, pointer: true), field(11, "labels", .map(.string)),
      field(12, "annotations", .map(.string)), field(13, "ownerReferences", .array(.structure(ownerReference))),
      field(14, "finalizers", .array(.string)),
    ])
  static let secretSource = structure("core.v1.SecretVolumeSource", [field(1, "secretName", .string)])
  static let volumeSource = structure(
    "core.v1.VolumeSource",
    [
      field(1, "secret", .structure(secretSource), pointer: true),
      field(2, "raw", .rawObject, always: true),
    ])
  static let volume = structure(
    "core.v1.Volume",
    [
      field(1, "name", .string, always: true, required: true),
      field(2, "volumeSource", .structure(volumeSource), inline: true),
    ])
  static let port = structure(
    "core.v1.ContainerPort",
    [
      field(1, "containerPort", .int32, always: true, required: true),
      field(2, "protocol", .string, defaultValue: "TCP", enumeration: ["TCP", "UDP", "SCTP"]),
      field(3, "target", .intOrString, always: true),
    ])
  static let container = structure(
    "core.v1.Container",
    [
      field(1, "name", .string, always: true, required: true), field(2, "ports", .array(.structure(port))),
      field(3, "limits", .map(.quantity)), field(4, "tty", .boolean), field(5, "weight", .double),
    ])
  static let podSpec = structure(
    "core.v1.PodSpec",
    [
      field(1, "containers", .array(.structure(container)), always: true, required: true),
      field(2, "volumes", .array(.structure(volume))),
      field(
        3, "restartPolicy", .string, defaultValue: "Always", enumeration: ["Always", "Never", "OnFailure"]),
      field(4, "gracePeriod", .int64, pointer: true, defaultValue: 30),
      field(5, "securityContext", .structure(secretSource), pointer: true, defaultValue: [:]),
    ])
  static let template = structure(
    "core.v1.PodTemplateSpec",
    [field(1, "metadata", .structure(objectMeta), always: true), field(2, "spec", .structure(podSpec), always: true)])
  static let spec = structure(
    "apps.v1.DeploymentSpec",
    [
      field(1, "replicas", .int32, pointer: true, defaultValue: 1),
      field(2, "selector", .map(.string), pointer: true, always: true, required: true),
      field(3, "template", .structure(template), always: true, required: true), field(7, "paused", .boolean),
      field(8, "timeout", .duration), field(9, "renewed", .microTime, pointer: true), field(10, "data", .map(.bytes)),
      field(11, "extra", .map(.array(.string))), field(12, "flag", .boolean, pointer: true),
      field(13, "numbers", .array(.int32)), field(14, "any", .anyValue, pointer: true),
    ])
  static let status = structure(
    "apps.v1.DeploymentStatus",
    [field(1, "observedGeneration", .int64), field(2, "replicas", .int32, always: true)])
  static let deployment = structure(
    "apps.v1.Deployment",
    [
      field(0, "kind", .string), field(0, "apiVersion", .string),
      field(1, "metadata", .structure(objectMeta), always: true), field(2, "spec", .structure(spec), always: true),
      field(3, "status", .structure(status), always: true),
    ])
  static let kind = GroupVersionKind(group: "apps", version: "v1", kind: "Deployment")

  /// A Deployment with a little of everything, out of order.
  static let text = #"""
    {"spec":{"paused":false,"template":{"spec":{"volumes":[{"secret":{"secretName":"s"},"name":"v"}],
    "containers":[{"ports":[{"containerPort":80,"target":"http"}],"name":"c","limits":{"memory":"1024Mi","cpu":"0.5"},
    "weight":1.5}]}},"selector":{"b":"2","a":"1"},"replicas":3,"timeout":"90s","renewed":"2025-01-01T01:00:00.5+01:00",
    "data":{"k":"aGk="},"extra":{"x":["1","2"]},"flag":false,"numbers":[1,-2]},"kind":"Deployment","apiVersion":"apps/v1",
    "metadata":{"name":"web","labels":{"z":"","a":"b"},"namespace":"default","annotations":null}}
    """#
  static let canonical =
    #"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"web","namespace":"default","#
    + #""creationTimestamp":null,"labels":{"a":"b","z":""}},"spec":{"replicas":3,"selector":{"a":"1","b":"2"},"#
    + #""template":{"metadata":{"creationTimestamp":null},"spec":{"containers":[{"name":"c","ports":[{"containerPort":80,"#
    + #""target":"http"}],"limits":{"cpu":"500m","memory":"1Gi"},"weight":1.5}],"volumes":[{"name":"v","secret":"#
    + #"{"secretName":"s"},"raw":null}]}},"timeout":"1m30s","renewed":"2025-01-01T00:00:00.500000Z","data":{"k":"aGk="},"#
    + #""extra":{"x":["1","2"]},"flag":false,"numbers":[1,-2]},"status":{"replicas":0}}"#
}
