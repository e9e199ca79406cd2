// The place where a run with machines happens: namespaces of its own, for network, mounts and processes. They hold
// everything that the run makes and vanish with its last process, so that nothing is left behind however it ends.
import EventLoop
import Glibc

enum Hub {
  private static let marker = "TRIREME_CHAOS_IS_IN_HUB"
  private static let programs = ["unshare", "nsenter", "ip", "mount", "umount", "mkfs.ext4", "haproxy"]

  static var isInside: Bool { getenv(marker) != nil }

  /// Why there can be no machines here; empty when there can.
  static func obstacles() -> [String] {
    guard geteuid() == 0 else { return ["only root can make machines (network namespaces, loop devices)"] }
    var obstacles = programs.filter { Paths.find($0) == nil }.map { "\($0) is not installed" }
    if access("/dev/loop-control", R_OK | W_OK) != 0 {
      obstacles.append("there are no loop devices (/dev/loop-control)")
    }
    guard obstacles.isEmpty else { return obstacles }
    let probe = ["unshare"] + namespaces + [Paths.find("mount") ?? "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if !succeeds(probe) { obstacles.append("this container may not make namespaces and mounts") }
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

  private static func succeeds(_ words: [String]) -> Bool {
    var arguments = words.map { strdup($0) }
    arguments.append(nil)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for descriptor: Int32 in 0...2 {
      posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
    }
    var pid: pid_t = 0
    guard posix_spawnp(&pid, words[0], &actions, nil, arguments, nil) == 0 else { return false }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 { guard errno == EINTR else { return false } }
    return status == 0
  }
}
