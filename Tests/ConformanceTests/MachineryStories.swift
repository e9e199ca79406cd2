// Namespaces, lists in pages, watches.
import Client
import HTTP
import JSON
import Schema
import TestSupport
import Testing

extension Conformance {
  static let machineryStories: [Int: Story] = [
    64: { try await $0.finalizesANamespace() },
    65: { try await $0.updatesANamespace() },
    66: { try await $0.changesTheStatusOfANamespace() },
    69: { try await $0.patchesANamespace() },
    82: { try await $0.listsInPages() },
    83: { try await $0.goesOnAfterCompaction() },
  ]
  static let watchStories: [Int: Story] = [
    89: { try await $0.resumesAWatch() },
    90: { try await $0.startsAWatchAtARevision() },
    91: { try await $0.watchesByLabel() },
    92: { try await $0.seesADeletionWhenASelectorIsLeft() },
    93: { try await $0.seesTheSameOrderInEveryWatch() },
  ]

  private func finalizesANamespace() async throws {
    try await makeNamespace("e2e-ns")
    var object = try await client.get(.namespaces, name: "e2e-ns")
    object["spec"]["finalizers"].append("e2e.example.com/fakeFinalizer")
    let path = ResourceReference.namespaces.path(name: "e2e-ns", subresource: "finalize")
    let updated = try await client.json("PUT", path, [], body: object)
    #expect(updated["spec"]["finalizers"] == ["kubernetes", "e2e.example.com/fakeFinalizer"])
    var again = updated
    again["spec"]["finalizers"] = ["kubernetes"]
    #expect(try await client.json("PUT", path, [], body: again)["spec"]["finalizers"] == ["kubernetes"])
  }

  private func updatesANamespace() async throws {
    var object = try await client.get(.namespaces, name: namespace)
    object["metadata"]["labels"][namespace] = "updated"
    let updated = try await client.update(.namespaces, name: namespace, object)
    #expect(updated["metadata"]["labels"][namespace] == "updated")
    #expect(updated["metadata"]["labels"]["kubernetes.io/metadata.name"].string == namespace)
  }

  private func changesTheStatusOfANamespace() async throws {
    let condition: JSONValue = [
      "type": "StatusPatch", "status": "True", "reason": "E2E", "message": "Patched by an e2e test",
    ]
    let patched = try await client.patch(
      .namespaces, name: namespace,
      [
        "metadata": ["annotations": ["e2e-patched-ns-status": .string(namespace)]],
        "status": ["conditions": [condition]],
      ], type: .merge, subresource: "status")
    #expect(patched["metadata"]["annotations"]["e2e-patched-ns-status"].string == namespace)
    #expect(Self.contains(patched["status"]["conditions"][0], condition))
    #expect(patched["status"]["phase"] == "Active")
    let path = ResourceReference.namespaces.path(name: namespace, subresource: "status")
    var object = try await client.json("GET", path, [])
    object["status"]["conditions"].append([
      "type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Updated by an e2e test",
    ])
    let updated = try await client.update(.namespaces, name: namespace, object, subresource: "status")
    #expect(updated["status"]["conditions"].elements.count == 2)
  }

