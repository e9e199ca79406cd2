// Packets that arrive late: rules hand those of a machine to a queue of the kernel, and a program holds them back for a
// while. It is a process of its own, so that a busy run delays nobody more than it means to; where it ends, packets pass.
import ArgumentParser
import ChaosPlan
import EventLoop
import Glibc

/// The rules, in the hub.
struct PacketDelay: Sendable {
  /// nil where there is none.
  static var program: String? { Paths.find("iptables-nft") ?? Paths.find("iptables") }

  let network: MachineNetwork
  let tool: Tool

  /// Every packet from and to the machine goes through the queue, or no longer does.
  func set(_ server: Int, isDelayed: Bool) async throws {
    guard let program = Self.program else { throw RunFailure("iptables is not installed") }
    let link = MachineNetwork.name(server)
    let ways = [("FORWARD", "-i"), ("FORWARD", "-o"), ("INPUT", "-i"), ("OUTPUT", "-o")]
    for (chain, direction) in ways {
      try await tool.run(
        program,
        [
          "-w", isDelayed ? "-A" : "-D", chain, direction, link, "-j", "NFQUEUE", "--queue-num",
          "\(Self.queue(of: server))", "--queue-bypass",
        ])
    }
  }

  static func queue(of server: Int) -> UInt16 { UInt16(server + 1) }
}

/// The program that holds them back.
struct DelayPackets: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delay-packets", abstract: "Hold the packets of a queue back, until told to end.", shouldDisplay: false
  )

  @Option var queue: UInt16
  @Option(help: "Milliseconds; each packet takes so long, and up to half as long again.")
  var milliseconds = 50
  @Option var seed: UInt64 = 1

  func run() throws {
    var queue = try PacketQueue(number: queue)
    var random = SeededGenerator(seed: seed)
    var held: [(packet: UInt32, due: Int64)] = []
    // Order is kept: a late packet delays those behind it, as in a long cable.
    var last: Int64 = 0
    while true {
      let now = Self.now
      let due = held.prefix { $0.due <= now }
      for (packet, _) in due { try queue.accept(packet) }
      held.removeFirst(due.count)
      let wait = held.first.map { Int32(clamping: ($0.due - now) / 1_000_000 + 1) } ?? 1000
      for packet in try queue.receive(within: wait) {
        let delay = Int64(milliseconds) * 1_000_000
        last = max(last, Self.now + delay + Int64.random(in: 0...delay / 2, using: &random))
        held.append((packet, last))
      }
    }
  }

  private static var now: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

/// A queue of packets that wait for a verdict: the kernel's nfnetlink_queue.
struct PacketQueue {
  private enum Message { static let (packet, verdict, configure): (UInt16, UInt16, UInt16) = (0x300, 0x301, 0x302) }
  private enum Attribute {
    static let (packetHeader, verdict): (UInt16, UInt16) = (1, 2)
    static let (command, parameters, longest): (UInt16, UInt16, UInt16) = (1, 2, 3)
  }
  private static let netfilter: Int32 = 12
  private static let headerBytes = 20
  /// More than a machine sends within the delay; what comes beyond is lost.
  private static let longest: UInt32 = 65_536

  private let descriptor: Int32
  private let number: UInt16
  private var buffer = [UInt8](repeating: 0, count: 1 << 20)

  init(number: UInt16) throws {
    self.number = number
    descriptor = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), Self.netfilter)
    guard descriptor >= 0 else { throw Self.failure("open a netlink socket") }
    var room: Int32 = 8 << 20
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &room, socklen_t(MemoryLayout<Int32>.size))
    // Bind; take packets without their contents; hold many.
    try send(Message.configure, Self.attribute(Attribute.command, [1, 0, 0, 0]))
    try send(Message.configure, Self.attribute(Attribute.parameters, Self.big(0) + [1]))
    try send(Message.configure, Self.attribute(Attribute.longest, Self.big(Self.longest)))
  }

  /// Numbers of packets that have come; none when none has come for so many milliseconds.
  mutating func receive(within milliseconds: Int32) throws -> [UInt32] {
    var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&waiting, 1, milliseconds) > 0 else { return [] }
    let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    if count < 0 {
      // Too many at once: the kernel has dropped some, as a full cable does.
      if errno == ENOBUFS || errno == EINTR || errno == EAGAIN { return [] }
      throw Self.failure("read packets")
    }
    var packets: [UInt32] = []
    var message = 0
    while message + Self.headerBytes <= count {
      let length = Int(word(message))
      guard length >= Self.headerBytes, message + length <= count else { break }
      if half(message + 4) == Message.packet, let packet = packetNumber(message + Self.headerBytes, message + length) {
        packets.append(packet)
      }
      message += (length + 3) & ~3
    }
    return packets
  }

  /// It goes on its way.
  func accept(_ packet: UInt32) throws {
    try send(Message.verdict, Self.attribute(Attribute.verdict, Self.big(1) + Self.big(packet)))
  }

  private func packetNumber(_ start: Int, _ end: Int) -> UInt32? {
    var place = start
    while place + 4 <= end {
      let length = Int(half(place))
      guard length >= 4 else { return nil }
      if half(place + 2) == Attribute.packetHeader, length >= 8 { return UInt32(bigEndian: word(place + 4)) }
      place += (length + 3) & ~3
    }
    return nil
  }

  private func word(_ place: Int) -> UInt32 {
    buffer.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place, as: UInt32.self) }
  }
  private func half(_ place: Int) -> UInt16 {
    buffer.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place, as: UInt16.self) }
  }

  private func send(_ type: UInt16, _ attributes: [UInt8]) throws {
    let isRequest: UInt16 = 1
    var bytes = Self.native(UInt32(Self.headerBytes + attributes.count)) + Self.native(type) + Self.native(isRequest)
    // Number and sender, then family, version and the queue.
    bytes += [UInt8](repeating: 0, count: 8) + [0, 0, UInt8(number >> 8), UInt8(number & 0xff)] + attributes
    guard Glibc.send(descriptor, bytes, bytes.count, 0) == bytes.count else { throw Self.failure("speak to the queue") }
  }

  private static func attribute(_ type: UInt16, _ value: [UInt8]) -> [UInt8] {
    let length = UInt16(4 + value.count)
    return native(length) + native(type) + value + [UInt8](repeating: 0, count: (4 - value.count % 4) % 4)
  }
  private static func native(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }
  private static func big(_ value: UInt32) -> [UInt8] { native(value.bigEndian) }

  private static func failure(_ what: String) -> RunFailure {
    RunFailure("cannot \(what): \(String(cString: strerror(errno)))")
  }
}
