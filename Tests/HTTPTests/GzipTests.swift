// What is compressed here, others can read: Python's gzip is asked.
import Glibc
import HTTP
import TLS
import Testing

@Suite struct GzipTests {
  /// Reproducible bytes that are of no use to a compressor.
  private static func noise(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(truncatingIfNeeded: state >> 33)
    }
  }
  /// Something like a list of pods.
  private static func objects(_ count: Int) -> [UInt8] {
    (0..<count).flatMap { index in
      Array(
        #"{"metadata":{"name":"pod-\#(index)","uid":"\#(index &* 2_654_435_761)","labels":{"app":"web"}},"spec":{}},"#
          .utf8)
    }
  }

  /// Frequencies that grow like Fibonacci's numbers: the deepest trees.
  private static let skewed: [UInt8] = {
    var (last, next) = (1, 1)
    var bytes: [UInt8] = []
    for letter in UInt8(1)...24 {
      bytes += [UInt8](repeating: letter, count: last)
      (last, next) = (next, last + next)
    }
    // In an order that repeats nothing.
    var state: UInt64 = 5
    for place in bytes.indices.dropFirst().reversed() {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      bytes.swapAt(place, Int(state >> 33) % (place + 1))
    }
    return bytes
  }()

  static let samples: [(name: String, bytes: [UInt8])] = [
    ("nothing", []), ("one byte", [7]), ("three", [1, 2, 3]), ("zeroes", [UInt8](repeating: 0, count: 400_000)),
    ("noise", noise(300_000)), ("objects", objects(6000)), ("every byte", (0..<4096).map { UInt8($0 & 0xff) }),
    ("a block and one", objects(1400) + noise(3, seed: 9)), ("two letters", noise(70_000).map { 65 + $0 & 1 }),
    ("skewed", skewed),
  ]

  private static func compressed(_ bytes: [UInt8], pieces: Int) -> [UInt8] {
    var encoder = GzipEncoder()
    var result: [UInt8] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      result += encoder.compress(rest.prefix(pieces))
      rest = rest.dropFirst(pieces)
    }
    return result + encoder.finish()
  }

  /// SHA-256 of what Python makes of the file; "" where there is no Python.
  private static func read(_ bytes: [UInt8]) throws -> String {
    let path = "/tmp/trireme-gzip-\(getpid())-\(UInt64.random(in: .min ... .max)).gz"
    defer { unlink(path) }
    let file = try #require(fopen(path, "w"))
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
    let program = "import gzip,hashlib;print(hashlib.sha256(gzip.open('\(path)').read()).hexdigest())"
    let pipe = try #require(popen("python3 -c \"\(program)\" 2>&1", "r"))
    defer { pclose(pipe) }
    var line = [UInt8](repeating: 0, count: 4096)
    let count = fread(&line, 1, line.count, pipe)
    return String(decoding: line.prefix(count).prefix { $0 != 10 }, as: UTF8.self)
  }

  private static let hasPython = access("/usr/bin/python3", X_OK) == 0

  @Test(.enabled(if: hasPython), arguments: samples.indices)
  func othersReadWhatIsCompressedHere(_ index: Int) throws {
    let (name, bytes) = Self.samples[index]
    for pieces in [bytes.count + 1, 1000] {
      let compressed = Self.compressed(bytes, pieces: pieces)
      #expect(try Self.read(compressed) == Crypto.hexadecimal(Crypto.sha256(bytes)), "\(name) in pieces of \(pieces)")
    }
  }

  @Test func objectsShrinkAndNoiseHardlyGrows() {
    let objects = Self.objects(6000)
    #expect(Self.compressed(objects, pieces: 1 << 16).count * 5 < objects.count)
    let noise = Self.noise(300_000)
    #expect(Self.compressed(noise, pieces: 1 << 16).count < noise.count + noise.count / 100)
  }
}
