// Folders for tests, gone when the test is: also those that a server still writes to when its test is over.
import Glibc
import Synchronization

/// A folder that is removed with the value, with all that is in it.
public final class TemporaryFolder: Sendable {
  public let path: String
  /// Folders of this process that may still be there: whoever writes to one after its test made it anew.
  private static let made = Mutex<[String]>([])
  private static let removesAtExit: Void = {
    atexit { for path in TemporaryFolder.made.withLock({ $0 }) { TemporaryFolder.remove(path) } }
  }()

  public init(_ name: String) {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/trireme-\(name)-XXXXXX".utf8CString)
    let path =
      template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress.unsafelyUnwrapped) != nil }
      ? template.withUnsafeBufferPointer { String(cString: $0.baseAddress.unsafelyUnwrapped) } : ""
    precondition(!path.isEmpty, "no temporary folder can be made in \(parent)")
    self.path = path
    _ = Self.removesAtExit
    Self.made.withLock { $0.append(path) }
  }

  deinit { Self.remove(path) }

  private static func remove(_ path: String) {
    if let folder = opendir(path) {
      while let entry = readdir(folder) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != ".", name != ".." { remove("\(path)/\(name)") }
      }
      closedir(folder)
    }
    _ = Glibc.remove(path)
  }
}
