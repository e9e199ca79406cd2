// What joiner and cluster must have in common: checks on both sides, so that the error comes before anything is changed.
import EventLoop
import World

enum ServerName {
  /// Why a server cannot be called so; nil when it can. A DNS label: it stands in certificates and leases.
  static func problem(_ name: String) -> String? {
    let isLabel =
      (1...63).contains(name.utf8.count)
      && name.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "-") }
      && !name.hasPrefix("-") && !name.hasSuffix("-")
    return isLabel
      ? nil : "\"\(name)\" is no name for a server: lower-case letters, digits and \"-\" within, 63 at most"
  }
}

enum Addresses {
  /// Whether others can connect to it: host and port, both there.
  static func isUsable(_ address: String) -> Bool {
    guard case .ip(let host, let port) = Address(address) else { return false }
    return !host.isEmpty && port > 0
  }
}

enum ServerVersion {
  /// Servers of a cluster may differ by one minor version, so that one after the other can be replaced.
  static func problem(joiner: String, cluster: String) -> String? {
    guard let ours = parse(joiner), let theirs = parse(cluster) else {
      return "the versions \(joiner) and \(cluster) cannot be compared"
    }
    guard ours.major == theirs.major, abs(ours.minor - theirs.minor) <= 1 else {
      let isNewer = (ours.major, ours.minor) > (theirs.major, theirs.minor)
      return "this server is trireme \(joiner), the cluster runs \(cluster): "
        + (isNewer
          ? "upgrade the cluster's servers first, one minor version at a time"
          : "install trireme \(cluster) here")
    }
    return nil
  }

  private static func parse(_ version: String) -> (major: Int, minor: Int)? {
    let parts = version.split(separator: ".").map { Int($0) }
    guard parts.count >= 2, let major = parts[0], let minor = parts[1] else { return nil }
    return (major, minor)
  }
}

enum ClockCheck {
  static func problem(own: WallTime, cluster: WallTime) -> String? {
    let difference = own - cluster
    guard difference > Operations.clockTolerance || difference < .zero - Operations.clockTolerance else { return nil }
    return
      "the clocks differ by \(abs(difference.wholeNanoseconds / 1_000_000_000)) s: it is \(own.rfc3339) on the server that "
      + "joins and \(cluster.rfc3339) in the cluster. Certificates and tokens need clocks that agree to "
      + "\(Operations.clockTolerance.wholeNanoseconds / 1_000_000_000) s: let NTP set them, then try again"
  }
}
