// The versions of the two databases' tables, and the steps between them.

/// What both databases have: the version of their tables, and the `meta` table's names and values.
///
/// A version is written by the program that knows it, and by no other: the program of version n opens older files by
/// taking the steps forward, and can take the step back to n - 1 (`StorageDirectory.migrateBack`), for an upgrade that
/// must be undone. Newer files are refused unchanged. `meta` keeps its shape for ever.
enum StorageSchema {
  /// The tables that this program writes.
  static let version: UInt64 = 3

  /// Version 1 had no `promises` file, no copy of the mark, and its `meta` no checksums; version 2 no digest of the
  /// requests in the mark.
  static let oldest: UInt64 = 1

  static let createMeta =
    "CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER) WITHOUT ROWID"

  /// How a database's tables are made, and the steps between their versions.
  struct Steps {
    /// Tables of the oldest version.
    var create: String
    /// From each version to the next, the oldest first.
    var forward: [String]
    /// From this program's version to the one before.
    var back: String

    /// What brings tables of this version to this program's.
    func forward(from version: UInt64) -> ArraySlice<String> { forward[Int(version - StorageSchema.oldest)...] }
  }

  static let log = Steps(
    create: """
      CREATE TABLE log(
        log_index INTEGER PRIMARY KEY, term INTEGER NOT NULL, kind INTEGER NOT NULL, checksum INTEGER NOT NULL,
        payload BLOB NOT NULL);
      CREATE TABLE hard_state(
        id INTEGER PRIMARY KEY CHECK(id = 1), current_term INTEGER NOT NULL, voted_for INTEGER NOT NULL,
        commit_index INTEGER NOT NULL, checksum INTEGER NOT NULL);
      CREATE TABLE base(
        id INTEGER PRIMARY KEY CHECK(id = 1), log_index INTEGER NOT NULL, term INTEGER NOT NULL,
        checksum INTEGER NOT NULL, configuration BLOB NOT NULL);
      """,
    forward: [
      """
      ALTER TABLE log ADD COLUMN key_id INTEGER NOT NULL DEFAULT 0;
      CREATE TABLE truncation(
        id INTEGER PRIMARY KEY CHECK(id = 1), number INTEGER NOT NULL, log_index INTEGER NOT NULL,
        checksum INTEGER NOT NULL);
      """, "",
    ], back: "")

  static let state = Steps(
    create: """
      CREATE TABLE object(
        resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL,
        uid TEXT NOT NULL, labels TEXT NOT NULL, fence INTEGER NOT NULL, revision_offset INTEGER NOT NULL,
        checksum INTEGER NOT NULL, json TEXT NOT NULL);
      CREATE UNIQUE INDEX object_key ON object(resource, namespace, name);
      CREATE TABLE request(origin INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, outcomes BLOB NOT NULL);
      CREATE TABLE mark(
        id INTEGER PRIMARY KEY CHECK(id = 1), applied_index INTEGER NOT NULL, applied_term INTEGER NOT NULL,
        revision INTEGER NOT NULL, state_hash INTEGER NOT NULL, checksum INTEGER NOT NULL,
        configuration BLOB NOT NULL);
      """,
    forward: [
      """
      ALTER TABLE object ADD COLUMN key_id INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE request ADD COLUMN key_id INTEGER NOT NULL DEFAULT 0;
      CREATE INDEX object_sealed ON object(key_id) WHERE key_id <> 0;
      CREATE TABLE mark_copy(
        id INTEGER PRIMARY KEY CHECK(id = 1), applied_index INTEGER NOT NULL, applied_term INTEGER NOT NULL,
        revision INTEGER NOT NULL, state_hash INTEGER NOT NULL, checksum INTEGER NOT NULL,
        configuration BLOB NOT NULL);
      INSERT INTO mark_copy SELECT * FROM mark;
      CREATE TABLE lost(
        resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, origin INTEGER NOT NULL,
        PRIMARY KEY(resource, namespace, name, origin)) WITHOUT ROWID;
      """,
      """
      ALTER TABLE mark ADD COLUMN request_digest INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE mark_copy ADD COLUMN request_digest INTEGER NOT NULL DEFAULT 0;
      """,
    ],
    back: """
      ALTER TABLE mark DROP COLUMN request_digest;
      ALTER TABLE mark_copy DROP COLUMN request_digest;
      """)
}
