// glibc's allocator as a server uses it. By itself it gives memory back from the top of its heaps only: a server that was
// busy once keeps twice what it needs, for one small object above each hole is enough.
import CLibuv
import Glibc

/// What the process's allocator holds, and what it gives back. Any thread.
public enum Allocator {
  /// From this size on an allocation is a mapping of its own, gone when it is freed. glibc would raise the limit to the
  /// largest that it has seen freed (32 MiB at most), and leave holes of that size in its heaps.
  public static let mappedBytes = 1 << 20

  /// What may lie free at the end of a heap. By itself glibc hands back what is more than 128 KiB, at once: each answer
  /// of megabytes would fault its pages in anew, a third of what it costs. What a busy time leaves behind is given back
  /// by `giveBack`, which minds no limit.
  public static let keptBytes = 64 << 20

  /// How much of a new heap (64 MiB of addresses) may be written from the start. By itself glibc asks the system for
  /// every further page of the heap of a thread that is not the first: two of three objects stored would wait for that.
  /// A page takes no memory before something is written to it.
  private static let openedBytes = 64 << 20

  /// To be called once, before threads begin.
  public static func configure() {
    _ = mallopt(M_TOP_PAD, CInt(openedBytes))
    _ = mallopt(M_MMAP_THRESHOLD, CInt(mappedBytes))
    _ = mallopt(M_TRIM_THRESHOLD, CInt(keptBytes))
  }

  /// Bytes that the program has allocated and not freed.
  public static var usedBytes: Int {
    let info = mallinfo2()
    return info.uordblks + info.hblkhd
  }

  /// Bytes of the process's memory that are its own and in place: no files, nothing given back.
  public static var residentBytes: Int {
    guard let text = try? FileSystem.readText("/proc/self/statm") else { return 0 }
    let pages = text.split(separator: " ").compactMap { Int($0) }
    return pages.count > 2 ? (pages[1] - pages[2]) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
  }

  /// Gives every page back that holds nothing. Other threads wait while their heap's turn lasts: some tens of
  /// milliseconds for hundreds of megabytes.
  public static func giveBack() { _ = malloc_trim(0) }
}
