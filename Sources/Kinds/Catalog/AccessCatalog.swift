// The resources of identity and permission: authentication, authorization, certificates, RBAC.
import Schema

extension Catalog {
  static func authentication(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind("SelfSubjectReview", "selfsubjectreviews", isNamespaced: false, verbs: [.create]),
      group.kind("TokenReview", "tokenreviews", isNamespaced: false, verbs: [.create]),
    ]
  }

  static func authorization(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind("LocalSubjectAccessReview", "localsubjectaccessreviews", verbs: [.create]),
      group.kind("SelfSubjectAccessReview", "selfsubjectaccessreviews", isNamespaced: false, verbs: [.create]),
      group.kind("SelfSubjectRulesReview", "selfsubjectrulesreviews", isNamespaced: false, verbs: [.create]),
      group.kind("SubjectAccessReview", "subjectaccessreviews", isNamespaced: false, verbs: [.create]),
    ]
  }

  static func certificates(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "CertificateSigningRequest", "certificatesigningrequests", shortNames: ["csr"], isNamespaced: false,
        subresources: [SubresourceEntry("approval", verbs: [.get, .patch, .update]), .status],
        rules: SigningRequestRules(), table: .signingRequest,
        selectors: ["spec.signerName"])
    ]
  }

  static func rbac(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "ClusterRoleBinding", "clusterrolebindings", isNamespaced: false, traits: [\.createsOnUpdate],
        rules: RoleBindingRules(isClusterBinding: true), table: .roleBinding),
      group.kind(
        "ClusterRole", "clusterroles", isNamespaced: false, traits: [\.createsOnUpdate],
        rules: RoleRules(isClusterRole: true)),
      group.kind(
        "RoleBinding", "rolebindings", traits: [\.createsOnUpdate], rules: RoleBindingRules(isClusterBinding: false),
        table: .roleBinding),
      group.kind("Role", "roles", traits: [\.createsOnUpdate], rules: RoleRules(isClusterRole: false)),
    ]
  }
}
