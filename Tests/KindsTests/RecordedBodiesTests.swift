// What kubectl 1.32 sends as protobuf, recorded from its requests, beside the JSON it prints for the same objects
// (`--dry-run=client -o json`): decoding the one must give the other, member for member.
import JSON
import Kinds
import Schema
import Testing

@Suite("Bodies of kubectl 1.32")
struct RecordedBodiesTests {
  @Test("decode to the JSON that kubectl prints", arguments: bodies)
  func recorded(body: String, json: String) throws {
    let bytes = try Base64.decode(body)
    let envelope = try ProtobufEnvelope(parsing: bytes)
    let kind = try #require(KindRegistry.builtIn.kind(apiVersion: envelope.apiVersion, kind: envelope.kind))
    let decoded = try BodyDecoder.decode(
      bytes, contentType: MediaType.protobuf.rawValue, expected: kind.kind, structure: kind.structure,
      validation: .strict)
    // As trees: where the reference's structs and its protobuf numbers differ in order, ours follows the numbers.
    #expect(try decoded.object == JSONValue(parsing: json))
    let again = try BodyDecoder.decode(
      Array(json.utf8), contentType: nil, expected: kind.kind, structure: kind.structure, validation: .strict)
    #expect(again.object.bytes == decoded.object.bytes)
    let back = ProtobufEncoder.envelope(decoded.object, as: kind.structure)
    let round = try BodyDecoder.decode(
      back, contentType: MediaType.protobuf.rawValue, expected: kind.kind, structure: kind.structure)
    #expect(round.object.bytes == decoded.object.bytes)
  }

