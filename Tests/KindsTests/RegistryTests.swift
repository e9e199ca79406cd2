import JSON
import Schema
import Testing

@testable import Kinds

@Suite struct `The registry of built-in kinds` {
  let registry = KindRegistry.builtIn

  @Test func `every type table parses and links`() {
    #expect(TypeTable.builtIn.structures.count > 450)
  }

  @Test func `groups come in the order of discovery`() {
    #expect(
      registry.groups.map(\.name) == [
        "", "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io",
        "autoscaling", "batch", "certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io",
        "storage.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io",
        "coordination.k8s.io", "node.k8s.io", "discovery.k8s.io", "flowcontrol.apiserver.k8s.io",
      ])
    #expect(registry.group("autoscaling")?.versions.map(\.version) == ["v2", "v1"])
  }

  @Test func `a kind is found by path, by kind and by resource`() {
    let deployment = registry.kind(group: "apps", version: "v1", resource: "deployments")
    #expect(deployment?.kind.kind == "Deployment")
    #expect(registry.kind(apiVersion: "apps/v1", kind: "Deployment")?.resource == "deployments")
    #expect(registry.kind(apiVersion: "v1", kind: "Pod")?.shortNames == ["po"])
    #expect(
      registry.preferredKind(GroupResource(group: "autoscaling", resource: "horizontalpodautoscalers"))?.kind.version
        == "v2")
    #expect(registry.kind(group: "apps", version: "v1beta1", resource: "deployments") == nil)
  }

  @Test func `every kind has as many cells as columns, even for an empty object`() {
    for kind in registry.kinds {
      let cells = kind.rules.tableCells(["metadata": ["name": "x"]], now: 0)
      #expect(cells.count == kind.columns.count, "\(kind.kind)")
      #expect(cells.first == "x" || kind.kind.kind == "Event", "\(kind.kind)")
    }
  }
}
