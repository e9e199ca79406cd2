import JSON
import Schema
import Testing

@Suite("A body becomes an object of its kind")
struct DecodingTests {
  private func decode(
    _ text: String, contentType: String? = nil, _ validation: FieldValidation = .strict, registered: Bool = false
  ) throws(APIStatus) -> BodyDecoder.Decoded {
    try BodyDecoder.decode(
      Array(text.utf8), contentType: contentType, expected: Fixture.kind, structure: Fixture.deployment,
      validation: validation, isRegistered: { _ in registered })
  }
  private func message(_ text: String, _ validation: FieldValidation = .strict, registered: Bool = false) -> String {
    do throws(APIStatus) {
      _ = try decode(text, validation, registered: registered)
      return "no error"
    } catch {
      #expect(error.code == 400 && error.reason == "BadRequest")
      return error.message
    }
  }

  @Test("in canonical form: schema order, sorted maps, canonical values, zeros as the reference writes them")
  func canonicalForm() throws {
    let decoded = try decode(Fixture.text)
    #expect(decoded.object.description == Fixture.canonical)
    #expect(decoded.warnings.isEmpty)
    let again = try TypedDecoder.decode(decoded.object, as: Fixture.deployment)
    #expect(again.value.description == Fixture.canonical)
    #expect(again.strictErrors.isEmpty)
  }

