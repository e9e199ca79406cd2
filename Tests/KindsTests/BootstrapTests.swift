import JSON
import Schema
import Testing

@testable import Kinds

@Suite struct `What a cluster begins with` {
  private func role(_ name: String) -> JSONValue {
    RBACBootstrap.clusterRoles.first { $0["metadata"]["name"].text == name } ?? .null
  }

  @Test func `every object passes the rules of its kind`() {
    let objects =
      RBACBootstrap.clusterRoles + RBACBootstrap.clusterRoleBindings + RBACBootstrap.roles
      + RBACBootstrap.roleBindings + ClusterBootstrap.priorityClasses + ClusterBootstrap.storageClasses
      + ClusterBootstrap.priorityLevels
      + ClusterBootstrap.flowSchemas
    #expect(objects.count > 110)
    for var object in objects {
      let kind = Given.kind(object["apiVersion"].text, object["kind"].text)
      kind.rules.applyDefaults(to: &object)
      #expect(kind.problems(object) == [], "\(object["metadata"]["name"])")
    }
  }

  @Test func `the administrator may do everything`() {
    #expect(
      role("cluster-admin")["rules"] == [
        ["apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]], ["nonResourceURLs": ["*"], "verbs": ["*"]],
      ])
  }

  @Test func `admin contains edit, and edit contains view`() {
    #expect(
      role("admin")["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"] == [
        "rbac.authorization.k8s.io/aggregate-to-admin": "true"
      ])
    let view = role("view")["rules"].elements
    let edit = role("edit")["rules"].elements
    let admin = role("admin")["rules"].elements
    #expect(!view.isEmpty && view.allSatisfy(edit.contains) && edit.allSatisfy(admin.contains))
    #expect(edit.count > view.count && admin.count > edit.count)
    #expect(role("edit")["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"] == "true")
  }

  /// CVE-2021-25740: who writes Endpoints sends others' traffic where they may not.
  @Test func `nobody but administrators of the cluster writes endpoints`() {
    for name in ["edit", "admin"] {
      for rule in role(name)["rules"].elements where rule["resources"].elements.contains("endpoints") {
        #expect(rule["verbs"] == ["get", "list", "watch"])
      }
    }
  }

  @Test func `leases of every namespace are those of leaders`() {
    for name in ["system-leader-election", "workload-leader-election"] {
      let schema = ClusterBootstrap.flowSchemas.first { $0["metadata"]["name"].text == name } ?? .null
      #expect(schema["spec"]["rules"][0]["resourceRules"][0]["namespaces"] == ["*"])
    }
  }

  @Test func `every controller has its role and its binding`() {
    let controllers = RBACBootstrap.clusterRoles.filter { $0["metadata"]["name"].text.hasPrefix("system:controller:") }
    #expect(controllers.count == 33)
    for controller in controllers {
      let name = controller["metadata"]["name"]
      let binding = RBACBootstrap.clusterRoleBindings.first { $0["metadata"]["name"] == name }
      #expect(binding?["subjects"][0]["namespace"] == "kube-system")
    }
    #expect(
      role("system:controller:certificate-controller")["rules"].elements.contains {
        $0["verbs"] == ["sign"] && $0["resourceNames"].elements.count == 4
          && $0["apiGroups"] == ["certificates.k8s.io"]
      })
  }

  @Test func `every binding names a role that is there`() {
    let names = Set(RBACBootstrap.clusterRoles.map { $0["metadata"]["name"] })
    for binding in RBACBootstrap.clusterRoleBindings {
      #expect(names.contains(binding["roleRef"]["name"]), "\(binding["metadata"]["name"])")
    }
  }

  @Test func `every flow schema names a level that is there`() {
    let levels = Set(ClusterBootstrap.priorityLevels.map { $0["metadata"]["name"] })
    for schema in ClusterBootstrap.flowSchemas {
      #expect(levels.contains(schema["spec"]["priorityLevelConfiguration"]["name"]))
    }
  }
}
