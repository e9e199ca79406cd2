// The networks of the pods, cut into blocks, one for every node (spec/5 §5.1, node-ipam), as values.
import Schema

/// A network of pods and how large the block of one node is.
public struct PodNetwork: Hashable, Sendable {
  /// What the reference gives a node, by family.
  public static func usualNodePrefix(_ family: IPAddress.Family) -> Int { family == .v4 ? 24 : 64 }
  /// More blocks than this are not kept account of.
  private static let largestDifference = 16

  public let range: CIDR
  public let nodePrefix: Int

  public struct Unusable: Error, CustomStringConvertible {
    public let description: String
  }

  public init(_ range: CIDR, nodePrefix: Int? = nil) throws(Unusable) {
    self.range = range
    self.nodePrefix = nodePrefix ?? Self.usualNodePrefix(range.address.family)
    guard (range.prefixLength...range.address.family.bits).contains(self.nodePrefix) else {
      throw Unusable(description: "the network \(range) has no blocks of /\(self.nodePrefix)")
    }
    guard self.nodePrefix - range.prefixLength <= Self.largestDifference else {
      throw Unusable(
        description: "the network \(range) has more than \(1 << Self.largestDifference) blocks of /\(self.nodePrefix)")
    }
  }

  fileprivate var blockCount: Int { 1 << (nodePrefix - range.prefixLength) }
  private var blockBits: UInt128 { UInt128(range.address.family.bits - nodePrefix) }

  fileprivate func block(_ index: Int) -> CIDR {
    let number = range.network.number + UInt128(index) << blockBits
    return CIDR(address: IPAddress(family: range.address.family, number: number), prefixLength: nodePrefix)
  }

  /// The blocks that a network of a node takes; none when it lies elsewhere.
  fileprivate func blocks(of network: CIDR) -> ClosedRange<Int>? {
    guard network.address.family == range.address.family else { return nil }
    let (first, last) = (
      max(network.network.number, range.network.number), min(network.last.number, range.last.number)
    )
    guard first <= last else { return nil }
    return Int((first - range.network.number) >> blockBits)...Int((last - range.network.number) >> blockBits)
  }
}

/// Which node has which block of every network.
struct NodeNetworks {
  private let networks: [PodNetwork]
  /// By network and block: how many nodes say that it is theirs.
  private var users: [[Int: Int]]
  private var next: [Int]
  private var blocks: [String: [CIDR]] = [:]

  init(_ networks: [PodNetwork]) {
    self.networks = networks
    users = networks.map { _ in [:] }
    next = networks.map { _ in 0 }
  }

  /// The node has these already, whoever gave them.
  mutating func note(_ node: String, has networks: [CIDR]) {
    guard blocks[node] != networks else { return }
    release(node)
    blocks[node] = networks
    count(networks, by: 1)
  }

  /// A block of every network for the node: those that it was given before, if it was; nil when one has none left.
  mutating func assign(_ node: String) -> [CIDR]? {
    if let known = blocks[node] { return known }
    var chosen: [CIDR] = []
    for (index, network) in networks.enumerated() {
      // From where the last search ended: a block that was given back rests before it is given again.
      let (start, taken) = (next[index], users[index])
      let candidates = (0..<network.blockCount).lazy.map { (start + $0) % network.blockCount }
      guard let block = candidates.first(where: { taken[$0] == nil }) else { return nil }
      next[index] = (block + 1) % network.blockCount
      chosen.append(network.block(block))
    }
    note(node, has: chosen)
    return chosen
  }

  mutating func release(_ node: String) {
    if let networks = blocks.removeValue(forKey: node) { count(networks, by: -1) }
  }

  private mutating func count(_ held: [CIDR], by step: Int) {
    for network in held {
      for (index, candidate) in networks.enumerated() {
        guard let taken = candidate.blocks(of: network) else { continue }
        for block in taken {
          let users = (self.users[index][block] ?? 0) + step
          self.users[index][block] = users > 0 ? users : nil
        }
      }
    }
  }
}
