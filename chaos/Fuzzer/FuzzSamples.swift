// A valid object of every kind that is served: what the fuzzer begins with. Kinds that are not here are made of their
// schema alone.
import JSON

/// One kind to send requests about.
struct FuzzSample: Sendable {
  var group: String
  var version: String
  var kind: String
  /// Without apiVersion, kind and name.
  var object: JSONValue
  /// Whether what is sent may be stored. Some kinds change how every other request is answered (a webhook that nobody
  /// serves, a policy that denies): they are sent as dry runs only.
  var isStored = true
  /// Questions have no names.
  var isNamed: Bool { !kind.hasSuffix("AccessReview") }

  init(_ apiVersion: String, _ kind: String, _ text: String, isStored: Bool = true) {
    let parts = apiVersion.split(separator: "/")
    group = parts.count == 2 ? String(parts[0]) : ""
    version = String(parts[parts.count - 1])
    self.kind = kind
    self.isStored = isStored
    guard let parsed = try? JSONValue(parsing: text) else { preconditionFailure("the sample of \(kind) is no JSON") }
    object = parsed
  }

  static let containers = #"{"name":"main","image":"nginx:1.27"}"#
  private static func template(_ more: String = "") -> String {
    #"{"metadata":{"labels":{"app":"a"}},"spec":{"containers":[\#(containers)]\#(more)}}"#
  }
  private static func workload(_ more: String = "") -> String {
    #"{"spec":{"selector":{"matchLabels":{"app":"a"}},"template":\#(template())\#(more)}}"#
  }

  static let all: [FuzzSample] = core + workloads + cluster + access + extensions

