// One self-contained page: what was broken, who led, what clients got, and every anomaly with the operations that show it.
import ChaosChecker
import ChaosPlan
import EventLoop
import World

struct HTMLReport {
  /// Operations shown around those that an anomaly names.
  private static let neighbours = 40
  /// Of anomalies with the same words as many are shown with their operations; of the others what they say.
  private static let alike = 8

  let verdict: Verdict

  /// The page, and every operation as a line of a table beside it.
  func write(to path: String) throws {
    try FileSystem.write(page, to: path)
    let operations = verdict.journal.operations + verdict.journal.setOperations
    let lines = operations.sorted { $0.operation.invoked < $1.operation.invoked }.map {
      $0.description(since: verdict.start)
    }
    try FileSystem.write(lines.joined(separator: "\n") + "\n", to: FileSystem.parent(of: path) + "/operations.txt")
  }

  private var page: String {
    let title = "\(verdict.options.scenario.name), seed \(verdict.options.seed)"
    let isGood = verdict.anomalies.isEmpty
    let result =
      isGood ? "No anomaly" : "\(verdict.anomalies.count) anomal\(verdict.anomalies.count == 1 ? "y" : "ies")"
    return """
      <!DOCTYPE html>
      <html lang="en"><head><meta charset="utf-8"><title>trireme-chaos: \(Self.escape(title))</title>
      <style>\(Self.style)</style></head><body>
      <header><h1>\(Self.escape(title))</h1><p class="\(isGood ? "good" : "bad")">\(result)</p></header>
      <p class="what">\(Self.escape(summary))</p>
      \(isGood ? "" : "<h2>Anomalies</h2>" + anomalies)
      <h2>Timeline</h2>\(Timeline(verdict: verdict).svg)
      <h2>Faults</h2>\(faults)
      <h2>Figures</h2><table class="figures">\(figures)</table>
      <p class="what">Beside this page: <a href="operations.txt">every operation</a>, the servers' logs, and their disks.</p>
      </body></html>

      """
  }

  private static let style = """
    body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; margin: 2em auto; max-width: 1180px; color: #1c2230; padding: 0 1em; }
    header { display: flex; align-items: baseline; gap: 1em; } h1 { margin: 0; font-size: 1.6em; } h2 { margin: 1.6em 0 .5em; font-size: 1.15em; }
    header p { margin: 0; padding: .15em .8em; border-radius: 1em; font-weight: 600; }
    .good { background: #d9f2e0; color: #0b5d27; } .bad { background: #fbdcdc; color: #9b1111; } .what { color: #5a6275; }
    table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
    th { text-align: left; font-weight: 600; color: #5a6275; } th, td { padding: .3em .7em .3em 0; border-bottom: 1px solid #e8eaf0; vertical-align: top; }
    .faults td:nth-child(n+5), .faults th:nth-child(n+5) { text-align: right; white-space: nowrap; } .over { color: #b3261e; font-weight: 600; }
    .figures th { font-weight: normal; width: 24em; } details { margin: .5em 0; border-left: 3px solid #d64545; padding-left: .8em; }
    summary { color: #9b1111; font-weight: 600; cursor: pointer; } pre { overflow-x: auto; background: #f5f6f9; padding: .7em; font-size: 12px; }
    td.id, .faults td:nth-child(-n+2) { white-space: nowrap; } tr:target td, tr.named td { background: #fff4d6; } svg { display: block; }
    svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: #5a6275; } svg .strong { fill: #1c2230; font-weight: 600; }
    """

  private var summary: String {
    let plan = verdict.plan
    let place = plan.isOnMachines ? "machines of their own" : "one machine"
    let balancer = plan.hasBalancerPair ? ", two load balancers with one address" : ""
    let bug = plan.mutant.map { ", with the planted bug \($0)" } ?? ""
    return "\(plan.servers) servers on \(place)\(balancer)\(bug), \(verdict.journal.faults.count) faults in "
      + "\((verdict.end - verdict.start).text). \(verdict.journal.operations.count) operations on registers, "
      + "\(verdict.journal.commands.count) kubectl commands, \(verdict.journal.lists.count) lists, "
      + "\(verdict.journal.podsSeen.count) pods scheduled."
  }

  // MARK: Tables

  private var figures: String {
    verdict.figures.map { "<tr><th>\(Self.escape($0.name))</th><td>\(Self.escape($0.value))</td></tr>" }.joined(
      separator: "\n")
  }

