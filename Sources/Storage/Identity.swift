// Whose disk this is. Both databases carry it: a disk of another cluster, or one that was wiped, must never take part
// under a name that has voted before.

/// The server that a disk belongs to.
public struct StorageIdentity: Sendable, Hashable {
  /// The cluster's id: a UUID made at its birth.
  public var cluster: String
  /// The server's id within the group; never used twice in a cluster, never zero.
  public var node: UInt64

  /// Set when the group was recovered by force from the disk of one survivor: its servers and those that still belong
  /// to the group as it was before must never meet. As stored in raft.db; who names a disk need not know it.
  public var recovery: RecoveryPoint?

  public init(cluster: String, node: UInt64, recovery: RecoveryPoint? = nil) {
    self.cluster = cluster
    self.node = node
    self.recovery = recovery
  }

  /// Whether both name the same server, whatever has happened to its group.
  func isSameServer(as other: StorageIdentity) -> Bool { cluster == other.cluster && node == other.node }
}

/// Where a group was recovered by force.
public struct RecoveryPoint: Sendable, Hashable {
  /// Counts the recoveries of the group; the first is 1.
  public var generation: UInt64
  /// The survivor, and the last entry that it held: what lies behind belongs to the group as it is since.
  public var node: UInt64
  public var index: UInt64
  public var term: UInt64

  public init(generation: UInt64, node: UInt64, index: UInt64, term: UInt64) {
    self.generation = generation
    self.node = node
    self.index = index
    self.term = term
  }

  /// As stored, and as servers tell each other: generation, survivor, index, term.
  public var text: String { "\(generation).\(node).\(index).\(term)" }

  public init?(text: some StringProtocol) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { UInt64($0) }
    guard parts.count == 4, let generation = parts[0], let node = parts[1], let index = parts[2], let term = parts[3],
      generation > 0
    else { return nil }
    self.init(generation: generation, node: node, index: index, term: term)
  }
}

/// The `meta` table of either database: names and values in the clear, each with its checksum.
struct MetaTable {
  static let recoveryName = "recovery"
  private let database: Database
  private let path: String

  init(_ database: Database, path: String) {
    self.database = database
    self.path = path
  }

  /// Brings the tables to this program's version, creating them in a new file. Throws `foreign`, with nothing changed,
  /// when a newer program wrote them, and whatever `check` throws, which sees the values as they are.
  func prepare(
    _ steps: StorageSchema.Steps, check: ([String: String]) throws(StorageError) -> Void
  ) throws(StorageError) {
    let isNew = try database.word("SELECT count(*) FROM sqlite_schema") == 0
    if isNew {
      try database.transaction { () throws(StorageError) in
        try database.execute(StorageSchema.createMeta)
        try database.execute(steps.create)
        for step in steps.forward { try database.execute(step) }
        try mark(StorageSchema.version)
      }
      return
    }
    let stored = try storedVersion()
    guard stored <= StorageSchema.version else {
      throw .foreign(
        "\(path) was written by a newer version (its tables are of version \(stored), this program knows "
          + "\(StorageSchema.version)): start the newer one, or let it take the step back; nothing was changed")
    }
    let values = try all()
    try check(values)
    guard stored < StorageSchema.version else {
      if values["format"] == nil { try mark(StorageSchema.version) }
      return
    }
    guard stored >= StorageSchema.oldest else { throw .damaged("\(path): tables of version \(stored)") }
    try database.transaction { () throws(StorageError) in
      if try !hasChecksums() {
        try database.execute("ALTER TABLE meta ADD COLUMN checksum INTEGER")
        for (name, value) in values { try set(name, value) }
      }
      for step in steps.forward(from: stored) { try database.execute(step) }
      try mark(StorageSchema.version)
    }
  }

  /// The tables' version as the file says; throws where it cannot be believed.
  func storedVersion() throws(StorageError) -> UInt64 {
    // `format` alone counts: a flipped bit in the file's head must not look like a newer program's work.
    if let format = try value("format").flatMap({ UInt64($0) }) { return format }
    guard try hasChecksums() else { throw .damaged("\(path): the version of its tables") }
    // Without it, the head; one that cannot be right either says nothing.
    let head = try database.word("PRAGMA user_version")
    return head > StorageSchema.oldest ? head : StorageSchema.version
  }

  private func mark(_ version: UInt64) throws(StorageError) {
    try set("format", String(version))
    try database.execute("PRAGMA user_version=\(version)")
  }

  /// Whether values have checksums: in version 1 they have none.
  private func hasChecksums() throws(StorageError) -> Bool {
    try database.word("SELECT count(*) FROM pragma_table_info('meta') WHERE name = 'checksum'") == 1
  }

  func value(_ name: String) throws(StorageError) -> String? { try all()[name] }

  /// Every value that is as it was written.
  func all() throws(StorageError) -> [String: String] {
    let hasChecksums = try hasChecksums()
    let rows = try database.prepare("SELECT name, value\(hasChecksums ? ", checksum" : "") FROM meta")
    var values: [String: String] = [:]
    while try rows.step() {
      let (name, value) = (rows.text(0), rows.text(1))
      guard !hasChecksums || Self.checksum(name, value) == rows.word(2) else { continue }
      values[name] = value
    }
    return values
  }

  func set(_ name: String, _ value: String) throws(StorageError) {
    let statement = try database.prepare("INSERT OR REPLACE INTO meta(name, value, checksum) VALUES(?, ?, ?)")
    statement.bind(name)
    statement.bind(value)
    statement.bind(Self.checksum(name, value))
    try statement.run()
  }

  private static func checksum(_ name: String, _ value: String) -> UInt64 {
    xxh64(Array(value.utf8), seed: xxh64(Array(name.utf8)))
  }

  /// The identity among the values; nil where there is none that can be read.
  static func identity(_ values: [String: String]) -> StorageIdentity? {
    guard let cluster = values["cluster_id"], let node = values["node_id"].flatMap({ UInt64($0) }), node > 0
    else { return nil }
    return StorageIdentity(
      cluster: cluster, node: node, recovery: values[recoveryName].flatMap { RecoveryPoint(text: $0) })
  }

  /// The name under which the disk's own id stands.
  static let diskID = "disk_id"

  /// A new id for a disk: 64 bits of SQLite's chance, in hexadecimal.
  func drawID() throws(StorageError) -> String {
    let statement = try database.prepare("SELECT lower(hex(randomblob(8)))")
    guard try statement.step() else { return "0" }
    defer { statement.reset() }
    return statement.text(0)
  }

  func bind(to identity: StorageIdentity) throws(StorageError) {
    try set("cluster_id", identity.cluster)
    try set("node_id", String(identity.node))
    if let recovery = identity.recovery { try set(Self.recoveryName, recovery.text) }
  }

  /// Takes the step back to the tables of the version before.
  func migrateBack(_ steps: StorageSchema.Steps) throws(StorageError) {
    try database.transaction { () throws(StorageError) in
      try database.execute(steps.back)
      try mark(StorageSchema.version - 1)
    }
  }
}
