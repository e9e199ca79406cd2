import JSON
import Schema
import Testing

@testable import Kinds

@Suite struct `Services and endpoints` {
  let services = Given.kind("v1", "Service")

  @Test func `a service gets its defaults`() {
    let service = Given.service(["ports": [["port": 80]], "clusterIP": "10.0.0.1"])
    #expect(service["spec"]["type"] == "ClusterIP")
    #expect(service["spec"]["ports"] == [["port": 80, "protocol": "TCP", "targetPort": 80]])
    #expect(service["spec"]["clusterIPs"] == ["10.0.0.1"])
    #expect(service["spec"]["internalTrafficPolicy"] == "Cluster")
    #expect(services.problems(service) == [])
  }

  @Test func `mistakes of a service`() {
    func problems(_ spec: JSONValue) -> [String] { services.problems(Given.service(spec)) }
    #expect(problems([:]) == ["spec.ports: Required value"])
    #expect(
      problems(["ports": [["port": 80], ["port": 81]]]) == [
        "spec.ports[0].name: Required value", "spec.ports[1].name: Required value",
      ])
    #expect(problems(["type": "ExternalName"]) == ["spec.externalName: Required value"])
    // Nobody comes to a name from outside, whatever addresses stand beside it.
    #expect(problems(["type": "ExternalName", "externalName": "a.b", "externalIPs": ["1.2.3.4"]]) == [])
    #expect(
      problems(["type": "Odd", "ports": [["port": 80]]]) == [
        "spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", "
          + "\"NodePort\""
      ])
    #expect(
      problems(["ports": [["port": 80, "nodePort": 30000]]]) == [
        "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"
      ])
    #expect(
      problems(["ports": [["port": 80]], "externalIPs": ["127.0.0.1"]]) == [
        "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"
      ])
    #expect(services.rules.validateName("1web", isGeneratePrefix: false) != nil)
    #expect(services.rules.validateName("web-", isGeneratePrefix: true) == nil)
  }

  @Test func `an update keeps what the client left out`() {
    let old = Given.service([
      "type": "NodePort", "clusterIP": "10.0.0.1", "ports": [["port": 80, "nodePort": 30080]],
    ])
    var new = Given.service(["type": "NodePort", "ports": [["port": 80]]])
    services.rules.prepareForUpdate(&new, old: old, context: Given.context)
    #expect(new["spec"]["clusterIP"] == "10.0.0.1")
    #expect(new["spec"]["clusterIPs"] == ["10.0.0.1"])
    #expect(new["spec"]["ports"][0]["nodePort"] == 30080)
    #expect(services.updateProblems(new, old) == [])
  }

  @Test func `a change of type lets go of node ports`() {
    let old = Given.service([
      "type": "NodePort", "clusterIP": "10.0.0.1", "ports": [["port": 80, "nodePort": 30080]],
    ])
    var new = old
    new["spec"]["type"] = "ClusterIP"
    services.rules.prepareForUpdate(&new, old: old, context: Given.context)
    #expect(new["spec"]["ports"][0]["nodePort"].isNull)
    #expect(new["spec"]["externalTrafficPolicy"].isNull)
    #expect(services.problems(new) == [])
  }

  @Test func `an address stays`() {
    let old = Given.service(["clusterIP": "10.0.0.1", "ports": [["port": 80]]])
    let new = Given.service(["clusterIP": "10.0.0.2", "ports": [["port": 80]]])
    #expect(
      services.updateProblems(new, old) == [
        "spec.clusterIPs[0]: Invalid value: []string{\"10.0.0.2\"}: may not change once set"
      ])
  }

  @Test(
    arguments: [
      ("1.2.3.4", "1.2.3.4"), ("::1", "::1"), ("2001:db8::", "2001:db8::"), ("fe80:0:0:0:0:0:0:1", "fe80::1"),
      ("::ffff:1.2.3.4", "1.2.3.4"), ("1.2.3", nil), ("1.2.3.256", nil), ("01.2.3.4", "1.2.3.4"), ("1::2::3", nil),
      ("12345::", nil), ("1:2:3:4:5:6:7:8:9", nil), ("", nil), (":1", nil), ("1:", nil),
    ] as [(String, String?)])
  func `addresses parse as the reference has it`(text: String, canonical: String?) {
    #expect(IPAddress(text)?.description == canonical)
  }

  @Test func `endpoints point somewhere sensible`() {
    let kind = Given.kind("v1", "Endpoints")
    #expect(
      kind.problems(["subsets": [["addresses": [["ip": "127.0.0.1"]], "ports": [["port": 0, "protocol": "TCP"]]]]]) == [
        "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, "
          + "::1/128)", "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
      ])
    let slices = Given.kind("discovery.k8s.io/v1", "EndpointSlice")
    #expect(
      slices.problems(["addressType": "IPv4", "endpoints": [["addresses": []]], "ports": []]) == [
        "endpoints[0].addresses: Required value: must contain at least 1 address"
      ])
    #expect(
      slices.updateProblems(["addressType": "IPv6"], ["addressType": "IPv4"]) == [
        "addressType: Invalid value: \"IPv6\": field is immutable"
      ])
  }
}

