// What is aimed for, beside what Kubernetes 1.32 with etcd was measured to do on this kind of machine.

public struct Aim: Sendable {
  public enum Direction: Sendable { case atLeast, atMost }

  public var name: String
  public var reference: String
  public var key: RunKey
  public var figure: Figure
  public var direction: Direction
  public var value: Double
  public var unit: String
  /// Another run whose figure `value` multiplies: "no slower than etcd" in the same run.
  public var beside: RunKey?

  public func isMet(_ measured: Double, beside other: Double?) -> Bool? {
    guard beside == nil || other != nil else { return nil }
    let bound = value * (beside == nil ? 1 : other ?? 0)
    return direction == .atLeast ? measured >= bound : measured <= bound
  }

  var text: String {
    let sign = direction == .atLeast ? "≥" : "≤"
    if let beside { return "\(sign) \(decimal(value, 1)) × \(beside.label) \(beside.testCase)" }
    return "\(sign) \(Aim.number(value)) \(unit)"
  }

  static func number(_ value: Double) -> String {
    let places = value >= 100 || value == value.rounded() ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3
    var digits = decimal(value, places)[...]
    guard !digits.contains("."), digits.count > 4 else { return String(digits) }
    var groups: [Substring] = []
    while digits.count > 3 {
      groups.insert(digits.suffix(3), at: 0)
      digits = digits.dropLast(3)
    }
    return ([digits] + groups).joined(separator: ",")
  }

  private init(
    _ name: String, _ reference: String, _ key: RunKey, _ figure: Figure, _ direction: Direction, _ value: Double,
    _ unit: String, beside: RunKey? = nil
  ) {
    self.name = name
    self.reference = reference
    self.key = key
    self.figure = figure
    self.direction = direction
    self.value = value
    self.unit = unit
    self.beside = beside
  }

  public static let all: [Aim] = writes + reads + costs

  private static let writes: [Aim] = [
    Aim(
      "create 1 KiB ConfigMap, 3 servers, 16 clients", "410–740/s",
      RunKey("trireme-3", "create-configmap", clients: 16), .perSecond, .atLeast, 10_000, "/s"),
    Aim(
      "the same, CPU of all processes", "2.3–2.8 ms each", RunKey("trireme-3", "create-configmap", clients: 16),
      .allCPUMillis, .atMost, 0.15, "ms each"),
    Aim(
      "create 1 KiB ConfigMap, 1 server, 64 clients", "1,355/s",
      RunKey("trireme-1", "create-configmap", clients: 64), .perSecond, .atLeast, 20_000, "/s"),
    Aim(
      "the same, p99", "114 ms", RunKey("trireme-1", "create-configmap", clients: 64), .p99, .atMost, 10, "ms"),
    Aim(
      "create beside etcd's put of 256 B, 3 members, 64 clients", "–",
      RunKey("trireme-3", "create-configmap", clients: 64), .perSecond, .atLeast, 1, "",
      beside: RunKey("etcd-3", "etcd-put-256", clients: 64)),
    Aim(
      "create Pod, 1 server, 64 clients", "1,047/s", RunKey("trireme-1", "create-pod", clients: 64), .perSecond,
      .atLeast, 12_000, "/s"),
    Aim(
      "create Pod, 3 servers, 64 clients", "574/s", RunKey("trireme-3", "create-pod", clients: 64), .perSecond,
      .atLeast, 6000, "/s"),
    Aim(
      "update, 1 server, 64 clients", "740/s", RunKey("trireme-1", "update-configmap", clients: 64), .perSecond,
      .atLeast, 15_000, "/s"),
    Aim(
      "patch, 1 server, 64 clients", "963/s", RunKey("trireme-1", "patch-configmap", clients: 64), .perSecond,
      .atLeast, 15_000, "/s"),
  ]

  private static let reads: [Aim] = [
    Aim(
      "GET, 1 server, 64 clients", "3,030/s", RunKey("trireme-1", "get", clients: 64), .perSecond, .atLeast, 60_000,
      "/s"),
    Aim(
      "LIST 10,000 objects, one client", "11–15/s", RunKey("trireme-1", "list", clients: 1, objects: 10_000),
      .perSecond, .atLeast, 150, "/s"),
    Aim(
      "the same, CPU of all processes", "70–92 ms each", RunKey("trireme-1", "list", clients: 1, objects: 10_000),
      .allCPUMillis, .atMost, 8, "ms each"),
    Aim(
      "delete a collection of 50,000", "109 s", RunKey("trireme-1", "delete-collection", objects: 50_000),
      .named("deletionSeconds"), .atMost, 4, "s"),
  ]

  private static let costs: [Aim] = [
    Aim(
      "memory, idle, 3 servers", "1,489 MiB", RunKey("trireme-3", "idle"), .named("mebibytes"), .atMost, 192, "MiB"),
    Aim(
      "CPU, idle, 3 servers", "10.8 % of a core", RunKey("trireme-3", "idle"), .named("cpuPercentOfACore"), .atMost,
      1.5, "% of a core"),
    Aim(
      "memory with 50,000 ConfigMaps, 1 server", "1,132 MiB", RunKey("trireme-1", "memory", objects: 50_000),
      .named("mebibytes"), .atMost, 200, "MiB"),
    Aim(
      "process start to ready, empty", "2.4–3.7 s", RunKey("trireme-1", "ready"), .named("readyMilliseconds"), .atMost,
      200, "ms"),
    Aim(
      "process start to ready, three servers", "6.3–7.3 s", RunKey("trireme-3", "ready"),
      .named("readyMilliseconds"), .atMost, 1000, "ms"),
    Aim(
      "whole lives of pods, 1,000 nodes", "51–282/s", RunKey("trireme-3", "pod-lifecycle", clients: 256), .perSecond,
      .atLeast, 3307, "/s"),
    Aim(
      "leader killed: longest time without a write", "up to 17 s for loops",
      RunKey("trireme-3", "write-gap", clients: 16), .named("longestGapMilliseconds"), .atMost, 300, "ms"),
  ]
}
