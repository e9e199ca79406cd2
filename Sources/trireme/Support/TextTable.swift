/// Columns as kubectl prints them: as wide as their widest cell, three spaces between.
struct TextTable {
  var header: [String]
  var rows: [[String]]

  var text: String {
    var widths = header.map(\.count)
    for row in rows { for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) } }
    return ([header] + rows).map { row in
      row.enumerated().map { column, cell in
        column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count + 3)
      }.joined()
    }.joined(separator: "\n")
  }
}

/// How a command prints what it found.
enum OutputFormat: String, CaseIterable {
  case table, json
}
