// The file behind the audit log: turned over in its order, and harmless where it cannot be.
import FileSupport
import Foundation
import Glibc
import Storage
import Testing

@Suite struct LineFileTests {
  private let folder = TemporaryFolder("lines")

  private func lines(_ path: String) throws -> [String] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  @Test func aLargeFileIsTurnedOverAndTheOldestGoes() throws {
    let path = "\(folder.path)/log"
    let file = try LineFile(path: path, bytesMaximum: 8, backupsMaximum: 2)
    for number in 1...4 { try file.append([Array("line \(number)".utf8), [120]]) }
    try file.append([Array("now".utf8)])
    #expect(try lines(path) == ["now"])
    #expect(try lines("\(path).1") == ["line 4", "x"] && lines("\(path).2") == ["line 3", "x"])
    #expect(access("\(path).3", F_OK) != 0)
    // What was there before is gone on with.
    try LineFile(path: path, bytesMaximum: 8, backupsMaximum: 2).append([[97]])
    #expect(try lines(path) == ["now", "a"])
  }

  /// Were the full file closed before there is another, the next one that anybody opens would have its number, and lines
  /// would go into a database or to a client.
  @Test func aFileThatCannotBeTurnedOverGoesOn() throws {
    let (here, there) = ("\(folder.path)/here", "\(folder.path)/there")
    mkdir(here, 0o700)
    let file = try LineFile(path: "\(here)/log", bytesMaximum: 4, backupsMaximum: 0)
    rename(here, there)
    #expect(throws: StorageError.self) { try file.append([Array("first".utf8)]) }
    let others = (0..<8).map { open("\(folder.path)/other\($0)", O_RDWR | O_CREAT, 0o600) }
    defer { for other in others { close(other) } }
    #expect(throws: StorageError.self) { try file.append([Array("second".utf8)]) }
    for other in others { #expect(lseek(other, 0, SEEK_END) == 0) }
    #expect(try lines("\(there)/log") == ["first", "second"])
    mkdir(here, 0o700)
    try file.append([Array("third".utf8)])
    try file.append([Array("4".utf8)])
    #expect(try lines("\(there)/log") == ["first", "second", "third"] && lines("\(here)/log") == ["4"])
  }
}