  private func patchesANamespace() async throws {
    try await client.patch(
      .namespaces, name: namespace, ["metadata": ["labels": ["testLabel": "testValue"]]], type: .strategic)
    #expect(
      try await client.get(.namespaces, name: namespace)["metadata"]["labels"]["testLabel"] == "testValue")
  }

  private func makeTemplates(_ count: Int) async throws {
    for number in 0..<count {
      try await make(
        .podTemplates,
        [
          "metadata": ["name": .string("template-\(String(1000 + number).dropFirst())")],
          "template": ["spec": ["containers": [["name": "test", "image": "test2"]]]],
        ])
    }
  }

  private func listsInPages() async throws {
    try await makeTemplates(40)
    let path = ResourceReference.podTemplates.path(namespace: namespace)
    var seen: [String] = []
    var token = ""
    var revision: JSONValue = .null
    repeat {
      let query = [("limit", "7")] + (token.isEmpty ? [] : [("continue", token)])
      let page = try await client.json("GET", path, query)
      if revision.isNull { revision = page["metadata"]["resourceVersion"] }
      #expect(page["metadata"]["resourceVersion"] == revision)
      seen += page["items"].elements.compactMap { $0["metadata"]["name"].string }
      token = page["metadata"]["continue"].string ?? ""
      let remaining = page["metadata"]["remainingItemCount"].integer ?? 0
      #expect(remaining == Int64(40 - seen.count))
    } while !token.isEmpty
    #expect(seen.count == 40 && seen == seen.sorted())
    let whole = try await client.json("GET", path, [("limit", "0")])
    #expect(whole["items"].elements.count == 40)
  }

  /// The token of a state that is no longer kept names one that goes on in the newest.
  private func goesOnAfterCompaction() async throws {
    try await makeTemplates(20)
    let path = ResourceReference.podTemplates.path(namespace: namespace)
    let first = try await client.json("GET", path, [("limit", "8")])
    let token = first["metadata"]["continue"].string ?? ""
    try cluster.outliveHistory()
    let gone = try await ask("GET", "\(path)?limit=8&continue=\(token)")
    #expect(gone.code == 410 && gone.json["reason"] == "Expired")
    let inconsistent = gone.json["metadata"]["continue"].string ?? ""
    #expect(!inconsistent.isEmpty)
    let second = try await client.json("GET", path, [("limit", "8"), ("continue", inconsistent)])
    #expect(second["items"].elements.count == 8)
    #expect(second["items"][0]["metadata"]["name"] == "template-008")
    #expect(second["metadata"]["resourceVersion"].string?.isEmpty == false)
  }

  // MARK: Watches

  private static let label = "watch-this-configmap"

  @discardableResult
  private func configMap(_ name: String, label: String) async throws -> JSONValue {
    try await make(
      .configMaps, ["metadata": ["name": .string(name), "labels": [Self.label: .string(label)]]])
  }

  @discardableResult
  private func mutate(_ name: String, _ value: Int64) async throws -> JSONValue {
    try await client.patch(
      .configMaps, namespace: namespace, name: name, ["data": ["mutation": .string(String(value))]], type: .merge)
  }

  private func seen(after object: JSONValue, label: String, count: Int) async throws -> [String] {
    try await events(
      .configMaps, after: object["metadata"]["resourceVersion"].string ?? "",
      selector: ("labelSelector", "\(Self.label)=\(label)"), count: count)
  }

  private func resumesAWatch() async throws {
    let made = try await configMap("e2e-watch-test", label: "restarted")
    let first = try await mutate("e2e-watch-test", 1)
    #expect(try await seen(after: made, label: "restarted", count: 1) == ["MODIFIED e2e-watch-test"])
    try await mutate("e2e-watch-test", 2)
    try await client.delete(.configMaps, namespace: namespace, name: "e2e-watch-test")
    #expect(
      try await seen(after: first, label: "restarted", count: 2)
        == ["MODIFIED e2e-watch-test", "DELETED e2e-watch-test"])
  }

  private func startsAWatchAtARevision() async throws {
    try await configMap("e2e-watch-test", label: "from-rv")
    let first = try await mutate("e2e-watch-test", 1)
    try await mutate("e2e-watch-test", 2)
    try await client.delete(.configMaps, namespace: namespace, name: "e2e-watch-test")
    #expect(
      try await seen(after: first, label: "from-rv", count: 2)
        == ["MODIFIED e2e-watch-test", "DELETED e2e-watch-test"])
  }

  private func watchesByLabel() async throws {
    let start: JSONValue = [
      "metadata": [
        "resourceVersion": .string(try await client.list(.configMaps, namespace: namespace).resourceVersion)
      ]
    ]
    for name in ["a", "b"] { try await configMap(name, label: "multiple-watchers-\(name)") }
    try await mutate("a", 1)
    try await mutate("a", 2)
    for name in ["a", "b"] { try await client.delete(.configMaps, namespace: namespace, name: name) }
    #expect(
      try await seen(after: start, label: "multiple-watchers-a", count: 4)
        == ["ADDED a", "MODIFIED a", "MODIFIED a", "DELETED a"])
    #expect(try await seen(after: start, label: "multiple-watchers-b", count: 2) == ["ADDED b", "DELETED b"])
  }

  private func seesADeletionWhenASelectorIsLeft() async throws {
    let made = try await configMap("e2e-watch-test", label: "label-changed")
    func relabel(_ label: String) async throws {
      try await client.patch(
        .configMaps, namespace: namespace, name: "e2e-watch-test",
        ["metadata": ["labels": [Self.label: .string(label)]]], type: .merge)
    }
    try await relabel("wrong-value")
    try await mutate("e2e-watch-test", 2)
    try await relabel("label-changed")
    try await mutate("e2e-watch-test", 3)
    try await client.delete(.configMaps, namespace: namespace, name: "e2e-watch-test")
    #expect(
      try await seen(after: made, label: "label-changed", count: 4)
        == ["DELETED", "ADDED", "MODIFIED", "DELETED"].map { "\($0) e2e-watch-test" })
  }

  private func seesTheSameOrderInEveryWatch() async throws {
    let start = try await client.list(.configMaps, namespace: namespace).resourceVersion
    for number in 0..<10 {
      try await configMap("cm-\(number)", label: "x")
      if number % 2 == 0 { try await mutate("cm-\(number)", 1) }
      if number % 3 == 0 { try await client.delete(.configMaps, namespace: namespace, name: "cm-\(number)") }
    }
    let first = try await events(.configMaps, after: start, count: 19)
    for _ in 0..<5 { #expect(try await events(.configMaps, after: start, count: 19) == first) }
  }
}
