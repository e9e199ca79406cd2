// The types of rbac/v1. Notation: TypeTable.

extension TypeTable {
  static let rbacV1 = #"""
    AggregationRule:
      1:clusterRoleSelectors meta.v1.LabelSelector[]
    ClusterRole @kind "A set of permissions, cluster-wide or to be bound in a namespace.":
      1:metadata! meta.v1.ObjectMeta
      2:rules! PolicyRule[] "The permissions."
      3:aggregationRule? AggregationRule "Selects the cluster roles whose rules this one gathers."
    ClusterRoleBinding @kind "Grants a cluster role to subjects everywhere.":
      1:metadata! meta.v1.ObjectMeta
      2:subjects Subject[] "Who gets the permissions."
      3:roleRef*! RoleRef "What is granted; immutable."
    PolicyRule:
      1:verbs*! string[] "Verbs, or * for all."
      2:apiGroups string[]
      3:resources string[] "Resources and subresources, or * for all."
      4:resourceNames string[]; 5:nonResourceURLs string[]
    Role @kind "A set of permissions within a namespace.":
      1:metadata! meta.v1.ObjectMeta
      2:rules! PolicyRule[] "The permissions."
    RoleBinding @kind "Grants a role or cluster role to subjects within a namespace.":
      1:metadata! meta.v1.ObjectMeta
      2:subjects Subject[] "Who gets the permissions."
      3:roleRef*! RoleRef "What is granted; immutable."
    RoleRef @atomic:
      1:apiGroup*! string =rbac.authorization.k8s.io
      2:kind*! string; 3:name*! string
    Subject @atomic:
      1:kind*! string; 2:apiGroup string; 3:name*! string; 4:namespace string
    """#
}
