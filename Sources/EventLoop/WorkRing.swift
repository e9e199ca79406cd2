// The queue of a loop's own work: a ring that grows, without locks, for the loop's thread alone.

/// Something to run on a loop.
enum Work: @unchecked Sendable {
  case job(UnownedJob)
  /// Bodies from other threads are @Sendable; those of the loop's own objects need not be and never leave it.
  case body(() -> Void)
}

struct WorkRing: ~Copyable {
  private var slots: UnsafeMutablePointer<Work>
  /// Capacity is a power of two: position & mask is the slot.
  private var mask: Int
  private var head = 0
  private var tail = 0

  init(capacity: Int) {
    precondition(capacity > 0 && capacity & (capacity - 1) == 0, "a ring's capacity is a power of two")
    slots = .allocate(capacity: capacity)
    mask = capacity - 1
  }

  deinit {
    for position in head..<tail { (slots + (position & mask)).deinitialize(count: 1) }
    slots.deallocate()
  }

  var isEmpty: Bool { head == tail }

  @inline(__always) mutating func push(_ work: Work) {
    if tail - head > mask { grow() }
    (slots + (tail & mask)).initialize(to: work)
    tail += 1
  }

  @inline(__always) mutating func pop() -> Work? {
    if head == tail { return nil }
    defer { head += 1 }
    return (slots + (head & mask)).move()
  }

  private mutating func grow() {
    let capacity = (mask + 1) * 2
    let larger = UnsafeMutablePointer<Work>.allocate(capacity: capacity)
    for offset in 0..<(tail - head) {
      (larger + offset).initialize(to: (slots + ((head + offset) & mask)).move())
    }
    slots.deallocate()
    slots = larger
    tail -= head
    head = 0
    mask = capacity - 1
  }
}