  private var faults: String {
    let head = [
      "#", "at", "fault", "servers", "no write for", "no read", "no write, balancer", "no read", "new leader",
      "pod bound",
      "ReplicaSet acted", "all back",
    ]
    let rows = verdict.journal.faults.map { fault -> String in
      let gaps = verdict.gaps(of: fault)
      let times = [
        gaps.writes, gaps.reads, gaps.balancerWrites, gaps.balancerReads, fault.newLeader,
        fault.podBound ?? fault.loopsResumed, fault.replicaSetActed ?? fault.loopsResumed,
        fault.over.map { $0 - fault.at },
      ]
      let cells = times.map { "<td>\($0.map(\.text) ?? "–")</td>" }
      return "<tr id='fault-\(fault.number)'><td>\(fault.number)</td><td>\((fault.at - verdict.start).text)</td>"
        + "<td>\(Self.escape(fault.name))</td><td>\(fault.servers.joined(separator: ", "))</td>\(cells.joined())</tr>"
    }
    return
      "<table class='faults'><tr>\(head.map { "<th>\($0)</th>" }.joined())</tr>\(rows.joined(separator: "\n"))</table>"
  }

  // MARK: Anomalies

  /// What has one cause often shows in many places: the same words stand once.
  private var anomalies: String {
    let groups = Dictionary(grouping: verdict.anomalies.enumerated(), by: \.element.title).sorted {
      $0.value[0].offset < $1.value[0].offset
    }
    return groups.enumerated().map { position, group in
      let count = group.value.count == 1 ? "" : " (\(group.value.count) times)"
      let shown = group.value.prefix(Self.alike).map { number, anomaly in
        evidence(anomaly, number) + operations(anomaly, number)
      }
      let others = group.value.dropFirst(Self.alike).map { number, anomaly in evidence(anomaly, number) }
      return "<details \(position < 5 ? "open" : "")><summary>\(Self.escape(group.key))\(count)</summary>"
        + (shown + others).joined(separator: "\n") + "</details>"
    }.joined(separator: "\n")
  }

  private func evidence(_ anomaly: Anomaly, _ number: Int) -> String {
    guard !anomaly.evidence.isEmpty else { return "" }
    return "<pre>\(anomaly.evidence.map { Self.linked($0, anomaly: number) }.joined(separator: "\n"))</pre>"
  }

  /// Those that the anomaly names, with those on the same objects at the time.
  private func operations(_ anomaly: Anomaly, _ number: Int) -> String {
    let named = Set(anomaly.evidence.flatMap { Self.numbers(in: $0) })
    let all = verdict.journal.operations + verdict.journal.setOperations
    let shown = all.filter { named.contains($0.operation.id) }
    guard let from = shown.map(\.operation.invoked).min(), let to = shown.map(\.operation.invoked).max() else {
      return ""
    }
    let keys = Set(shown.map(\.key))
    let around = all.filter { operation in
      let moment = operation.operation.invoked
      return named.contains(operation.operation.id)
        || keys.contains(operation.key) && moment + .seconds(1) >= from && moment <= to + .seconds(1)
    }.sorted { $0.operation.invoked < $1.operation.invoked }
    // Those that are named are always there.
    var room = Self.neighbours
    let rows = around.compactMap { operation -> String? in
      let isNamed = named.contains(operation.operation.id)
      if !isNamed {
        room -= 1
        if room < 0 { return nil }
      }
      return row(operation, number, isNamed)
    }
    return "<table><tr><th>operation</th><th>client</th><th>asked</th><th>took</th><th>object</th><th>what</th></tr>"
      + rows.joined(separator: "\n") + "</table>"
  }

  private func row(_ operation: RegisterOperation, _ anomaly: Int, _ isNamed: Bool) -> String {
    let (value, start) = (operation.operation, verdict.start)
    let took = value.returned.map { ($0 - value.invoked).text } ?? "no answer"
    let at = Double(((value.invoked - start).wholeNanoseconds) / 1_000_000) / 1000
    return "<tr id='a\(anomaly)-op-\(value.id)'\(isNamed ? " class='named'" : "")><td class='id'>#\(value.id)</td>"
      + "<td>\(value.client)</td><td>\(at) s</td><td>\(took)</td><td>\(Self.escape(operation.key))</td>"
      + "<td>\(Self.escape("\(value.action)"))</td></tr>"
  }

  /// Numbers of operations, as "#812".
  private static func numbers(in text: String) -> [Int] {
    text.split(separator: "#").dropFirst().compactMap { Int($0.prefix { $0.isNumber }) }
  }

  /// Every "#812" leads to the operation.
  private static func linked(_ text: String, anomaly: Int) -> String {
    let parts = text.split(separator: "#", omittingEmptySubsequences: false)
    return parts.enumerated().map { index, part in
      let digits = part.prefix { $0.isNumber }
      guard index > 0 else { return escape(String(part)) }
      guard !digits.isEmpty else { return "#" + escape(String(part)) }
      return "<a href='#a\(anomaly)-op-\(digits)'>#\(digits)</a>" + escape(String(part.dropFirst(digits.count)))
    }.joined()
  }

  static func escape(_ text: String) -> String {
    var escaped = ""
    for character in text {
      switch character {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      case "'": escaped += "&#39;"
      default: escaped.append(character)
      }
    }
    return escaped
  }
}
