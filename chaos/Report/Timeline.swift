// The picture of a run, one share of time above the other: faults, servers and leaders, when nobody could write or read,
// operations a second, and how long they took.
import ChaosChecker
import ChaosPlan
import World

struct Timeline {
  let verdict: Verdict

  private static let width = 1150.0
  private static let left = 195.0
  private static let lane = 20.0
  private static let chart = 110.0
  private static let gap = 26.0
  /// Shorter gaps are the pace of the clients.
  private static let standstill = Duration.milliseconds(300)

  /// Of the charts; each stands for an equal share of the run, of half a second or more.
  private var columns: Int { max(40, min(320, Int((verdict.end - verdict.start).inSeconds * 2))) }

  var svg: String {
    var parts: [String] = []
    var top = 0.0
    func section(_ height: Double, _ body: (Double) -> [String]) {
      parts += body(top)
      top += height + Self.gap
    }
    let rows = faultRows
    section(Self.lane * Double((rows.values.max() ?? 0) + 1)) { top in
      ["<text class='strong' x='0' y='\(top + 13)'>faults</text>"]
        + verdict.journal.faults.map { faultBar($0, top + Self.lane * Double(rows[$0.number] ?? 0)) }
    }
    let entrances = verdict.plan.entrances.map(\.name)
    section(Self.lane * Double(entrances.count)) { top in
      entrances.enumerated().flatMap { lifeLane($0.element, top + Self.lane * Double($0.offset)) }
    }
    section(Self.lane * Double(entrances.count)) { top in
      entrances.enumerated().flatMap { standstillLane($0.element, top + Self.lane * Double($0.offset)) }
    }
    section(Self.chart) { rateChart($0) }
    section(Self.chart) { latencyChart($0) }
    let bottom = top - Self.gap + 4
    let lines = verdict.journal.faults.map { fault in
      "<line x1='\(x(fault.at))' x2='\(x(fault.at))' y1='0' y2='\(bottom)' stroke='#c0392b' stroke-opacity='.25'/>"
    }
    let times = stride(from: 0, through: (verdict.end - verdict.start).inSeconds, by: tick).map { seconds in
      "<text x='\(x(verdict.start + .milliseconds(Int64(seconds * 1000))))' y='\(bottom + 14)' text-anchor='middle'>"
        + "\(Self.clock(Int(seconds)))</text>"
    }
    return "<svg viewBox='0 0 \(Self.width) \(bottom + 20)' width='100%' role='img' aria-label='timeline'>"
      + "\((lines + parts + times).joined(separator: "\n"))</svg>"
  }

  /// Seconds between two marks of time, about a dozen of them.
  private var tick: Double {
    let total = (verdict.end - verdict.start).inSeconds
    return [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].first { total / $0 <= 12 } ?? 7200
  }

  /// "1:05".
  private static func clock(_ seconds: Int) -> String {
    let minute = seconds % 3600 / 60
    let rest = "\(minute):\(seconds % 60 < 10 ? "0" : "")\(seconds % 60)"
    return seconds < 3600 ? rest : "\(seconds / 3600):\(minute < 10 ? "0" : "")\(rest)"
  }

  // MARK: Lanes

  /// Faults that would cover each other stand below each other.
  private var faultRows: [Int: Int] {
    var ends: [Double] = []
    var rows: [Int: Int] = [:]
    for fault in verdict.journal.faults {
      let (from, to) = (x(fault.at), max(x(fault.over ?? fault.at), x(fault.at) + 18))
      let row = ends.firstIndex { $0 <= from } ?? ends.count
      if row == ends.count { ends.append(to) } else { ends[row] = to }
      rows[fault.number] = row
    }
    return rows
  }

  private func faultBar(_ fault: FaultRecord, _ top: Double) -> String {
    let width = max(16, x(fault.over ?? fault.at) - x(fault.at))
    let color = fault.fault.isPlannedWork ? "#5b8def" : "#d64545"
    return
      "<a href='#fault-\(fault.number)'><rect x='\(x(fault.at))' y='\(top + 2)' width='\(round(width))' height='15' "
      + "rx='3' fill='\(color)'><title>\(HTMLReport.escape(verdict.line(fault)))</title></rect>"
      + "<text x='\(round(x(fault.at) + 4))' y='\(top + 13)' style='fill:#fff'>\(fault.number)</text></a>"
  }

