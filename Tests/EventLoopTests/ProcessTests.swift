import EventLoop
import Glibc
import LoopSupport
import Synchronization
import Testing
import World

@Suite struct ProcessTests {
  private func shell(_ script: String) -> ChildProcessOptions {
    ChildProcessOptions(executable: "/bin/sh", arguments: ["-c", script])
  }

  @Test func exitCodeAndOutputAreReported() async throws {
    try await withLoop { loop in
      var options = shell("echo out; echo err >&2; exit 3")
      options.standardOutput = .capture(limit: 1000)
      options.standardError = .capture(limit: 1000)
      let result = try await ChildProcess.run(options, on: loop)
      #expect(result.status == .exited(code: 3))
      #expect(String(decoding: result.standardOutput, as: UTF8.self) == "out\n")
      #expect(String(decoding: result.standardError, as: UTF8.self) == "err\n")
    }
  }

  @Test func environmentAndWorkingDirectoryAreSet() async throws {
    try await withLoop { loop in
      var options = shell("echo \"$GREETING $PWD ${HOME-none}\"")
      options.environment = ["GREETING": "hello"]
      options.workingDirectory = "/usr"
      options.standardOutput = .capture(limit: 1000)
      let result = try await ChildProcess.run(options, on: loop)
      #expect(String(decoding: result.standardOutput, as: UTF8.self) == "hello /usr none\n")
    }
  }

  @Test func aCaptureIsBoundedAndNeverBlocksTheChild() async throws {
    try await withLoop { loop in
      var options = shell("head -c 3000000 /dev/zero")
      options.standardOutput = .capture(limit: 1000)
      let result = try await ChildProcess.run(options, on: loop, deadline: .seconds(30))
      #expect(result.isSuccess)
      #expect(result.standardOutput.count == 1000)
    }
  }

  @Test func aChildThatTakesTooLongIsKilled() async throws {
    try await withLoop { loop in
      let result = try await ChildProcess.run(shell("exec sleep 1000"), on: loop, deadline: .milliseconds(20))
      #expect(result.status == .signalled(SIGKILL))
    }
  }

  @Test func cancellingTheTaskKillsTheChild() async throws {
    try await withLoop { loop async throws in
      let task = Task { try await ChildProcess.run(shell("exec sleep 1000"), on: loop) }
      task.cancel()
      #expect(try await task.value.status == .signalled(SIGKILL))
    }
  }

  @Test func aProgramThatDoesNotExistCannotBeStarted() async throws {
    try await withLoop { loop in
      _ = await #expect(throws: StreamError.self) {
        _ = try await ChildProcess.run(ChildProcessOptions(executable: "/nonexistent"), on: loop)
      }
    }
  }

  @Test func aGrandchildThatKeepsTheOutputOpenDoesNotHoldUpTheResult() async throws {
    try await withLoop { loop in
      var options = shell("sleep 30 & echo $!")
      options.standardOutput = .capture(limit: 1000)
      let result = try await loop.withDeadline(.seconds(20)) { [options] in
        try await ChildProcess.run(options, on: loop)
      }
      #expect(result.isSuccess)
      let text = String(decoding: result.standardOutput, as: UTF8.self)
      if let grandchild = Int32(text.prefix { $0 != "\n" }) { kill(grandchild, SIGKILL) }
    }
  }

  @Test func aDetachedChildLeadsASessionOfItsOwn() async throws {
    try await withLoop { loop async throws in
      // Field 6 of stat is the session; the name in field 2 has no spaces here.
      var options = shell("read -r pid name state parent group session rest < /proc/$$/stat; test $session = $$")
      options.isDetached = true
      #expect(try await ChildProcess.run(options, on: loop).isSuccess)
    }
  }

  @Test func signalsAreCallsOnTheLoop() async throws {
    try await withLoop { loop in
      let count = Atomic<Int>(0)
      try await loop.run {
        _ = try SignalSource(SIGUSR2, on: loop) { count.wrappingAdd(1, ordering: .relaxed) }
      }
      kill(getpid(), SIGUSR2)
      try await loop.wait { count.load(ordering: .relaxed) == 1 }
    }
  }
}

@Suite struct FileSystemTests {
  @Test func aFileIsReplacedWholeWithItsPermissions() throws {
    let directory = try FileSystem.createTemporaryDirectory(prefix: "trireme-")
    defer { try? FileSystem.removeTree(directory) }
    let path = "\(directory)/a/b/file"
    try FileSystem.createDirectory("\(directory)/a/b")
    try FileSystem.write("one", to: path)
    try FileSystem.write("two", to: path, permissions: 0o600)
    #expect(try FileSystem.readText(path) == "two")
    #expect(try FileSystem.permissions(path) == 0o600)
    #expect(try FileSystem.list("\(directory)/a/b") == ["file"])
    #expect(try FileSystem.size(path) == 3)
  }

  @Test func missingFilesAreToldApart() throws {
    #expect(!FileSystem.exists("/nonexistent"))
    let error = #expect(throws: FileError.self) { _ = try FileSystem.read("/nonexistent") }
    #expect(error?.isNotFound == true)
    #expect(error?.description == "open /nonexistent: No such file or directory")
    try FileSystem.remove("/nonexistent")
    try FileSystem.removeTree("/nonexistent")
  }

  @Test func filesWithoutASizeAreReadToTheirEnd() throws {
    #expect(try FileSystem.readText("/proc/self/stat").hasSuffix("\n"))
  }

  @Test func aFileBeyondTheLimitIsRefused() throws {
    #expect(throws: FileError.self) { _ = try FileSystem.read("/dev/zero", limit: 1000) }
  }
}
