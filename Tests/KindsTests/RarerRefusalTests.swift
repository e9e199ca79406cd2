// Tables of what is wrong with volumes, annotations, windows pods, quotas, services, nodes, claims and events, in the
// words, at the places, in the order and as often as Kubernetes 1.32 tells it.
import JSON
import Schema
import Testing

@testable import Kinds

@Suite struct `What is refused of rarer members` {
  /// A volume of a pod, without its name, and what is told of it below `spec.volumes[0]`.
  static let podVolumes: [(JSONValue, [String])] = [
    (
      ["iscsi": ["targetPortal": "p", "iqn": "iqn.x", "lun": 0, "initiatorName": "foo"]],
      [
        ".iscsi.iqn: Invalid value: \"iqn.x\": must be valid format",
        ".iscsi.initiatorname: Invalid value: \"foo\": must be valid format starting with iqn, eui, or naa",
      ]
    ),
    (
      [
        "iscsi": [
          "targetPortal": .string(String(repeating: "p", count: 64)), "iqn": "iqn.2015-02.example.com:test", "lun": 0,
          "initiatorName": "eui.0123456789abcdef",
        ]
      ],
      [
        ".name: Invalid value: \"v\": Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
          + "iscsi.initiatorName is specified."
      ]
    ),
    (
      ["iscsi": ["targetPortal": "p", "iqn": "eui.0123456789ABCDEF", "lun": 256]],
      [".iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive"]
    ),
    (["fc": ["wwids": ["a"], "lun": 300]], []),
    (["fc": ["targetWWNs": ["a"], "lun": 300]], [".fc.lun: Invalid value: 300: must be between 0 and 255, inclusive"]),
    (["flocker": [:]], [".flocker: Required value: one of datasetName and datasetUUID is required"]),
    (
      ["flocker": ["datasetName": "a/b", "datasetUUID": "u"]],
      [
        ".flocker: Invalid value: \"resource\": datasetName and datasetUUID can not be specified simultaneously",
        ".flocker.datasetName: Invalid value: \"a/b\": must not contain '/'",
      ]
    ),
    (
      ["quobyte": ["registry": "a:1,b", "volume": ""]],
      [
        ".quobyte.registry: Invalid value: \"a:1,b\": must be a host:port pair or multiple pairs separated by commas",
        ".quobyte.volume: Required value",
      ]
    ),
    (["cinder": ["volumeID": "v", "secretRef": [:]]], [".cinder.secretRef.name: Required value"]),
    (
      ["storageos": ["volumeName": "A"]],
      [
        ".storageos.volumeName: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric "
          + "characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', "
          + "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
      ]
    ),
    (
      ["flexVolume": ["driver": "d", "options": ["x.k8s.io/y": "z"]]],
      [
        ".flexVolume.options[x.k8s.io/y]: Invalid value: \"x.k8s.io/y\": kubernetes.io and k8s.io namespaces are reserved"
      ]
    ),
    (
      ["azureDisk": ["diskName": "d", "diskURI": "u", "cachingMode": "All", "kind": "Managed"]],
      [
        ".azureDisk.cachingMode: Unsupported value: \"All\": supported values: \"None\", \"ReadOnly\", \"ReadWrite\"",
        ".azureDisk.diskURI: Unsupported value: \"u\": supported values: "
          + "\"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}\"",
      ]
    ),
    (
      ["csi": ["driver": "d", "nodePublishSecretRef": ["name": "A"]]],
      [
        ".csi.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
          + "characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex "
          + "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
      ]
    ),
    (
      ["emptyDir": [:], "cephfs": ["monitors": ["m"]]],
      [".cephFS: Forbidden: may not specify more than 1 volume type"]
    ),
    (
      [
        "ephemeral": [
          "volumeClaimTemplate": [
            "metadata": ["name": "n", "labels": ["a": "b"]],
            "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
          ]
        ]
      ],
      [".ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set"]
    ),
  ]

  @Test(arguments: podVolumes.indices) func `of volumes of pods`(index: Int) {
    var (volume, problems) = Self.podVolumes[index]
    volume["name"] = "v"
    let pod = Given.pod { $0["spec"]["volumes"] = [volume] }
    #expect(Given.kind("v1", "Pod").problems(pod) == problems.map { "spec.volumes[0]\($0)" })
  }