@Suite struct `Configuration` {
  @Test func `keys of a config map have a shape, and data may freeze`() {
    let kind = Given.kind("v1", "ConfigMap")
    #expect(kind.problems(["data": ["a.b-c_D": "x"]]) == [])
    #expect(kind.problems(["data": ["a/b": "x"]]).first?.hasPrefix("data[a/b]: Invalid value: \"a/b\"") == true)
    #expect(
      kind.problems(["data": ["a": "x"], "binaryData": ["a": "eA=="]]) == [
        "data[a]: Invalid value: \"a\": duplicate of key present in binaryData"
      ])
    #expect(
      kind.updateProblems(["data": ["a": "y"], "immutable": true], ["data": ["a": "x"], "immutable": true]) == [
        "data: Forbidden: field is immutable when `immutable` is set"
      ])
    let large = JSONValue.string(String(repeating: "x", count: 1_048_577))
    #expect(
      kind.problems(["data": ["a": large]]) == ["[]: Too long: may not be more than 1048576 bytes"])
  }

  @Test func `a secret takes text and keeps its type`() {
    let kind = Given.kind("v1", "Secret")
    var secret: JSONValue = ["stringData": ["user": "admin"], "data": ["user": "eA==", "k": "eQ=="]]
    kind.rules.applyDefaults(to: &secret)
    #expect(secret["data"] == ["user": "YWRtaW4=", "k": "eQ=="])
    #expect(secret["stringData"].isNull && secret["type"] == "Opaque")
    #expect(
      kind.updateProblems(["type": "kubernetes.io/tls"], ["type": "Opaque"]) == [
        "type: Invalid value: \"kubernetes.io/tls\": field is immutable", "data[tls.crt]: Required value",
        "data[tls.key]: Required value",
      ])
    #expect(
      kind.problems(["type": "kubernetes.io/tls", "data": [:]]) == [
        "data[tls.crt]: Required value", "data[tls.key]: Required value",
      ])
  }
}

@Suite struct `Cluster objects` {
  @Test func `a namespace is labelled with its name and held by its finalizer`() {
    let kind = Given.kind("v1", "Namespace")
    var namespace: JSONValue = ["metadata": ["name": "dev"]]
    kind.rules.applyDefaults(to: &namespace)
    kind.rules.prepareForCreate(&namespace, context: Given.context)
    #expect(namespace["metadata"]["labels"] == ["kubernetes.io/metadata.name": "dev"])
    #expect(namespace["spec"]["finalizers"] == ["kubernetes"])
    #expect(namespace["status"]["phase"] == "Active")
    var update: JSONValue = ["metadata": ["name": "dev"], "spec": [:]]
    kind.rules.prepareForUpdate(&update, old: namespace, context: Given.context)
    #expect(update["spec"]["finalizers"] == ["kubernetes"])
    #expect(kind.rules.validateName("a.b", isGeneratePrefix: false) == "must not contain dots")
  }

