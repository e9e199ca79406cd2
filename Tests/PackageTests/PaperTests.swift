// The table of the Raft paper's clauses names tests that exist.
import Foundation
import Testing

@Suite struct PaperTests {
  @Test func everyClauseOfThePaperHasATest() throws {
    let table = try String(
      contentsOf: PackageSources.root.appendingPathComponent("docs/raft-paper.md"), encoding: .utf8)
    var clauses = 0
    var named: Set<Substring> = []
    for line in table.split(separator: "\n") where line.hasPrefix("| ") {
      let tests = line.matches(of: #/`([a-z][A-Za-z]+)`/#).map(\.output.1)
      guard line != "| clause | test |" else { continue }
      #expect(!tests.isEmpty, "no test: \(line)")
      clauses += 1
      named.formUnion(tests)
    }
    #expect(clauses > 40)
    let tests = PackageSources.files(under: "Tests/RaftTests") + PackageSources.files(under: "Tests/ReplicaTests")
    let functions = tests.flatMap { file in
      file.lines.compactMap { $0.firstMatch(of: #/\bfunc ([a-z][A-Za-z]+)\(/#)?.output.1 }
    }
    #expect(named.subtracting(functions).sorted() == [])
  }
}
