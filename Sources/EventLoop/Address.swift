// Where a stream goes to: IP and port, or a path; and the C structures behind it.

import CLibuv
import Glibc

/// An endpoint of a byte stream.
public enum Address: Sendable, Hashable, CustomStringConvertible {
  /// An IPv4 or IPv6 address, or (for connecting only) a host name, and a TCP port. No brackets around IPv6.
  case ip(String, port: UInt16)
  /// A Unix-domain socket.
  case unix(path: String)

  /// Parses "127.0.0.1:6443", "[::1]:6443", "localhost:6443" or "/run/trireme.sock" (also "unix:///run/trireme.sock").
  public init?(_ text: String) {
    if text.hasPrefix("unix://") {
      self = .unix(path: String(text.dropFirst("unix://".count)))
      return
    }
    if text.hasPrefix("/") || text.hasPrefix("./") {
      self = .unix(path: text)
      return
    }
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      guard host.contains(":") else { return nil }
    } else if host.contains(":") {
      return nil
    }
    guard !host.isEmpty else { return nil }
    self = .ip(String(host), port: port)
  }

  public var description: String {
    switch self {
    case .ip(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path): path
    }
  }

  /// The port, zero for a Unix socket.
  public var port: UInt16 {
    if case .ip(_, let port) = self { port } else { 0 }
  }
}

/// A `sockaddr` of any family.
struct SocketAddress {
  private var storage = sockaddr_storage()
  private(set) var length = socklen_t(MemoryLayout<sockaddr_storage>.size)

  /// Room for the kernel to write an address into.
  init() {}

  /// A numeric address or a path; nil for a host name or a path longer than the kernel takes.
  init?(_ address: Address) {
    switch address {
    case .ip(let host, let port):
      let isSet: Bool = withUnsafeMutablePointer(to: &storage) { storage in
        let raw = UnsafeMutableRawPointer(storage)
        return uv_ip4_addr(host, Int32(port), raw.assumingMemoryBound(to: sockaddr_in.self)) == 0
          || uv_ip6_addr(host, Int32(port), raw.assumingMemoryBound(to: sockaddr_in6.self)) == 0
      }
      guard isSet else { return nil }
      length = socklen_t(family == AF_INET ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size)
    case .unix(let path):
      let bytes = Array(path.utf8)
      let capacity = MemoryLayout.size(ofValue: sockaddr_un().sun_path)
      guard !bytes.isEmpty, bytes.count < capacity, !bytes.contains(0) else { return nil }
      storage.ss_family = sa_family_t(AF_UNIX)
      let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
      withUnsafeMutableBytes(of: &storage) { storage in
        UnsafeMutableRawBufferPointer(rebasing: storage[offset...]).copyBytes(from: bytes)
      }
      length = socklen_t(offset + bytes.count + 1)
    }
  }

  /// A copy of what a C function gave.
  init(copying address: UnsafePointer<sockaddr>, length: Int) {
    withUnsafeMutableBytes(of: &storage) { storage in
      storage.copyMemory(from: UnsafeRawBufferPointer(start: address, count: min(length, storage.count)))
    }
    self.length = socklen_t(length)
  }

  var family: Int32 { Int32(storage.ss_family) }

  func withPointer<Result>(_ body: (UnsafePointer<sockaddr>) -> Result) -> Result {
    withUnsafePointer(to: storage) { storage in
      body(UnsafeRawPointer(storage).assumingMemoryBound(to: sockaddr.self))
    }
  }

  mutating func withMutablePointer<Result>(
    _ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Result
  ) -> Result {
    withUnsafeMutablePointer(to: &storage) { storage in
      withUnsafeMutablePointer(to: &length) { length in
        body(UnsafeMutableRawPointer(storage).assumingMemoryBound(to: sockaddr.self), length)
      }
    }
  }

  /// What the structure says; a Unix peer without a name has an empty path.
  var address: Address {
    switch family {
    case AF_INET, AF_INET6:
      // Longest textual IPv6 address with a zone, and its end.
      let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
        withPointer { uv_ip_name($0, buffer.baseAddress, buffer.count) } == 0
          ? String(cString: buffer.baseAddress!) : "?"
      }
      let port = withUnsafeBytes(of: storage) { $0.load(fromByteOffset: 2, as: UInt16.self) }
      return .ip(text, port: UInt16(bigEndian: port))
    default:
      let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
      let path = withUnsafeBytes(of: storage) { storage in
        String(
          decoding: storage[offset..<max(offset, min(Int(length), storage.count))].prefix { $0 != 0 }, as: UTF8.self)
      }
      return .unix(path: path)
    }
  }
}
