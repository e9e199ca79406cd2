import JSON
import Testing

@testable import Kinds
@testable import Schema

@Suite struct `The notation of type tables` {
  private func parse(_ text: String) throws -> TypeTable {
    try TypeTable([TypeTable.Section(package: "p.v1", text: text)])
  }
  private func failure(_ text: String) -> String {
    do throws(TypeTable.Failure) {
      _ = try TypeTable([TypeTable.Section(package: "p.v1", text: text)])
      return "none"
    } catch { return error.description }
  }

  @Test func `a field has number, name, flags, type, default, values, markers and description`() throws {
    let table = try parse(
      """
      # a comment
      Box @kind "A box.":
        1:color*?! string =red {blue,red} "Its color; not its content."
        2:items Item[] @map(name,port) @merge(name) @retainKeys; 3:names string[] @set @merge

      Item @atomic:
        1:name string; 2:port int32 =80; 3:size? IntOrString =25%; 4:inner? Item
      """)
    let box = try #require(table["p.v1.Box"])
    #expect(box.description == "A box.")
    #expect(box.members.map(\.name) == ["kind", "apiVersion", "color", "items", "names"])
    let color = try #require(box.member("color"))
    #expect(color.isRequired && color.isPointer && color.isAlwaysWritten)
    #expect(color.defaultValue == "red" && color.enumeration == ["blue", "red"])
    #expect(color.description == "Its color; not its content.")
    let items = try #require(box.field(number: 2))
    #expect(items.listSemantics == .map(keys: ["name", "port"]))
    #expect(items.patchStrategy == PatchStrategy(merges: true, retainsKeys: true, mergeKey: "name"))
    #expect(box.member("names")?.listSemantics == .set)
    #expect(table["p.v1.Item"]?.isAtomic == true)
    #expect(table["p.v1.Item"]?.member("size")?.defaultValue == "25%")
    #expect(table["p.v1.Item"]?.member("port")?.defaultValue == 80)
    #expect(table["p.v1.Item"]?.member("inner")?.isAtomic == true)
  }

  @Test func `an inline structure lends its members to its parent`() throws {
    let table = try parse("Outer:\n  1:name string; 2:inner(inline) Inner\nInner:\n  1:a string; 2:b string\n")
    #expect(table["p.v1.Outer"]?.members.map(\.name) == ["name", "a", "b"])
    #expect(table["p.v1.Outer"]?.field(number: 2)?.isInline == true)
  }

  @Test(arguments: [
    ("Box\n  1:a string", "p.v1, line 1: a structure's line ends in \":\""),
    ("  1:a string", "p.v1, line 1: a field before any structure"),
    ("Box:\n  a string", "p.v1, line 2: a field is NUMBER:NAME TYPE"),
    ("Box:\n  1:a thing", "p.v1, line 2: unknown type thing"),
    ("Box:\n  1:a string\n  1:b string", "p.v1, line 3: field b or its number is there already"),
    ("Box:\n  1:a string @purple", "p.v1, line 2: a: @purple means nothing here"),
    ("Box:\n  1:a int32 =many", "p.v1, line 2: a: many cannot be a default of int32"),
    ("Box:\n  1:a string \"endless", "p.v1, line 2: a description does not end"),
    ("Box:\n  1:a string @set", "p.v1, line 2: a: only lists have merge keys"),
    ("Box:\n  1:a(inline) string", "p.v1, line 2: a: only structures can be inline"),
    ("Box:\n  1:a string\nBox:\n  1:a string", "p.v1, line 3: structure p.v1.Box is there already"),
  ])
  func `a mistake is told with its line`(text: String, message: String) {
    #expect(failure(text) == message)
  }

  @Test func `the facts of the reference are in the table`() throws {
    let types = TypeTable.builtIn
    let container = try #require(types["core.v1.Container"])
    #expect(container.member("ports")?.listSemantics == .map(keys: ["containerPort", "protocol"]))
    #expect(container.member("ports")?.patchStrategy.mergeKey == "containerPort")
    #expect(types["core.v1.PodSpec"]?.member("restartPolicy")?.defaultValue == "Always")
    #expect(types["core.v1.EphemeralContainer"]?.member("image") != nil)
    #expect(types["core.v1.PodList"]?.member("items")?.number == 2)
    #expect(types["batch.v1.JobStatus"]?.member("conditions")?.listSemantics == .atomic)
    #expect(types["core.v1.PersistentVolumeSpec"]?.member("claimRef")?.isAtomic == false)
    #expect(types["apps.v1.DeploymentSpec"]?.member("selector")?.isAtomic == true)
    guard case .map(.bytes)? = types["core.v1.Secret"]?.member("data")?.type else {
      Issue.record("secret data is no map of bytes")
      return
    }
    guard case .map(.array(.string))? = types["authentication.v1.UserInfo"]?.member("extra")?.type else {
      Issue.record("extra is no map of lists")
      return
    }
  }

  @Test func `defaults are looked for where there are some and nowhere else`() throws {
    let table = try parse(
      """
      Box:
        1:plain Plain; 2:holder Holder[]; 3:amounts map<Quantity>; 4:loop Loop; 5:named map<Holder>; 6:text string =a

      Plain:
        1:a string; 2:inner Loop

      Loop:
        1:next Loop[]; 2:b string

      Holder:
        1:deep Deep

      Deep:
        1:back Holder; 2:c string =d
      """)
    let box = try #require(table["p.v1.Box"])
    #expect(box.members.map(\.name) == ["plain", "holder", "amounts", "loop", "named", "text"])
    #expect(box.defaultsBelow == [false, true, true, false, true, false])
    var tree: JSONValue = [
      "plain": ["inner": ["next": [[:]]]], "holder": [["deep": ["back": ["deep": [:]]]]], "amounts": ["cpu": "1500u"],
      "named": ["x": ["deep": [:]]],
    ]
    box.applyDefaults(to: &tree)
    #expect(
      tree == [
        "plain": ["inner": ["next": [[:]]]], "holder": [["deep": ["back": ["deep": ["c": "d"]], "c": "d"]]],
        "amounts": ["cpu": "2m"], "named": ["x": ["deep": ["c": "d"]]], "text": "a",
      ])
  }
}
