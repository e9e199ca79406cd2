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

/// The `meta` table of either database: names and values in the clear.
struct MetaTable {
  /// Format of the tables; a higher one was written by a newer version.
  static let format: UInt64 = 1
  static let recoveryName = "recovery"
  private let database: Database

  init(_ database: Database) throws(StorageError) {
    self.database = database
    try database.execute("CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
  }

  func value(_ name: String) throws(StorageError) -> String? {
    let statement = try database.prepare("SELECT value FROM meta WHERE name = ?")
    statement.bind(name)
    guard try statement.step() else { return nil }
    defer { statement.reset() }
    return statement.text(0)
  }

  func set(_ name: String, _ value: String) throws(StorageError) {
    let statement = try database.prepare("INSERT OR REPLACE INTO meta(name, value) VALUES(?, ?)")
    statement.bind(name)
    statement.bind(value)
    try statement.run()
  }

  /// The identity stored, nil in a new database. Throws if this program cannot read the format.
  func identity(of path: String) throws(StorageError) -> StorageIdentity? {
    guard let format = try value("format") else { return nil }
    guard format == String(Self.format) else {
      throw .foreign("\(path) has format \(format), this version reads \(Self.format): use a newer version")
    }
    guard let cluster = try value("cluster_id"), let node = try value("node_id").flatMap({ UInt64($0) }), node > 0
    else { throw .damaged("\(path) does not say which server it belongs to") }
    var recovery: RecoveryPoint?
    if let text = try value(Self.recoveryName) {
      recovery = RecoveryPoint(text: text)
      if recovery == nil { throw .damaged("\(path) does not say which recovery it belongs to") }
    }
    return StorageIdentity(cluster: cluster, node: node, recovery: recovery)
  }

  func bind(to identity: StorageIdentity) throws(StorageError) {
    try set("format", String(Self.format))
    try set("cluster_id", identity.cluster)
    try set("node_id", String(identity.node))
    if let recovery = identity.recovery { try set(Self.recoveryName, recovery.text) }
  }
}
