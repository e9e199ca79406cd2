import ArgumentParser
import EventLoop
import Measure

struct BenchReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "Put runs side by side: a page of Markdown, and plots as SVG.",
    discussion: """
      Reads lines of `trireme bench --json`. Exit status 1 when a request of any run failed.

        trireme bench report results.jsonl --plots Benchmarks
      """)

  @Argument(help: "File of lines that `trireme bench --json` printed.")
  var file: String
  @Option(help: "Folder for the plots.")
  var plots: String?
  @Option(
    parsing: .upToNextOption,
    help: "Print the median rate of one kind of run instead of the page: its label, case and number of clients.")
  var rate: [String] = []

  func validate() throws {
    if !rate.isEmpty, rate.count != 3 || Int(rate[2]) == nil {
      throw ValidationError("--rate takes a label, a case and a number of clients")
    }
  }

  func run() throws {
    let summary = try Summary(lines: try FileSystem.readText(file))
    if rate.count == 3, let clients = Int(rate[2]) {
      guard let found = summary.spread(RunKey(rate[0], rate[1], clients: clients), .perSecond) else {
        throw CommandFailure("\(file) has no run \(rate.joined(separator: " "))")
      }
      return Terminal.say(decimal(found.median, 1))
    }
    let report = BenchReport(summary)
    if let plots {
      for plot in report.plots { try FileSystem.write(plot.chart.svg, to: "\(plots)/\(plot.name).svg") }
    }
    Terminal.say(report.markdown)
    if report.errors > 0 { throw ExitCode(1) }
  }
}
