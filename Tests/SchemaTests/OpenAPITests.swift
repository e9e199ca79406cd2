import JSON
import Schema
import Testing

@Suite("OpenAPI documents")
struct OpenAPITests {
  private static let scale = GroupVersionKind(group: "autoscaling", version: "v1", kind: "Scale")
  private let deployments = TableFixture.descriptor(
    subresources: [
      Subresource(name: "scale", kind: scale, verbs: [.get, .patch, .update]),
      Subresource(name: "status", kind: ApplyFixture.kind, verbs: [.get, .patch, .update]),
    ])
  private let nodes = TableFixture.descriptor(
    GroupVersionKind(group: "", version: "v1", kind: "Node"), resource: "nodes", isNamespaced: false,
    structure: Fixture.structure("core.v1.Node", []))
  private let custom = TableFixture.descriptor(
    GroupVersionKind(group: "stable.example.com", version: "v1", kind: "CronTab"), resource: "crontabs",
    structure: Fixture.structure("CronTab", []))
  private let sources = OpenAPISources(
    hash: { "HASH\($0.count)" },
    schema: { $0.kind == "CronTab" ? ["type": "object", "properties": ["spec": ["type": "object"]]] : nil })

  private func documents() -> OpenAPIDocuments {
    OpenAPIDocuments([deployments, nodes, custom], gitVersion: "v1.32.0", sources: sources)
  }
  private func document(_ key: String) throws -> JSONValue {
    try JSONValue(parsing: try #require(documents().documents[key]).bytes)
  }
  private func schema(_ document: JSONValue, _ name: String) -> JSONValue { document["components"]["schemas"][name] }

  @Test("are listed by an index with their hashes")
  func index() throws {
    let paths = try JSONValue(parsing: documents().index.bytes)["paths"]
    #expect(
      paths.object?.map(\.key) == [
        ".well-known/openid-configuration", "api", "api/v1", "apis", "apis/apps", "apis/apps/v1",
        "apis/stable.example.com", "apis/stable.example.com/v1", "openid/v1/jwks", "version",
      ])
    let hash = try #require(documents().documents["apis/apps/v1"]).hash
    #expect(paths["apis/apps/v1"]["serverRelativeURL"].string == "/openapi/v3/apis/apps/v1?hash=\(hash)")
  }

