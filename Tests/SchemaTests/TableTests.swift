import JSON
import Schema
import Testing

/// Rules of a kind that has none: cells are the name and a number.
struct TableFixtureRules: KindRules {
  func applyDefaults(to object: inout JSONValue) {}
  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {}
  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {}
  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {}
  func validate(_ object: JSONValue) -> [FieldError] { [] }
  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] { [] }
  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] { [] }
  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] { [] }
  func validateName(_ name: String, isGeneratePrefix: Bool) -> String? { nil }
  func tableCells(_ object: JSONValue, now: Int64) -> [JSONValue] {
    [
      object["metadata"]["name"], object["spec"]["replicas"],
      .string(HumanDuration.age(object["metadata"]["creationTimestamp"], now: now)),
    ]
  }
  func generationChanged(_ object: JSONValue, old: JSONValue) -> Bool { object["spec"] != old["spec"] }
}

enum TableFixture {
  static let columns = [
    TableColumn("Name", format: "name"), TableColumn("Replicas", type: "integer", priority: 1), TableColumn("Age"),
  ]
  static func descriptor(
    _ kind: GroupVersionKind = ApplyFixture.kind, resource: String = "deployments", isNamespaced: Bool = true,
    structure: Structure = ApplyFixture.deployment, shortNames: [String] = [], categories: [String] = [],
    verbs: [Verb] = Verb.allCases, subresources: [Subresource] = []
  ) -> KindDescriptor {
    KindDescriptor(
      kind: kind, resource: resource, singular: kind.kind.lowercased(), shortNames: shortNames, categories: categories,
      isNamespaced: isNamespaced, verbs: verbs, subresources: subresources, structure: structure,
      rules: TableFixtureRules(), columns: columns)
  }
  static let object = tree(
    #"""
    {"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"web","resourceVersion":"7",
    "creationTimestamp":"2025-01-01T00:00:00Z"},"spec":{"replicas":3}}
    """#)
  /// Ninety minutes after the object was created.
  static let now: Int64 = 1_735_689_600 + 5_400
}

@Suite("A table")
struct TableTests {
  @Test("of a list has typed cells, bare metadata, and says where the list stands")
  func list() {
    let table = TableBuilder(TableFixture.descriptor(), now: TableFixture.now)
      .table([TableFixture.object], at: ListPosition(resourceVersion: "9", continueToken: "c", remainingItemCount: 4))
    #expect(
      table
        == tree(
          #"""
          {"kind":"Table","apiVersion":"meta.k8s.io/v1",
          "metadata":{"resourceVersion":"9","continue":"c","remainingItemCount":4},
          "columnDefinitions":[{"name":"Name","type":"string","format":"name","description":"","priority":0},
          {"name":"Replicas","type":"integer","format":"","description":"","priority":1},
          {"name":"Age","type":"string","format":"","description":"","priority":0}],
          "rows":[{"cells":["web",3,"90m"],"object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1",
          "metadata":{"name":"web","resourceVersion":"7","creationTimestamp":"2025-01-01T00:00:00Z"}}}]}
          """#))
  }

  @Test("includes as much of the object as was asked for, in the version that was asked for")
  func included() {
    let none = TableBuilder(TableFixture.descriptor(), includes: .none, now: 0).row(TableFixture.object)
    #expect(none.object?["object"] == .null)
    let whole = TableBuilder(TableFixture.descriptor(), includes: .object, now: 0).row(TableFixture.object)
    #expect(whole["object"] == TableFixture.object)
    let beta = TableBuilder(TableFixture.descriptor(), version: "v1beta1", now: 0).table(TableFixture.object)
    #expect(beta["apiVersion"] == "meta.k8s.io/v1beta1")
    #expect(beta["rows"][0]["object"]["apiVersion"] == "meta.k8s.io/v1beta1")
  }

  @Test("of a watch event has columns the first time only, and the object's own version")
  func watch() {
    let builder = TableBuilder(TableFixture.descriptor(), now: TableFixture.now)
    #expect(builder.table(TableFixture.object)["columnDefinitions"].elements.count == 3)
    let later = builder.table(TableFixture.object, hasColumns: false)
    #expect(later.object?["columnDefinitions"] == .null)
    #expect(later["metadata"] == ["resourceVersion": "7"])
    #expect(later["rows"].elements.count == 1)
  }

  @Test("of an empty list has columns and no rows")
  func empty() {
    let table = TableBuilder(TableFixture.descriptor(), now: 0).table([], at: ListPosition(resourceVersion: "1"))
    #expect(table["rows"] == [] && table["columnDefinitions"].elements.count == 3)
  }

  @Test("marks finished pods as completed")
  func completedPods() {
    let pods = TableFixture.descriptor(
      GroupVersionKind(group: "", version: "v1", kind: "Pod"), resource: "pods")
    let builder = TableBuilder(pods, now: 0)
    #expect(builder.row(["status": ["phase": "Running"]])["conditions"].isNull)
    #expect(builder.row(["status": ["phase": "Failed"]])["conditions"][0]["reason"] == "Failed")
    #expect(
      builder.row(["status": ["phase": "Succeeded"]])["conditions"][0]["message"]
        == "The pod has completed successfully.")
  }

  @Test("has a sibling of metadata alone")
  func partialObjects() {
    let list = TableBuilder.partialObjects([TableFixture.object], at: ListPosition(resourceVersion: "9"))
    #expect(list["kind"] == "PartialObjectMetadataList")
    #expect(list["items"][0].object?.count == 3)
    #expect(list["items"][0]["metadata"] == TableFixture.object["metadata"])
  }
}

@Suite("Texts of tables")
struct TableTextTests {
  @Test(
    "durations are short",
    arguments: [
      (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (599, "9m59s"),
      (600, "10m"), (10_799, "179m"), (10_800, "3h"), (10_860, "3h1m"), (28_799, "7h59m"), (28_800, "8h"),
      (172_799, "47h"), (172_800, "2d"), (176_400, "2d1h"), (691_199, "7d23h"), (691_200, "8d"),
      (63_071_999, "729d"), (63_072_000, "2y"), (63_158_400, "2y1d"), (252_288_000, "8y"),
    ] as [(Int64, String)])
  func durations(seconds: Int64, text: String) { #expect(HumanDuration.text(seconds) == text) }

  @Test("ages count from a timestamp")
  func ages() {
    #expect(HumanDuration.age("2025-01-01T00:00:00Z", now: 1_735_689_645) == "45s")
    #expect(HumanDuration.age("2025-01-01T01:00:00+01:00", now: 1_735_689_645) == "45s")
    #expect(HumanDuration.age(.null, now: 0) == "<unknown>")
  }

  @Test("labels and selectors read as their syntax")
  func selectors() {
    #expect(TableText.labels(["b": "2", "a": "1"]) == "a=1,b=2")
    #expect(TableText.labels(.null) == "<none>")
    #expect(TableText.selector(["matchLabels": ["app": "web"]]) == "app=web")
    #expect(TableText.selector([:]) == "<none>")
    #expect(TableText.firstThree(["a", "b", "c", "d", "e"]) == "a,b,c + 2 more...")
    #expect(TableText.firstThree([]) == "<none>")
  }
}
