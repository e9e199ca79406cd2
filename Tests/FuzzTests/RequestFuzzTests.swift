// Thousands of bad requests against a server in memory: no crash, no 500, a Status for every error, and what is accepted can
// be read back and written again. `TRIREME_FUZZ_CASES` and `TRIREME_FUZZ_SEED` make it longer, or another.
import APIServer
import Foundation
import HTTP
import JSON
import RequestFuzzer
import Schema
import TestSupport
import Testing
import World

@Suite("Bad input") struct BadRequestTests {
  private static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

  @Test func everyKindHasASample() {
    #expect(RequestFuzzer(seed: 1).kindsWithoutSample == [])
  }

  @Test func noRequestIsAnsweredBadly() throws {
    let seed = UInt64(Self.number("TRIREME_FUZZ_SEED") ?? 1)
    let first = Self.number("TRIREME_FUZZ_FIRST") ?? 0
    let count = Self.number("TRIREME_FUZZ_CASES") ?? 1500
    let cluster = try TestCluster(seed: seed)
    let world = cluster.world
    let fuzzer = RequestFuzzer(seed: seed)
    var driver = FuzzDriver(fuzzer: fuzzer, transport: cluster.transport("admin"), world: world)
    driver.isAlone = true
    let isLoud = Self.number("TRIREME_FUZZ_LOUD") == 1
    let problems = try world.run(limit: .seconds(10_000_000)) { [driver] in
      var problems = await driver.prepare { try await cluster.server.reconcileDefinitions() }
      for number in first..<(first + count) {
        if isLoud { print("case", number, fuzzer.make(number).told) }
        let start = ContinuousClock.now
        problems += await driver.run(number).problems
        let took = ContinuousClock.now - start
        if took > .seconds(2) { print("case \(number) took \(took): \(fuzzer.make(number).told)") }
        if problems.count > 40 { break }
      }
      return problems
    }
    for problem in problems { Issue.record("seed \(seed), \(problem)") }
  }

  /// Long lists come compressed where the client says that it can read that.
  @Test func aCompressedAnswerIsNotTakenForBrokenJSON() {
    let request = FuzzRequest("GET", "/api/v1/pods", ["accept-encoding": "gzip"])
    let headers: HTTPHeaders = ["content-type": "application/json", "content-encoding": "gzip"]
    #expect(FuzzJudge.check(request, status: 200, headers: headers, body: [0x1f, 0x8b, 8, 0]) == nil)
    #expect(FuzzJudge.check(request, status: 200, headers: headers, body: Array("{}".utf8)) != nil)
  }

  /// A case is the same whenever it is made: a report can be replayed.
  @Test func aSeedRepeats() {
    for number in 0..<200 {
      let (one, other) = (RequestFuzzer(seed: 7).make(number), RequestFuzzer(seed: 7).make(number))
      #expect(one.told == other.told && one.objectPath == other.objectPath)
      if case .single(let left) = one.flow, case .single(let right) = other.flow {
        #expect(left.target == right.target && left.body == right.body)
      }
    }
  }
}