  @Test("tell kubectl that the server validates fields, and which patches a kind takes")
  func patchOperation() throws {
    let patch = try document("apis/apps/v1")["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"][
      "patch"]
    #expect(patch["x-kubernetes-group-version-kind"] == ["group": "apps", "kind": "Deployment", "version": "v1"])
    #expect(
      patch["parameters"].elements.map { $0["name"].string } == ["dryRun", "fieldManager", "fieldValidation", "force"])
    #expect(patch["operationId"] == "patchAppsV1NamespacedDeployment")
    #expect(!patch["requestBody"]["content"]["application/strategic-merge-patch+json"].isNull)
    let address = "/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}"
    let content = try document("apis/stable.example.com/v1")["paths"][address]["patch"]["requestBody"]["content"]
    #expect(content["application/strategic-merge-patch+json"].isNull)
    #expect(!content["application/apply-patch+yaml"].isNull)
  }

  @Test("have every operation of a kind under its usual name")
  func operations() throws {
    let apps = try document("apis/apps/v1")["paths"]
    let base = "/apis/apps/v1/namespaces/{namespace}/deployments"
    #expect(apps[base]["get"]["operationId"] == "listAppsV1NamespacedDeployment")
    #expect(apps[base]["post"]["operationId"] == "createAppsV1NamespacedDeployment")
    #expect(apps[base]["delete"]["operationId"] == "deleteAppsV1CollectionNamespacedDeployment")
    #expect(apps["/apis/apps/v1/deployments"]["get"]["operationId"] == "listAppsV1DeploymentForAllNamespaces")
    #expect(apps["\(base)/{name}"]["get"]["operationId"] == "readAppsV1NamespacedDeployment")
    #expect(apps["\(base)/{name}"]["put"]["operationId"] == "replaceAppsV1NamespacedDeployment")
    #expect(apps["\(base)/{name}"]["delete"]["operationId"] == "deleteAppsV1NamespacedDeployment")
    #expect(apps["\(base)/{name}/status"]["patch"]["operationId"] == "patchAppsV1NamespacedDeploymentStatus")
    let scale = apps["\(base)/{name}/scale"]["put"]
    #expect(scale["operationId"] == "replaceAppsV1NamespacedDeploymentScale")
    #expect(scale["x-kubernetes-group-version-kind"]["kind"] == "Scale")
    let core = try document("api/v1")["paths"]
    #expect(core["/api/v1/nodes"]["get"]["operationId"] == "listCoreV1Node")
    #expect(core["/api/v1/nodes/{name}"]["get"]["operationId"] == "readCoreV1Node")
  }

  @Test("have the operations of connections and watches, and say what they are about")
  func connections() throws {
    let pods = TableFixture.descriptor(
      GroupVersionKind(group: "", version: "v1", kind: "Pod"), resource: "pods", isNamespaced: true,
      structure: Fixture.structure("core.v1.Pod", []),
      subresources: ["exec", "log", "proxy"].map { name in
        let kind = name == "log" ? "Pod" : name == "exec" ? "PodExecOptions" : "PodProxyOptions"
        return Subresource(
          name: name, kind: GroupVersionKind(group: "", version: "v1", kind: kind), verbs: [.create, .get])
      })
    let documents = OpenAPIDocuments([pods], gitVersion: "v1.32.0", sources: sources)
    let paths = try JSONValue(parsing: try #require(documents.documents["api/v1"]).bytes)["paths"]
    let base = "/api/v1/namespaces/{namespace}/pods/{name}"
    let exec = paths["\(base)/exec"]
    #expect(exec["post"]["operationId"] == "connectCoreV1PostNamespacedPodExec")
    #expect(exec["get"]["x-kubernetes-action"] == "connect")
    #expect(exec["get"]["x-kubernetes-group-version-kind"]["kind"] == "PodExecOptions")
    #expect(exec["get"]["responses"]["200"]["content"] == ["*/*": ["schema": ["type": "string"]]])
    #expect(
      exec["parameters"].elements.map { $0["name"].string } == [
        "name", "namespace", "command", "container", "stderr", "stdin", "stdout", "tty",
      ])
    #expect(
      paths["\(base)/proxy/{path}"].object?.map(\.key) == [
        "delete", "get", "head", "options", "patch", "post", "put", "parameters",
      ])
    #expect(
      paths["\(base)/proxy/{path}"]["head"]["operationId"] == "connectCoreV1HeadNamespacedPodProxyWithPath")
    #expect(paths["\(base)/log"]["get"]["responses"]["200"]["content"]["text/plain"]["schema"] == ["type": "string"])
    let list = paths["/api/v1/namespaces/{namespace}/pods"]["get"]
    #expect(list["tags"] == ["core_v1"])
    #expect(list["description"] == "list or watch objects of kind Pod")
    #expect(!list["responses"]["200"]["content"]["application/json;stream=watch"].isNull)
    let made = paths["/api/v1/namespaces/{namespace}/pods"]["post"]["requestBody"]
    #expect(made["required"] == true && made["content"].object?.map(\.key) == ["*/*"])
    #expect(paths["/api/v1/namespaces/{namespace}/pods/{name}"]["delete"]["requestBody"]["required"].isNull)
    let watch = paths["/api/v1/watch/namespaces/{namespace}/pods/{name}"]["get"]
    #expect(watch["operationId"] == "watchCoreV1NamespacedPod")
    #expect(watch["x-kubernetes-action"] == "watch")
    #expect(
      paths["/api/v1/watch/pods"]["get"]["operationId"] == "watchCoreV1PodListForAllNamespaces")
    let small = try JSONValue(parsing: try #require(documents.documents["version"]).bytes)
    #expect(small["paths"]["/version/"]["get"]["operationId"] == "getCodeVersion")
  }

  @Test("describe structures by reference, with what merges and how")
  func schemas() throws {
    let document = try document("apis/apps/v1")
    let kind = schema(document, "io.k8s.api.apps.v1.Deployment")
    #expect(kind["x-kubernetes-group-version-kind"] == [["group": "apps", "kind": "Deployment", "version": "v1"]])
    #expect(
      kind["properties"]["metadata"]["allOf"][0]["$ref"]
        == "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    let pod = schema(document, "io.k8s.api.core.v1.PodSpec")["properties"]
    #expect(pod["containers"]["x-kubernetes-patch-merge-key"] == "name")
    #expect(pod["containers"]["x-kubernetes-patch-strategy"] == "merge")
    #expect(pod["containers"]["x-kubernetes-list-type"] == "map")
    #expect(pod["containers"]["items"]["allOf"][0]["$ref"] == "#/components/schemas/io.k8s.api.core.v1.Container")
    #expect(pod["volumes"]["x-kubernetes-patch-strategy"] == "merge,retainKeys")
    #expect(pod["tolerations"]["x-kubernetes-list-type"] == "atomic")
    #expect(pod["nodeSelector"]["x-kubernetes-map-type"] == "atomic")
    // What the server's code fills in is no part of the document.
    #expect(pod["restartPolicy"] == ["type": "string"])
    #expect(pod["containers"]["items"]["default"] == [:])
    // Inline structures are spread out.
    #expect(!schema(document, "io.k8s.api.core.v1.Volume")["properties"]["emptyDir"].isNull)
    #expect(schema(document, "io.k8s.api.core.v1.Volume")["properties"]["volumeSource"].isNull)
    #expect(
      schema(document, "io.k8s.api.core.v1.ResourceRequirements")["properties"]["limits"]["additionalProperties"][
        "$ref"]
        == "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity")
    #expect(schema(document, "io.k8s.api.apps.v1.DeploymentList")["properties"]["items"]["type"] == "array")
  }

  @Test("refer to nothing that is not there")
  func referencesResolve() throws {
    for key in ["api/v1", "apis/apps/v1", "apis/stable.example.com/v1"] {
      let document = try document(key)
      func check(_ value: JSONValue) {
        switch value {
        case .object(let object):
          if let name = object["$ref"]?.string {
            #expect(!schema(document, String(name.dropFirst("#/components/schemas/".count))).isNull, "\(name)")
          }
          for member in object { check(member.value) }
        case .array(let items): items.forEach(check)
        default: break
        }
      }
      check(document)
    }
  }

  @Test("take the schema of a custom resource from its definition")
  func customResource() throws {
    let schema = schema(try document("apis/stable.example.com/v1"), "com.example.stable.v1.CronTab")
    #expect(schema["properties"]["spec"] == ["type": "object"])
    #expect(!schema["properties"]["metadata"].isNull && !schema["properties"]["apiVersion"].isNull)
    #expect(schema["x-kubernetes-group-version-kind"][0]["kind"] == "CronTab")
  }

  @Test("are replaced one group version at a time")
  func replacing() {
    let all = documents()
    let without = all.replacing(group: "stable.example.com", version: "v1", with: [])
    #expect(without.documents["apis/stable.example.com/v1"] == nil)
    #expect(without.documents["apis/stable.example.com"] == nil)
    #expect(without.documents["apis/apps/v1"]?.bytes == all.documents["apis/apps/v1"]?.bytes)
    #expect(without.index.bytes != all.index.bytes)
    let again = without.replacing(group: "stable.example.com", version: "v1", with: [custom])
    #expect(again.index.bytes == all.index.bytes)
  }

  /// Another server's document may have given the name that ours would take to something else.
  @Test("are merged under names that nobody has")
  func mergedNames() throws {
    var whole: JSONValue = ["paths": [:], "definitions": ["a": ["type": "string"]]]
    let theirs: JSONValue = [
      "paths": [
        "/apis/g/v1/x": ["get": ["schema": ["$ref": "#/definitions/a"], "other": ["$ref": "#/definitions/a_v2"]]]
      ],
      "definitions": ["a": ["type": "integer"], "a_v2": ["type": "boolean"], "unused": [:]],
    ]
    let part = OpenAPIDocuments.part(of: theirs, under: "/apis/g/v1")
    #expect(part["definitions"] == ["a": ["type": "integer"], "a_v2": ["type": "boolean"]])
    OpenAPIDocuments.merge(part, of: "/apis/g/v1", into: &whole)
    #expect(
      whole["definitions"]
        == [
          "a": ["type": "string"], "a_v2": ["type": "boolean"], "a_v3": ["type": "integer"],
        ])
    let schema = whole["paths"]["/apis/g/v1/x"]["get"]
    #expect(schema["schema"]["$ref"] == "#/definitions/a_v3" && schema["other"]["$ref"] == "#/definitions/a_v2")
  }

  @Test("of other servers are taken apart by their size, not its square", .timeLimit(.minutes(1)))
  func longChains() {
    let count = 30_000
    let definitions = (0..<count).map { number -> JSONObject.Member in
      ("definition-\(100_000 + number)", ["$ref": .string("#/definitions/definition-\(100_001 + number)")])
    }
    let theirs: JSONValue = [
      "paths": ["/apis/g/v1/x": ["$ref": "#/definitions/definition-100000"]],
      "definitions": .object(JSONObject(uniqueMembers: definitions)),
    ]
    let clock = ContinuousClock()
    let took = clock.measure {
      #expect(OpenAPIDocuments.part(of: theirs, under: "/apis/g/v1")["definitions"].object?.count == count)
    }
    #expect(took < .seconds(5))
  }
}

