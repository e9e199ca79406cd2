import JSON
import Schema
import Testing

@Suite("What is wrong is said in the words of Kubernetes")
struct ValidationTests {
  @Test("names")
  func names() {
    for name in ["a", "a-b", "0", "a.b-c.d"] { #expect(Validate.dns1123Subdomain(name).isEmpty) }
    for name in ["", "A", "-a", "a-", "a..b", "a_b", "ä", ".a"] { #expect(!Validate.dns1123Subdomain(name).isEmpty) }
    #expect(
      Validate.dns1123Subdomain("A_") == [
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
      ])
    #expect(Validate.dns1123Label("a.b") == ["must not contain dots"])
    #expect(
      Validate.dns1123Label(String(repeating: "a", count: 64)) == ["must be no more than 63 bytes"])
    #expect(
      Validate.dns1035Label("0") == [
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
      ])
    #expect(Validate.pathSegmentName("system:node").isEmpty)
    #expect(Validate.pathSegmentName("..") == ["may not be '..'"])
    #expect(Validate.pathSegmentName("a/b%") == ["may not contain '/'", "may not contain '%'"])
    #expect(Validate.nameIsDNSSubdomain("web-", isPrefix: true).isEmpty)
    #expect(!Validate.nameIsDNSSubdomain("web-").isEmpty)
  }

  @Test("qualified names")
  func qualifiedNames() {
    for name in ["a", "A_b.c", "example.com/a"] { #expect(Validate.qualifiedName(name).isEmpty) }
    #expect(Validate.qualifiedName("/a") == ["prefix part must be non-empty"])
    #expect(
      Validate.qualifiedName("x/") == [
        "name part must be non-empty",
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
      ])
    #expect(Validate.qualifiedName("a/b/c").first?.hasPrefix("a qualified name must consist of") == true)
  }

  @Test("ports, percentages and keys")
  func others() {
    #expect(Validate.port(0) == ["must be between 1 and 65535, inclusive"])
    #expect(Validate.portName("http").isEmpty)
    #expect(Validate.portName("80") == ["must contain at least one letter (a-z)"])
    #expect(
      Validate.portName("-a--b") == ["must not contain consecutive hyphens", "must not begin or end with a hyphen"])
    #expect(Validate.percent("25%").isEmpty)
    #expect(!Validate.percent("%").isEmpty)
    #expect(Validate.configMapKey("a.b_c-D").isEmpty)
    #expect(Validate.configMapKey("..a") == ["must not start with '..'"])
    #expect(Validate.environmentVariableName("A B").isEmpty)
    #expect(!Validate.environmentVariableName("A=B").isEmpty)
    #expect(Validate.domainPrefixedPath("acme.io/foo", "f").isEmpty)
    #expect(!Validate.domainPrefixedPath("foo", "f").isEmpty)
  }

  private func create(_ metadata: JSONValue, isNamespaced: Bool = true) -> [String] {
    ObjectMetaValidation.create(metadata, isNamespaced: isNamespaced) {
      Validate.nameIsDNSSubdomain($0, isPrefix: $1)
    }.map { "\($0.field): \($0.message)" }
  }

  @Test("finalizers without a domain: of custom kinds anybody's, with a warning")
  func shortFinalizers() {
    let thing = GroupVersionKind(group: "example.com", version: "v1", kind: "Thing")
    #expect(!ObjectMetaValidation.knowsFinalizers(thing, isCustom: true))
    #expect(
      ObjectMetaValidation.knowsFinalizers(GroupVersionKind(group: "", version: "v1", kind: "Pod"), isCustom: false))
    let metadata: JSONValue = ["name": "a", "finalizers": ["b.example.com"], "resourceVersion": "1"]
    #expect(
      ObjectMetaValidation.create(metadata, isNamespaced: false, knowsFinalizers: false) { _, _ in [] }.isEmpty)
    #expect(
      ObjectMetaValidation.updateAsToldOf(
        metadata, old: ["name": "a"], isCheckedByKind: false, knowsFinalizers: false
      ).isEmpty)
    #expect(ObjectMetaValidation.updateAsToldOf(metadata, old: ["name": "a"], isCheckedByKind: true).count == 2)
    #expect(
      ObjectMetaValidation.finalizerWarnings(["x/y", "b.example.com", "foregroundDeletion"], old: ["x/y"]) == [
        "metadata.finalizers: \"b.example.com\": prefer a domain-qualified finalizer name including a path (/) to avoid "
          + "accidental conflicts with other finalizer writers"
      ])
    #expect(ObjectMetaValidation.finalizerWarnings(["b"], old: ["b"]).isEmpty)
    #expect(
      ObjectMetaValidation.finalizerNames(["kubernetes", "b"], "spec.finalizers").map(\.field) == ["spec.finalizers[1]"]
    )
  }

  @Test("metadata of a new object")
  func newMetadata() {
    #expect(create(["name": "a", "namespace": "b", "labels": ["x": "y"], "finalizers": ["example.com/f"]]).isEmpty)
    #expect(create(["namespace": "b"]) == ["metadata.name: Required value: name or generateName is required"])
    #expect(create(["name": "a"]) == ["metadata.namespace: Required value"])
    #expect(
      create(["name": "a", "namespace": "b"], isNamespaced: false)
        == ["metadata.namespace: Forbidden: not allowed on this type"])
    #expect(
      create(["name": "a", "namespace": "b", "finalizers": ["bare"]]) == [
        "metadata.finalizers[0]: Invalid value: \"bare\": name is neither a standard finalizer name nor is it fully qualified"
      ])
    let event: JSONValue = ["apiVersion": "v1", "kind": "Event", "name": "e", "uid": "u"]
    #expect(
      create(["name": "a", "namespace": "b", "finalizers": ["b_"], "ownerReferences": [event]]) == [
        "metadata.ownerReferences: Invalid value: v1.OwnerReference{APIVersion:\"v1\", Kind:\"Event\", Name:\"e\", "
          + "UID:\"u\", Controller:(*bool)(nil), BlockOwnerDeletion:(*bool)(nil)}: /v1, Kind=Event is disallowed from "
          + "being an owner",
        "metadata.finalizers: Invalid value: \"b_\": name part must consist of alphanumeric characters, '-', '_' or '.', "
          + "and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex "
          + "used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        "metadata.finalizers[0]: Invalid value: \"b_\": name is neither a standard finalizer name nor is it fully "
          + "qualified",
      ])
    #expect(
      create([
        "name": "a", "namespace": "b",
        "annotations": ["k": .string(String(repeating: "x", count: Validate.annotationsMaximum))],
      ]) == ["metadata.annotations: Too long: may not be more than 262144 bytes"])
    let owner: JSONValue = ["apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true]
    #expect(create(["name": "a", "namespace": "b", "ownerReferences": [owner]]).isEmpty)
    #expect(
      create(["name": "a", "namespace": "b", "ownerReferences": [owner, owner]]).first?.hasSuffix(
        "Only one reference can have Controller set to true. Found \"true\" in references for Pod/p and Pod/p") == true)
    #expect(
      create(["name": "a", "namespace": "b", "ownerReferences": [["apiVersion": "v1", "kind": "Pod", "name": "p"]]])
        == ["metadata.ownerReferences.uid: Invalid value: \"\": must not be empty"])
  }

  @Test("metadata of a changed object")
  func changedMetadata() {
    let old: JSONValue = ["name": "a", "uid": "u", "resourceVersion": "1", "generation": 2]
    #expect(ObjectMetaValidation.update(old, old: old).isEmpty)
    var changed = old
    changed["name"] = "b"
    changed["generation"] = 1
    #expect(
      ObjectMetaValidation.update(changed, old: old).map { "\($0.field): \($0.message)" } == [
        "metadata.generation: Invalid value: 1: must not be decremented",
        "metadata.name: Invalid value: \"b\": field is immutable",
      ])
    var deleted = old
    deleted["deletionTimestamp"] = "2025-01-01T00:00:00Z"
    var held = deleted
    held["finalizers"] = ["example.com/a"]
    #expect(
      ObjectMetaValidation.update(held, old: deleted).map(\.message) == [
        "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"example.com/a\"}"
      ])
  }
}
