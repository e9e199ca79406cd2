// The lines of Kubernetes' conformance list (v1.32) that an API server passes alone (a1), or together with controllers and
// without any container that runs (a2). The number is the place of the line in the list.
import Testing

struct ConformanceLine: Sendable, CustomTestStringConvertible {
  enum Level: String, Sendable {
    case apiServer = "a1", controllers = "a2"
  }
  let number: Int
  let level: Level
  let name: String
  var testDescription: String { "\(number) \(name)" }

  init(_ text: Substring) {
    let parts = text.drop { $0 == " " }.split(separator: " ", maxSplits: 2)
    guard parts.count == 3, let number = Int(parts[0]), let level = Level(rawValue: String(parts[1])) else {
      preconditionFailure("no line of the list: \(text)")
    }
    self.number = number
    self.level = level
    name = parts[2].split(separator: " ").joined(separator: " ")
  }

  static let all = text.split(separator: "\n").map { ConformanceLine($0) }

  private static let text = """
    1 a1 API priority and fairness should support FlowSchema API operations
    2 a1 API priority and fairness should support PriorityLevelConfiguration API operations
    25 a1 AggregatedDiscovery should support aggregated discovery interface
    26 a1 AggregatedDiscovery should support aggregated discovery interface for CRDs
    27 a1 AggregatedDiscovery should support raw aggregated discovery endpoint Accept headers
    28 a1 AggregatedDiscovery should support raw aggregated discovery request for CRDs
    32 a1 CustomResourceDefinition Watch CustomResourceDefinition Watch watch on custom resource definition objects
    33 a1 CustomResourceDefinition resources Simple CustomResourceDefinition creating/deleting custom \
      resource definition objects works
    34 a1 CustomResourceDefinition resources Simple CustomResourceDefinition getting/updating/patching custom \
      resource definition status sub-resource works
    35 a1 CustomResourceDefinition resources Simple CustomResourceDefinition listing custom resource \
      definition objects works
    36 a1 CustomResourceDefinition resources custom resource defaulting for requests and from storage works
    37 a1 CustomResourceDefinition resources should include custom resource definition resources in discovery \
      documents
    38 a1 CustomResourceFieldSelectors CustomResourceFieldSelectors MUST list and watch custom resources \
      matching the field selector
    39 a1 CustomResourcePublishOpenAPI removes definition from spec when one version gets changed to not be served
    40 a1 CustomResourcePublishOpenAPI updates the published spec when one version gets renamed
    41 a1 CustomResourcePublishOpenAPI works for CRD preserving unknown fields at the schema root
    42 a1 CustomResourcePublishOpenAPI works for CRD preserving unknown fields in an embedded object
    43 a1 CustomResourcePublishOpenAPI works for CRD with validation schema
    44 a1 CustomResourcePublishOpenAPI works for CRD without validation schema
    45 a1 CustomResourcePublishOpenAPI works for multiple CRDs of different groups
    46 a1 CustomResourcePublishOpenAPI works for multiple CRDs of same group and version but different kinds
    47 a1 CustomResourcePublishOpenAPI works for multiple CRDs of same group but different versions
    48 a1 Discovery should locate the groupVersion and a resource within each APIGroup
    49 a1 Discovery should validate PreferredVersion for each APIGroup
    50 a1 FieldValidation should create/apply a CR with unknown fields for CRD with no validation schema
    51 a1 FieldValidation should create/apply a valid CR for CRD with validation schema
    52 a1 FieldValidation should create/apply an invalid CR with extra properties for CRD with validation schema
    53 a1 FieldValidation should detect duplicates in a CR when preserving unknown fields
    54 a1 FieldValidation should detect unknown and duplicate fields of a typed object
    55 a1 FieldValidation should detect unknown metadata fields in both the root and embedded object of a CR
    56 a1 FieldValidation should detect unknown metadata fields of a typed object
    64 a1 Namespaces [Serial] should apply a finalizer to a Namespace
    65 a1 Namespaces [Serial] should apply an update to a Namespace
    66 a1 Namespaces [Serial] should apply changes to a namespace status
    69 a1 Namespaces [Serial] should patch a Namespace
    82 a1 Servers with support for API chunking should return chunks of results for list calls
    83 a1 Servers with support for API chunking should support continue listing from the last key if the \
      original version has been compacted away, though the list is inconsistent [Slow]
    84 a1 Servers with support for Table transformation should return a 406 for a backend which does not \
      implement metadata
    85 a1 ValidatingAdmissionPolicy should allow expressions to refer variables.
    86 a1 ValidatingAdmissionPolicy should support ValidatingAdmissionPolicy API operations
    87 a1 ValidatingAdmissionPolicy should support ValidatingAdmissionPolicyBinding API operations
    88 a1 ValidatingAdmissionPolicy should validate against a Deployment
    89 a1 Watchers should be able to restart watching from the last resource version observed by the previous watch
    90 a1 Watchers should be able to start watching from a specific resource version
    91 a1 Watchers should observe add, update, and delete watch notifications on configmaps
    92 a1 Watchers should observe an object deletion if it stops meeting the requirements of the selector
    93 a1 Watchers should receive events on concurrent watches in same order
    94 a1 server version should find the server version
    100 a1 CronJob should support CronJob API operations
    150 a1 Certificates API should support CSR API operations
    152 a1 ServiceAccounts should allow opting out of API token automount
    153 a1 ServiceAccounts should create a serviceAccountToken and ensure a successful TokenReview
    157 a1 ServiceAccounts should run through the lifecycle of a ServiceAccount
    158 a1 ServiceAccounts should update a ServiceAccount
    159 a1 SubjectReview should support SubjectReview API operations
    161 a1 Kubectl client Kubectl api-versions should check if v1 is in available api versions
    162 a1 Kubectl client Kubectl cluster-info should check if Kubernetes control plane services is included \
      in cluster-info
    164 a1 Kubectl client Kubectl diff should check if kubectl diff finds a difference for Deployments
    169 a1 Kubectl client Kubectl run pod should create a pod from an image when restart is Never
    171 a1 Kubectl client Kubectl version should check is all data is printed
    172 a1 Kubectl client Proxy server should support --unix-socket=/path
    173 a1 Kubectl client Proxy server should support proxy with --port 0
    177 a1 Events API should delete a collection of events
    178 a1 Events API should ensure that an event can be fetched, patched, deleted, and listed
    179 a1 Events should delete a collection of events
    180 a1 Events should manage the lifecycle of an event
    191 a1 EndpointSlice should have Endpoints and EndpointSlices pointing to API Server
    192 a1 EndpointSlice should support creating EndpointSlice API operations
    195 a1 Ingress API should support creating Ingress API operations
    196 a1 IngressClass API should support creating IngressClass API operations
    212 a1 Services should complete a service status lifecycle
    213 a1 Services should delete a collection of services
    214 a1 Services should find a service from listing all namespaces
    217 a1 Services should provide secure master service
    221 a1 Services should test the lifecycle of an Endpoint
    224 a1 ConfigMap should fail to create ConfigMap with empty key
    225 a1 ConfigMap should run through a ConfigMap lifecycle
    257 a1 Lease lease API should be available
    260 a1 Node Lifecycle should run through the lifecycle of a node
    261 a1 PodTemplates should delete a collection of pod templates
    262 a1 PodTemplates should replace a pod template
    263 a1 PodTemplates should run the lifecycle of PodTemplates
    264 a1 Pods Extended Pods Set QOS Class should be set on Pods with matching resource requests and limits \
      for memory and cpu
    286 a1 RuntimeClass should reject a Pod requesting a deleted RuntimeClass [NodeConformance]
    287 a1 RuntimeClass should reject a Pod requesting a non-existent RuntimeClass [NodeConformance]
    290 a1 RuntimeClass should support RuntimeClasses API operations
    293 a1 Secrets should fail to create secret due to empty secret key
    294 a1 Secrets should patch a secret
    301 a1 Sysctls [LinuxOnly] [NodeConformance] should reject invalid sysctls [MinimumKubeletVersion:1.21]
    311 a1 LimitRange should create a LimitRange with defaults and ensure pod has those defaults applied.
    312 a1 LimitRange should list, patch and delete a LimitRange by collection
    318 a1 SchedulerPreemption [Serial] PriorityClass endpoints verify PriorityClass endpoints can be \
      operated with different HTTP methods
    322 a1 CSIInlineVolumes should run through the lifecycle of a CSIDriver
    323 a1 CSIInlineVolumes should support CSIVolumeSource in Pod API
    324 a1 CSINodes CSI Conformance should run through the lifecycle of a csinode
    325 a1 CSIStorageCapacity should support CSIStorageCapacities API operations
    335 a1 ConfigMap should be immutable if `immutable` field is set
    403 a1 Secrets should be immutable if `immutable` field is set
    404 a1 StorageClasses CSI Conformance should run through the lifecycle of a StorageClass
    410 a1 VolumeAttachment Conformance should apply changes to a volumeattachment status
    411 a1 VolumeAttachment Conformance should run through the lifecycle of a VolumeAttachment
    57 a2 Garbage collector should delete RS created by deployment when not orphaning
    58 a2 Garbage collector should delete pods created by rc when not orphaning
    59 a2 Garbage collector should keep the rc around until all its pods are deleted if the deleteOptions says so
    60 a2 Garbage collector should not be blocked by dependency circle
    61 a2 Garbage collector should not delete dependents that have both valid owner and owner that's waiting \
      for dependents to be deleted
    62 a2 Garbage collector should orphan RS created by deployment when deleteOptions.PropagationPolicy is Orphan
    63 a2 Garbage collector should orphan pods created by rc if delete options say so
    68 a2 Namespaces [Serial] should ensure that all services are removed when a namespace is deleted
    70 a2 ResourceQuota should apply changes to a resourcequota status
    71 a2 ResourceQuota should be able to update and delete ResourceQuota.
    72 a2 ResourceQuota should create a ResourceQuota and capture the life of a configMap.
    73 a2 ResourceQuota should create a ResourceQuota and capture the life of a pod.
    74 a2 ResourceQuota should create a ResourceQuota and capture the life of a replica set.
    75 a2 ResourceQuota should create a ResourceQuota and capture the life of a replication controller.
    76 a2 ResourceQuota should create a ResourceQuota and capture the life of a secret.
    77 a2 ResourceQuota should create a ResourceQuota and capture the life of a service.
    78 a2 ResourceQuota should create a ResourceQuota and ensure its status is promptly calculated.
    79 a2 ResourceQuota should manage the lifecycle of a ResourceQuota
    80 a2 ResourceQuota should verify ResourceQuota with best effort scope.
    81 a2 ResourceQuota should verify ResourceQuota with terminating scopes.
    96 a2 CronJob should not schedule jobs when suspended [Slow]
    97 a2 CronJob should not schedule new jobs when ForbidConcurrent [Slow]
    98 a2 CronJob should replace jobs when ReplaceConcurrent
    99 a2 CronJob should schedule multiple jobs concurrently
    116 a2 DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a \
      collection of PodDisruptionBudgets
    118 a2 DisruptionController should create a PodDisruptionBudget
    139 a2 ReplicationController should surface a failure condition on a common issue like exceeded quota
    154 a2 ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace
    190 a2 EndpointSlice should create and delete Endpoints and EndpointSlices for a Service with a selector specified
    365 a2 PersistentVolumes CSI Conformance should apply changes to a pv/pvc status
    366 a2 PersistentVolumes CSI Conformance should run through the lifecycle of a PV and a PVC
    """
}
