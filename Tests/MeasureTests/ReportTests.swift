import JSON
import Testing

@testable import Measure

@Suite struct ReportTests {
  private func result(_ label: String, _ testCase: String, clients: Int, rate: Int, p99: Double = 1) -> BenchResult {
    var result = BenchResult(label: label, testCase: testCase, clients: clients)
    result.requests = rate
    result.seconds = 1
    result.p99 = p99
    result.maximum = p99
    return result
  }

  @Test func aResultIsTheSameAfterItsLine() throws {
    var result = result("trireme-1", "list", clients: 4, rate: 1234)
    result.objects = 10_000
    result.figures = ["mebibytes": 12.5, "fsyncsPerWrite": 2]
    let read = try #require(BenchResult(json: try JSONValue(parsing: Array(result.json.description.utf8))))
    #expect(read.json == result.json)
    #expect(read.figures == result.figures)
  }

  @Test func theSpreadOfRoundsIsMedianLowestAndHighest() throws {
    let summary = Summary([9, 1, 5].map { result("a", "get", clients: 1, rate: $0) })
    let spread = try #require(summary.spread(RunKey("a", "get", clients: 1), .perSecond))
    #expect(spread == Spread([5, 1, 9]))
    #expect((spread.median, spread.lowest, spread.highest) == (5, 1, 9))
    #expect(Spread([1, 2])?.median == 1.5)
    #expect(Spread([]) == nil)
  }

  @Test func aLineThatIsNoResultIsAnError() {
    #expect(throws: Summary.Malformed.self) { try Summary(lines: "{\"label\":1}\n") }
  }

  @Test func aimsAreJudgedByTheMedianAndThePeerOfTheSameRun() throws {
    let results =
      [8000, 11_000, 12_000].map { result("trireme-3", "create-configmap", clients: 16, rate: $0) }
      + [result("trireme-3", "create-configmap", clients: 64, rate: 900)]
      + [result("etcd-3", "etcd-put-256", clients: 64, rate: 1000)]
    let page = BenchReport(Summary(results)).markdown
    let lines = page.split(separator: "\n")
    let create = try #require(lines.first { $0.contains("create 1 KiB ConfigMap, 3 servers, 16 clients") })
    #expect(create.contains("11,000 (8000–12,000)/s"))
    #expect(create.hasSuffix("| reached |"))
    let beside = try #require(lines.first { $0.contains("beside etcd's put of 256 B") })
    #expect(beside.contains("0.90 ×"))
    #expect(beside.hasSuffix("| **not reached** |"))
    #expect(page.contains("| not measured in this run |"))
  }

  @Test func errorsAreCountedAndSaid() {
    var failed = result("a", "get", clients: 1, rate: 5)
    failed.errors = 3
    let report = BenchReport(Summary([failed]))
    #expect(report.errors == 3)
    #expect(report.markdown.contains("3 ERRORS"))
    #expect(report.markdown.contains("- a get, 1 clients: 3 of 8 failed"))
  }

  @Test func aRunInWhichRequestsFailedHasNoFigures() throws {
    var failed = result("trireme-1", "get", clients: 64, rate: 90_000)
    failed.errors = 1
    let alone = BenchReport(Summary([failed])).markdown.split(separator: "\n")
    #expect(try #require(alone.first { $0.hasPrefix("| GET, 1 server") }).contains("| failed |"))
    let both = Summary([failed, result("trireme-1", "get", clients: 64, rate: 500)])
    #expect(both.spread(RunKey("trireme-1", "get", clients: 64), .perSecond) == Spread([500]))
  }

  @Test func everyAimNamesARunOfItsOwn() {
    let names = Aim.all.map { "\($0.name) \($0.figure) \($0.key)" }
    #expect(Set(names).count == names.count)
  }

  @Test func numbersHaveGroupsAndNoMorePlacesThanTheyMean() {
    #expect(
      [1_234_567, 1000, 12.34, 1.5, 0.1234, 200].map(Aim.number) == [
        "1,234,567", "1000", "12.3", "1.50", "0.123", "200",
      ])
    #expect(decimal(-1.005, 1) == "-1.0")
    #expect(decimal(.infinity, 2) == "–")
  }
}

@Suite struct BarChartTests {
  private func chart(_ values: [[Double?]]) -> BarChart {
    BarChart(
      title: "a < b & c", unit: "/s", series: ["one", "two"],
      groups: values.enumerated().map { number, bars in
        BarChart.Group(name: "g\(number)", bars: bars.map { $0.flatMap { Spread([$0, $0 * 1.1, $0 * 0.9]) } })
      })
  }

  @Test func everyMeasuredBarIsDrawnWithinTheAxis() {
    let svg = chart([[10, nil], [20_000, 5]]).svg
    // Two of the legend, one of the ground, three bars.
    #expect(svg.matches(of: #/<rect\s/#).count == 6)
    for height in svg.matches(of: #/height="(-?[0-9.]+)" fill/#) {
      #expect((0...400).contains(Double(height.1) ?? -1))
    }
    #expect(svg.contains("a &lt; b &amp; c"))
    #expect(svg.hasPrefix("<svg") && svg.hasSuffix("</svg>\n"))
  }

  @Test func nothingMeasuredIsAnEmptyChart() { #expect(chart([]).svg.contains("</svg>")) }

  @Test(arguments: [0.003, 0.7, 1, 9, 10, 11, 99, 12_345, 1_000_000])
  func theAxisHasFewRoundSteps(highest: Double) {
    let parts = highest / BarChart.step(for: highest)
    #expect(parts > 1 && parts <= 8.001, "\(highest): \(parts)")
  }
}
