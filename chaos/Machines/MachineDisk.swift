// A machine's own file system: an image on a loop device.
import EventLoop
import Glibc
import World

struct MachineDisk: Sendable {
  /// Room for a long run; blocks that are never written cost nothing.
  private static let bytes = 1 << 30
  private static let filler = "filler"
  /// EXT4_IOC_SHUTDOWN, and the flag that throws away the journal's unwritten part as well.
  private static let shutdownRequest: UInt = 0x8004_587d
  private static let withoutFlush: UInt32 = 2

  let image: String
  /// Where it is mounted.
  let folder: String
  let tool: Tool

  func make() async throws {
    let descriptor = open(image, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("make", image) }
    defer { close(descriptor) }
    guard ftruncate(descriptor, off_t(Self.bytes)) == 0 else { throw failure("make", image) }
    try await tool.run("mkfs.ext4", ["-q", "-F", "-m", "0", image])
    try await mount()
  }

  func mount() async throws {
    try FileSystem.createDirectory(folder)
    try await tool.run("mount", ["-o", "loop", image, folder])
  }

  func unmount() async throws { try await tool.run("umount", [folder]) }

  /// Takes all the room that is left, to the last block.
  func fill() throws {
    let path = "\(folder)/\(Self.filler)"
    let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("fill", folder) }
    defer { close(descriptor) }
    var size: off_t = 0
    var piece: off_t = 64 << 20
    while piece >= 4096 {
      if posix_fallocate(descriptor, size, piece) == 0 { size += piece } else { piece /= 2 }
    }
    guard size > 0 else { throw RunFailure("\(folder) had no room to take") }
  }

  func empty() throws { try FileSystem.remove("\(folder)/\(Self.filler)") }

  /// From this moment on nothing more reaches the image; what was not flushed is lost.
  func cutPower() throws {
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("cut the power of", folder) }
    defer { close(descriptor) }
    var flags = Self.withoutFlush
    guard ioctl(descriptor, Self.shutdownRequest, &flags) == 0 else { throw failure("cut the power of", folder) }
  }

  private func failure(_ what: String, _ path: String) -> RunFailure {
    RunFailure("cannot \(what) \(path): \(String(cString: strerror(errno)))")
  }
}
