// What this machine offers to faults, tried out and not guessed.
import ChaosPlan
import EventLoop
import Glibc

enum Facilities {
  /// Why each of these is not to be had here; what is not in the result is.
  static func obstacles(_ wanted: Set<Facility> = Set(Facility.allCases)) -> [Facility: String] {
    var obstacles: [Facility: String] = [:]
    for facility in wanted { obstacles[facility] = obstacle(facility) }
    return obstacles
  }

  /// The faults of a scenario that cannot be played here, with the reasons.
  static func leftOut(_ scenario: Scenario, _ obstacles: [Facility: String]) -> [(fault: Fault, why: String)] {
    scenario.faults.compactMap { fault in
      let reasons = fault.facilities.compactMap { obstacles[$0] }.sorted()
      return reasons.isEmpty ? nil : (fault, reasons.joined(separator: "; "))
    }
  }

  private static func obstacle(_ facility: Facility) -> String? {
    switch facility {
    case .machines:
      let obstacles = Hub.obstacles()
      return obstacles.isEmpty ? nil : obstacles.joined(separator: "; ")
    case .injectedErrors:
      guard Paths.find("strace") != nil else { return "strace is not installed" }
      return Tool.succeeds(["strace", "-o", "/dev/null", "true"]) ? nil : "processes may not be traced here"
    case .throttledDisks:
      return access("\(DiskThrottle.hierarchy)/blkio.throttle.write_iops_device", W_OK) == 0
        ? nil : "there is no control group for block devices (\(DiskThrottle.hierarchy))"
    case .packetQueues:
      guard let iptables = PacketDelay.program else { return "iptables is not installed" }
      let rule = ["-A", "FORWARD", "-j", "NFQUEUE", "--queue-num", "1", "--queue-bypass"]
      return Tool.succeeds(["unshare", "--net", iptables] + rule) ? nil : "packets cannot be queued here (NFQUEUE)"
    case .movableClocks:
      return MachineClock.library == nil ? "libfaketime is not installed" : nil
    case .balancerPairs:
      return Paths.find("keepalived") == nil ? "keepalived is not installed" : nil
    }
  }
}
