// Tables of what is wrong with objects, in the words, at the places and as often as Kubernetes 1.32 tells it.
import JSON
import Schema
import Testing

@testable import Kinds

/// One edit of a sound object and everything that is then wrong with it.
struct Refusal: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var edit: @Sendable (inout JSONValue) -> Void
  var problems: [String]

  init(_ name: String, _ problems: [String], _ edit: @escaping @Sendable (inout JSONValue) -> Void) {
    testDescription = name
    self.problems = problems
    self.edit = edit
  }
}

@Suite struct `What is refused` {
  static let pods: [Refusal] = [
    Refusal(
      "a path of a mount is told of the list",
      ["spec.containers[0].volumeMounts.subPath: Invalid value: \"/x\": must be a relative path"]
    ) {
      $0["spec"]["volumes"] = [["name": "v", "emptyDir": [:]]]
      $0["spec"]["containers"][0]["volumeMounts"] = [["name": "v", "mountPath": "/x", "subPath": "/x"]]
    },
    Refusal(
      "a volume that is wrong cannot be mounted",
      [
        "spec.volumes[0].secret.secretName: Required value",
        "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
      ]
    ) {
      $0["spec"]["volumes"] = [["name": "v", "secret": [:]]]
      $0["spec"]["containers"][0]["volumeMounts"] = [["name": "v", "mountPath": "/x"]]
    },
    Refusal(
      "a source of environments is told of the list",
      [
        "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"
      ]
    ) { $0["spec"]["containers"][0]["envFrom"] = [["prefix": "A"]] },
    Refusal(
      "fields that can never be referred to",
      [
        "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.foo\": error converting fieldPath: "
          + "field label not supported: spec.foo"
      ]
    ) {
      $0["spec"]["containers"][0]["env"] = [
        ["name": "A", "valueFrom": ["fieldRef": ["apiVersion": "v1", "fieldPath": "spec.foo"]]]
      ]
    },
    Refusal(
      "fields that only volumes may refer to",
      [
        "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.labels\": supported values: "
          + "\"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", "
          + "\"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\""
      ]
    ) {
      $0["spec"]["containers"][0]["env"] = [
        ["name": "A", "valueFrom": ["fieldRef": ["apiVersion": "v1", "fieldPath": "metadata.labels"]]]
      ]
    },
    Refusal(
      "a host port that is not the container's",
      [
        "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true"
      ]
    ) {
      $0["spec"]["hostNetwork"] = true
      $0["spec"]["containers"][0]["ports"] = [["containerPort": 80, "hostPort": 81, "protocol": "TCP"]]
    },
    Refusal(
      "values of required node affinity",
      [
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]"
          + ".matchExpressions[0].values[0]: Invalid value: \"-\": a valid label must be an empty string or consist of "
          + "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
          + "'MyValue',  or 'my_value',  or '12345', regex used for validation is "
          + "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
      ]
    ) {
      $0["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = [
        "nodeSelectorTerms": [["matchExpressions": [["key": "k", "operator": "In", "values": ["-"]]]]]
      ]
    },
    Refusal(
      "a sleep that outlasts the grace",
      [
        "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be greater than 0 and less than "
          + "terminationGracePeriodSeconds (30). Enable AllowPodLifecycleSleepActionZeroValue feature gate for zero sleep."
      ]
    ) { $0["spec"]["containers"][0]["lifecycle"] = ["preStop": ["sleep": ["seconds": 31]]] },
    Refusal(
      "two profiles of different kinds",
      [
        "spec.securityContext.seccompProfile.type: Required value: type is required when seccompProfile is set",
        "spec.securityContext.appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is Localhost",
      ]
    ) {
      $0["spec"]["securityContext"] = [
        "seccompProfile": [:], "appArmorProfile": ["type": "Localhost"],
      ]
    },
    Refusal(
      "kernel settings of the node's network",
      [
        "spec.securityContext.sysctls[0].name: Invalid value: \"net.ipv4.ip_forward\": may not be specified when "
          + "'hostNetwork' is true"
      ]
    ) {
      $0["spec"]["hostNetwork"] = true
      $0["spec"]["securityContext"] = ["sysctls": [["name": "net.ipv4.ip_forward", "value": "1"]]]
    },
    Refusal(
      "a tail of the address of a downward file",
      [
        "spec.volumes[0].downwardAPI.path: Invalid value: \"../x\": must not contain '..'"
      ]
    ) {
      $0["spec"]["volumes"] = [
        [
          "name": "v",
          "downwardAPI": [
            "items": [["path": "../x", "fieldRef": ["apiVersion": "v1", "fieldPath": "metadata.name"]]]
          ],
        ]
      ]
    },
    Refusal(
      "spread of a key that the selector has",
      [
        "spec.topologySpreadConstraints[0].matchLabelKeys[0]: Invalid value: \"app\": exists in both matchLabelKeys and "
          + "labelSelector"
      ]
    ) {
      $0["spec"]["topologySpreadConstraints"] = [
        [
          "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["app"],
          "labelSelector": ["matchLabels": ["app": "x"]],
        ]
      ]
    },
    Refusal(
      "what a deletion costs is a number",
      [
        "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: \"x\": must be a 32bit integer"
      ]
    ) { $0["metadata"]["annotations"] = ["controller.kubernetes.io/pod-deletion-cost": "x"] },
  ]

  @Test(arguments: pods) func `of pods`(refusal: Refusal) {
    var pod = Given.pod()
    pod["spec"]["serviceAccountName"] = "default"
    refusal.edit(&pod)
    #expect(Given.kind("v1", "Pod").problems(pod) == refusal.problems)
  }

  static let services: [Refusal] = [
    Refusal(
      "addresses that differ",
      ["spec.clusterIPs: Invalid value: []string{\"10.0.0.2\"}: first value must match `clusterIP`"]
    ) {
      $0["spec"]["clusterIP"] = "10.0.0.1"
      $0["spec"]["clusterIPs"] = ["10.0.0.2"]
    },
    Refusal(
      "the same port twice",
      [
        "spec.ports[1]: Duplicate value: core.ServicePort{Name:\"\", Protocol:\"TCP\", AppProtocol:(*string)(nil), Port:80, "
          + "TargetPort:intstr.IntOrString{Type:0, IntVal:0, StrVal:\"\"}, NodePort:0}"
      ]
    ) {
      $0["spec"]["ports"] = [
        ["name": "a", "port": 80, "targetPort": 80, "protocol": "TCP"],
        ["name": "b", "port": 80, "targetPort": 81, "protocol": "TCP"],
      ]
    },
    Refusal(
      "an unspecified address outside",
      [
        "spec.externalIPs[0]: Invalid value: \"0.0.0.0\": may not be unspecified (0.0.0.0)"
      ]
    ) {
      $0["spec"]["externalIPs"] = ["0.0.0.0"]
      $0["spec"]["externalTrafficPolicy"] = "Cluster"
    },
    Refusal(
      "sources of what is no load balancer",
      [
        "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'"
      ]
    ) { $0["spec"]["loadBalancerSourceRanges"] = ["10.0.0.0/8 "] },
    Refusal(
      "a family of another address",
      [
        "spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 value as indicated by `ipFamilies[0]`"
      ]
    ) {
      $0["spec"]["clusterIP"] = "10.0.0.1"
      $0["spec"]["clusterIPs"] = ["10.0.0.1"]
      $0["spec"]["ipFamilies"] = ["IPv6"]
    },
  ]

  @Test(arguments: services) func `of services`(refusal: Refusal) {
    var service = Given.service(["ports": [["port": 80]]])
    refusal.edit(&service)
    #expect(Given.kind("v1", "Service").problems(service) == refusal.problems)
  }

  static let others: [(String, String, JSONValue, [String])] = [
    (
      "v1", "Node",
      [
        "metadata": ["name": "n"],
        "spec": [
          "taints": [["key": "a", "value": "b", "effect": "NoSchedule"], ["key": "a", "effect": "NoSchedule"]]
        ],
      ],
      [
        "metadata.taints[1]: Duplicate value: core.Taint{Key:\"a\", Value:\"\", Effect:\"NoSchedule\", "
          + "TimeAdded:(*v1.Time)(nil)}: taints must be unique by key and effect pair"
      ]
    ),
    (
      "v1", "PersistentVolume",
      ["metadata": ["name": "v"], "spec": ["accessModes": ["ReadWriteOnce"], "hostPath": ["path": "/x"]]],
      [
        "spec.capacity: Required value",
        "spec.capacity: Unsupported value: core.ResourceList(nil): supported values: \"storage\"",
      ]
    ),
    (
      "v1", "ResourceQuota", ["metadata": ["name": "q"], "spec": ["hard": ["foo": "1"]]],
      [
        "spec.hard[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified",
        "spec.hard[foo]: Invalid value: \"foo\": must be a standard resource for quota",
      ]
    ),
    (
      "networking.k8s.io/v1", "Ingress", ["metadata": ["name": "i"], "spec": [:]],
      [
        "spec: Invalid value: []networking.IngressRule(nil): either `defaultBackend` or `rules` must be specified"
      ]
    ),
    (
      "networking.k8s.io/v1", "NetworkPolicy",
      [
        "metadata": ["name": "p"],
        "spec": [
          "podSelector": [:], "policyTypes": ["Ingress"],
          "ingress": [
            ["from": [["ipBlock": ["cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]]]], "ports": [["endPort": 80]]]
          ],
        ],
      ],
      [
        "spec.ingress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is not specified",
        "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
      ]
    ),
    (
      "scheduling.k8s.io/v1", "PriorityClass", ["metadata": ["name": "system-x"], "value": 1],
      [
        "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: "
          + "system-x is not a known system priority class"
      ]
    ),
    (
      "discovery.k8s.io/v1", "EndpointSlice",
      ["metadata": ["name": "s"], "addressType": "IPv4", "endpoints": [["addresses": ["::1"]]]],
      [
        "endpoints[0].addresses[0]: Invalid value: \"::1\": must be a valid IPv4 address",
        "endpoints[0].addresses[0]: Invalid value: \"::1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
      ]
    ),
    (
      "v1", "Event",
      [
        "metadata": ["name": "e", "namespace": "a"], "involvedObject": ["namespace": "b"],
        "eventTime": "2026-01-01T00:00:00.000000Z", "action": "x", "reason": "y", "reportingInstance": "z",
      ],
      [
        "reportingController: Required value",
        "reportingController: Invalid value: \"\": name part must be non-empty",
        "reportingController: Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or '.', "
          + "and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex "
          + "used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
      ]
    ),
  ]

  @Test(arguments: others.indices) func `of other kinds`(index: Int) {
    let (apiVersion, kind, object, problems) = Self.others[index]
    #expect(Given.kind(apiVersion, kind).problems(object) == problems, "\(kind)")
  }

  @Test func `fields of features that are off are dropped`() {
    var pod = Given.pod {
      $0["spec"]["hostUsers"] = false
      $0["spec"]["resources"] = ["limits": ["cpu": "1"]]
      $0["spec"]["containers"][0]["resizePolicy"] = [["resourceName": "cpu", "restartPolicy": "NotRequired"]]
      $0["spec"]["containers"][0]["volumeMounts"] = [["name": "i", "mountPath": "/i"]]
      $0["spec"]["volumes"] = [["name": "i", "image": ["reference": "x"]]]
    }
    Given.kind("v1", "Pod").rules.prepareForCreate(&pod, context: Given.context)
    #expect(pod["spec"]["hostUsers"].isNull && pod["spec"]["resources"].isNull && pod["spec"]["volumes"].isNull)
    #expect(pod["spec"]["containers"][0]["resizePolicy"].isNull)
    #expect(pod["spec"]["containers"][0]["volumeMounts"].isNull)
  }

  @Test func `keys of an affinity become requirements on the pod's own values`() {
    let required = "requiredDuringSchedulingIgnoredDuringExecution"
    var pod = Given.pod {
      $0["metadata"]["labels"] = ["app": "web"]
      $0["spec"]["affinity"]["podAffinity"][required] = [
        ["topologyKey": "zone", "labelSelector": ["matchLabels": ["a": "b"]], "matchLabelKeys": ["app", "none"]]
      ]
    }
    Given.kind("v1", "Pod").rules.prepareForCreate(&pod, context: Given.context)
    #expect(
      pod["spec"]["affinity"]["podAffinity"][required][0]["labelSelector"]["matchExpressions"]
        == [["key": "app", "operator": "In", "values": ["web"]]])
  }

  @Test func `a claim's source has two names`() {
    var claim: JSONValue = [
      "spec": ["dataSource": ["kind": "PersistentVolumeClaim", "name": "old"], "volumeAttributesClassName": "x"]
    ]
    Given.kind("v1", "PersistentVolumeClaim").rules.prepareForCreate(&claim, context: Given.context)
    #expect(claim["spec"]["dataSourceRef"] == claim["spec"]["dataSource"])
    #expect(claim["spec"]["volumeAttributesClassName"].isNull)
  }
}
