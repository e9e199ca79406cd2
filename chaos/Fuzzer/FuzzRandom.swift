// Chance that a seed repeats, and the small decisions that a fuzzer makes of it.
import ChaosPlan

/// A generator for every case of a run.
public struct FuzzRandom: RandomNumberGenerator, Sendable {
  private var generator: SeededGenerator

  public init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

  /// The generator of case `number` of a run: a case is made the same whatever was answered before it.
  public init(seed: UInt64, case number: Int) {
    var mixer = FuzzRandom(seed: seed &+ UInt64(bitPattern: Int64(number)) &* 0xd134_2543_de82_ef95)
    self.init(seed: mixer.next())
  }

  public mutating func next() -> UInt64 { generator.next() }

  mutating func below(_ count: Int) -> Int { Int(next() % UInt64(max(1, count))) }
  mutating func percent(_ chance: Int) -> Bool { below(100) < chance }
  mutating func pick<Element>(_ list: [Element]) -> Element { list[below(list.count)] }
}
