// Small objects of custom kinds, about which much can be said: in errors, in defaults, in columns. Each of these answers
// would have filled the memory of the server, or held it up for minutes.
import Glibc
import HTTP
import JSON
import Kinds
import Testing

@testable import APIServer
@testable import Schema

@Suite struct HostileCustomResourceTests {
  let cluster = TestServer()

  /// A key of this many bytes stands in the path of everything below it.
  private static let longKey = String(repeating: "k", count: 200_000)
  private static let items = 3000
  /// An answer may repeat what was sent, a few times.
  private static let answerMaximum = 8 << 20

  private func define(_ member: JSONValue) async throws {
    let schema: JSONValue = [
      "type": "object",
      "properties": [
        "spec": ["type": "object", "properties": ["map": ["type": "object", "additionalProperties": member]]]
      ],
    ]
    try await cluster.define(definition(versions: [version("v1", schema: schema)]))
  }

  private func post(_ member: JSONValue, validation: String = "Strict") async throws -> Reply {
    let map = JSONValue.object(JSONObject(uniqueMembers: [(Self.longKey, member)]))
    return try await cluster.post(
      "\(cronTabs)?fieldValidation=\(validation)",
      ["apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": ["name": "a"], "spec": ["map": map]])
  }

  @Test func manyErrorsBelowALongKey() async throws {
    let schema: JSONValue = [
      "type": "object",
      "properties": [
        "small": ["type": "array", "items": ["type": "integer", "maximum": 1]],
        "text": ["type": "array", "items": ["type": "string", "enum": ["a"]]],
        "set": ["type": "array", "x-kubernetes-list-type": "set", "items": ["type": "string"]],
        "any": [
          "type": "array", "items": ["type": "integer", "not": ["maximum": 5], "anyOf": [["minimum": 9]]],
        ],
      ],
    ]
    try await define(schema)
    let cases: [(String, JSONValue, String)] = [
      ("small", 5, "should be less than or equal to 1"), ("small", "x", "must be of type integer"),
      ("text", "b", "Unsupported value"), ("set", "same", "Duplicate value"),
      ("any", 5, "must not validate the schema"),
    ]
    for (name, value, text) in cases {
      let answer = try await post([name: .array(Array(repeating: value, count: Self.items))])
      #expect(answer.status == 422)
      #expect(answer.text.utf8.count < Self.answerMaximum, "\(name)")
      #expect(answer.text.contains(text), "\(name)")
    }
  }

  @Test func manyUnknownFieldsBelowALongKey() async throws {
    try await define(["type": "object", "properties": ["a": ["type": "string"]]])
    let members = (0..<Self.items).map { ("u\($0)", JSONValue.integer(1)) }
    let answer = try await post(.object(JSONObject(uniqueMembers: members)))
    #expect(answer.status == 400)
    #expect(answer.text.contains("unknown field") && answer.text.utf8.count < Self.answerMaximum)
    #expect(try await post(["u": [:]], validation: "Warn").status == 201)
  }

  @Test func manyDefaults() async throws {
    let page = JSONObject(
      uniqueMembers: (0..<500).map {
        ("p\($0)", ["type": "string", "default": "of some length, told again and again"])
      })
    try await define(["type": "array", "items": ["type": "object", "properties": .object(page)]])
    // What fits is filled in.
    let few = try await post(.array(Array(repeating: [:], count: 10)), validation: "Ignore")
    #expect(few.status == 201)
    #expect(few.json["spec"]["map"][Self.longKey].elements.allSatisfy { $0.object?.count == 500 })
    let schema = StructuralSchema(["type": "array", "items": ["type": "object", "properties": .object(page)]])
    var many = JSONValue.array(Array(repeating: [:], count: 3000))
    schema.applyDefaults(to: &many)
    #expect(many.elements.reduce(0) { $0 + ($1.object?.count ?? 0) } < 400_000)
    // It is refused for what it has become.
    #expect(try await post(.array(Array(repeating: [:], count: 3000)), validation: "Ignore").status == 413)
  }