  @Test func `a node keeps what was assigned to it`() {
    let kind = Given.kind("v1", "Node")
    #expect(
      kind.updateProblems(["spec": ["podCIDRs": ["10.1.0.0/24"]]], ["spec": ["podCIDRs": ["10.2.0.0/24"]]]) == [
        "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"
      ])
    let taint: JSONValue = ["key": "a", "effect": "NoSchedule"]
    for (blocks, count): (JSONValue, Int) in [
      (["10.1.0.0/24", "fd00:1::/64"], 0), (["fd00:1::/64"], 0), (["fd00:1::/64", "fd00:1::/64"], 2),
      (["10.1.0.0/24", "10.2.0.0/24"], 1), (["10.1.0.0/24", "fd00:1::/64", "10.2.0.0/24"], 1),
    ] {
      #expect(kind.problems(["spec": ["podCIDRs": blocks]]).count == count, "\(blocks)")
    }
    #expect(kind.problems(["spec": ["taints": [taint, taint]]]).count == 1)
    #expect(kind.problems(["spec": ["taints": [["key": "a", "effect": "Odd"]]]]).first?.contains("NoExecute") == true)
  }

  @Test func `permissions say what they are about`() {
    let roles = Given.kind("rbac.authorization.k8s.io/v1", "Role")
    #expect(
      roles.problems(["rules": [["apiGroups": [""], "resources": ["pods"]]]]) == [
        "rules[0].verbs: Required value: verbs must contain at least one value"
      ])
    #expect(
      roles.problems(["rules": [["nonResourceURLs": ["/x"], "verbs": ["get"]]]]) == [
        "rules[0].nonResourceURLs: Invalid value: []string{\"/x\"}: namespaced rules cannot apply to non-resource URLs"
      ])
    let bindings = Given.kind("rbac.authorization.k8s.io/v1", "RoleBinding")
    var binding: JSONValue = [
      "roleRef": ["kind": "Role", "name": "r"],
      "subjects": [["kind": "User", "name": "u"], ["kind": "ServiceAccount", "name": "s", "namespace": "n"]],
    ]
    bindings.rules.applyDefaults(to: &binding)
    #expect(bindings.problems(binding) == [])
    #expect(binding["subjects"][1]["apiGroup"].isNull)
    var other = binding
    other["roleRef"]["name"] = "x"
    #expect(
      bindings.updateProblems(other, binding) == [
        "roleRef: Invalid value: rbac.RoleRef{APIGroup:\"rbac.authorization.k8s.io\", Kind:\"Role\", Name:\"x\"}: "
          + "cannot change roleRef"
      ])
    #expect(roles.rules.validateName("system:x", isGeneratePrefix: false) == nil)
  }

  @Test func `an event is the same in both of its forms`() {
    let core = GroupVersionKind(group: "", version: "v1", kind: "Event")
    let new = GroupVersionKind(group: "events.k8s.io", version: "v1", kind: "Event")
    let event: JSONValue = [
      "kind": "Event", "apiVersion": "v1", "metadata": ["name": "e", "namespace": "default"],
      "involvedObject": ["kind": "Pod", "name": "web"], "message": "hello", "count": 2,
      "source": ["component": "kubelet"], "type": "Normal",
    ]
    let seen = KindConversion.convert(event, from: core, to: new)
    #expect(seen["regarding"]["name"] == "web" && seen["note"] == "hello" && seen["deprecatedCount"] == 2)
    #expect(seen["apiVersion"] == "events.k8s.io/v1")
    #expect(KindConversion.convert(seen, from: new, to: core) == event)
    let problems = Given.kind("v1", "Event").problems([
      "metadata": ["namespace": "a"], "involvedObject": ["namespace": "b"],
    ])
    #expect(problems == ["involvedObject.namespace: Invalid value: \"b\": does not match event.namespace"])
  }

  @Test func `a lease has a term`() {
    #expect(
      Given.kind("coordination.k8s.io/v1", "Lease").problems(["spec": ["leaseDurationSeconds": 0]]) == [
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"
      ])
  }

  @Test func `who signs for a request is what the server saw`() {
    let kind = Given.kind("certificates.k8s.io/v1", "CertificateSigningRequest")
    var request: JSONValue = ["spec": ["username": "root", "signerName": "a.b/c"]]
    kind.rules.prepareForCreate(&request, context: Given.context)
    #expect(request["spec"]["username"] == "jane")
  }
}