  /// A server's life: grey while it runs, blue while it leads, red while it is broken.
  private func lifeLane(_ name: String, _ top: Double) -> [String] {
    let blocks =
      [block(verdict.start, verdict.end, top, "#e6e9f0", "runs")]
      + reigns(of: name).map { block($0.from, $0.to, top, "#3f6fd1", "leads term \($0.term)") }
      + verdict.journal.outages.filter { $0.server == name }.map {
        block(
          $0.from, $0.to ?? verdict.end, top, $0.isPlanned ? "#9db7ea" : "#e58a8a", $0.isPlanned ? "restarts" : "broken"
        )
      }
    let leads = name == Machines.balancer ? "" : "<tspan style='fill:#3f6fd1'>leads</tspan>, "
    return [
      "<text x='0' y='\(top + 13)'>\(Self.label(name)): \(leads)<tspan style='fill:#c05252'>broken</tspan></text>"
    ] + blocks
  }

  private static func label(_ name: String) -> String { name == Machines.balancer ? "balancer" : name }

  /// Times without a successful write above, without a read below.
  private func standstillLane(_ name: String, _ top: Double) -> [String] {
    let label =
      "<text x='0' y='\(top + 13)'><tspan style='fill:#d64545'>no writes</tspan>, <tspan style='fill:#b9761b'>reads</tspan> "
      + "at \(Self.label(name))</text>"
    let base = block(verdict.start, verdict.end, top, "#eef7f0", "served")
    let writes = gaps(verdict.journal.writes[name] ?? []).map { half($0, top + 2, "#d64545", "no write") }
    let reads = gaps(verdict.journal.reads[name] ?? []).map { half($0, top + 10, "#e09b3d", "no read") }
    return [label, base] + writes + reads
  }

  private func gaps(_ successes: [MonotonicTime]) -> [(from: MonotonicTime, to: MonotonicTime)] {
    let ordered = successes.sorted()
    return zip(ordered, ordered.dropFirst()).filter { $1 - $0 > Self.standstill }.map { (from: $0, to: $1) }
  }

  private func half(_ gap: (from: MonotonicTime, to: MonotonicTime), _ top: Double, _ color: String, _ what: String)
    -> String
  {
    "<rect x='\(x(gap.from))' y='\(top)' width='\(round(max(1, x(gap.to) - x(gap.from))))' height='7' fill='\(color)'>"
      + "<title>\(what) for \((gap.to - gap.from).text), from \((gap.from - verdict.start).text)</title></rect>"
  }

  private func block(_ from: MonotonicTime, _ to: MonotonicTime, _ top: Double, _ color: String, _ title: String)
    -> String
  {
    "<rect x='\(x(from))' y='\(top + 2)' width='\(round(max(1, x(to) - x(from))))' height='15' fill='\(color)'>"
      + "<title>\(title), \((from - verdict.start).text) to \((to - verdict.start).text)</title></rect>"
  }

  /// From the first to the last sample in which the server said that it led a term.
  private func reigns(of server: String) -> [(term: Int64, from: MonotonicTime, to: MonotonicTime)] {
    var reigns: [(term: Int64, from: MonotonicTime, to: MonotonicTime)] = []
    for sample in verdict.journal.samples where sample.server == server && sample.isLeader {
      if reigns.last?.term == sample.term {
        reigns[reigns.count - 1].to = sample.at
      } else {
        reigns.append((sample.term, sample.at, sample.at))
      }
    }
    return reigns
  }

  // MARK: Charts

  private func rateChart(_ top: Double) -> [String] {
    let seconds = max((verdict.end - verdict.start).inSeconds / Double(columns), 0.001)
    func rates(_ times: some Sequence<MonotonicTime>) -> [Double] {
      var counts = [Double](repeating: 0, count: columns)
      for time in times { counts[column(time)] += 1 / seconds }
      return counts
    }
    let reads = rates(
      verdict.journal.operations.lazy.compactMap { operation in
        // What is read back at the end is no traffic.
        operation.operation.action.request == .read && !operation.operation.client.hasSuffix("/list")
          ? operation.operation.returned : nil
      }.map { $0 } + verdict.journal.reads.values.joined())
    let writes = rates(done.map(\.at))
    let highest = max(writes.max() ?? 0, reads.max() ?? 0, 1)
    let scale = { (value: Double) in 1 - value / highest }
    return frame("operations/s", top, marks: [(0, "\(Int(highest))"), (0.5, "\(Int(highest / 2))"), (1, "0")])
      + [line(reads, top, "#9aa7c2", scale), line(writes, top, "#3f6fd1", scale)]
      + legend([("writes done", "#3f6fd1"), ("reads", "#9aa7c2")], top)
  }