  /// A source of a persistent volume and what is told of it below `spec`.
  static let persistentVolumes: [(JSONValue, [String])] = [
    (["csi": ["driver": "d"]], ["csi.volumeHandle: Required value"]),
    (
      ["glusterfs": ["endpoints": "e", "path": "p", "endpointsNamespace": ""]],
      [
        "glusterfs.endpointsNamespace: Invalid value: \"\": if the endpointnamespace is set, it must be a valid namespace "
          + "name"
      ]
    ),
    (
      ["iscsi": ["targetPortal": "p", "iqn": "foo", "lun": 0, "chapAuthSession": true, "secretRef": [:]]],
      ["iscsi.iqn: Invalid value: \"foo\": must be valid format", "iscsi.secretRef.name: Required value"]
    ),
    (
      ["azureFile": ["secretName": "s", "shareName": "t", "secretNamespace": ""]],
      ["azureFile.secretNamespace: Required value"]
    ),
    (
      ["hostPath": ["path": "/x/.."], "persistentVolumeReclaimPolicy": "Recycle"],
      [
        "hostPath.path: Invalid value: \"/x/..\": must not contain '..'",
        "persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
      ]
    ),
    (
      ["hostPath": ["path": "/x"], "local": ["path": "/y"]],
      ["local: Forbidden: may not specify more than 1 volume type"]
    ),
  ]

  @Test(arguments: persistentVolumes.indices) func `of persistent volumes`(index: Int) {
    let (members, problems) = Self.persistentVolumes[index]
    var volume: JSONValue = [
      "metadata": ["name": "v"], "spec": ["accessModes": ["ReadWriteOnce"], "capacity": ["storage": "1Gi"]],
    ]
    for (name, value) in members.object ?? [:] { volume["spec"][name] = value }
    #expect(Given.kind("v1", "PersistentVolume").problems(volume) == problems.map { "spec.\($0)" })
  }

  @Test func `the secret for growing may come later than the volume`() {
    let old: JSONValue = ["spec": ["csi": ["driver": "d", "volumeHandle": "h"]]]
    var new = old
    new["spec"]["csi"]["controllerExpandSecretRef"] = ["name": "a", "namespace": "b"]
    #expect(Given.kind("v1", "PersistentVolume").updateProblems(new, old) == [])
    #expect(Given.kind("v1", "PersistentVolume").updateProblems(old, new).count == 1)
  }

  static let pods: [Refusal] = [
    Refusal(
      "profiles in annotations",
      [
        "metadata.annotations.seccomp.security.alpha.kubernetes.io/pod: Invalid value: \"foo\": must be a valid seccomp "
          + "profile",
        "metadata.annotations.container.seccomp.security.alpha.kubernetes.io/main: Invalid value: \"../x\": must not "
          + "contain '..'",
        "metadata.annotations[container.apparmor.security.beta.kubernetes.io/zz]: Invalid value: \"zz\": container not "
          + "found",
        "metadata.annotations[container.apparmor.security.beta.kubernetes.io/zz]: Invalid value: \"bar\": invalid AppArmor "
          + "profile name: \"bar\"",
      ]
    ) {
      $0["metadata"]["annotations"] = [
        "seccomp.security.alpha.kubernetes.io/pod": "foo",
        "container.seccomp.security.alpha.kubernetes.io/main": "localhost/../x",
        "container.apparmor.security.beta.kubernetes.io/zz": "bar",
      ]
    },
    Refusal(
      "a value for what only exists",
      [
        "spec.tolerations[0].operator: Invalid value: core.Toleration{Key:\"a\", Operator:\"Exists\", Value:\"b\", "
          + "Effect:\"\", TolerationSeconds:(*int64)(nil)}: value must be empty when `operator` is 'Exists'"
      ]
    ) { $0["spec"]["tolerations"] = [["key": "a", "operator": "Exists", "value": "b"]] },
    Refusal(
      "what windows does not have, in the order of the reference",
      [
        "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers",
        "spec.securityContext.seLinuxOptions: Forbidden: cannot be set for a windows pod",
        "spec.hostPID: Forbidden: cannot be set for a windows pod",
        "spec.shareProcessNamespace: Forbidden: cannot be set for a windows pod",
        "spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod",
      ]
    ) {
      $0["spec"]["os"] = ["name": "windows"]
      $0["spec"]["hostPID"] = true
      $0["spec"]["shareProcessNamespace"] = false
      $0["spec"]["securityContext"] = [
        "runAsUser": 1, "seLinuxOptions": [:], "windowsOptions": ["hostProcess": true],
      ]
    },
    Refusal(
      "processes of the node",
      [
        "spec.initContainers[0].securityContext.windowsOptions.hostProcess: Invalid value: false: pod hostProcess value "
          + "must be identical if both are specified, was true",
        "spec: Invalid value: \"\": If pod contains any hostProcess containers then all containers must be HostProcess "
          + "containers",
      ]
    ) {
      $0["spec"]["hostNetwork"] = true
      $0["spec"]["securityContext"] = ["windowsOptions": ["hostProcess": true]]
      var first = Given.container
      first["name"] = "first"
      first["securityContext"] = ["windowsOptions": ["hostProcess": false]]
      $0["spec"]["initContainers"] = [first]
    },
  ]

