// Warning headers: what is legal but unwise, in the words of Kubernetes.
import JSON
import Kinds
import Schema
import Testing

@Suite struct WarningTests {
  private func warnings(_ kind: String, _ text: String, replacing old: String? = nil) throws -> [String] {
    let object = try JSONValue(parsing: text)
    let descriptor = try #require(
      KindRegistry.builtIn.kind(apiVersion: object["apiVersion"].string ?? "", kind: kind))
    return descriptor.rules.warnings(for: object, replacing: try old.map { try JSONValue(parsing: $0) } ?? .null)
  }

  private func pod(_ spec: String, _ metadata: String = #""name":"a""#) -> String {
    #"{"apiVersion":"v1","kind":"Pod","metadata":{\#(metadata)},"spec":\#(spec)}"#
  }

  @Test func namesThatBecomeHostNames() throws {
    let reason = "which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"
    #expect(
      try warnings("Pod", pod("{}", #""name":"a.b""#)) == [
        "metadata.name: this is used in the Pod's hostname, \(reason)"
      ])
    for (kind, version) in [("Deployment", "apps/v1"), ("Job", "batch/v1"), ("ReplicationController", "v1")] {
      let text = #"{"apiVersion":"\#(version)","kind":"\#(kind)","metadata":{"name":"a.b","generation":1},"spec":{}}"#
      #expect(
        try warnings(kind, text) == ["metadata.name: this is used in Pod names and hostnames, \(reason)"])
      #expect(try warnings(kind, text, replacing: text) == [])
    }
  }

  @Test func podsAreWarnedOfOnceAndInOrder() throws {
    let spec = #"""
      {"nodeSelector":{"beta.kubernetes.io/os":"linux"},
      "affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
      {"matchExpressions":[{"key":"failure-domain.beta.kubernetes.io/zone","operator":"Exists"}]}]}},
      "podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"x"}]}},
      "topologySpreadConstraints":[{"topologyKey":"beta.kubernetes.io/arch","maxSkew":1}],
      "volumes":[{"name":"g","gitRepo":{"repository":"r"}},{"name":"r","rbd":{"image":"i"}}],
      "hostAliases":[{"ip":"1.1.1.1"},{"ip":"1.1.1.1"}],
      "imagePullSecrets":[{"name":"a"},{"name":"a"},{"name":""}],
      "overhead":{"memory":"500m"},
      "containers":[{"name":"c","env":[{"name":"A","value":"1"},{"name":"A","value":"$(A)2"},{"name":"A","value":"3"}],
      "resources":{"limits":{"memory":"1500m","cpu":"500m"}},
      "ports":[{"containerPort":80,"protocol":"TCP","hostIP":"1.2.3.4"},{"containerPort":80,"protocol":"TCP",
      "hostPort":8}]}],"terminationGracePeriodSeconds":-1}
      """#
    let expected = [
      #"spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead"#,
      "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions"
        + #"[0].key: failure-domain.beta.kubernetes.io/zone is deprecated since v1.17; use "#
        + #""topology.kubernetes.io/zone" instead"#,
      "spec.topologySpreadConstraints[0].topologyKey: beta.kubernetes.io/arch is deprecated since v1.14; use "
        + #""kubernetes.io/arch" instead"#,
      "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
      #"metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "#
        + #""priorityClassName" field instead"#,
      "spec.volumes[0].gitRepo: deprecated in v1.11",
      "spec.volumes[1].rbd: deprecated in v1.28, non-functional in v1.31+",
      #"spec.hostAliases[1].ip: duplicate ip "1.1.1.1""#,
      #"spec.imagePullSecrets[1].name: duplicate name "a""#,
      #"spec.imagePullSecrets[2].name: invalid empty name """#,
      #"spec.overhead[memory]: fractional byte value "500m" is invalid, must be an integer"#,
      #"spec.containers[0].resources.limits[memory]: fractional byte value "1500m" is invalid, must be an integer"#,
      #"spec.containers[0].env[2]: hides previous definition of "A", which may be dropped when using apply"#,
      "spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP "
        + "HostIP:1.2.3.4}",
      "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
      "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
      "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: a null "
        + "labelSelector results in matching no pod",
    ]
    let metadata = #""name":"a","annotations":{"scheduler.alpha.kubernetes.io/critical-pod":""}"#
    #expect(try warnings("Pod", pod(spec, metadata)) == expected)
    #expect(try warnings("Pod", pod(spec, metadata), replacing: pod(spec)) == [])
    // A template says where it stands.
    let deployment =
      #"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{"template":{"spec":\#(spec)}}}"#
    let ofTemplate = try warnings("Deployment", deployment)
    #expect(
      ofTemplate.first?.hasPrefix("spec.template.spec.nodeSelector[") == true && ofTemplate.count == expected.count - 1)
  }

  @Test func profilesOfAppArmorAreSaidInBothWays() throws {
    let key = "container.apparmor.security.beta.kubernetes.io/c"
    let rules = try #require(KindRegistry.builtIn.kind(apiVersion: "v1", kind: "Pod")).rules
    let context = RuleContext(user: RequestUser(name: "u"), now: "2025-01-01T00:00:00Z")
    var old = try JSONValue(
      parsing: pod(
        #"{"containers":[{"name":"c"}]}"#, #""name":"a","annotations":{"\#(key)":"localhost/mine"}"#))
    #expect(
      rules.warnings(for: old, replacing: .null) == [
        #"metadata.annotations[\#(key)]: deprecated since v1.30; use the "appArmorProfile" field instead"#
      ])
    rules.prepareForCreate(&old, context: context)
    #expect(
      old["spec"]["containers"][0]["securityContext"]["appArmorProfile"]
        == ["type": "Localhost", "localhostProfile": "mine"])
    var new = try JSONValue(
      parsing: pod(#"{"securityContext":{"appArmorProfile":{"type":"RuntimeDefault"}},"containers":[{"name":"c"}]}"#))
    #expect(rules.warnings(for: new, replacing: .null) == [])
    rules.prepareForCreate(&new, context: context)
    #expect(new["metadata"]["annotations"][key] == "runtime/default")
  }

  @Test func services() throws {
    let text = #"""
      {"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"type":"ClusterIP","clusterIP":"None",
      "sessionAffinity":"ClientIP","externalIPs":["2001:DB8::1","010.0.0.1"],
      "loadBalancerSourceRanges":["2001:db8:0::/64"],"externalName":"x"}}
      """#
    #expect(
      try warnings("Service", text) == [
        "spec.externalIPs is ignored for headless services", "spec.SessionAffinity is ignored for headless services",
        #"spec.externalIPs[0]: IPv6 address "2001:DB8::1" is not in RFC 5952 canonical format ("2001:db8::1"), "#
          + "which may cause controller apply-loops",
        "spec.externalIPs[1]: IP address was accepted, but will be invalid in a future Kubernetes release: "
          + #"ParseAddr("010.0.0.1"): IPv4 field has octet with leading zero"#,
        #"spec.loadBalancerSourceRanges[0]: IPv6 prefix "2001:db8:0::/64" is not in RFC 5952 canonical format "#
          + #"("2001:db8::/64"), which may cause controller apply-loops"#,
        #"spec.externalName is ignored when spec.type is not "ExternalName""#,
      ])
  }

  @Test func volumesNodesAndAccounts() throws {
    let volume = #"""
      {"apiVersion":"v1","metadata":{"annotations":{"volume.beta.kubernetes.io/storage-class":"x",
      "volume.beta.kubernetes.io/mount-options":"ro"}},"spec":{"persistentVolumeReclaimPolicy":"Recycle","rbd":{}}}
      """#
    #expect(
      try warnings("PersistentVolume", volume) == [
        "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "
          + #""storageClassName" attribute instead"#,
        "metadata.annotations[volume.beta.kubernetes.io/mount-options]: deprecated since v1.31; use "
          + #""mountOptions" attribute instead"#,
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended "
          + "approach is to use dynamic provisioning.",
        "spec.rbd: deprecated in v1.28, non-functional in v1.31+",
      ])
    #expect(
      try warnings(
        "PersistentVolumeClaim", #"{"apiVersion":"v1","spec":{"resources":{"requests":{"storage":"1500m"}}}}"#)
        == [#"spec.resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer"#])
    #expect(
      try warnings("Node", #"{"apiVersion":"v1","spec":{"externalID":"x"}}"#)
        == ["spec.externalID: this field is deprecated, and is unused by Kubernetes"])
    let account =
      #"{"apiVersion":"v1","metadata":{"annotations":{"kubernetes.io/enforce-mountable-secrets":"true"}}}"#
    #expect(try warnings("ServiceAccount", account).count == 1)
    #expect(try warnings("ServiceAccount", account, replacing: account).isEmpty)
    let ingress = #"""
      {"apiVersion":"networking.k8s.io/v1","metadata":{"annotations":{"kubernetes.io/ingress.class":"x"}},"spec":{}}
      """#
    #expect(
      try warnings("Ingress", ingress)
        == [#"annotation "kubernetes.io/ingress.class" is deprecated, please use 'spec.ingressClassName' instead"#])
  }

  @Test func amountsFinerThanThousandthsAreRoundedUp() throws {
    let kind = try #require(KindRegistry.builtIn.kind(apiVersion: "v1", kind: "Pod"))
    var object = TypedDecoder.canonicalized(
      try JSONValue(
        parsing: pod(#"{"containers":[{"name":"c","resources":{"requests":{"cpu":"1500u","memory":"1Gi"}}}]}"#)),
      as: kind.structure)
    kind.structure.applyDefaults(to: &object)
    #expect(object["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "2m")
    #expect(object["spec"]["containers"][0]["resources"]["requests"]["memory"] == "1Gi")
  }
}
