// A chart of grouped bars as SVG: what a page of results shows without any tool.

public struct BarChart: Sendable {
  public struct Group: Sendable {
    public var name: String
    /// One for each series; nil where nothing was measured.
    public var bars: [Spread?]

    public init(name: String, bars: [Spread?]) {
      self.name = name
      self.bars = bars
    }
  }

  public var title: String
  public var unit: String
  public var series: [String]
  public var groups: [Group]

  private static let width = 860.0
  private static let height = 400.0
  private static let plot = (left: 70.0, top: 70.0, right: 20.0, bottom: 40.0)
  private static let colors = ["#1b6ca8", "#e08e1b", "#5aa9d6", "#f2c14e", "#6a994e", "#bc4749"]

  public init(title: String, unit: String, series: [String], groups: [Group]) {
    self.title = title
    self.unit = unit
    self.series = series
    self.groups = groups
  }

  private var highest: Double { groups.flatMap(\.bars).compactMap { $0?.highest }.max() ?? 0 }

  /// A round step that cuts the axis into three to eight parts.
  static func step(for highest: Double) -> Double {
    guard highest > 0 else { return 1 }
    var step = 1.0
    while step * 8 < highest { step *= 10 }
    while step * 0.8 > highest { step /= 10 }
    for part in [0.1, 0.2, 0.5] where step * part * 8 >= highest { return step * part }
    return step
  }

  public var svg: String {
    let step = Self.step(for: highest)
    let top = max(step, (highest / step).rounded(.up) * step)
    let area = (
      width: Self.width - Self.plot.left - Self.plot.right, height: Self.height - Self.plot.top - Self.plot.bottom
    )
    func y(_ value: Double) -> Double { Self.plot.top + area.height * (1 - value / top) }
    var lines = [
      #"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \#(Int(Self.width)) \#(Int(Self.height))" "#
        + #"font-family="sans-serif" font-size="12">"#,
      #"<rect width="100%" height="100%" fill="white"/>"#,
      text(Self.plot.left, 22, title, #"font-size="15" font-weight="bold""#),
    ]
    lines += legend
    var mark = 0.0
    while mark <= top * 1.0001 {
      lines.append(
        #"<line x1="\#(Self.plot.left)" x2="\#(Self.width - Self.plot.right)" y1="\#(decimal(y(mark), 1))" "#
          + #"y2="\#(decimal(y(mark), 1))" stroke="gainsboro"/>"#)
      lines.append(text(Self.plot.left - 8, y(mark) + 4, Aim.number(mark), #"text-anchor="end" fill="dimgray""#))
      mark += step
    }
    let groupWidth = area.width / Double(max(1, groups.count))
    let barWidth = groupWidth * 0.8 / Double(max(1, series.count))
    for (number, group) in groups.enumerated() {
      let left = Self.plot.left + groupWidth * (Double(number) + 0.1)
      for (place, bar) in group.bars.enumerated() {
        guard let bar else { continue }
        lines += draw(bar, left: left + Double(place) * barWidth, width: barWidth, series: place, y)
      }
      let middle = left + groupWidth * 0.4
      lines.append(text(middle, Self.height - 15, group.name, #"text-anchor="middle""#))
    }
    return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
  }

  private var legend: [String] {
    var left = Self.plot.left
    return series.enumerated().flatMap { number, name -> [String] in
      defer { left += 30 + Double(name.count) * 7 }
      return [
        #"<rect x="\#(decimal(left, 1))" y="38" width="12" height="12" fill="\#(Self.color(number))"/>"#,
        text(left + 17, 48, name, ""),
      ]
    }
  }

  /// The bar, its value, and a line from the lowest run to the highest.
  private func draw(_ bar: Spread, left: Double, width: Double, series: Int, _ y: (Double) -> Double) -> [String] {
    let middle = left + width / 2
    var lines = [
      #"<rect x="\#(decimal(left + 1, 1))" y="\#(decimal(y(bar.median), 1))" width="\#(decimal(width - 2, 1))" "#
        + #"height="\#(decimal(y(0) - y(bar.median), 1))" fill="\#(Self.color(series))"/>"#
    ]
    if bar.lowest != bar.highest {
      lines.append(
        #"<line x1="\#(decimal(middle, 1))" x2="\#(decimal(middle, 1))" y1="\#(decimal(y(bar.lowest), 1))" "#
          + #"y2="\#(decimal(y(bar.highest), 1))" stroke="black"/>"#)
    }
    lines.append(
      text(
        middle, y(bar.highest) - 4, Aim.number(bar.median), #"text-anchor="middle" font-size="9" fill="black""#))
    return lines
  }

  private static func color(_ number: Int) -> String { colors[number % colors.count] }

  private func text(_ x: Double, _ y: Double, _ text: String, _ attributes: String) -> String {
    let escaped = text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
    return #"<text x="\#(decimal(x, 1))" y="\#(decimal(y, 1))" \#(attributes)>\#(escaped)</text>"#
  }
}
