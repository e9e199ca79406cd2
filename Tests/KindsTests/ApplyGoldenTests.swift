import JSON
import Schema
import Testing

@testable import Kinds

/// What the reference records for objects of the real kinds: the schemas' list types and merge keys at work.
@Suite struct `Ownership and patches of built-in kinds` {
  private func tree(_ text: String) -> JSONValue {
    do { return try JSONValue(parsing: text) } catch { preconditionFailure("a test's JSON does not parse: \(error)") }
  }
  private func kind(_ group: String, _ resource: String) -> KindDescriptor {
    KindRegistry.builtIn.preferredKind(GroupResource(group: group, resource: resource))!
  }
  private func created(_ descriptor: KindDescriptor, _ text: String) -> JSONValue {
    var object = TypedDecoder.canonicalized(tree(text), as: descriptor.structure)
    ManagedFieldsUpdater.update(
      old: nil, new: &object, structure: descriptor.structure, manager: "m", apiVersion: descriptor.kind.apiVersion,
      resetFields: ManagedFieldsUpdater.resetFields(for: descriptor), now: "2025-01-01T00:00:00Z")
    return object
  }
  private func fields(_ object: JSONValue) -> JSONValue { object["metadata"]["managedFields"][0]["fieldsV1"] }

  @Test func `a deployment made by kubectl`() {
    let object = created(
      kind("apps", "deployments"),
      #"""
      {"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"web","labels":{"app":"web"}},"spec":{"replicas":1,
      "selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[
      {"name":"nginx","image":"nginx","resources":{},"terminationMessagePath":"/dev/termination-log",
      "terminationMessagePolicy":"File","imagePullPolicy":"Always"}],"restartPolicy":"Always",
      "terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","securityContext":{},
      "schedulerName":"default-scheduler"}},"strategy":{"type":"RollingUpdate",
      "rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}},"revisionHistoryLimit":10,
      "progressDeadlineSeconds":600}}
      """#)
    #expect(
      fields(object).description
        == tree(
          #"""
          {"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:progressDeadlineSeconds":{},"f:replicas":{},
          "f:revisionHistoryLimit":{},"f:selector":{},"f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{},
          "f:maxUnavailable":{}},"f:type":{}},"f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},
          "f:spec":{"f:containers":{"k:{\"name\":\"nginx\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},
          "f:resources":{},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},
          "f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}}}
          """#
        ).description)
  }

  @Test func `a service`() {
    let object = created(
      kind("", "services"),
      #"""
      {"kind":"Service","apiVersion":"v1","metadata":{"name":"web"},"spec":{"ports":[
      {"protocol":"TCP","port":80,"targetPort":8080}],"selector":{"app":"web"},"type":"ClusterIP",
      "sessionAffinity":"None","internalTrafficPolicy":"Cluster"}}
      """#)
    #expect(
      fields(object)
        == tree(
          #"""
          {"f:spec":{"f:internalTrafficPolicy":{},"f:ports":{".":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},
          "f:port":{},"f:protocol":{},"f:targetPort":{}}},"f:selector":{},"f:sessionAffinity":{},"f:type":{}}}
          """#))
  }

  @Test func `a config map, a role, a lease`() {
    #expect(
      fields(created(kind("", "configmaps"), #"{"metadata":{"name":"c"},"data":{"a":"1"}}"#))
        == tree(#"{"f:data":{".":{},"f:a":{}}}"#))
    #expect(
      fields(
        created(
          kind("rbac.authorization.k8s.io", "roles"),
          #"{"metadata":{"name":"r"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]}"#))
        == tree(#"{"f:rules":{}}"#))
    #expect(
      fields(
        created(
          kind("coordination.k8s.io", "leases"),
          #"{"metadata":{"name":"l"},"spec":{"holderIdentity":"h","leaseDurationSeconds":15}}"#))
        == tree(#"{"f:spec":{"f:holderIdentity":{},"f:leaseDurationSeconds":{}}}"#))
  }

  @Test func `a kubelet's status of a pod`() {
    let pods = kind("", "pods")
    let old = TypedDecoder.canonicalized(
      tree(#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{},"status":{"phase":"Pending"}}"#),
      as: pods.structure)
    var tracked = old
    ManagedFieldsUpdater.update(
      old: nil, new: &tracked, structure: pods.structure, manager: "kubectl", apiVersion: "v1",
      now: "2025-01-01T00:00:00Z")
    var new = tracked
    new["status"] = tree(
      #"""
      {"phase":"Running","conditions":[{"type":"Ready","status":"True"}],"hostIP":"10.0.0.1",
      "podIPs":[{"ip":"10.1.0.1"}],"hostIPs":[{"ip":"10.0.0.1"}],"startTime":"2025-01-01T00:00:00Z",
      "containerStatuses":[{"name":"c","ready":true}]}
      """#)
    new = TypedDecoder.canonicalized(new, as: pods.structure)
    ManagedFieldsUpdater.update(
      old: tracked, new: &new, structure: pods.structure, manager: "kubelet", apiVersion: "v1", subresource: "status",
      resetFields: ManagedFieldsUpdater.resetFields(for: pods, subresource: "status"), now: "2025-01-01T00:00:01Z")
    let entry = new["metadata"]["managedFields"].elements.first { $0["manager"] == "kubelet" }
    #expect(
      entry?["fieldsV1"]
        == tree(
          #"""
          {"f:status":{"f:conditions":{".":{},"k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{},
          "f:lastTransitionTime":{},"f:status":{},"f:type":{}}},"f:containerStatuses":{},"f:hostIP":{},"f:hostIPs":{},
          "f:phase":{},"f:podIPs":{".":{},"k:{\"ip\":\"10.1.0.1\"}":{".":{},"f:ip":{}}},"f:startTime":{}}}
          """#))
  }

  @Test func `the taints of a node are replaced as kubectl taint means it`() throws {
    let nodes = kind("", "nodes")
    let result = try StrategicMergePatch.apply(
      tree(#"{"spec":{"taints":[{"effect":"NoSchedule","key":"b","value":"2"}]}}"#),
      to: tree(#"{"spec":{"taints":[{"effect":"NoSchedule","key":"a"}],"podCIDRs":["10.0.0.0/24"]}}"#),
      structure: nodes.structure)
    #expect(result["spec"]["taints"].elements.map { $0["key"] } == ["b"])
    #expect(result["spec"]["podCIDRs"] == ["10.0.0.0/24"])
  }

  @Test func `the selector of a disruption budget is replaced as a whole`() throws {
    let result = try StrategicMergePatch.apply(
      tree(#"{"spec":{"selector":{"matchLabels":{"b":"2"}}}}"#),
      to: tree(#"{"spec":{"selector":{"matchLabels":{"a":"1"}}}}"#),
      structure: kind("policy", "poddisruptionbudgets").structure)
    #expect(result["spec"]["selector"] == tree(#"{"matchLabels":{"b":"2"}}"#))
  }

  @Test func `every address and schema of OpenAPI stands on its own`() throws {
    let documents = OpenAPIDocuments(
      KindRegistry.builtIn.kinds, gitVersion: "v1.32.0",
      sources: OpenAPISources(hash: { String($0.count) }, structure: { TypeTable.builtIn.structure(of: $0) }))
    for (key, document) in documents.documents {
      let parsed = try JSONValue(parsing: document.bytes)
      let schemas = parsed["components"]["schemas"]
      func check(_ value: JSONValue) {
        switch value {
        case .object(let object):
          if let name = object["$ref"]?.string {
            #expect(!schemas[String(name.dropFirst("#/components/schemas/".count))].isNull, "\(key): \(name)")
          }
          for member in object { check(member.value) }
        case .array(let items): items.forEach(check)
        default: break
        }
      }
      check(parsed)
      let identifiers = (parsed["paths"].object ?? JSONObject()).flatMap { path in
        (path.value.object ?? JSONObject()).compactMap { $0.value["operationId"].string }
      }
      #expect(Set(identifiers).count == identifiers.count, "\(key)")
    }
  }
}
