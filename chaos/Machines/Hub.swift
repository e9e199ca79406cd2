// The place where a run with machines happens: namespaces of its own, for network, mounts and processes. They hold
// everything that the run makes and vanish with its last process, so that nothing is left behind however it ends.
import ChaosPlan
import EventLoop
import Glibc

enum Hub {
  private static let marker = "TRIREME_CHAOS_IS_IN_HUB"
  private static let programs = ["unshare", "nsenter", "ip", "mount", "umount", "mkfs.ext4", "haproxy"]

  static var isInside: Bool { getenv(marker) != nil }

  private static let facilitiesVariable = "TRIREME_CHAOS_FACILITIES"

  /// What was found outside, for the program that is started inside.
  static var facilities: Set<Facility> {
    get {
      let text = getenv(facilitiesVariable).map { String(cString: $0) } ?? ""
      return Set(text.split(separator: ",").compactMap { Facility(rawValue: String($0)) })
    }
    set { setenv(facilitiesVariable, newValue.map(\.rawValue).joined(separator: ","), 1) }
  }

  /// Why there can be no machines here; empty when there can.
  static func obstacles() -> [String] {
    guard geteuid() == 0 else { return ["only root can make machines (network namespaces, loop devices)"] }
    var obstacles = programs.filter { Paths.find($0) == nil }.map { "\($0) is not installed" }
    if access("/dev/loop-control", R_OK | W_OK) != 0 {
      obstacles.append("there are no loop devices (/dev/loop-control)")
    }
    guard obstacles.isEmpty else { return obstacles }
    let probe = ["unshare"] + namespaces + [Paths.find("mount") ?? "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if !Tool.succeeds(probe) { obstacles.append("this container may not make namespaces and mounts") }
    return obstacles
  }

  private static let namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]

  /// Starts this program again, with the same words, as the first process of the namespaces. Returns only by throwing.
  static func enter() throws -> Never {
    setenv(marker, "1", 1)
    let words = ["unshare"] + namespaces + [try Paths.own()] + CommandLine.arguments.dropFirst()
    var arguments = words.map { strdup($0) }
    arguments.append(nil)
    execvp("unshare", &arguments)
    throw RunFailure("cannot start unshare: \(String(cString: strerror(errno)))")
  }
}