@Suite("Discovery")
struct OpenAPIDiscoveryTests {
  private let discovery = Discovery([
    TableFixture.descriptor(
      GroupVersionKind(group: "example.com", version: "v1beta1", kind: "Thing"), resource: "things"),
    TableFixture.descriptor(
      GroupVersionKind(group: "example.com", version: "v1", kind: "Thing"), resource: "things"),
    TableFixture.descriptor(
      shortNames: ["deploy"], categories: ["all"],
      subresources: [
        Subresource(name: "status", kind: ApplyFixture.kind, verbs: [.get]),
        Subresource(
          name: "scale", kind: GroupVersionKind(group: "autoscaling", version: "v1", kind: "Scale"),
          verbs: [.update, .get]),
      ]),
    TableFixture.descriptor(
      GroupVersionKind(group: "", version: "v1", kind: "Node"), resource: "nodes", isNamespaced: false),
  ]) { $0 }

  @Test("lists versions and groups in order of preference")
  func groups() {
    #expect(
      discovery.apiVersions(serverAddress: "10.0.0.1:6443")
        == tree(
          #"""
          {"kind":"APIVersions","versions":["v1"],
          "serverAddressByClientCIDRs":[{"clientCIDR":"0.0.0.0/0","serverAddress":"10.0.0.1:6443"}]}
          """#))
    #expect(
      discovery.groupList
        == tree(
          #"""
          {"kind":"APIGroupList","apiVersion":"v1","groups":[
          {"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],
          "preferredVersion":{"groupVersion":"apps/v1","version":"v1"}},
          {"name":"example.com","versions":[{"groupVersion":"example.com/v1","version":"v1"},
          {"groupVersion":"example.com/v1beta1","version":"v1beta1"}],
          "preferredVersion":{"groupVersion":"example.com/v1","version":"v1"}}]}
          """#))
    #expect(discovery.group("apps")?["kind"] == "APIGroup")
    #expect(discovery.group("none") == nil)
  }

  @Test("lists resources and, apart, their subresources")
  func resources() {
    #expect(
      discovery.resourceList(group: "apps", version: "v1")
        == tree(
          #"""
          {"kind":"APIResourceList","apiVersion":"v1","groupVersion":"apps/v1","resources":[
          {"name":"deployments","singularName":"deployment","namespaced":true,"kind":"Deployment",
          "verbs":["create","delete","deletecollection","get","list","patch","update","watch"],
          "shortNames":["deploy"],"categories":["all"],"storageVersionHash":"YXBwcy92MS8="},
          {"name":"deployments/scale","singularName":"","namespaced":true,"group":"autoscaling","version":"v1",
          "kind":"Scale","verbs":["get","update"]},
          {"name":"deployments/status","singularName":"","namespaced":true,"kind":"Deployment","verbs":["get"]}]}
          """#))
    #expect(discovery.resourceList(group: "", version: "v1")?["groupVersion"] == "v1")
    #expect(discovery.resourceList(group: "apps", version: "v2") == nil)
  }

  @Test("says it all in one aggregated document")
  func aggregated() {
    #expect(
      discovery.aggregatedGroups["items"][0]
        == tree(
          #"""
          {"metadata":{"name":"apps","creationTimestamp":null},"versions":[{"version":"v1","freshness":"Current","resources":[
          {"resource":"deployments","responseKind":{"group":"","version":"","kind":"Deployment"},
          "scope":"Namespaced","singularResource":"deployment",
          "verbs":["create","delete","deletecollection","get","list","patch","update","watch"],
          "shortNames":["deploy"],"categories":["all"],"subresources":[
          {"subresource":"scale","responseKind":{"group":"autoscaling","version":"v1","kind":"Scale"},
          "verbs":["get","update"]},
          {"subresource":"status","responseKind":{"group":"","version":"","kind":"Deployment"},
          "verbs":["get"]}]}]}]}
          """#))
    #expect(discovery.aggregatedCore["items"][0]["versions"][0]["resources"][0]["scope"] == "Cluster")
    #expect(discovery.aggregatedCore["apiVersion"] == "apidiscovery.k8s.io/v2")
  }

  @Test("prefers stable versions, then beta, then alpha, higher first")
  func versionOrder() {
    let sorted = ["foo1", "v1alpha1", "v2", "v11alpha2", "v1", "v3beta1", "v12", "v3beta2", "bar"]
      .sorted(by: VersionOrder.precedes)
    #expect(sorted == ["v12", "v2", "v1", "v3beta2", "v3beta1", "v11alpha2", "v1alpha1", "bar", "foo1"])
  }
}
