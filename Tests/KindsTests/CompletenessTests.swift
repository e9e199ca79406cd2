import Schema
import Testing

@testable import Kinds

@Suite struct `Completeness of the registry` {
  /// spec/3 §3.2: group version, resource, kind, short names, namespaced, verbs, subresources. (pods/resize is off.)
  static let expected = """
    v1 bindings Binding - yes C []
    v1 componentstatuses ComponentStatus cs no GL []
    v1 configmaps ConfigMap cm yes all []
    v1 endpoints Endpoints ep yes all []
    v1 events Event ev yes all []
    v1 limitranges LimitRange limits yes all []
    v1 namespaces Namespace ns no CDGLPUW [finalize status]
    v1 nodes Node no no all [proxy status]
    v1 persistentvolumeclaims PersistentVolumeClaim pvc yes all [status]
    v1 persistentvolumes PersistentVolume pv no all [status]
    v1 pods Pod po yes all [attach binding ephemeralcontainers eviction exec log portforward proxy status]
    v1 podtemplates PodTemplate - yes all []
    v1 replicationcontrollers ReplicationController rc yes all [scale status]
    v1 resourcequotas ResourceQuota quota yes all [status]
    v1 secrets Secret - yes all []
    v1 serviceaccounts ServiceAccount sa yes all [token]
    v1 services Service svc yes all [proxy status]
    apiregistration.k8s.io/v1 apiservices APIService - no all [status]
    apps/v1 controllerrevisions ControllerRevision - yes all []
    apps/v1 daemonsets DaemonSet ds yes all [status]
    apps/v1 deployments Deployment deploy yes all [scale status]
    apps/v1 replicasets ReplicaSet rs yes all [scale status]
    apps/v1 statefulsets StatefulSet sts yes all [scale status]
    events.k8s.io/v1 events Event ev yes all []
    authentication.k8s.io/v1 selfsubjectreviews SelfSubjectReview - no C []
    authentication.k8s.io/v1 tokenreviews TokenReview - no C []
    authorization.k8s.io/v1 localsubjectaccessreviews LocalSubjectAccessReview - yes C []
    authorization.k8s.io/v1 selfsubjectaccessreviews SelfSubjectAccessReview - no C []
    authorization.k8s.io/v1 selfsubjectrulesreviews SelfSubjectRulesReview - no C []
    authorization.k8s.io/v1 subjectaccessreviews SubjectAccessReview - no C []
    autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler hpa yes all [status]
    autoscaling/v1 horizontalpodautoscalers HorizontalPodAutoscaler hpa yes all [status]
    batch/v1 cronjobs CronJob cj yes all [status]
    batch/v1 jobs Job - yes all [status]
    certificates.k8s.io/v1 certificatesigningrequests CertificateSigningRequest csr no all [approval status]
    networking.k8s.io/v1 ingressclasses IngressClass - no all []
    networking.k8s.io/v1 ingresses Ingress ing yes all [status]
    networking.k8s.io/v1 networkpolicies NetworkPolicy netpol yes all []
    policy/v1 poddisruptionbudgets PodDisruptionBudget pdb yes all [status]
    rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding - no all []
    rbac.authorization.k8s.io/v1 clusterroles ClusterRole - no all []
    rbac.authorization.k8s.io/v1 rolebindings RoleBinding - yes all []
    rbac.authorization.k8s.io/v1 roles Role - yes all []
    storage.k8s.io/v1 csidrivers CSIDriver - no all []
    storage.k8s.io/v1 csinodes CSINode - no all []
    storage.k8s.io/v1 csistoragecapacities CSIStorageCapacity - yes all []
    storage.k8s.io/v1 storageclasses StorageClass sc no all []
    storage.k8s.io/v1 volumeattachments VolumeAttachment - no all [status]
    admissionregistration.k8s.io/v1 mutatingwebhookconfigurations MutatingWebhookConfiguration - no all []
    admissionregistration.k8s.io/v1 validatingadmissionpolicies ValidatingAdmissionPolicy - no all [status]
    admissionregistration.k8s.io/v1 validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding - no all []
    admissionregistration.k8s.io/v1 validatingwebhookconfigurations ValidatingWebhookConfiguration - no all []
    apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition crd,crds no all [status]
    scheduling.k8s.io/v1 priorityclasses PriorityClass pc no all []
    coordination.k8s.io/v1 leases Lease - yes all []
    node.k8s.io/v1 runtimeclasses RuntimeClass - no all []
    discovery.k8s.io/v1 endpointslices EndpointSlice - yes all []
    flowcontrol.apiserver.k8s.io/v1 flowschemas FlowSchema - no all [status]
    flowcontrol.apiserver.k8s.io/v1 prioritylevelconfigurations PriorityLevelConfiguration - no all [status]
    """

  private static let letters: [(Character, Verb)] = [
    ("C", .create), ("D", .delete), ("X", .deletecollection), ("G", .get), ("L", .list), ("P", .patch), ("U", .update),
    ("W", .watch),
  ]

  @Test func `every resource of the reference is there, as the reference has it`() {
    var listed: Set<String> = []
    for line in Self.expected.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 6).map(String.init)
      guard let kind = KindRegistry.builtIn.kind(apiVersion: words[0], kind: words[2]) else {
        Issue.record("\(words[0]) \(words[2]) is missing")
        continue
      }
      listed.insert("\(kind.kind)")
      #expect(kind.resource == words[1])
      #expect(kind.shortNames == (words[3] == "-" ? [] : words[3].split(separator: ",").map(String.init)), "\(line)")
      #expect(kind.isNamespaced == (words[4] == "yes"), "\(line)")
      let verbs =
        words[5] == "all" ? Verb.allCases : words[5].compactMap { letter in Self.letters.first { $0.0 == letter }?.1 }
      #expect(Set(kind.verbs) == Set(verbs), "\(line)")
      let subresources = words[6].dropFirst().dropLast().split(separator: " ").map(String.init)
      #expect(kind.subresources.map(\.name).sorted() == subresources, "\(line)")
    }
    #expect(listed == Set(KindRegistry.builtIn.kinds.map { "\($0.kind)" }))
  }
}
