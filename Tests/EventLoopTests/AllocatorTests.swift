import Testing

@testable import EventLoop

@Suite struct AllocatorTests {
  /// Given a heap in which every eighth block is still in use, when memory is given back, then the holes are.
  @Test func holesAreGivenBack() {
    let size = 32 << 10
    var blocks = (0..<4096).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: size) }
    #expect(Allocator.usedBytes > 4096 * size)
    let full = Allocator.residentBytes
    for index in blocks.indices where index % 8 != 0 { blocks[index] = [] }
    Allocator.giveBack()
    // Other tests allocate meanwhile: of 112 MiB that are free, 64 must show.
    #expect(full - Allocator.residentBytes > 64 << 20)
    #expect(blocks[8].count == size)
  }
}
