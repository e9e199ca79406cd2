import ChaosChecker
import Testing
import World

@Suite struct AvailabilityTests {
  @Test func theLongestGapAroundAFaultIsMeasuredFromTheSuccessBeforeIt() {
    let successes = [at(0), at(10), at(20), at(200), at(210), at(900)]
    #expect(Availability.longestGap(successes, from: at(50), to: at(205)) == .milliseconds(180))
    // A gap that begins within the window counts to its end.
    #expect(Availability.longestGap(successes, from: at(205), to: at(300)) == .milliseconds(690))
    #expect(Availability.longestGap(successes, from: at(1000), to: at(1100)) == nil)
    #expect(Availability.longestGap([], from: at(0), to: at(1)) == nil)
  }

  @Test func aGapIsCountedForTheFaultThatItBelongsTo() {
    let successes = [at(0), at(100), at(110), at(120), at(400), at(410)]
    // The second fault comes at 130; the gap from 120 to 400 is its own.
    #expect(Availability.longestGap(successes, from: at(10), to: at(500), nextFault: at(130)) == .milliseconds(100))
    #expect(Availability.longestGap(successes, from: at(130), to: at(500)) == .milliseconds(280))
    // A server that was down itself has no gap as a survivor.
    let outage = Outage(server: "server-1", from: at(125), to: at(390))
    #expect(Availability.longestGap(successes, from: at(10), to: at(500), outages: [outage]) == .milliseconds(100))
  }

  @Test func percentilesAreNearestRanks() {
    let values = (1...100).map { Duration.milliseconds($0) }
    #expect(Availability.percentile(values, 0.99) == .milliseconds(99))
    #expect(Availability.percentile(values, 0.5) == .milliseconds(50))
    #expect(Availability.percentile([.milliseconds(7)], 0.99) == .milliseconds(7))
    #expect(Availability.percentile([], 0.99) == nil)
  }

  @Test func onlyTheServersOwnOutageExcusesItsErrors() {
    let outages = [Outage(server: "server-1", from: at(100), to: at(200)), Outage(server: "server-2", from: at(500))]
    func excused(_ server: String?, _ from: UInt64, _ to: UInt64) -> Bool {
      Availability.excuses(outages, server: server, from: at(from), to: at(to), grace: .milliseconds(10))
    }
    #expect(excused("server-1", 150, 160))
    #expect(excused("server-1", 205, 220))
    #expect(!excused("server-1", 215, 220))
    #expect(!excused("server-3", 150, 160))
    #expect(excused("server-2", 900, 910))
    #expect(excused(nil, 150, 160))
    #expect(!excused(nil, 300, 310))
  }
}

@Suite struct KubectlOutcomeTests {
  @Test(arguments: [
    "Unable to connect to the server: EOF\n",
    "error: unexpected EOF",
    "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?: connection refused",
    "error: Get \"https://127.0.0.1:6443/api\": read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer",
    "Error from server: http2: server sent GOAWAY and closed the connection; LastStreamID=1",
    "error: http2: client connection lost",
  ]) func aCutConnectionIsExcused(errors: String) {
    #expect(KubectlOutcome(exitCode: 1, output: "", errors: errors) == .connectionCut)
  }

  @Test(arguments: [
    "Error from server (NotFound): configmaps \"a\" not found",
    "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
    "Error from server (AlreadyExists): configmaps \"a\" already exists",
    "Error from server (Timeout): the server was unable to return a response in the time allotted",
    "error: You must be logged in to the server (Unauthorized)",
  ]) func anAnswerOfTheServerIsNot(errors: String) {
    guard case .failed = KubectlOutcome(exitCode: 1, output: "", errors: errors) else {
      Issue.record("excused: \(errors)")
      return
    }
  }

  @Test func aCommandThatHangsIsNotExcused() {
    #expect(KubectlOutcome(exitCode: nil, output: "", errors: "unexpected EOF") != .connectionCut)
    #expect(KubectlOutcome(exitCode: 0, output: "configmap/a created", errors: "") == .succeeded)
  }
}
