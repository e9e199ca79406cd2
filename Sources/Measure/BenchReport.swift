// The page that a run of all cases ends in: aims, ratios, tables, plots.

public struct BenchReport: Sendable {
  private let summary: Summary

  public init(_ summary: Summary) { self.summary = summary }

  /// Failed requests of all runs: with any of them a run has no figures, and the page says why.
  public var errors: Int { summary.keys.reduce(0) { $0 + summary.results($1).reduce(0) { $0 + $1.errors } } }

  /// The page without its head; `plots`: the names of the files that `plots` are written to.
  public var markdown: String {
    var parts = failures.isEmpty ? [] : ["## Failed", failures.joined(separator: "\n")]
    parts += ["## Aims and what was measured", aims]
    let ratios = summary.keys.compactMap(ratio)
    if !ratios.isEmpty { parts += ["## Beside etcd in the same run", ratios.joined(separator: "\n")] }
    for plot in plots { parts.append("![\(plot.chart.title)](\(plot.name).svg)") }
    parts += ["## Everything", table]
    return parts.joined(separator: "\n\n")
  }

  private var failures: [String] {
    summary.keys.flatMap { summary.results($0) }.filter { $0.errors > 0 }.map { result in
      var name = "\(result.label) \(result.testCase)"
      if result.clients > 0 { name += ", \(result.clients) clients" }
      if result.objects > 0 { name += ", \(result.objects) objects" }
      let reason = result.firstError.replacing("\n", with: " ")
      return "- \(name): \(result.errors) of \(result.requests + result.errors) failed, the first with: \(reason)"
    }
  }

  // MARK: Aims

  private var aims: String {
    var lines = [
      "| case (two cores shared by servers, peers and clients) | Kubernetes 1.32 + etcd | aim | measured here (lowest–highest) | |",
      "|---|---|---|---|---|",
    ]
    for aim in Aim.all {
      guard let measured = summary.spread(aim.key, aim.figure) else {
        let isMissing = summary.results(aim.key).isEmpty
        lines.append(
          "| \(aim.name) | \(aim.reference) | \(aim.text) | \(isMissing ? "not measured in this run" : "failed") | |")
        continue
      }
      let other = aim.beside.flatMap { summary.spread($0, .perSecond)?.median }
      let verdict = aim.isMet(measured.median, beside: other).map { $0 ? "reached" : "**not reached**" } ?? ""
      let beside = other.map { " (\(decimal(measured.median / max($0, 1), 2)) ×)" } ?? ""
      let unit = aim.unit.isEmpty ? "/s" : " \(aim.unit)"
      lines.append(
        "| \(aim.name) | \(aim.reference) | \(aim.text) | \(Self.text(measured))\(unit.replacing(" /s", with: "/s"))\(beside) | \(verdict) |"
      )
    }
    return lines.joined(separator: "\n")
  }

  private static func text(_ spread: Spread) -> String {
    let median = Aim.number(spread.median)
    guard spread.lowest != spread.highest else { return median }
    return "\(median) (\(Aim.number(spread.lowest))–\(Aim.number(spread.highest)))"
  }

  // MARK: Ratios

  /// A create beside the put of the same bytes, by as many clients, at as many servers.
  private func ratio(_ key: RunKey) -> String? {
    guard key.label.hasPrefix("trireme") else { return nil }
    var peer = key
    peer.label = key.label.replacing("trireme", with: "etcd")
    switch key.testCase {
    case "create-configmap":
      peer.testCase = "etcd-put"
      guard let ours = summary.spread(key, .perSecond), let theirs = summary.spread(peer, .perSecond),
        let late = summary.spread(key, .p99), let peerLate = summary.spread(peer, .p99)
      else { return nil }
      return "- \(key.label), \(key.clients) clients: \(decimal(ours.median / max(1, theirs.median), 2)) × etcd's puts "
        + "per second, p99 \(decimal(late.median / max(0.001, peerLate.median), 2)) × etcd's"
    case "write-gap":
      peer.testCase = "etcd-write-gap"
      guard let ours = summary.spread(key, .maximum), let theirs = summary.spread(peer, .maximum) else { return nil }
      return
        "- \(key.label), leader killed: longest gap \(decimal(ours.median, 0)) ms, etcd \(decimal(theirs.median, 0)) ms"
    default: return nil
    }
  }

