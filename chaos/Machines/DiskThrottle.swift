// A slow disk: the processes of a control group may do so many writes a second on one device, and no more. A run that is
// killed leaves an empty group behind, which binds nobody.
import EventLoop
import Glibc

struct DiskThrottle: Sendable {
  static let hierarchy = "/sys/fs/cgroup/blkio"
  private static let prefix = "trireme-chaos-"

  let group: String
  private let device: String

  /// For processes that write to the file system mounted at `folder`.
  init(folder: String) throws {
    let mounts = try FileSystem.readText("/proc/self/mountinfo").split(separator: "\n").map { $0.split(separator: " ") }
    guard let mount = mounts.last(where: { $0.count > 4 && $0[4] == folder }) else {
      throw RunFailure("nothing is mounted at \(folder)")
    }
    device = String(mount[2])
    group = "\(Self.hierarchy)/\(Self.prefix)\(device.replacing(":", with: "-"))"
  }

  /// From now on `process` writes at most so often a second.
  func slow(_ process: Int32, writesPerSecond: Int) throws {
    if !FileSystem.exists(group) { try FileSystem.createDirectory(group) }
    try Self.set("\(group)/blkio.throttle.write_iops_device", "\(device) \(writesPerSecond)")
    try Self.set("\(group)/cgroup.procs", "\(process)")
  }

  func end(_ process: Int32?) throws {
    try Self.set("\(group)/blkio.throttle.write_iops_device", "\(device) 0")
    if let process { try Self.set("\(Self.hierarchy)/cgroup.procs", "\(process)") }
    rmdir(group)
  }

  private static func set(_ file: String, _ text: String) throws {
    let descriptor = open(file, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw RunFailure("cannot open \(file): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    guard write(descriptor, bytes, bytes.count) == bytes.count else {
      throw RunFailure("cannot write \(text) to \(file): \(String(cString: strerror(errno)))")
    }
  }
}
