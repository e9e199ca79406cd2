// The types of the API as text that people can read and edit, and its parser.
//
// A table is a list of structures. A line that is not indented opens one; the indented lines after it hold its fields,
// one or more a line, separated by ";". Empty lines and lines that begin with "#" mean nothing.
//
//     Deployment @kind "Declarative updates for pods.":
//       1:metadata! meta.v1.ObjectMeta
//       2:spec! DeploymentSpec "Desired behaviour."; 3:status! DeploymentStatus
//
// Structure: NAME, then any of
//   @kind      top of a kind: gets the members `kind` and `apiVersion`, and a companion NAMEList if it has ObjectMeta
//   @atomic    owned as one leaf by server-side apply wherever it occurs
//   @union     the message of a type that is an object in JSON or something simpler: its field `schema` is the object's
//              type, its other field what may stand for it
//   "…"        description
//
// Field: NUMBER:NAME FLAGS TYPE, then any of the annotations
//   NUMBER     the protobuf field number
//   FLAGS      * listed as required · ? pointer: absent differs from zero · ! written to JSON even when zero ·
//              (inline): the members of the structure stand in the parent
//   TYPE       string bytes bool int32 int64 double Quantity IntOrString Time MicroTime Duration RawExtension FieldsV1
//              JSON Verbs ExtraValue, a structure of the same package, or PACKAGE.NAME; T[] is a list, map<T> a map
//   =VALUE     default, by type: =Always, =30, =true, ="" (empty text), ={} (empty structure), =[A,B] (texts)
//   {A,B}      the values allowed
//   @map(k,…)  server-side apply: items are known by these members      @set  items are known by value
//   @atomic    server-side apply: one leaf (lists are that anyway)      @granular  not one leaf though the type is
//   @merge(k)  strategic merge patch: items merge by this member         @merge  lists of scalars merge as sets
//   @replace  strategic merge patch: a map or structure is replaced, not merged
//   @retainKeys  strategic merge patch: obeys `$retainKeys`
//   "…"        description
//
// The facts come from spec/3P-types.md and spec/3 §3.6–3.7.
import JSON
import Schema

/// Every structure of a set of packages, by qualified name ("core.v1.PodSpec").
public struct TypeTable: Sendable {
  /// What is wrong with a table's text, and where.
  public struct Failure: Error, Equatable, CustomStringConvertible {
    public var package: String
    /// Counted from 1 within the package's text.
    public var line: Int
    public var message: String
    public var description: String { "\(package), line \(line): \(message)" }
  }
  /// The text of one package; several may have the same package.
  public struct Section: Sendable {
    public var package: String
    public var text: String
    public init(package: String, text: String) {
      self.package = package
      self.text = text
    }
  }

  public let structures: [String: Structure]
  /// Qualified names of the structures marked `@kind`, in order.
  public let kinds: [String]

  public subscript(name: String) -> Structure? { structures[name] }

  /// Parses and links all sections together.
  public init(_ sections: [Section]) throws(Failure) {
    var drafts: [StructureDraft] = []
    for section in sections {
      var parser = TypeTableParser(section)
      try parser.run()
      drafts += parser.drafts
    }
    var structures: [String: Structure] = [:]
    structures.reserveCapacity(drafts.count + 100)
    for draft in drafts {
      guard structures[draft.name] == nil else { throw draft.failure("structure \(draft.name) is there already") }
      structures[draft.name] = Structure(
        name: draft.name, description: draft.description, isAtomic: draft.isAtomic, isUnion: draft.isUnion)
    }
    for draft in drafts {
      structures[draft.name]!.seal(fields: try draft.link(structures))
    }
    let lists = try Self.addLists(of: drafts.filter(\.isKind), to: &structures)
    for draft in drafts { structures[draft.name]!.expandInline() }
    for list in lists { list.expandInline() }
    Structure.findDefaults(in: Array(structures.values))
    self.structures = structures
    kinds = drafts.filter(\.isKind).map(\.name)
  }

  /// `kind` and `apiVersion`: in the JSON of every kind, in the envelope of its protobuf.
  static let typeMembers: [Field] = [
    Field(name: "kind", number: 0, type: .string, description: KindMembers.kind),
    Field(name: "apiVersion", number: 0, type: .string, description: KindMembers.apiVersion),
  ]

  private static func addLists(
    of kinds: [StructureDraft], to structures: inout [String: Structure]
  ) throws(Failure) -> [Structure] {
    guard let listMeta = structures["meta.v1.ListMeta"], let objectMeta = structures["meta.v1.ObjectMeta"] else {
      return []
    }
    var lists: [Structure] = []
    for draft in kinds {
      let item = structures[draft.name]!
      guard case .structure(let metadata)? = item.field(number: 1)?.type, metadata === objectMeta else { continue }
      let name = draft.name + "List"
      guard structures[name] == nil else { throw draft.failure("structure \(name) is there already") }
      let list = Structure(name: name, description: "A list of \(draft.localName).")
      var metadataField = Field(name: "metadata", number: 1, type: .structure(listMeta))
      metadataField.isAlwaysWritten = true
      var items = Field(name: "items", number: 2, type: .array(.structure(item)))
      items.isRequired = true
      items.isAlwaysWritten = true
      list.seal(fields: typeMembers + [metadataField, items])
      structures[name] = list
      lists.append(list)
    }
    return lists
  }
}

extension Field {
  init(name: String, number: Int, type: FieldType, description: String) {
    self.init(name: name, number: number, type: type)
    self.description = description
  }
}
