// Chance that a seed repeats, and the small decisions that a fuzzer makes of it.

/// SplitMix64: one state word, so that every case of a run has a generator of its own.
public struct FuzzRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  /// The generator of case `number` of a run: a case is made the same whatever was answered before it.
  public init(seed: UInt64, case number: Int) {
    var mixer = FuzzRandom(seed: seed &+ UInt64(bitPattern: Int64(number)) &* 0xd134_2543_de82_ef95)
    state = mixer.next()
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  mutating func below(_ count: Int) -> Int { Int(next() % UInt64(max(1, count))) }
  mutating func percent(_ chance: Int) -> Bool { below(100) < chance }
  mutating func pick<Element>(_ list: [Element]) -> Element { list[below(list.count)] }
}
