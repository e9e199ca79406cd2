// The rules of style that a machine can check (as TigerBeetle's tidy does).
import Testing

@Suite struct TidyTests {
  /// Time, chance, threads and the operating system stay in the rooms that own them.
  @Test func timeChanceAndThreadsStayInTheirRooms() {
    let owners: Set<String> = ["EventLoop", "Storage", "trireme", "chaos"]
    let forbidden = [
      "Date()", "Clock.now", "ContinuousClock", "SuspendingClock", "SystemRandomNumberGenerator", "Task.sleep",
      "Task.detached", "DispatchQueue", "pthread_create", "clock_gettime", "gettimeofday", "getrandom", "usleep(",
    ]
    for (file, number, line) in code() where !owners.contains(file.target) {
      for word in forbidden where line.contains(word) {
        Issue.record("\(file.path):\(number): \(word) outside \(owners.sorted())")
      }
      if line.contains(".random(") && !line.contains("using:") {
        Issue.record("\(file.path):\(number): randomness without a generator of the world")
      }
    }
  }

  /// A child task runs where it is resumed, which after a commit is the consensus loop, unless it says where it belongs.
  @Test func childTasksSayWhereTheyRun() {
    let rooms: Set<String> = [
      "World", "Replica", "APIServer", "Client", "Scheduler", "Controllers", "ControlPlane", "Kubelet",
    ]
    // What the others are made of; and questions to webhooks, which commit nothing.
    let free = ["World.swift", "WebhookAdmission.swift"]
    for (file, number, line) in code() where rooms.contains(file.target) {
      guard line.contains(".addTask {") || line.contains("async let ") || line.contains(".addTask(ex") else { continue }
      if !free.contains(where: file.path.hasSuffix) { Issue.record("\(file.path):\(number): use addTask(on:)") }
    }
  }

  @Test func nothingIsLeftUnfinished() {
    for (file, number, line) in code(includingComments: true) {
      for word in ["TODO", "FIXME", "HACK", "fatalError(\"not implemented", "unimplemented"]
      where line.contains(word) {
        Issue.record("\(file.path):\(number): \(word)")
      }
    }
  }

  /// The length of lines is swift format's business.
  @Test func filesStayShort() {
    // Tables of data may be long; code that outgrows this has more than one capability in it.
    for file in PackageSources.all where !file.path.contains("/Types/") {
      #expect(file.lines.count <= 700, "\(file.path): \(file.lines.count) lines")
    }
  }

  /// Consensus must fit into one reader's head.
  @Test func theConsensusCoreStaysUnder2500Lines() {
    let lines = PackageSources.all.filter { $0.target == "Raft" }.reduce(0) { $0 + $1.lines.count - 1 }
    #expect(lines < 2500)
  }

  @Test func noSourceNamesFoundationOrAMachinesPath() {
    for (file, number, line) in code(includingComments: true) {
      #expect(!line.hasPrefix("import Foundation"), "\(file.path):\(number)")
      for path in ["/root/", "/home/"] where line.contains("\"" + path) {
        Issue.record("\(file.path):\(number): a machine's path")
      }
    }
  }

  private func code(includingComments: Bool = false) -> [(SourceFile, Int, Substring)] {
    PackageSources.all.flatMap { file in
      file.lines.enumerated().compactMap { index, line in
        let isComment = line.drop { $0 == " " }.hasPrefix("//")
        return isComment && !includingComments ? nil : (file, index + 1, line)
      }
    }
  }
}