  private static let core: [FuzzSample] = [
    FuzzSample(
      "v1", "Pod",
      #"{"metadata":{"labels":{"app":"a"}},"spec":{"initContainers":[{"name":"first","image":"b:1","restartPolicy":"#
        + #""Always"}],"containers":[{"name":"main","image":"nginx:1.27","ports":[{"containerPort":80,"name":"web"}],"#
        + #""env":[{"name":"A","value":"1"},{"name":"B","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}],"#
        + #""resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"memory":"1Gi"}},"readinessProbe":{"#
        + #""httpGet":{"path":"/","port":"web"}},"volumeMounts":[{"name":"v","mountPath":"/v"}]}],"volumes":[{"name":"#
        + #""v","configMap":{"name":"c"}}],"tolerations":[{"key":"k","operator":"Exists","effect":"NoExecute","#
        + #""tolerationSeconds":5}],"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"#
        + #""nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"In","values":["b"]}]}]}}},"#
        + #""topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"ScheduleAnyway","#
        + #""labelSelector":{"matchLabels":{"app":"a"}}}],"securityContext":{"runAsUser":1000}}}"#),
    FuzzSample("v1", "PodTemplate", #"{"template":\#(template())}"#),
    FuzzSample(
      "v1", "ReplicationController", #"{"spec":{"replicas":1,"selector":{"app":"a"},"template":\#(template())}}"#),
    FuzzSample(
      "v1", "Service",
      #"{"spec":{"type":"NodePort","selector":{"app":"a"},"ports":[{"name":"web","port":80,"targetPort":"web"},"#
        + #"{"name":"tls","port":443,"protocol":"TCP"}],"sessionAffinity":"ClientIP"}}"#),
    FuzzSample(
      "v1", "Endpoints",
      #"{"subsets":[{"addresses":[{"ip":"10.1.2.3","nodeName":"n"}],"ports":[{"name":"web","port":80}]}]}"#),
    FuzzSample("v1", "ConfigMap", #"{"data":{"a":"1","b.txt":"two\n"},"binaryData":{"c":"AAEC"}}"#),
    FuzzSample("v1", "Secret", #"{"type":"Opaque","data":{"a":"MQ=="},"stringData":{"b":"2"}}"#),
    FuzzSample("v1", "ServiceAccount", #"{"imagePullSecrets":[{"name":"p"}],"automountServiceAccountToken":true}"#),
    FuzzSample(
      "v1", "LimitRange",
      #"{"spec":{"limits":[{"type":"Container","max":{"cpu":"64"},"min":{"cpu":"1m"},"default":{"cpu":"1"},"#
        + #""defaultRequest":{"cpu":"10m"}}]}}"#),
    FuzzSample(
      "v1", "ResourceQuota", #"{"spec":{"hard":{"pods":"1000","requests.cpu":"1k","count/jobs.batch":"50"}}}"#),
    FuzzSample(
      "v1", "PersistentVolumeClaim",
      #"{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}},"storageClassName":"s"}}"#),
    FuzzSample(
      "v1", "Event",
      #"{"involvedObject":{"kind":"Pod","namespace":"fuzz-a","name":"p","uid":"u","apiVersion":"v1"},"reason":"Fuzz","#
        + #""message":"hello","type":"Normal","source":{"component":"fuzz"},"count":1,"firstTimestamp":"#
        + #""2026-01-01T00:00:00Z","lastTimestamp":"2026-01-01T00:00:00Z"}"#),
    FuzzSample("v1", "Namespace", #"{"metadata":{"labels":{"team":"a"}}}"#),
    FuzzSample(
      "v1", "Node",
      #"{"metadata":{"labels":{"kubernetes.io/hostname":"n"}},"spec":{"podCIDR":"10.244.1.0/24","podCIDRs":["#
        + #""10.244.1.0/24"],"taints":[{"key":"k","value":"v","effect":"NoSchedule"}],"unschedulable":true},"status":{"#
        + #""capacity":{"cpu":"4","memory":"8Gi","pods":"110"},"addresses":[{"type":"InternalIP","address":"10.9.9.9"}],"#
        + #""conditions":[{"type":"Ready","status":"True","reason":"KubeletReady"}]}}"#),
    FuzzSample(
      "v1", "PersistentVolume",
      #"{"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"hostPath":{"path":"/tmp/v"},"#
        + #""persistentVolumeReclaimPolicy":"Retain","storageClassName":"s"}}"#),
    FuzzSample("v1", "Binding", #"{"target":{"kind":"Node","name":"n"}}"#),
  ]

  private static let workloads: [FuzzSample] = [
    FuzzSample("apps/v1", "ControllerRevision", #"{"data":{"spec":{"a":1}},"revision":1}"#),
    FuzzSample("apps/v1", "DaemonSet", workload()),
    FuzzSample(
      "apps/v1", "Deployment",
      workload(
        #","replicas":1,"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":1}}"#)),
    FuzzSample("apps/v1", "ReplicaSet", workload(#","replicas":1"#)),
    FuzzSample(
      "apps/v1", "StatefulSet",
      workload(
        #","replicas":1,"serviceName":"s","volumeClaimTemplates":[{"metadata":{"name":"d"},"spec":{"accessModes":["#
          + #""ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}]"#)),
    FuzzSample(
      "batch/v1", "Job",
      #"{"spec":{"completions":2,"parallelism":1,"backoffLimit":3,"template":\#(template(#","restartPolicy":"Never""#))}}"#
    ),
    FuzzSample(
      "batch/v1", "CronJob",
      #"{"spec":{"schedule":"*/5 * * * *","suspend":true,"jobTemplate":{"spec":{"template":"#
        + template(#","restartPolicy":"OnFailure""#) + "}}}}"),
    FuzzSample(
      "autoscaling/v2", "HorizontalPodAutoscaler",
      #"{"spec":{"minReplicas":1,"maxReplicas":3,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"},"#
        + #""metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":"#
        + #"80}}},{"type":"Pods","pods":{"metric":{"name":"m"},"target":{"type":"AverageValue","averageValue":"1k"}}}],"#
        + #""behavior":{"scaleDown":{"policies":[{"type":"Percent","value":10,"periodSeconds":60}]}}}}"#),
    FuzzSample(
      "autoscaling/v1", "HorizontalPodAutoscaler",
      #"{"spec":{"minReplicas":1,"maxReplicas":3,"targetCPUUtilizationPercentage":50,"scaleTargetRef":{"kind":"#
        + #""Deployment","name":"d","apiVersion":"apps/v1"}}}"#),
    FuzzSample(
      "policy/v1", "PodDisruptionBudget", #"{"spec":{"minAvailable":"50%","selector":{"matchLabels":{"app":"a"}}}}"#),
    FuzzSample(
      "networking.k8s.io/v1", "Ingress",
      #"{"spec":{"ingressClassName":"c","tls":[{"hosts":["a.com"],"secretName":"s"}],"rules":[{"host":"a.com","http":{"#
        + #""paths":[{"path":"/x","pathType":"Prefix","backend":{"service":{"name":"svc","port":{"number":80}}}}]}}]}}"#
    ),
    FuzzSample(
      "networking.k8s.io/v1", "NetworkPolicy",
      #"{"spec":{"podSelector":{"matchLabels":{"app":"a"}},"policyTypes":["Ingress","Egress"],"ingress":[{"from":[{"#
        + #""ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}}],"ports":[{"port":80,"endPort":90}]}]}}"#),
    FuzzSample(
      "discovery.k8s.io/v1", "EndpointSlice",
      #"{"addressType":"IPv4","endpoints":[{"addresses":["10.1.2.3"],"conditions":{"ready":true},"nodeName":"n"}],"ports":["#
        + #"{"name":"web","port":80,"protocol":"TCP"}]}"#),
    FuzzSample(
      "coordination.k8s.io/v1", "Lease",
      #"{"spec":{"holderIdentity":"me","leaseDurationSeconds":15,"renewTime":"2026-01-01T00:00:00.000000Z","#
        + #""leaseTransitions":1}}"#),
    FuzzSample(
      "events.k8s.io/v1", "Event",
      #"{"eventTime":"2026-01-01T00:00:00.000000Z","reportingController":"fuzz.dev/c","reportingInstance":"i","action":"A","#
        + #""reason":"R","regarding":{"kind":"Pod","namespace":"fuzz-a","name":"p"},"note":"n","type":"Normal"}"#),
  ]

  private static let cluster: [FuzzSample] = [
    FuzzSample("networking.k8s.io/v1", "IngressClass", #"{"spec":{"controller":"example.com/c"}}"#),
    FuzzSample("storage.k8s.io/v1", "CSIDriver", #"{"spec":{"attachRequired":false,"podInfoOnMount":true}}"#),
    FuzzSample(
      "storage.k8s.io/v1", "CSINode",
      #"{"spec":{"drivers":[{"name":"d.example.com","nodeID":"i","topologyKeys":["z"],"allocatable":{"count":5}}]}}"#),
    FuzzSample("storage.k8s.io/v1", "CSIStorageCapacity", #"{"storageClassName":"s","capacity":"1Gi"}"#),
    FuzzSample(
      "storage.k8s.io/v1", "StorageClass",
      #"{"provisioner":"example.com/p","parameters":{"a":"b"},"#
        + #""allowVolumeExpansion":true}"#),
    FuzzSample(
      "storage.k8s.io/v1", "VolumeAttachment",
      #"{"spec":{"attacher":"a.example.com","nodeName":"n","source":{"persistentVolumeName":"v"}}}"#),
    FuzzSample("scheduling.k8s.io/v1", "PriorityClass", #"{"value":10,"description":"d"}"#),
    FuzzSample("node.k8s.io/v1", "RuntimeClass", #"{"handler":"runc","overhead":{"podFixed":{"cpu":"1m"}}}"#),
    FuzzSample(
      "flowcontrol.apiserver.k8s.io/v1", "FlowSchema",
      #"{"spec":{"priorityLevelConfiguration":{"name":"global-default"},"matchingPrecedence":9999,"rules":[{"subjects":["#
        + #"{"kind":"User","user":{"name":"nobody"}}],"resourceRules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"],"#
        + #""namespaces":["*"]}]}]}}"#, isStored: false),
    FuzzSample(
      "flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration",
      #"{"spec":{"type":"Limited","limited":{"nominalConcurrencyShares":5,"limitResponse":{"type":"Queue","queuing":{"#
        + #""queues":16,"handSize":4,"queueLengthLimit":50}}}}}"#, isStored: false),
  ]

  private static let access: [FuzzSample] = [
    FuzzSample(
      "rbac.authorization.k8s.io/v1", "Role",
      #"{"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get","list"],"resourceNames":["a"]}]}"#),
    FuzzSample(
      "rbac.authorization.k8s.io/v1", "ClusterRole",
      #"{"rules":[{"apiGroups":["apps"],"resources":["*"],"verbs":["*"]},{"nonResourceURLs":["/x/*"],"verbs":["get"]}],"#
        + #""aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"never":"there"}}]}}"#),
    FuzzSample(
      "rbac.authorization.k8s.io/v1", "RoleBinding",
      #"{"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},"subjects":[{"kind":"#
        + #""ServiceAccount","name":"default","namespace":"fuzz-a"}]}"#),
    FuzzSample(
      "rbac.authorization.k8s.io/v1", "ClusterRoleBinding",
      #"{"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},"subjects":[{"kind":"#
        + #""User","name":"u","apiGroup":"rbac.authorization.k8s.io"}]}"#),
    FuzzSample(
      "certificates.k8s.io/v1", "CertificateSigningRequest",
      #"{"spec":{"request":""#
        + "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIZk1JR0hBZ0VBTUNVeEZUQVRCZ05WQkFvTURITjVjM1JsYlRw"
        + "dWIyUmxjekVNTUFvR0ExVUVBd3dEYjI1bApNRmt3RXdZSEtvWkl6ajBDQVFZSUtvWkl6ajBEQVFjRFFnQUVwNnhlaldPQ1BEdVZX"
        + "UjA4Y0NlTS9qdUhweXFKCjNOZlZuSDk5djYzdmg4R0dOV2dVbzZlTlU0bHg3UG5PL0pxUDRjT2lieXhHUG00bDcwdUVLMUNYNXFB"
        + "QU1Bb0cKQ0NxR1NNNDlCQU1DQTBjQU1FUUNJQzV3eDZRNWZna1lZUU1VdGZuN0tXb2dwTjNpa0pXWHhEYVdvVTRqSkVCYQpBaUJv"
        + "eXliSnY3OFB2dVVqeWMyYjA2d3VENC9aSjB4T2VDc1o5aUQ4My9iblhBPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0t"
        + "LS0tCg=="
        + #"","#
        + #""signerName":"example.com/signer","usages":["client auth"]}}"#),
    FuzzSample("authentication.k8s.io/v1", "TokenReview", #"{"spec":{"token":"abc"}}"#),
    FuzzSample("authentication.k8s.io/v1", "SelfSubjectReview", "{}"),
    FuzzSample(
      "authorization.k8s.io/v1", "SubjectAccessReview",
      #"{"spec":{"user":"u","groups":["g"],"resourceAttributes":{"verb":"get","resource":"pods","namespace":"fuzz-a"}}}"#
    ),
    FuzzSample(
      "authorization.k8s.io/v1", "LocalSubjectAccessReview",
      #"{"spec":{"user":"u","resourceAttributes":{"verb":"get","resource":"pods","namespace":"fuzz-a"}}}"#),
    FuzzSample(
      "authorization.k8s.io/v1", "SelfSubjectAccessReview",
      #"{"spec":{"nonResourceAttributes":{"verb":"get","path":"/version"}}}"#),
    FuzzSample("authorization.k8s.io/v1", "SelfSubjectRulesReview", #"{"spec":{"namespace":"fuzz-a"}}"#),
  ]

  private static let extensions: [FuzzSample] = [
    FuzzSample(
      "apiregistration.k8s.io/v1", "APIService",
      #"{"spec":{"group":"fuzz.example.com","version":"v1","groupPriorityMinimum":100,"versionPriority":10,"service":{"#
        + #""name":"s","namespace":"fuzz-a"},"insecureSkipTLSVerify":true}}"#, isStored: false),
    FuzzSample(
      "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration",
      #"{"webhooks":[{"name":"a.b.example.com","clientConfig":{"url":"https://127.0.0.1:1/x"},"sideEffects":"None","#
        + #""admissionReviewVersions":["v1"],"rules":[{"operations":["CREATE"],"apiGroups":["none.example.com"],"#
        + #""apiVersions":["v1"],"resources":["nones"]}]}]}"#, isStored: false),
    FuzzSample(
      "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration",
      #"{"webhooks":[{"name":"a.b.example.com","clientConfig":{"service":{"namespace":"n","name":"s"}},"sideEffects":"None","#
        + #""admissionReviewVersions":["v1"],"matchConditions":[{"name":"c","expression":"object.metadata.name == 'x'"}]}]}"#,
      isStored: false),
    FuzzSample(
      "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy",
      #"{"spec":{"failurePolicy":"Ignore","matchConstraints":{"resourceRules":[{"apiGroups":["none.example.com"],"#
        + #""apiVersions":["v1"],"operations":["CREATE"],"resources":["nones"]}]},"variables":[{"name":"v","expression":"#
        + #""object.spec"}],"validations":[{"expression":"has(object.spec) && size(variables.v) > 0","messageExpression":"#
        + #""'no ' + object.metadata.name"}]}}"#),
    FuzzSample(
      "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding",
      #"{"spec":{"policyName":"none","validationActions":["Warn"]}}"#, isStored: false),
    FuzzSample(
      "apiextensions.k8s.io/v1", "CustomResourceDefinition",
      #"{"spec":{"group":"other.trireme.dev","scope":"Namespaced","names":{"plural":"others","singular":"other","kind":"#
        + #""Other","listKind":"OtherList"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"#
        + #""openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{"a":{"type":"integer","#
        + #""minimum":1},"b":{"type":"string","pattern":"^[a-z]+$"}},"x-kubernetes-validations":[{"rule":"self.a > 0"}]}}}}}]}}"#
    ),
    FuzzSample(
      "fuzz.trireme.dev/v1", "Widget",
      #"{"spec":{"size":3,"colour":"red","port":"http","free":{"a":[1,{"b":null}]},"items":[{"name":"x","value":1},{"name":"y"}],"#
        + #""tags":["a","b"],"when":"2026-01-01T00:00:00Z","pair":{"low":1,"high":2}}}"#),
  ]

  /// The definition of Widget, made before a run: every extension of structural schemas has a place in it.
  static let widgetDefinition = FuzzSample(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition",
    #"{"metadata":{"name":"widgets.fuzz.trireme.dev"},"spec":{"group":"fuzz.trireme.dev","scope":"Namespaced","names":{"#
      + #""plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetList"},"versions":[{"name":"v1","served":true,"#
      + #""storage":true,"subresources":{"status":{},"scale":{"specReplicasPath":".spec.size","statusReplicasPath":"#
      + #"".status.size"}},"selectableFields":[{"jsonPath":".spec.colour"}],"additionalPrinterColumns":[{"name":"Size","type":"#
      + #""integer","jsonPath":".spec.size"},{"name":"Items","type":"string","jsonPath":".spec.items[*].name"}],"schema":{"#
      + #""openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","required":["size"],"properties":{"size":{"#
      + #""type":"integer","format":"int32","minimum":0,"maximum":1000000},"colour":{"type":"string","enum":["red","green"],"#
      + #""default":"red"},"port":{"x-kubernetes-int-or-string":true},"free":{"type":"object","#
      + #""x-kubernetes-preserve-unknown-fields":true},"items":{"type":"array","maxItems":50,"x-kubernetes-list-type":"map","#
      + #""x-kubernetes-list-map-keys":["name"],"items":{"type":"object","required":["name"],"properties":{"name":{"type":"#
      + #""string","maxLength":20,"pattern":"^[a-z]*$"},"value":{"type":"number","nullable":true}}}},"tags":{"type":"array","#
      + #""maxItems":20,"x-kubernetes-list-type":"set","items":{"type":"string","maxLength":30}},"when":{"type":"string","#
      + #""format":"date-time"},"pair":{"type":"object","properties":{"low":{"type":"integer"},"high":{"type":"integer"}},"#
      + #""x-kubernetes-validations":[{"rule":"!has(self.low) || !has(self.high) || self.low <= self.high","message":"low above high"},"#
      + #"{"rule":"!has(oldSelf.high) || self.high >= oldSelf.high"}]},"embedded":{"type":"object","#
      + #""x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true}}},"status":{"type":"object","#
      + #""properties":{"size":{"type":"integer"},"text":{"type":"string"}}}}}}}]}}"#)
}