  @Test func pathsThatMeetEveryValueInManyWays() throws {
    var nested: JSONValue = [:]
    for _ in 0..<60 { nested = ["a": nested, "b": 1] }
    let path = try FieldPath(String(repeating: "..a", count: 7))
    #expect(path.values(in: nested).count < 2_000_000)
    let nowhere = try FieldPath(String(repeating: "..a", count: 12) + "..c")
    #expect(nowhere.values(in: nested).isEmpty)
    // Those that lead somewhere do.
    #expect(try FieldPath("..a..b").values(in: ["a": ["a": ["b": 1], "b": 2]]) == [1, 2, 1])
    #expect(try FieldPath(".a[?(@.b>1)].c").values(in: ["a": [["b": 1, "c": 3], ["b": 2, "c": 4]]]) == [4])
  }

  @Test func rulesOfMoreCombinationsThanMemoryHolds() {
    func words(_ count: Int, _ prefix: String) -> [String] { (0..<count).map { "\(prefix)\($0)" } }
    let vast = PolicyRule(
      verbs: words(1000, "v"), apiGroups: words(1000, "g"), resources: words(1000, "r"), resourceNames: words(1000, "n")
    )
    let little = PolicyRule(verbs: ["get"], apiGroups: ["*"], resources: ["*"])
    let excess = PolicyRule.excess(of: [vast], over: [little])
    #expect(excess.isCutShort && !excess.missing.isEmpty && excess.missing.count <= 2000)
    // Whoever may do everything may give it.
    let everything = PolicyRule(verbs: ["*"], apiGroups: ["*"], resources: ["*"])
    let granted = PolicyRule.excess(of: [vast], over: [little, everything])
    #expect(granted.missing.isEmpty && !granted.isCutShort)
    // Many rules against as many: sixty-four million pairs are not compared while everybody waits.
    func rules(_ prefix: String) -> [PolicyRule] {
      words(8000, prefix).map { PolicyRule(verbs: ["get"], apiGroups: [$0], resources: ["things"]) }
    }
    let many = PolicyRule.excess(of: rules("theirs"), over: rules("own"))
    #expect(many.isCutShort && many.missing.count <= 2000)
    // What is covered by several is covered.
    let parts = ["a", "b"].map { PolicyRule(verbs: ["get", "list"], apiGroups: [""], resources: [$0]) }
    let both = PolicyRule(verbs: ["get", "list"], apiGroups: [""], resources: ["a", "b"])
    #expect(PolicyRule.excess(of: [both], over: parts).missing.isEmpty)
    let more = PolicyRule(verbs: ["get", "watch"], apiGroups: [""], resources: ["a"])
    #expect(
      PolicyRule.excess(of: [both, more], over: parts).missing
        == [PolicyRule(verbs: ["watch"], apiGroups: [""], resources: ["a"])])
  }

  @Test func quotasOfManyKinds() {
    func quota(_ count: Int) -> Quota {
      let hard = JSONObject(uniqueMembers: (0..<count).map { ("count/things\($0).example.com", JSONValue.string("1")) })
      return Quota(["spec": ["hard": .object(hard)]])
    }
    /// Each kind is asked for, as the controller does.
    func cost(_ count: Int) -> Duration {
      let quota = quota(count)
      let start = Self.worked
      for resource in quota.resources {
        #expect(quota.counts(resource) && quota.names(of: resource).count == 1)
      }
      return Self.worked - start
    }
    let (few, many) = (cost(500), cost(4000))
    // Eight times the number: 64 times as long would be quadratic.
    #expect(many < few * 32 || many < .milliseconds(200), "500: \(few), 4000: \(many)")
  }

  /// What this thread has worked: others' work on the machine is none of it.
  private static var worked: Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }

  @Test func warningsAreAsManyAsFit() {
    let few = (0..<40).map { "warning \($0) " + String(repeating: "x", count: 80) }
    #expect(Warnings.headers(few) == few.map { "299 - \"\($0)\"" })
    let headers = Warnings.headers((0..<5000).map { "warning \($0) " + String(repeating: "x", count: 300) })
    #expect(headers.count == 16 && headers.allSatisfy { $0.utf8.count == 256 + 8 })
    // Short ones, of which the last does not fit, are all said.
    #expect(Warnings.headers((0..<5000).map { "w\($0)" }).count < 1100)
  }
}