  @Test("kind and apiVersion are filled in where the body leaves them out")
  func kindFilledIn() throws {
    let object = try decode(#"{"metadata":{"name":"a"}}"#).object
    #expect(object["kind"] == "Deployment")
    #expect(object["apiVersion"] == "apps/v1")
    #expect(object["spec"]["template"]["spec"].description == #"{"containers":null}"#)
    #expect(object["spec"].object?.members.map(\.key) == ["selector", "template"])
  }

  @Test(
    "values of the wrong type are refused in the words of the reference",
    arguments: [
      (
        #"{"spec":{"replicas":"3"}}"#,
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
      ),
      (
        #"{"spec":{"replicas":3.5}}"#,
        "json: cannot unmarshal number 3.5 into Go struct field DeploymentSpec.spec.replicas of type int32"
      ),
      (
        #"{"spec":{"replicas":3000000000}}"#,
        "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32"
      ),
      (
        #"{"spec":[]}"#,
        "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec"
      ),
      (
        #"{"metadata":{"labels":{"a":1}}}"#,
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"
      ),
      (
        #"{"spec":{"template":{"spec":{"containers":[{"ports":[{"containerPort":true}]}]}}}}"#,
        "json: cannot unmarshal bool into Go struct field ContainerPort.spec.template.spec.containers.ports.containerPort of type int32"
      ),
      (
        #"{"spec":{"template":{"spec":{"containers":{}}}}}"#,
        "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"
      ),
      (
        #"{"spec":{"template":{"spec":{"containers":[{"limits":{"cpu":"1x"}}]}}}}"#,
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
      ),
      (#"{"spec":{"data":{"k":"a"}}}"#, "illegal base64 data at input byte 1"),
      (#"{"spec":{"timeout":"5 apples"}}"#, "time: invalid duration \"5 apples\""),
      (
        #"{"metadata":{"creationTimestamp":"noon"}}"#,
        "parsing time \"noon\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"noon\" as \"2006\""
      ),
    ])
  func wrongTypes(text: String, why: String) {
    #expect(message(text) == "Deployment in version \"v1\" cannot be handled as a Deployment: \(why)")
  }

  @Test("members that are unknown or occur twice: an error, warnings or nothing, as the client wishes")
  func strictness() throws {
    let text =
      #"{"metadata":{"name":"a","nam":"b"},"spec":{"unknown1":1,"unknown1":2,"paused":true,"paused":false,"#
      + #""template":{"spec":{"containers":[{"name":"c","imag":"i","tty":true,"tty":true}]}}},"kind":"Deployment"}"#
    let errors = [
      "unknown field \"metadata.nam\"", "unknown field \"spec.unknown1\"", "duplicate field \"spec.paused\"",
      "unknown field \"spec.template.spec.containers[0].imag\"",
      "duplicate field \"spec.template.spec.containers[0].tty\"",
    ]
    #expect(
      message(text)
        == "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: "
        + errors.joined(separator: ", "))
    #expect(try decode(text, .warn).warnings == errors)
    let ignored = try decode(text, .ignore)
    #expect(ignored.warnings.isEmpty)
    #expect(ignored.object["metadata"]["nam"].isNull)
    #expect(ignored.object["spec"]["paused"].isNull)
  }

  @Test("bodies that are no object of the kind are refused")
  func otherBodies() {
    #expect(
      message(#"{"kind":"Pod","apiVersion":"v1"}"#, registered: true)
        == "Pod in version \"v1\" cannot be handled as a Deployment: converting (v1.Pod) to (apps.Deployment): unknown conversion"
    )
    #expect(
      message(#"{"kind":"Deployment","apiVersion":"apps/v2"}"#, registered: true)
        == "the API version in the data (apps/v2) does not match the expected API version (apps/v1)")
    #expect(
      message(#"{"kind":"Deployment","apiVersion":"apps/v9"}"#)
        == "Deployment in version \"v9\" cannot be handled as a Deployment: no kind \"Deployment\" is registered for version "
        + "\"apps/v9\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"")
    #expect(
      message(#"{"kind":"Deployment","apiVersion":"a/b/c"}"#)
        == "the object provided is unrecognized (must be of type Deployment): unexpected GroupVersion string: a/b/c "
        + #"({"kind":"Deployment","apiVersi ...)"#)
    #expect(message("null") == "no error", "nothing is an object that says nothing")
    #expect(
      message("{\"a\"")
        == "the object provided is unrecognized (must be of type Deployment): couldn't get version/kind; json parse error: unexpected end of JSON input ({\"a\")"
    )
    #expect(message("").hasSuffix("unexpected end of JSON input (<empty>)"))
    #expect(message("[]").contains("json: cannot unmarshal array into Go value of type struct"))
    #expect(message(#"{"kind":7}"#).contains("number into Go struct field .kind of type string"))
  }

  @Test("the content type decides the encoding; unknown ones are 415, too much is 413")
  func contentTypes() throws {
    #expect(try decode("{}", contentType: "application/json; charset=utf-8").object["kind"] == "Deployment")
    #expect(throws: APIStatus.self) { try decode("{}", contentType: "text/plain") }
    do { _ = try decode("{}", contentType: "application/cbor") } catch { #expect(error.code == 415) }
    do {
      _ = try BodyDecoder.decode(
        [UInt8](repeating: 0x20, count: BodyDecoder.bodyMaximum + 1), contentType: nil, expected: Fixture.kind,
        structure: Fixture.deployment)
    } catch { #expect(error.code == 413) }
  }

  @Test("structures that preserve unknown members keep them, after the known ones")
  func preserved() throws {
    let open = Fixture.structure("x.Open", preservesUnknownFields: true, [Fixture.field(1, "b", .string)])
    let result = try TypedDecoder.decode(["z": [1], "b": "x", "a": ["c": 1]], as: open)
    #expect(result.value.description == #"{"b":"x","a":{"c":1},"z":[1]}"#)
    #expect(result.strictErrors.isEmpty)
  }

  @Test("nulls in lists and maps are the zero of their type")
  func nulls() throws {
    let value = try TypedDecoder.decode(
      ["extra": ["a": nil], "numbers": [nil, 2], "data": ["k": nil], "selector": nil], as: Fixture.spec
    ).value
    #expect(value["numbers"] == [0, 2])
    #expect(value.description.contains(#""selector":null"#))
    #expect(value.description.contains(#""extra":{"a":null}"#))
  }

  @Test("defaults are filled in where a member is absent, or zero and no pointer, in schema order")
  func defaults() throws {
    var object = try decode(Fixture.text).object
    object["spec"]["replicas"] = 0
    Fixture.deployment.applyDefaults(to: &object)
    #expect(object["spec"]["replicas"] == 0)
    let podSpec = object["spec"]["template"]["spec"]
    #expect(podSpec["restartPolicy"] == "Always")
    #expect(podSpec["gracePeriod"] == 30)
    #expect(podSpec["securityContext"] == [:])
    #expect(podSpec["containers"][0]["ports"][0]["protocol"] == "TCP")
    #expect(
      podSpec.object?.members.map(\.key)
        == ["containers", "volumes", "restartPolicy", "gracePeriod", "securityContext"])
    #expect(TypedDecoder.canonicalized(object, as: Fixture.deployment).bytes == object.bytes)

    var empty = try decode("{}").object
    Fixture.deployment.applyDefaults(to: &empty)
    #expect(empty["spec"]["replicas"] == 1)
    #expect(empty["spec"].object?.members.first?.key == "replicas")
  }
}
