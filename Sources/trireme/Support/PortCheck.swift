import EventLoop
import Glibc

/// Whether an address can be listened on, before anything depends on it.
enum PortCheck {
  /// Throws `CommandFailure` when another process listens there, or this machine does not have the address.
  static func requireFree(_ address: String, for user: String, advice: String) throws {
    guard case .ip(let host, let port) = Address(address) else { throw CommandFailure("\(address) is no address") }
    // Other families are tried when the server starts.
    var socketAddress = sockaddr_in()
    socketAddress.sin_family = sa_family_t(AF_INET)
    socketAddress.sin_port = port.bigEndian
    guard inet_pton(AF_INET, host, &socketAddress.sin_addr) == 1 else { return }
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var on: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
    let bound = withUnsafePointer(to: &socketAddress) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard bound != 0 else { return }
    if errno == EADDRNOTAVAIL {
      throw CommandFailure("this machine does not have the address \(host), which \(user) shall listen on. \(advice)")
    }
    throw CommandFailure("\(address), which \(user) needs, is in use. Stop what uses it. \(advice)")
  }
}