  @Test(arguments: pods) func `of pods`(refusal: Refusal) {
    var pod = Given.pod()
    refusal.edit(&pod)
    #expect(Given.kind("v1", "Pod").problems(pod) == refusal.problems)
  }

  @Test func `profiles said twice say the same`() {
    let pod = Given.pod {
      $0["metadata"]["annotations"] = [
        "seccomp.security.alpha.kubernetes.io/pod": "unconfined",
        "container.apparmor.security.beta.kubernetes.io/main": "localhost/a",
      ]
      $0["spec"]["securityContext"] = ["seccompProfile": ["type": "RuntimeDefault"]]
      $0["spec"]["containers"][0]["securityContext"] = [
        "appArmorProfile": ["type": "Localhost", "localhostProfile": "b"]
      ]
    }
    #expect(
      Given.kind("v1", "Pod").rules.validateCreate(pod).map { "\($0.field): \($0.message)" } == [
        "spec.securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match",
        "spec.containers[0].securityContext.appArmorProfile.localhostProfile: Forbidden: apparmor profile in annotation "
          + "and field must match",
      ])
  }

  @Test func `annotations of profiles stay`() {
    let name = "container.apparmor.security.beta.kubernetes.io/main"
    let old = Given.pod { $0["metadata"]["annotations"] = [.init(name): "unconfined"] }
    let kind = Given.kind("v1", "Pod")
    #expect(
      kind.updateProblems(Given.pod(), old) == [
        "metadata.annotations[\(name)]: Forbidden: may not remove or update AppArmor annotations"
      ])
    #expect(
      kind.updateProblems(old, Given.pod()) == [
        "metadata.annotations[\(name)]: Forbidden: may not add AppArmor annotations"
      ])
  }

  @Test func `addresses of a pod are told of as Go prints them`() {
    var pod = Given.pod()
    let old = pod
    pod["status"]["podIPs"] = [["ip": "10.0.0.1"], ["ip": "10.0.0.1"]]
    #expect(
      Given.kind("v1", "Pod").statusProblems(pod, old) == [
        "status.podIPs: Invalid value: []core.PodIP{core.PodIP{IP:\"10.0.0.1\"}, core.PodIP{IP:\"10.0.0.1\"}}: may specify "
          + "no more than one IP for each IP family",
        "status.podIPs[1]: Duplicate value: core.PodIP{IP:\"10.0.0.1\"}",
      ])
  }

  static let others: [GroupRefusal] = [
    GroupRefusal(
      "v1", "LimitRange",
      [
        "metadata": ["name": "l"],
        "spec": [
          "limits": [
            [
              "type": "Container", "max": ["cpu": "2"], "min": ["cpu": "1", "foo": "1"],
              "maxLimitRequestRatio": ["cpu": "3"],
            ], ["type": "PersistentVolumeClaim", "default": ["bar": "1"]],
          ]
        ],
      ],
      [
        "spec.limits[0].min[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified",
        "spec.limits[0].min[foo]: Invalid value: \"foo\": must be a standard resource for containers",
        "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: resource.Quantity{i:resource.int64Amount{value:3, "
          + "scale:0}, d:resource.infDecAmount{Dec:(*inf.Dec)(nil)}, s:\"3\", Format:\"DecimalSI\"}: ratio 3 is greater "
          + "than max/min = 2.000000",
        "spec.limits[1].default[bar]: Invalid value: \"bar\": must be a standard resource type or fully qualified",
        "spec.limits[1].limits: Required value: either minimum or maximum storage value is required, but neither was "
          + "provided",
      ]),
    GroupRefusal(
      "v1", "ResourceQuota",
      [
        "metadata": ["name": "q"],
        "spec": [
          "hard": ["services": "1"],
          "scopeSelector": [
            "matchExpressions": [
              ["scopeName": "Terminating", "operator": "In", "values": ["a"]],
              ["scopeName": "NotTerminating", "operator": "Exists"],
            ]
          ],
        ],
      ],
      [
        "spec.scopeSelector.matchExpressions: Invalid value: core.ScopeSelector{MatchExpressions:"
          + "[]core.ScopedResourceSelectorRequirement{core.ScopedResourceSelectorRequirement{ScopeName:\"Terminating\", "
          + "Operator:\"In\", Values:[]string{\"a\"}}, core.ScopedResourceSelectorRequirement{ScopeName:"
          + "\"NotTerminating\", Operator:\"Exists\", Values:[]string(nil)}}}: unsupported scope applied to resource",
        "spec.scopeSelector.matchExpressions.operator: Invalid value: \"In\": must be 'Exist' when scope is any of "
          + "ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
          + "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
        "spec.scopeSelector.matchExpressions: Invalid value: core.ScopeSelector{MatchExpressions:"
          + "[]core.ScopedResourceSelectorRequirement{core.ScopedResourceSelectorRequirement{ScopeName:\"Terminating\", "
          + "Operator:\"In\", Values:[]string{\"a\"}}, core.ScopedResourceSelectorRequirement{ScopeName:"
          + "\"NotTerminating\", Operator:\"Exists\", Values:[]string(nil)}}}: unsupported scope applied to resource",
        "spec.scopeSelector.matchExpressions: Invalid value: []core.ResourceQuotaScope(nil): conflicting scopes",
      ]),
    GroupRefusal(
      "v1", "Node", ["metadata": ["name": "n"], "spec": ["podCIDRs": ["10.0.0.0/24", "10.0.0.0/24"]]],
      [
        "spec.podCIDRs: Invalid value: []string{\"10.0.0.0/24\", \"10.0.0.0/24\"}: may specify no more than one CIDR for "
          + "each IP family",
        "spec.podCIDRs[1]: Duplicate value: \"10.0.0.0/24\"",
      ]),
    GroupRefusal(
      "storage.k8s.io/v1", "VolumeAttachment",
      [
        "metadata": ["name": "a"],
        "spec": [
          "attacher": "x", "nodeName": "n",
          "source": ["inlineVolumeSpec": ["capacity": ["storage": "1Gi"], "hostPath": ["path": "/x"]]],
        ],
      ],
      [
        "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes",
        "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes",
        "spec.source.inlineVolumeSpec.accessModes: Required value",
      ]),
    GroupRefusal(
      "policy/v1", "PodDisruptionBudget",
      ["metadata": ["name": "p"], "spec": ["minAvailable": 1, "maxUnavailable": 1]],
      [
        "spec: Invalid value: policy.PodDisruptionBudgetSpec{MinAvailable:(*intstr.IntOrString)(0xc000000000), "
          + "Selector:(*v1.LabelSelector)(nil), MaxUnavailable:(*intstr.IntOrString)(0xc000000000), "
          + "UnhealthyPodEvictionPolicy:(*policy.UnhealthyPodEvictionPolicyType)(nil)}: minAvailable and maxUnavailable "
          + "cannot be both set"
      ]),
    GroupRefusal(
      "storage.k8s.io/v1", "StorageClass",
      [
        "metadata": ["name": "s"], "provisioner": "p", "volumeBindingMode": "Immediate",
        "allowedTopologies": [["matchLabelExpressions": [["key": "k", "values": ["a"]], ["key": "k"]]]],
      ],
      [
        "allowedTopologies[0].matchLabelExpressions[1].values: Required value",
        "allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: \"k\"",
      ]),
  ]

  @Test(arguments: others) func `of other kinds`(refusal: GroupRefusal) {
    #expect(Given.kind(refusal.apiVersion, refusal.kind).problems(refusal.object) == refusal.problems)
  }

  @Test func `of a load balancer without an address, its ports come first`() {
    var service = Given.service(["type": "LoadBalancer", "clusterIP": "None", "ports": [["port": 10250]]])
    service["metadata"]["annotations"] = ["service.beta.kubernetes.io/load-balancer-source-ranges": "10.0.0.0/8,"]
    #expect(
      Given.kind("v1", "Service").problems(service) == [
        "spec.ports[0]: Invalid value: 10250: may not expose port 10250 externally since it is used by kubelet",
        "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services",
        "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Invalid value: \"\": must be a "
          + "valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
      ])
  }

  @Test func `of a changed service, the change comes first`() {
    let old = Given.service(["clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "ports": [["port": 80]]])
    var new = old
    new["spec"]["clusterIP"] = "10.0.0.2"
    new["spec"]["clusterIPs"] = ["10.0.0.2"]
    new["spec"]["ipFamilies"] = ["IPv6"]
    new["spec"]["loadBalancerClass"] = "a/b"
    let onlyThere = "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"
    #expect(
      Given.kind("v1", "Service").updateProblems(new, old) == [
        "spec.clusterIPs[0]: Invalid value: []string{\"10.0.0.2\"}: may not change once set",
        "spec.ipFamilies[0]: Invalid value: []core.IPFamily{\"IPv6\"}: may not change once set", onlyThere,
        "spec.clusterIPs[0]: Invalid value: \"10.0.0.2\": expected an IPv6 value as indicated by `ipFamilies[0]`",
        onlyThere,
      ])
    #expect(Given.kind("v1", "Service").replacementProblems(new, old) == [])
  }

  @Test func `of a changed secret, the change comes first`() {
    let old: JSONValue = ["type": "Opaque", "immutable": true]
    #expect(
      Given.kind("v1", "Secret").updateProblems(["type": "kubernetes.io/ssh-auth"], old) == [
        "type: Invalid value: \"kubernetes.io/ssh-auth\": field is immutable",
        "immutable: Forbidden: field is immutable when `immutable` is set", "data[ssh-privatekey]: Required value",
      ])
  }

  @Test func `of a changed node, taints are told of again`() {
    let old: JSONValue = ["spec": ["podCIDRs": ["10.0.0.0/24", "::/64"]]]
    let new: JSONValue = ["spec": ["podCIDRs": ["10.0.1.0/24", "::/72"], "externalID": "x", "taints": [["key": "a"]]]]
    let fixed = "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"
    #expect(
      Given.kind("v1", "Node").updateProblems(new, old) == [
        fixed, fixed, "metadata.taints[0].effect: Required value", "spec.externalID: Forbidden: may not be updated",
      ])
  }

  @Test func `a claim keeps the class of its annotation`() {
    let name = "volume.beta.kubernetes.io/storage-class"
    let old: JSONValue = ["metadata": ["annotations": [.init(name): "a"]], "spec": [:]]
    let kind = Given.kind("v1", "PersistentVolumeClaim")
    #expect(
      kind.updateProblems(["metadata": ["annotations": [.init(name): "b"]], "spec": [:]], old) == [
        "metadata.annotations.\(name): Invalid value: \"b\": field is immutable"
      ])
    #expect(kind.updateProblems(["metadata": [:], "spec": ["storageClassName": "a"]], old) == [])
    #expect(
      kind.statusProblems(
        [
          "status": ["allocatedResources": ["cpu": "1"], "allocatedResourceStatuses": ["foo/bar": "NodeResizePending"]]
        ],
        ["status": [:]]) == [
          "status.allocatedResources: Unsupported value: \"cpu\": supported values: \"storage\""
        ])
  }

  @Test func `what an event says is told of as Go prints it`() {
    let old: JSONValue = [
      "regarding": ["kind": "Pod", "name": "a"], "deprecatedSource": [:], "eventTime": "2026-01-01T00:00:00.5Z",
    ]
    var new = old
    new["regarding"]["name"] = "b"
    new["eventTime"] = "2026-01-02T00:00:00.5Z"
    new["deprecatedSource"]["host"] = "h"
    let problems = Given.kind("events.k8s.io/v1", "Event").updateProblems(new, old)
    #expect(
      problems == [
        "involvedObject: Invalid value: core.ObjectReference{Kind:\"Pod\", Namespace:\"\", Name:\"b\", UID:\"\", "
          + "APIVersion:\"\", ResourceVersion:\"\", FieldPath:\"\"}: field is immutable",
        "source: Invalid value: core.EventSource{Component:\"\", Host:\"h\"}: field is immutable",
        "eventTime: Invalid value: 2026-01-02 00:00:00.5 +0000 UTC: field is immutable",
      ])
  }
}