  // MARK: Everything

  private var table: String {
    var lines = [
      "| system | case | clients | objects | runs | median per second (lowest–highest) | p50 ms | p99 ms | p999 ms "
        + "| longest ms | server CPU ms each | client CPU ms each | fsyncs a write | more |",
      "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for key in summary.keys {
      func cell(_ figure: Figure, _ places: Int) -> String {
        summary.spread(key, figure).map { decimal($0.median, places) } ?? ""
      }
      let rate = summary.spread(key, .perSecond).map(Self.text) ?? ""
      let cells: [String] = [
        key.label, key.testCase, key.clients > 0 ? "\(key.clients)" : "", key.objects > 0 ? "\(key.objects)" : "",
        "\(summary.results(key).count)", rate, cell(.p50, 2), cell(.p99, 2), cell(.p999, 2), cell(.maximum, 1),
        cell(.named("serverCPUMillis"), 3), cell(.named("clientCPUMillis"), 3), cell(.named("fsyncsPerWrite"), 3),
        more(key),
      ]
      lines.append("| \(cells.joined(separator: " | ")) |")
    }
    return lines.joined(separator: "\n")
  }

  /// Figures that have no column.
  private func more(_ key: RunKey) -> String {
    let known: Set<String> = ["serverCPUMillis", "clientCPUMillis", "fsyncsPerWrite"]
    let results = summary.results(key)
    let names = Set(results.flatMap { $0.figures.keys }).subtracting(known).sorted()
    var texts = names.compactMap { name in
      summary.spread(key, .named(name)).map { "\(name) \(Aim.number($0.median))" }
    }
    let errors = results.reduce(0) { $0 + $1.errors }
    if errors > 0 { texts.append("\(errors) ERRORS") }
    return texts.joined(separator: ", ")
  }

  // MARK: Plots

  /// Charts by the names of their files.
  public var plots: [(name: String, chart: BarChart)] {
    [
      (
        "writes",
        chart(
          "Writes of 1 KiB per second, by number of clients", "/s",
          [
            ("trireme, 1 server", "trireme-1", "create-configmap"), ("etcd, 1 member", "etcd-1", "etcd-put"),
            ("trireme, 3 servers", "trireme-3", "create-configmap"), ("etcd, 3 members", "etcd-3", "etcd-put"),
          ], [1, 16, 64, 256], .perSecond)
      ),
      (
        "latencies",
        chart(
          "99th percentile of these writes in ms", "ms",
          [
            ("trireme, 1 server", "trireme-1", "create-configmap"), ("etcd, 1 member", "etcd-1", "etcd-put"),
            ("trireme, 3 servers", "trireme-3", "create-configmap"), ("etcd, 3 members", "etcd-3", "etcd-put"),
          ], [1, 16, 64, 256], .p99)
      ),
      (
        "requests",
        chart(
          "Requests per second at one server, by number of clients", "/s",
          ["create-configmap", "update-configmap", "patch-configmap", "delete-configmap", "create-pod", "get"].map {
            ($0, "trireme-1", $0)
          }, [1, 16, 64, 256], .perSecond)
      ),
    ].filter { !$0.chart.groups.isEmpty }
  }

  private func chart(
    _ title: String, _ unit: String, _ series: [(name: String, label: String, testCase: String)], _ clients: [Int],
    _ figure: Figure
  ) -> BarChart {
    let kept = series.filter { series in
      clients.contains { summary.spread(RunKey(series.label, series.testCase, clients: $0), figure) != nil }
    }
    let groups = clients.compactMap { number -> BarChart.Group? in
      let bars = kept.map { summary.spread(RunKey($0.label, $0.testCase, clients: number), figure) }
      return bars.contains { $0 != nil } ? BarChart.Group(name: "\(number)", bars: bars) : nil
    }
    return BarChart(title: title, unit: unit, series: kept.map(\.name), groups: groups)
  }
}
