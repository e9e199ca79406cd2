// Objects as the rows kubectl prints (spec/1 §1.6, Table), and as bare metadata.
import JSON

/// What a list says of itself in its metadata.
public struct ListPosition: Sendable {
  /// "" for lists of what is not stored.
  public var resourceVersion: String
  /// Where to go on; "" at the end.
  public var continueToken: String
  public var remainingItemCount: Int?
  public init(resourceVersion: String, continueToken: String = "", remainingItemCount: Int? = nil) {
    self.resourceVersion = resourceVersion
    self.continueToken = continueToken
    self.remainingItemCount = remainingItemCount
  }

  public var json: JSONValue {
    var metadata: JSONValue = [:]
    if !resourceVersion.isEmpty { metadata["resourceVersion"] = .string(resourceVersion) }
    if !continueToken.isEmpty { metadata["continue"] = .string(continueToken) }
    if let remainingItemCount { metadata["remainingItemCount"] = .integer(Int64(remainingItemCount)) }
    return metadata
  }
}

/// Makes `meta.k8s.io Table` documents of one kind.
public struct TableBuilder: Sendable {
  /// How much of an object goes with its row: the `includeObject` parameter.
  public enum IncludedObject: String, Sendable {
    case none = "None"
    case metadata = "Metadata"
    case object = "Object"
  }

  private let descriptor: KindDescriptor
  private let included: IncludedObject
  private let version: String
  private let now: Int64

  /// `version` is that of the table, "v1" or "v1beta1"; `now`, for ages, in seconds since 1970.
  public init(
    _ descriptor: KindDescriptor, includes included: IncludedObject = .metadata, version: String = "v1", now: Int64
  ) {
    self.descriptor = descriptor
    self.included = included
    self.version = version
    self.now = now
  }

  /// A list.
  public func table(_ objects: some Sequence<JSONValue>, at position: ListPosition) -> JSONValue {
    let rows = ranked(objects.map { (rank($0), row($0)) })
    return table(metadata: position.json, rows: rows, hasColumns: true)
  }

  /// What decides where an object's row stands, for kinds whose rows are not in the order of names.
  public func rank(_ object: JSONValue) -> Int64? { descriptor.rules.tableRank(object) }

  /// Rows in the order in which they are shown.
  public func ranked<Row>(_ rows: [(rank: Int64?, row: Row)]) -> [Row] {
    guard rows.first?.rank != nil else { return rows.map(\.row) }
    return rows.sorted { ($0.rank ?? 0) < ($1.rank ?? 0) }.map(\.row)
  }

  /// One object. In a watch only the first event of the stream has the columns.
  public func table(_ object: JSONValue, hasColumns: Bool = true) -> JSONValue {
    var metadata: JSONValue = [:]
    metadata["resourceVersion"] = object["metadata"]["resourceVersion"]
    return table(metadata: metadata, rows: [row(object)], hasColumns: hasColumns)
  }

  /// Rows come last.
  public func table(metadata: JSONValue, rows: [JSONValue], hasColumns: Bool) -> JSONValue {
    [
      "kind": "Table", "apiVersion": .string("meta.k8s.io/\(version)"), "metadata": metadata,
      "columnDefinitions": hasColumns ? Self.columns(descriptor.columns) : .null,
      // Kinds without columns of their own have no list of rows at all where there is no row, in the reference.
      "rows": rows.isEmpty && hasPlainColumns ? .null : .array(rows),
    ]
  }

  private var hasPlainColumns: Bool {
    descriptor.custom == nil && descriptor.columns.map(\.name) == ["Name", "Created At"]
  }

  /// Column definitions, all five members always.
  public static func columns(_ columns: [TableColumn]) -> JSONValue {
    .array(
      columns.map { column in
        [
          "name": .string(column.name), "type": .string(column.type), "format": .string(column.format),
          "description": .string(column.description), "priority": .integer(Int64(column.priority)),
        ]
      })
  }

  /// One row: cells for every column, wide ones too.
  public func row(_ object: JSONValue) -> JSONValue {
    let cells = descriptor.rules.tableCells(object, now: now)
    // A wrong cell is no reason to stop a replica; tests of the kinds find it.
    assert(
      cells.count == descriptor.columns.count, "\(descriptor.resource): \(cells.count) cells for its columns")
    var members: [JSONObject.Member] = [("cells", .array(cells))]
    if let condition = Self.completion(of: object, descriptor) { members.append(("conditions", [condition])) }
    switch included {
    case .none: members.append(("object", .null))
    case .metadata: members.append(("object", Self.partialObject(object, version: version)))
    case .object: members.append(("object", object))
    }
    return .object(JSONObject(uniqueMembers: members))
  }

  /// Clients leave finished pods out of some listings by this condition.
  private static func completion(of object: JSONValue, _ descriptor: KindDescriptor) -> JSONValue? {
    guard descriptor.resource == "pods", descriptor.kind.group.isEmpty else { return nil }
    let phase = object["status"]["phase"]
    switch phase.string {
    case "Succeeded":
      return [
        "type": "Completed", "status": "True", "reason": phase, "message": "The pod has completed successfully.",
      ]
    case "Failed":
      return ["type": "Completed", "status": "True", "reason": phase, "message": "The pod failed."]
    default: return nil
    }
  }

  // MARK: - Bare metadata

  /// An object as `PartialObjectMetadata`.
  public static func partialObject(_ object: JSONValue, version: String = "v1") -> JSONValue {
    [
      "kind": "PartialObjectMetadata", "apiVersion": .string("meta.k8s.io/\(version)"), "metadata": object["metadata"],
    ]
  }

  /// A list as `PartialObjectMetadataList`.
  public static func partialObjects(
    _ objects: some Sequence<JSONValue>, at position: ListPosition, version: String = "v1"
  ) -> JSONValue {
    [
      "kind": "PartialObjectMetadataList", "apiVersion": .string("meta.k8s.io/\(version)"), "metadata": position.json,
      "items": .array(objects.map { partialObject($0, version: version) }),
    ]
  }
}
