// One self-contained page: a timeline of servers, faults, writes and latencies; figures; anomalies.
import ChaosChecker
import ChaosPlan
import EventLoop
import World

struct HTMLReport {
  let verdict: Verdict

  private static let width = 1100.0
  private static let left = 90.0
  private static let laneHeight = 22.0
  private static let chartHeight = 120.0
  /// Columns of the charts; each stands for an equal share of the run.
  private static let columns = 400

  func write(to path: String) throws { try FileSystem.write(page, to: path) }

  private var page: String {
    let title = "trireme-chaos \(verdict.options.scenario.name), seed \(verdict.options.seed)"
    let result = verdict.anomalies.isEmpty ? "No anomaly" : "\(verdict.anomalies.count) anomalies"
    let figures = verdict.figures.map { "<tr><th>\(escape($0.name))</th><td>\(escape($0.value))</td></tr>" }
    let faults = verdict.journal.faults.map { "<li>\(escape(verdict.line($0)))</li>" }
    let anomalies = verdict.anomalies.map { anomaly in
      let evidence = anomaly.evidence.map { escape($0) }.joined(separator: "\n")
      return "<details open><summary>\(escape(anomaly.title))</summary><pre>\(evidence)</pre></details>"
    }
    return """
      <!DOCTYPE html>
      <html lang="en"><head><meta charset="utf-8"><title>\(escape(title))</title>
      <style>
      body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1140px; color: #223; }
      th { text-align: left; font-weight: normal; padding-right: 2em; color: #556; }
      summary { color: #b00; } pre { overflow-x: auto; background: #f6f6f8; padding: .6em; }
      svg text { font-size: 11px; fill: #556; } ol { padding-left: 1.2em; list-style: none; }
      </style></head><body>
      <h1>\(escape(title))</h1>
      <p><strong style="color:\(verdict.anomalies.isEmpty ? "#070" : "#b00")">\(result)</strong></p>
      \(timeline)
      <h2>Figures</h2><table>\(figures.joined(separator: "\n"))</table>
      <h2>Faults</h2><ol>\(faults.joined(separator: "\n"))</ol>
      \(anomalies.isEmpty ? "" : "<h2>Anomalies</h2>" + anomalies.joined(separator: "\n"))
      </body></html>

      """
  }

  // MARK: Timeline

  private var timeline: String {
    let members = verdict.plan.entrances.map(\.name)
    let lanes = Self.laneHeight * Double(members.count)
    let rateTop = lanes + 20
    let latencyTop = rateTop + Self.chartHeight + 25
    let height = latencyTop + Self.chartHeight + 30
    var parts = members.enumerated().map { lane($0.offset, $0.element) }
    parts.append(
      chart("writes/s", rate, top: rateTop, fill: "#8ab") { value in "\(Int(value.rounded()))" })
    parts.append(
      chart("slowest write", slowest, top: latencyTop, fill: "#c96") { value in
        Duration.milliseconds(Int64(value)).text
      })
    for fault in verdict.journal.faults {
      let x = position(fault.at)
      parts.append(
        "<line x1='\(x)' x2='\(x)' y1='0' y2='\(height - 20)' stroke='#b00' stroke-dasharray='2 3'>"
          + "<title>\(escape(verdict.line(fault)))</title></line>")
    }
    for share in 0...10 {
      let moment = (verdict.end - verdict.start) / 10 * share
      parts.append("<text x='\(position(verdict.start + moment) - 10)' y='\(height - 4)'>\(moment.text)</text>")
    }
    return "<svg viewBox='0 0 \(Self.width) \(height)' width='100%'>\(parts.joined(separator: "\n"))</svg>"
  }

  /// A server's life: grey while it runs, blue while it leads, red while it is broken.
  private func lane(_ index: Int, _ server: String) -> String {
    let top = Self.laneHeight * Double(index) + 4
    let bar = Self.laneHeight - 8
    var text = "<text x='0' y='\(top + 11)'>\(server)</text>"
    func block(_ from: MonotonicTime, _ to: MonotonicTime, _ color: String, _ title: String) {
      let x = position(from)
      text +=
        "<rect x='\(x)' y='\(top)' width='\(round(max(1, position(to) - x)))' height='\(bar)' fill='\(color)'>"
        + "<title>\(title)</title></rect>"
    }
    block(verdict.start, verdict.end, "#e4e6ea", "running")
    for reign in reigns(of: server) { block(reign.from, reign.to, "#57c", "leads term \(reign.term)") }
    for outage in verdict.journal.outages where outage.server == server {
      block(outage.from, outage.to ?? verdict.end, "#d55", "broken")
    }
    return text
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

  private func chart(
    _ name: String, _ values: [Double], top: Double, fill: String, label: (Double) -> String
  ) -> String {
    let highest = max(values.max() ?? 0, 1)
    let step = (Self.width - Self.left) / Double(values.count)
    var path = "M \(Self.left) \(top + Self.chartHeight)"
    for (index, value) in values.enumerated() {
      path += " L \(round(Self.left + step * Double(index))) \(round(top + Self.chartHeight * (1 - value / highest)))"
    }
    path += " L \(Self.width) \(top + Self.chartHeight) Z"
    return "<text x='0' y='\(top + 11)'>\(name)</text><text x='0' y='\(top + 26)'>max \(label(highest))</text>"
      + "<path d='\(path)' fill='\(fill)'/>"
  }

  private var done: [(at: MonotonicTime, latency: Duration)] {
    verdict.journal.operations.compactMap { operation in
      guard case .done = operation.operation.action.answer, let returned = operation.operation.returned else {
        return nil
      }
      return (returned, returned - operation.operation.invoked)
    }
  }

  private var rate: [Double] {
    var counts = [Double](repeating: 0, count: Self.columns)
    for write in done { counts[column(write.at)] += 1 }
    let seconds = (verdict.end - verdict.start).inSeconds / Double(Self.columns)
    return counts.map { $0 / max(seconds, 0.001) }
  }

  /// Milliseconds of the slowest write that ended in each column.
  private var slowest: [Double] {
    var values = [Double](repeating: 0, count: Self.columns)
    for write in done { values[column(write.at)] = max(values[column(write.at)], write.latency.inSeconds * 1000) }
    return values
  }

  private func share(_ time: MonotonicTime) -> Double {
    (time - verdict.start).inSeconds / max((verdict.end - verdict.start).inSeconds, 0.001)
  }
  private func column(_ time: MonotonicTime) -> Int {
    min(Self.columns - 1, max(0, Int(share(time) * Double(Self.columns))))
  }
  private func position(_ time: MonotonicTime) -> Double {
    round(Self.left + share(time) * (Self.width - Self.left))
  }
  /// Tenths of a pixel are enough.
  private func round(_ value: Double) -> Double { (value * 10).rounded() / 10 }

  private func escape(_ text: String) -> String {
    var escaped = ""
    for character in text {
      switch character {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      default: escaped.append(character)
      }
    }
    return escaped
  }
}
