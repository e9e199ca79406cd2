// Whose disk this is. Both databases carry it: a disk of another cluster, or one that was wiped, must never take part
// under a name that has voted before.

/// The server that a disk belongs to.
public struct StorageIdentity: Sendable, Hashable {
  /// The cluster's id: a UUID made at its birth.
  public var cluster: String
  /// The server's id within the group; never used twice in a cluster, never zero.
  public var node: UInt64

  public init(cluster: String, node: UInt64) {
    self.cluster = cluster
    self.node = node
  }
}

/// The `meta` table of either database: names and values in the clear.
struct MetaTable {
  /// Format of the tables; a higher one was written by a newer version.
  static let format: UInt64 = 1
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
    return StorageIdentity(cluster: cluster, node: node)
  }

  func bind(to identity: StorageIdentity) throws(StorageError) {
    try set("format", String(Self.format))
    try set("cluster_id", identity.cluster)
    try set("node_id", String(identity.node))
  }
}