  /// On a scale of powers of ten, from a millisecond to ten seconds.
  private func latencyChart(_ top: Double) -> [String] {
    var latencies = [[Duration]](repeating: [], count: columns)
    for write in done { latencies[column(write.at)].append(write.latency) }
    func percentile(_ fraction: Double) -> [Double?] {
      latencies.map { Availability.percentile($0, fraction)?.inSeconds }
    }
    let scale = { (seconds: Double) in
      var (rest, decades) = (max(min(seconds, 10), 0.001) / 0.001, 0.0)
      while rest >= 10 { (rest, decades) = (rest / 10, decades + 1) }
      // Within a decade a straight line is near enough for a picture of this height.
      return 1 - min(1, (decades + (rest - 1) / 9) / 4)
    }
    let shown: [(name: String, color: String, fraction: Double)] = [
      ("max", "#e2b9b9", 1), ("p99", "#d9822b", 0.99), ("p90", "#8aa05b", 0.9), ("p50", "#2e7d5b", 0.5),
    ]
    return frame(
      "latency of writes", top, marks: [(0, "10 s"), (0.25, "1 s"), (0.5, "100 ms"), (0.75, "10 ms"), (1, "1 ms")])
      + shown.map { line(percentile($0.fraction), top, $0.color, scale) }
      + legend(shown.reversed().map { ($0.name, $0.color) }, top)
  }

  private func frame(_ name: String, _ top: Double, marks: [(share: Double, text: String)]) -> [String] {
    ["<text class='strong' x='0' y='\(top + 13)'>\(name)</text>"]
      + marks.map { mark in
        let y = round(top + Self.chart * mark.share)
        return "<line x1='\(Self.left)' x2='\(Self.width)' y1='\(y)' y2='\(y)' stroke='#e8eaf0'/>"
          + "<text x='\(Self.left - 6)' y='\(y + 4)' text-anchor='end'>\(mark.text)</text>"
      }
  }

  private func legend(_ entries: [(name: String, color: String)], _ top: Double) -> [String] {
    entries.enumerated().map { index, entry in
      let y = top + 32 + 15 * Double(index)
      return
        "<rect x='0' y='\(y - 8)' width='10' height='3' fill='\(entry.color)'/><text x='16' y='\(y - 3)'>\(entry.name)</text>"
    }
  }

  /// Breaks where there is no value.
  private func line(_ values: [Double?], _ top: Double, _ color: String, _ scale: (Double) -> Double) -> String {
    let step = (Self.width - Self.left) / Double(values.count)
    var path = ""
    var isOpen = false
    for (index, value) in values.enumerated() {
      guard let value else {
        isOpen = false
        continue
      }
      let point = "\(round(Self.left + step * (Double(index) + 0.5))) \(round(top + Self.chart * scale(value)))"
      path += (isOpen ? "L" : "M") + point + (isOpen ? "" : "h.5")
      isOpen = true
    }
    return "<path d='\(path)' fill='none' stroke='\(color)' stroke-width='1.4'/>"
  }

  private var done: [(at: MonotonicTime, latency: Duration)] {
    verdict.journal.operations.compactMap { operation in
      guard case .done = operation.operation.action.answer, let returned = operation.operation.returned else {
        return nil
      }
      return (returned, returned - operation.operation.invoked)
    }
  }

  // MARK: Places

  private func share(_ time: MonotonicTime) -> Double {
    (time - verdict.start).inSeconds / max((verdict.end - verdict.start).inSeconds, 0.001)
  }
  private func column(_ time: MonotonicTime) -> Int {
    min(columns - 1, max(0, Int(share(time) * Double(columns))))
  }
  private func x(_ time: MonotonicTime) -> Double {
    round(Self.left + min(1, max(0, share(time))) * (Self.width - Self.left))
  }
  /// Tenths of a pixel are enough.
  private func round(_ value: Double) -> Double { (value * 10).rounded() / 10 }
}
