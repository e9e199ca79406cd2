// A data folder that is a copy: what its server promised since is not in it, and it must not be taken for the server's.

import FileSupport
import Glibc
import Testing

@testable import Storage

@Suite struct CopiedFolderTests {
  private func copy(_ from: String, to: String) throws {
    for name in ["raft.db", "raft.db-wal", "state.db", "state.db-wal", "promises"] {
      let source = open("\(from)/\(name)", O_RDONLY)
      guard source >= 0 else { continue }
      defer { close(source) }
      var bytes = [UInt8](repeating: 0, count: 4 << 20)
      let count = read(source, &bytes, bytes.count)
      unlink("\(to)/\(name)")
      let target = open("\(to)/\(name)", O_CREAT | O_RDWR, 0o600)
      defer { close(target) }
      #expect(write(target, bytes, count) == count)
    }
  }

  /// Given a copy of a server's folder, made before the server voted and wrote on, when the copy is put in the folder's
  /// place, then no server starts on it, in words that say what to do, and nothing of it is changed; a tool reads it.
  @Test func anOldCopyIsRefusedAsAFormerSelf() async throws {
    let (folder, kept) = (TemporaryFolder("storage"), TemporaryFolder("storage"))
    var disk = try Disk(folder.path)
    disk.directory.log.append(LogWrite(token: 1, hardState: LogHardState(currentTerm: 3, votedFor: 1)))
    try await disk.durable(through: 1)
    try await disk.close()
    try copy(folder.path, to: kept.path)
    disk = try Disk(folder.path)
    disk.directory.log.append(LogWrite(token: 1, hardState: LogHardState(currentTerm: 4, votedFor: 2)))
    try await disk.durable(through: 1)
    try await disk.close()

    try copy(kept.path, to: folder.path)
    #expect {
      _ = try Disk(folder.path)
    } throws: { error in
      "\(error)".contains("is a copy") && "\(error)".contains("join anew") && "\(error)".contains("\"moved\"")
    }
    disk = try Disk(folder.path, nil)
    #expect(disk.directory.logContents.hardState == LogHardState(currentTerm: 3, votedFor: 1))
    try await disk.close()
    #expect(throws: StorageError.self) { try Disk(folder.path) }
  }

  /// Given a folder that was moved to another file system, when the operator says so, then the server starts on it, and
  /// does not ask again.
  @Test func aFolderThatWasMovedIsTakenAtTheOperatorsWord() async throws {
    let (folder, moved) = (TemporaryFolder("storage"), TemporaryFolder("storage"))
    var disk = try Disk(folder.path)
    disk.directory.log.append(LogWrite(token: 1, hardState: LogHardState(currentTerm: 3, votedFor: 1)))
    try await disk.durable(through: 1)
    try await disk.close()
    try copy(folder.path, to: moved.path)
    close(open("\(moved.path)/moved", O_CREAT | O_RDWR, 0o600))
    for _ in 0..<2 {
      disk = try Disk(moved.path)
      #expect(disk.directory.logContents.hardState == LogHardState(currentTerm: 3, votedFor: 1))
      #expect(access("\(moved.path)/moved", F_OK) != 0)
      try await disk.close()
    }
  }

  /// A folder that gets another name is the same folder.
  @Test func aFolderThatWasRenamedIsNoCopy() async throws {
    let parent = TemporaryFolder("storage")
    try await Disk("\(parent.path)/a").close()
    #expect(rename("\(parent.path)/a", "\(parent.path)/b") == 0)
    try await Disk("\(parent.path)/b").close()
    for name in ["raft.db", "raft.db-wal", "raft.db-shm", "state.db", "state.db-wal", "state.db-shm"]
      + ["lock", "promises", "ballast"]
    { unlink("\(parent.path)/b/\(name)") }
    rmdir("\(parent.path)/b")
  }
}
