// One file of a simulated disk: what programs see, what the platter holds, and the writes between the two.

/// The content of a file. What was written and not yet synced is remembered write by write, so that a power cut can
/// take any part of it.
final class DiskFile {
  /// As an inode's number and birth: no other file has it, no copy of this one either.
  var number: UInt64 = 0
  /// What a disk writes whole or not at all.
  static let sectorBytes = 512

  private enum Operation {
    /// Bytes `start ..< start + count` of `unsyncedBytes`, written at `offset`.
    case write(offset: Int, start: Int, count: Int)
    case truncate(size: Int)
  }
  /// As a program reads it.
  private(set) var content: [UInt8] = []
  /// As it would be after a power cut that takes all it can.
  private var durable: [UInt8] = []
  private var unsynced: [Operation] = []
  private var unsyncedBytes: [UInt8] = []

  var size: Int { content.count }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
    let count = max(0, min(buffer.count, content.count - offset))
    guard count > 0 else { return 0 }
    content.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<(offset + count)])) }
    return count
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    guard !bytes.isEmpty else { return }
    unsynced.append(.write(offset: offset, start: unsyncedBytes.count, count: bytes.count))
    unsyncedBytes.append(contentsOf: bytes)
    Self.copy(bytes, to: &content, at: offset)
  }

  func truncate(to size: Int) {
    unsynced.append(.truncate(size: size))
    Self.resize(&content, to: size)
  }

  /// Everything written is durable.
  func sync() { settle { _, _ in true } }

  /// The power is cut: every unsynced write keeps any subset of its sectors.
  func crash(_ random: inout DiskRandom) {
    // Much is decided per file: disks tend to have written all, nothing, or something in between.
    let percent = [0, 0, 50, 90, 100].randomElement(using: &random) ?? 50
    settle { _, _ in random.chance(percent) }
    content = durable
  }

  /// A sync failed: part of what was to be made durable is, the rest counts as clean and is never written. Programs go
  /// on reading what they wrote.
  func dropUnsynced(_ random: inout DiskRandom) {
    let percent = [0, 50].randomElement(using: &random) ?? 0
    settle { _, _ in random.chance(percent) }
  }

  /// Another file of the same content, all of it durable.
  func copy(number: UInt64) -> DiskFile {
    let copy = DiskFile()
    copy.number = number
    copy.content = content
    copy.durable = content
    return copy
  }

  /// A bit changes at rest.
  func flipBit(at offset: Int, bit: UInt8) {
    if offset < durable.count { durable[offset] ^= 1 << bit }
    if offset < content.count { content[offset] ^= 1 << bit }
  }

  /// Carries what is unsynced over to the platter, sector by sector where `keeps` says so.
  private func settle(_ keeps: (_ offset: Int, _ count: Int) -> Bool) {
    for operation in unsynced {
      switch operation {
      case .truncate(let size): if keeps(size, 0) { Self.resize(&durable, to: size) }
      case .write(let offset, let start, let count):
        var from = offset
        while from < offset + count {
          let to = min(offset + count, (from / Self.sectorBytes + 1) * Self.sectorBytes)
          if keeps(from, to - from) {
            unsyncedBytes.withUnsafeBytes { bytes in
              let place = start + from - offset
              Self.copy(UnsafeRawBufferPointer(rebasing: bytes[place..<(place + to - from)]), to: &durable, at: from)
            }
          }
          from = to
        }
      }
    }
    unsynced.removeAll(keepingCapacity: true)
    unsyncedBytes.removeAll(keepingCapacity: true)
  }

  private static func copy(_ bytes: UnsafeRawBufferPointer, to target: inout [UInt8], at offset: Int) {
    if offset == target.count { return target.append(contentsOf: bytes) }
    if target.count < offset + bytes.count { resize(&target, to: offset + bytes.count) }
    target.withUnsafeMutableBytes {
      UnsafeMutableRawBufferPointer(rebasing: $0[offset..<(offset + bytes.count)]).copyMemory(from: bytes)
    }
  }

  private static func resize(_ target: inout [UInt8], to size: Int) {
    if size < target.count {
      target.removeLast(target.count - size)
    } else {
      target.append(contentsOf: repeatElement(0, count: size - target.count))
    }
  }
}
