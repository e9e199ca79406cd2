// Runs of several systems, side by side: medians over rounds, and ratios to the peer.
import EventLoop
import JSON

struct BenchReport {
  private struct Key: Hashable {
    var testCase: String
    var clients: Int
    var label: String
  }

  private var runs: [Key: [BenchResult]] = [:]
  private var order: [Key] = []

  /// `lines`: what `trireme bench --json` printed; anything else in the file is an error.
  init(lines: String) throws {
    for line in lines.split(separator: "\n") {
      guard let json = try? JSONValue(parsing: Array(line.utf8)), let result = BenchResult(json: json) else {
        throw CommandFailure("not a line of `trireme bench --json`: \(line.prefix(120))")
      }
      let key = Key(testCase: result.testCase, clients: result.clients, label: result.label)
      if runs[key] == nil { order.append(key) }
      runs[key, default: []].append(result)
    }
  }

  var markdown: String {
    var lines = [
      "| system | case | clients | runs | median per second (lowest–highest) | p50 ms | p99 ms | p999 ms | longest ms "
        + "| server CPU ms each | errors |",
      "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for key in order {
      let results = runs[key] ?? []
      let rates = results.map(\.perSecond)
      let cpu = results.compactMap(\.serverCPUSeconds)
      let cells: [String] = [
        key.label, key.testCase, "\(key.clients)", "\(results.count)",
        "\(decimal(Self.median(rates), 0)) (\(decimal(rates.min() ?? 0, 0))–\(decimal(rates.max() ?? 0, 0)))",
        decimal(Self.median(results.map(\.p50)), 2), decimal(Self.median(results.map(\.p99)), 2),
        decimal(Self.median(results.map(\.p999)), 2), decimal(Self.median(results.map(\.maximum)), 1),
        cpu.isEmpty ? "–" : decimal(Self.median(cpu), 3), "\(results.reduce(0) { $0 + $1.errors })",
      ]
      lines.append("| \(cells.joined(separator: " | ")) |")
    }
    let ratios = order.compactMap(ratio)
    if !ratios.isEmpty { lines += ["", "Beside etcd in the same run:", ""] + ratios }
    return lines.joined(separator: "\n")
  }

  /// A create beside the put of the same bytes, by as many clients, at as many servers.
  private func ratio(_ key: Key) -> String? {
    let peerKey = Key(
      testCase: key.testCase == "write-gap" ? "etcd-write-gap" : "etcd-put", clients: key.clients,
      label: key.label.replacing("trireme", with: "etcd"))
    guard ["create-configmap", "write-gap"].contains(key.testCase), peerKey.label != key.label,
      let ours = runs[key], let peer = runs[peerKey]
    else { return nil }
    if key.testCase == "write-gap" {
      return "- \(key.label), leader killed: longest gap \(decimal(Self.median(ours.map(\.maximum)), 0)) ms, "
        + "etcd \(decimal(Self.median(peer.map(\.maximum)), 0)) ms"
    }
    let rate = Self.median(ours.map(\.perSecond)) / max(1, Self.median(peer.map(\.perSecond)))
    let p99 = Self.median(ours.map(\.p99)) / max(0.001, Self.median(peer.map(\.p99)))
    return "- \(key.label), \(key.clients) clients: \(decimal(rate, 2)) × etcd's puts per second, "
      + "p99 \(decimal(p99, 2)) × etcd's"
  }

  private static func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }
}
