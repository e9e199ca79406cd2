// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target is built alike: Swift 6 language mode; async functions stay on their caller's executor, so a
/// request never leaves its event loop by accident.
/// TRIREME_MUTANTS=1 builds in the bugs that the simulator must find (deploy/mutants.sh).
let settings: [SwiftSetting] =
  [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .treatAllWarnings(as: .error),
  ] + (Context.environment["TRIREME_MUTANTS"] == "1" ? [.define("TRIREME_MUTANTS")] : [])

/// Release programs carry the Swift runtime in themselves: one file to copy to a server, and about a tenth less processor
/// time for a write (Benchmarks/NOTES.md). lld, because the other linker warns of what Foundation's archive holds.
/// Modules that import Foundation name its dynamic library's parts only; the static one's are named here.
let alone: [LinkerSetting] =
  [.unsafeFlags(["-static-stdlib", "-use-ld=lld"], .when(configuration: .release))]
  + ["CoreFoundation", "_FoundationICU", "_FoundationCShims", "_FoundationCollections"].map {
    .linkedLibrary($0, .when(platforms: [.linux], configuration: .release))
  }

/// A library target and its tests. Order is meaning: a target may depend only on targets that stand above it here
/// (Tests/PackageTests holds the table of allowed imports and fails on any other).
func room(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
  .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}
