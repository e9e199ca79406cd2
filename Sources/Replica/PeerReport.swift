// What servers tell each other twice a second: who they are, how slow their disk is, and the time, to learn how far apart
// they are; and the bytes of questions about membership.

import Raft
import World

/// What a server has promised another, as far as that remembers: its votes and acknowledgements, and the elections it
/// stood in, are on its disk before they are sent. Terms never fall, and within a term a log that was acknowledged never
/// becomes shorter. A server that is told of more than it has was set back: its disk lied about a sync, or is an old copy.
struct HeardPromise: Sendable, Hashable {
  /// The highest term that was promised anything in.
  var term: Term = 0
  /// The last entry acknowledged to a leader, and that leader's term.
  var acknowledgedTerm: Term = 0
  var acknowledgedIndex: LogIndex = 0

  mutating func note(_ message: Message) {
    switch message.body {
    case .requestVoteReply(granted: true, preVote: false), .requestVote(_, _, preVote: false, _):
      term = max(term, message.term)
    case .appendAccepted(let matchIndex):
      term = max(term, message.term)
      guard (message.term, matchIndex) > (acknowledgedTerm, acknowledgedIndex) else { return }
      (acknowledgedTerm, acknowledgedIndex) = (message.term, matchIndex)
    default: return
    }
  }

  /// Whether it is more than a server in this term, with a log of this length, can have promised.
  func exceeds(currentTerm: Term, lastIndex: LogIndex) -> Bool {
    term > currentTerm || acknowledgedTerm == currentTerm && acknowledgedIndex > lastIndex
  }
}

/// A server's word about itself.
struct PeerReport: Sendable, Hashable {
  /// Id, name, address, disk and version.
  var member: Member
  /// How long a write waits for the sender's disk and loop, in microseconds.
  var commitMicroseconds: UInt64 = 0
  /// The sender's clock now; the receiver's last stamp that it has seen, zero if none; and how long ago that came.
  var stamp: UInt64 = 0
  var echo: UInt64 = 0
  var heldNanoseconds: UInt64 = 0
  /// What the receiver has promised the sender.
  var promised = HeardPromise()
}

extension ByteWriter {
  mutating func write(_ report: PeerReport) {
    word(report.member.id)
    blob(report.member.context)
    number(report.commitMicroseconds)
    word(report.stamp)
    word(report.echo)
    word(report.heldNanoseconds)
    word(report.promised.term)
    word(report.promised.acknowledgedTerm)
    word(report.promised.acknowledgedIndex)
  }

  mutating func write(_ change: MembershipChange) {
    switch change {
    case .add(let name, let address, let isSpare):
      byte(1)
      string(name)
      string(address)
      flag(isSpare)
    case .promote(let id):
      byte(2)
      word(id)
    case .demote(let id):
      byte(3)
      word(id)
    case .remove(let id):
      byte(4)
      word(id)
    case .replace(let old, let new):
      byte(5)
      word(old)
      word(new)
    }
  }

  mutating func write(_ result: Result<Member, MembershipRefusal>) {
    switch result {
    case .success(let member):
      byte(0)
      word(member.id)
      blob(member.context)
    case .failure(let refusal):
      byte(refusal.kind.rawValue)
      string(refusal.description)
    }
  }
}

extension ByteReader {
  /// Later versions may add fields at the end.
  mutating func report() throws(CodecError) -> PeerReport {
    var report = PeerReport(member: try member())
    report.commitMicroseconds = try number()
    report.stamp = try word()
    report.echo = try word()
    report.heldNanoseconds = try word()
    if !isAtEnd {
      report.promised.term = try word()
      report.promised.acknowledgedTerm = try word()
      report.promised.acknowledgedIndex = try word()
    }
    _ = rest()
    return report
  }

  private mutating func member() throws(CodecError) -> Member {
    let id = try word()
    return try Member(id: id, context: try blob())
  }

  mutating func membershipChange() throws(CodecError) -> MembershipChange {
    switch try byte() {
    case 1:
      let (name, address) = (try string(), try string())
      return .add(name: name, address: address, isSpare: try flag())
    case 2: return .promote(try word())
    case 3: return .demote(try word())
    case 4: return .remove(try word())
    case 5:
      let old = try word()
      return .replace(old, with: try word())
    case let tag: throw CodecError("a membership change of unknown kind \(tag): ask a newer server")
    }
  }

  mutating func membershipResult() throws(CodecError) -> Result<Member, MembershipRefusal> {
    let kind = try byte()
    if kind == 0 { return .success(try member()) }
    guard let known = MembershipRefusal.Kind(rawValue: kind) else { throw CodecError("a refusal of unknown kind") }
    return .failure(MembershipRefusal(known, try string()))
  }
}
