// The one-way stairs of DESIGN.md §2: a target imports only what stands below it.
import Testing

@Suite struct ImportTests {
  /// What each target may import beside the standard library. `World` (time, chance, a place to run, as protocols) is
  /// an addition to DESIGN.md's table: the simulator needs it without an event loop.
  static let allowed: [String: Set<String>] = {
    let system: Set<String> = ["Glibc"]
    let value: Set<String> = ["JSON", "Schema", "Kinds"]
    let loop: Set<String> = value.union(["World", "HTTP", "Client", "Logging"])
    return [
      "World": [],
      "EventLoop": system.union(["World", "CLibuv"]),
      "TLS": system.union(["World", "EventLoop", "COpenSSL", "DequeModule"]),
      "HTTP": ["World", "EventLoop", "TLS", "CNghttp2", "DequeModule"],
      "JSON": [],
      // libyaml itself, out of Yams: its events can be bounded, a finished tree of nodes cannot.
      "Schema": ["World", "JSON", "CYaml"],
      "CEL": ["World", "JSON", "Schema"],
      "Kinds": ["World", "CEL", "Schema", "JSON"],
      "Raft": [],
      "Storage": system.union(["CSQLite"]),
      "Replica": ["World", "Raft", "Storage", "EventLoop", "TLS", "JSON", "Logging", "DequeModule"],
      "APIServer": value.union([
        "CEL", "World", "Replica", "HTTP", "TLS", "EventLoop", "Logging", "DequeModule",
      ]),
      "Client": value.union(["World", "EventLoop", "TLS", "HTTP", "Logging", "DequeModule"]),
      "Scheduler": loop, "Controllers": loop, "Kubelet": loop,
      // One server without its sockets: what `trireme server` and the simulator both run.
      "ControlPlane": loop.union(["TLS", "Replica", "APIServer", "Scheduler", "Controllers"]),
      "Simulation": loop.union(system).union([
        "TLS", "Raft", "Storage", "Replica", "APIServer", "ControlPlane", "Kubelet", "ChaosChecker", "DequeModule",
        // For the switches of their mutants alone.
        "Scheduler", "Controllers",
      ]),
      // The pure part of `trireme bench`.
      "Measure": ["World", "JSON"],
      "trireme": loop.union(system).union([
        "Measure", "EventLoop", "TLS", "CEL", "Raft", "Storage", "Replica", "APIServer", "Scheduler", "Controllers",
        "ControlPlane", "Kubelet", "Simulation",
        "ArgumentParser", "DequeModule",
      ]),
      "chaos": loop.union(system).union([
        "ChaosChecker", "ChaosPlan", "RequestFuzzer", "EventLoop", "TLS", "ArgumentParser",
      ]),
    ]
  }()

  /// Parts of the standard library and its runtime, free for all.
  static let standard: Set<String> = ["Swift", "Synchronization", "_Concurrency"]

  @Test func everyTargetImportsOnlyWhatStandsBelowIt() {
    for file in PackageSources.all {
      guard let allowed = Self.allowed[file.target] else {
        Issue.record("\(file.path): target \(file.target) is not in the table of allowed imports")
        continue
      }
      for name in imports(of: file) where !allowed.contains(name) && !Self.standard.contains(name) {
        Issue.record("\(file.path) imports \(name): target \(file.target) may not")
      }
    }
  }

  @Test func exactlyOneTargetTouchesEachCLibrary() {
    for library in ["CLibuv", "CSQLite", "COpenSSL", "CNghttp2", "CYaml"] {
      let users = Set(PackageSources.all.filter { imports(of: $0).contains(library) }.map(\.target))
      #expect(users.count <= 1, "\(library) is imported by \(users.sorted())")
    }
  }

  private func imports(of file: SourceFile) -> [String] {
    file.lines.compactMap { line in
      let words = line.split(separator: " ").drop { $0.hasPrefix("@") || $0 == "public" || $0 == "internal" }
      guard words.first == "import", words.count >= 2 else { return nil }
      let kinds: Set<Substring> = ["struct", "class", "enum", "func", "protocol", "typealias", "let", "var"]
      let module =
        kinds.contains(words[words.startIndex + 1]) ? words[words.startIndex + 2] : words[words.startIndex + 1]
      return String(module.prefix { $0 != "." })
    }
  }
}