func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.byName(name: name)] + dependencies, swiftSettings: settings)
}

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "trireme",
  products: [
    .executable(name: "trireme", targets: ["trireme"]),
    .executable(name: "trireme-chaos", targets: ["trireme-chaos"]),
  ],
  dependencies: [
    // The command line: parsing, help that teaches, completion scripts.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    // The log façade; our handler behind it never blocks a loop.
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    // Ring buffers where a queue is popped from the front.
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    // YAML bodies and kubeconfig files (libyaml inside).
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .systemLibrary(name: "CLibuv", pkgConfig: "libuv", providers: [.apt(["libuv1-dev"])]),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CNghttp2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),

    room("World"),
    room("EventLoop", ["World", "CLibuv"]),
    room("TLS", ["World", "EventLoop", "COpenSSL", deque]),
    room("HTTP", ["World", "EventLoop", "TLS", "CNghttp2", deque]),
    room("JSON"),
    room("Schema", ["World", "JSON", yams]),
    room("CEL", ["World", "JSON", "Schema"]),
    room("Kinds", ["World", "CEL", "Schema", "JSON"]),
    room("Raft", exclude: ["DIVERGENCE.md"]),
    room("Storage", ["CSQLite"]),
    room("Replica", ["World", "Raft", "Storage", "EventLoop", "TLS", "JSON", logging, deque]),
    room(
      "APIServer",
      ["World", "Replica", "HTTP", "TLS", "Kinds", "CEL", "Schema", "JSON", "EventLoop", logging, deque],
      exclude: ["DIVERGENCE.md"]),
    room("Client", ["World", "EventLoop", "TLS", "HTTP", "Kinds", "Schema", "JSON", logging, deque]),
    room("Scheduler", ["World", "Client", "Kinds", "Schema", "JSON", "HTTP", logging]),
    room("Controllers", ["World", "Client", "Kinds", "Schema", "JSON", "HTTP", logging]),
    room("Kubelet", ["World", "Client", "Kinds", "Schema", "JSON", "HTTP", logging]),
    // One server without its sockets: what `trireme server` and the simulator both run.
    room(
      "ControlPlane",
      [
        "World", "Replica", "TLS", "HTTP", "JSON", "Schema", "APIServer", "Client", "Scheduler", "Controllers",
        logging,
      ]),
    // What a history of operations must satisfy; the simulator's runs and chaos/'s are judged by the same code.
    .target(name: "ChaosChecker", dependencies: ["World"], path: "chaos/Checker", swiftSettings: settings),
    // Faults, scenarios and their schedules, as values.
    .target(name: "ChaosPlan", path: "chaos/Plan", swiftSettings: settings),
    // Requests that a server must bear, by seed: sent over sockets by trireme-chaos, in memory by FuzzTests.
    .target(
      name: "RequestFuzzer", dependencies: ["ChaosPlan", "World", "HTTP", "JSON", "Schema", "Kinds"],
      path: "chaos/Fuzzer",
      swiftSettings: settings),
    room(
      "Simulation",
      [
        "World", "Raft", "Storage", "Replica", "TLS", "HTTP", "JSON", "Schema", "Kinds", "APIServer", "Client",
        "ControlPlane", "Kubelet", "ChaosChecker", logging, deque,
      ]),
    // The pure part of `trireme bench`: requests as bytes, schedules, histograms, results, reports and plots.
    room("Measure", ["World", "JSON"]),
    .executableTarget(
      name: "trireme",
      dependencies: [
        "Measure", "World", "EventLoop", "TLS", "HTTP", "JSON", "Schema", "CEL", "Kinds", "Raft", "Storage", "Replica",
        "APIServer", "Client", "Scheduler", "Controllers", "ControlPlane", "Kubelet", "Simulation", argumentParser,
        logging, deque,
      ],
      swiftSettings: settings, linkerSettings: alone),

    // Real servers, real faults, and a verdict.
    .executableTarget(
      name: "trireme-chaos",
      dependencies: [
        "ChaosChecker", "ChaosPlan", "RequestFuzzer", "World", "EventLoop", "TLS", "HTTP", "JSON", "Schema", "Kinds",
        "Client",
        argumentParser, logging,
      ],
      path: "chaos", exclude: ["Checker", "Fuzzer", "Plan"], swiftSettings: settings, linkerSettings: alone),

    // Virtual time, and an API server in memory: what the stories of the control loops are told with.
    .target(
      name: "TestSupport",
      dependencies: [
        "World", "TLS", "Replica", "APIServer", "Client", "Controllers", "HTTP", "Kinds", "Schema", "JSON",
        "Simulation",
        logging,
      ], path: "Tests/TestSupport", swiftSettings: settings),
    .testTarget(name: "PackageTests", swiftSettings: settings),
    // Loops of their own for the tests of what runs on loops, and waiting for what they do.
    .target(
      name: "LoopSupport", dependencies: ["World", "EventLoop"], path: "Tests/LoopSupport", swiftSettings: settings),
    // What is drawn by seed.
    .target(name: "SeedSupport", path: "Tests/SeedSupport", swiftSettings: settings),
    // Pinned bytes and temporary folders.
    .target(name: "FileSupport", path: "Tests/FileSupport", swiftSettings: settings),
    tests("World"), tests("EventLoop", ["World", "LoopSupport"]), tests("TLS", ["EventLoop", "World", "LoopSupport"]),
    tests("HTTP", ["EventLoop", "TLS", "World", "LoopSupport", "SeedSupport"]), tests("JSON", ["SeedSupport"]),
    tests("Schema", ["JSON", "SeedSupport"]),
    tests("CEL", ["World", "Schema", "JSON"]), tests("Kinds", ["Schema", "JSON", "SeedSupport"]),
    tests("Raft", ["FileSupport"]),
    tests("Storage", ["FileSupport"]), tests("Measure", ["World", "JSON"]),
    tests(
      "Replica", ["Raft", "Storage", "EventLoop", "TLS", "World", "FileSupport", "LoopSupport", "SeedSupport", logging]),
    tests("APIServer", ["Replica", "HTTP", "Kinds", "Schema", "JSON", "World", "EventLoop", "TLS"]),
    tests("Client", ["HTTP", "Kinds", "Schema", "JSON", "World", "EventLoop", "TLS", "TestSupport", logging]),
    tests("Scheduler", ["Client", "HTTP", "Schema", "JSON", "World", "TestSupport", logging]),
    tests(
      "Controllers",
      [
        "Client", "ControlPlane", "HTTP", "Kubelet", "Scheduler", "Schema", "JSON", "TLS", "World", "TestSupport",
        logging,
      ]),
    tests("Kubelet", ["Client", "HTTP", "Schema", "JSON", "World", "TestSupport", logging]),
    tests(
      "Simulation",
      ["World", "Client", "Raft", "Storage", "Replica", "HTTP", "Schema", "JSON", "ChaosChecker", logging]),
    // What Kubernetes' own conformance suite asks, told against the API server in memory.
    .testTarget(
      name: "ConformanceTests",
      dependencies: ["APIServer", "Client", "Controllers", "HTTP", "Schema", "JSON", "World", "TestSupport", logging],
      swiftSettings: settings),
    // Each class of known attacks by its name, against a whole server, over sockets where it is about connections.
    .testTarget(
      name: "SecurityTests",
      dependencies: [
        "World", "EventLoop", "TLS", "HTTP", "JSON", "Schema", "Kinds", "Replica", "APIServer", "TestSupport",
        "LoopSupport", "SeedSupport",
      ],
      swiftSettings: settings),
    // Bad input of every kind against a server in memory.
    .testTarget(
      name: "FuzzTests",
      dependencies: ["RequestFuzzer", "APIServer", "HTTP", "JSON", "Schema", "Kinds", "World", "TestSupport"],
      swiftSettings: settings),
    .testTarget(
      name: "ChaosTests", dependencies: ["ChaosChecker", "ChaosPlan", "World", "SeedSupport"], swiftSettings: settings),
  ]
)