  private static let bodies: [(body: String, json: String)] = [
    (
      "azhzAAoPCgJ2MRIJQ29uZmlnTWFwEiQKEgoCY20SABoAIgAqADIAOABCABIGCgFhEgFiEgYKAWsSAXYaACIA",
      #"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"cm","creationTimestamp":null},"data":{"#
        + #""a":"b","k":"v"}}"#
    ),
    (
      "azhzAAoMCgJ2MRIGU2VjcmV0Eh0KEQoBcxIAGgAiACoAMgA4AEIAEgYKAWsSAXYaABoAIgA=",
      #"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"s","creationTimestamp":null},"data":{"k":"#
        + #""dg=="}}"#
    ),
    (
      "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50EroBCh8KA3dlYhIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEogBCAMSDAoK"
        + "CgNhcHASA3dlYhpuChwKABIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEk4SMAoFbmdpbngSB25naW54OjEqADIKCgAQABhQ"
        + "IgAqAEIAagByAIABAIgBAJABAKIBABoAMgBCAEoAUgBYAGAAaACCAQCKAQCaAQDCAQAiAgoAKAA4ABoMCAAQABgAIAAoADgA"
        + "GgAiAA==",
      #"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"web","creationTimestamp":null,"l"#
        + #"abels":{"app":"web"}},"spec":{"replicas":3,"selector":{"matchLabels":{"app":"web"}},"template":{"#
        + #""metadata":{"creationTimestamp":null,"labels":{"app":"web"}},"spec":{"containers":[{"name":"ngin"#
        + #"x","image":"nginx:1","ports":[{"containerPort":80}],"resources":{}}]}},"strategy":{}},"status":{"#
        + #"}}"#
    ),
    (
      "azhzAAoTCghiYXRjaC92MRIHQ3JvbkpvYhKkAQoSCgJjahIAGgAiACoAMgA4AEIAEosBCgsqLzEgKiAqICogKhoAKnoKEgoC"
        + "Y2oSABoAIgAqADIAOABCABJkMmIKEAoAEgAaACIAKgAyADgAQgASThInCgJjahIHYnVzeWJveBoEZGF0ZSoAQgBqAHIAgAEA"
        + "iAEAkAEAogEAGglPbkZhaWx1cmUyAEIASgBSAFgAYABoAIIBAIoBAJoBAMIBABoAGgAiAA==",
      #"{"kind":"CronJob","apiVersion":"batch/v1","metadata":{"name":"cj","creationTimestamp":null},"spe"#
        + #"c":{"schedule":"*/1 * * * *","jobTemplate":{"metadata":{"name":"cj","creationTimestamp":null},"s"#
        + #"pec":{"template":{"metadata":{"creationTimestamp":null},"spec":{"containers":[{"name":"cj","imag"#
        + #"e":"busybox","command":["date"],"resources":{}}],"restartPolicy":"OnFailure"}}}}},"status":{}}"#
    ),
    (
      "azhzAAoyChxyYmFjLmF1dGhvcml6YXRpb24uazhzLmlvL3YxEhJDbHVzdGVyUm9sZUJpbmRpbmcSbAoRCgFiEgAaACIAKgAy"
        + "ADgAQgASJgoEVXNlchIZcmJhYy5hdXRob3JpemF0aW9uLms4cy5pbxoBdSIAGi8KGXJiYWMuYXV0aG9yaXphdGlvbi5rOHMu"
        + "aW8SC0NsdXN0ZXJSb2xlGgVhZG1pbhoAIgA=",
      #"{"kind":"ClusterRoleBinding","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"b","#
        + #""creationTimestamp":null},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","nam"#
        + #"e":"u"}],"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"admin"}}"#
    ),
    (
      "azhzAAoNCgJ2MRIHU2VydmljZRJkChsKAXMSABoAIgAqADIAOABCAFoICgNhcHASAXMSQQodCgc4MC04MDgwEgNUQ1AYUCIH"
        + "CAAQkD8aACiA6wESCAoDYXBwEgFzGgAiCE5vZGVQb3J0OgBCAFIAWgBgAGgAGgIKABoAIgA=",
      #"{"kind":"Service","apiVersion":"v1","metadata":{"name":"s","creationTimestamp":null,"labels":{"a"#
        + #"pp":"s"}},"spec":{"ports":[{"name":"80-8080","protocol":"TCP","port":80,"targetPort":8080,"nodeP"#
        + #"ort":30080}],"selector":{"app":"s"},"type":"NodePort"},"status":{"loadBalancer":{}}}"#
    ),
    (
      "azhzAAofChRuZXR3b3JraW5nLms4cy5pby92MRIHSW5ncmVzcxJDChEKAWkSABoAIgAqADIAOABCABIqGigKBWEuY29tEh8K"
        + "HQobCgIveBINIgsKA3N2YxIECgAQUBoGUHJlZml4GgIKABoAIgA=",
      #"{"kind":"Ingress","apiVersion":"networking.k8s.io/v1","metadata":{"name":"i","creationTimestamp""#
        + #":null},"spec":{"rules":[{"host":"a.com","http":{"paths":[{"path":"/x","pathType":"Prefix","backe"#
        + #"nd":{"service":{"name":"svc","port":{"number":80}}}}]}}]},"status":{"loadBalancer":{}}}"#
    ),
    (
      "azhzAAoTCgJ2MRINUmVzb3VyY2VRdW90YRIzChEKAXESABoAIgAqADIAOABCABIcCgoKA2NwdRIDCgExCg4KBm1lbW9yeRIE"
        + "CgIxRxoAGgAiAA==",
      #"{"kind":"ResourceQuota","apiVersion":"v1","metadata":{"name":"q","creationTimestamp":null},"spec"#
        + #"":{"hard":{"cpu":"1","memory":"1G"}},"status":{}}"#
    ),
    (
      "azhzAAogCglwb2xpY3kvdjESE1BvZERpc3J1cHRpb25CdWRnZXQSNgoRCgFwEgAaACIAKgAyADgAQgASFQoJCAEQABoDNTAl"
        + "EggKBgoBYRIBYhoKCAAYACAAKAAwABoAIgA=",
      #"{"kind":"PodDisruptionBudget","apiVersion":"policy/v1","metadata":{"name":"p","creationTimestamp"#
        + #"":null},"spec":{"minAvailable":"50%","selector":{"matchLabels":{"a":"b"}}},"status":{"disruption"#
        + #"sAllowed":0,"currentHealthy":0,"desiredHealthy":0,"expectedPods":0}}"#
    ),
    (
      "azhzAAoPCgJ2MRIJTmFtZXNwYWNlEhkKEQoBbhIAGgAiACoAMgA4AEIAEgAaAgoAGgAiAA==",
      #"{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"n","creationTimestamp":null},"spec":{}"#
        + #","status":{}}"#
    ),
    (
      "azhzAAoUCgJ2MRIOU2VydmljZUFjY291bnQSFAoSCgJzYRIAGgAiACoAMgA4AEIAGgAiAA==",
      #"{"kind":"ServiceAccount","apiVersion":"v1","metadata":{"name":"sa","creationTimestamp":null}}"#
    ),
    (
      "azhzAAolChRzY2hlZHVsaW5nLms4cy5pby92MRINUHJpb3JpdHlDbGFzcxIwChIKAnBjEgAaACIAKgAyADgAQgAQChgAIgAq"
        + "FFByZWVtcHRMb3dlclByaW9yaXR5GgAiAA==",
      #"{"kind":"PriorityClass","apiVersion":"scheduling.k8s.io/v1","metadata":{"name":"pc","creationTim"#
        + #"estamp":null},"value":10,"preemptionPolicy":"PreemptLowerPriority"}"#
    ),
  ]
}
