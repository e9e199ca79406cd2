// Changes of membership as an operator asks for them, and what is to be done for each: a value; the driver performs.

import Raft
import World

/// A change of membership. Asking twice for the same has the effect of asking once.
public enum MembershipChange: Sendable, Hashable {
  /// A new server, under a new id, begins to receive the log; unless it is a spare, it becomes a voter by itself when it
  /// has caught up. Asked again before the server was heard of: the same member.
  case add(name: String, address: String, isSpare: Bool)
  /// A learner or spare becomes a voter as soon as it has caught up.
  case promote(NodeID)
  /// A voter becomes a spare.
  case demote(NodeID)
  /// Removed for good.
  case remove(NodeID)
  /// The one is removed in the same step in which the other, when it has caught up, becomes a voter.
  case replace(NodeID, with: NodeID)
}

/// Why membership was not changed. Nothing was.
public struct MembershipRefusal: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Kind: UInt8, Sendable, Hashable {
    /// There is no such member.
    case notFound = 1
    /// It contradicts what is there: a name or an address that exists, a role that does not fit.
    case conflict = 2
    /// Too few voters would be alive to go on.
    case unsafe = 3
    /// It did not happen in time, and may still.
    case timedOut = 4
    /// This server is stopping.
    case stopped = 5
    /// Only within the group: the server asked does not lead.
    case notLeader = 6
  }
  public var kind: Kind
  public var description: String

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}

/// What a leader knows when it decides about membership.
struct MembershipView {
  var leader: NodeID
  var configuration: Configuration
  /// The configuration is committed and no second step is to follow.
  var isSettled: Bool
  /// Members that were heard lately, the leader included.
  var alive: Set<NodeID>
  /// Learners that keep up with the log.
  var caughtUp: Set<NodeID>
}

/// What is to be done for a change.
enum MembershipPlan: Equatable {
  /// It is as asked for; the member concerned.
  case done(Member)
  case propose([MembershipStep])
  /// The leader itself is concerned: another shall lead first.
  case handOver
  case wait(for: String)
  case refuse(MembershipRefusal)
}

extension MembershipView {
  func plan(_ change: MembershipChange) -> MembershipPlan {
    switch change {
    case .add(let name, let address, let isSpare): planAdd(name, address, isSpare)
    case .promote(let id): planPromote(id)
    case .demote(let id): planDemote(id)
    case .remove(let id): planRemove(id)
    case .replace(let old, let new): planReplace(old, with: new)
    }
  }

  private func planAdd(_ name: String, _ address: String, _ isSpare: Bool) -> MembershipPlan {
    let directory = configuration.directory
    if let existing = directory.first(where: { $0.name == name }) {
      // It was added and never came: whoever asks again is most likely the same.
      guard configuration.learners.contains(existing.id), existing.disk == 0 else {
        return .refuse(MembershipRefusal(.conflict, "a member named \(name) exists: remove it first"))
      }
      if existing.address == address { return settled(existing) }
    }
    if let other = directory.first(where: { $0.address == address && $0.name != name }) {
      return .refuse(MembershipRefusal(.conflict, "\(address) is the address of member \(other.name)"))
    }
    guard !name.isEmpty, !address.isEmpty else {
      return .refuse(MembershipRefusal(.conflict, "a member needs a name and an address"))
    }
    if let existing = directory.first(where: { $0.name == name }) {
      var moved = existing
      moved.address = address
      return propose([.update(moved.id, context: moved.context)])
    }
    // Its version is learned when it is there; until then it must be taken for the oldest that may join.
    let id = configuration.lastID + 1
    let member = Member(id: id, name: name, address: address, version: configuration.version, isSpare: isSpare)
    return propose([.addLearner(id, context: member.context)])
  }

  private func planPromote(_ id: NodeID) -> MembershipPlan {
    guard let member = member(id) else { return unknown(id) }
    if configuration.voters.contains(id) { return settled(member) }
    guard caughtUp.contains(id) else { return .wait(for: "\(member.name) to catch up") }
    return propose(promotion(of: member))
  }

  private func planDemote(_ id: NodeID) -> MembershipPlan {
    guard let member = member(id) else { return unknown(id) }
    if configuration.learners.contains(id) { return settled(member) }
    return propose(demotion(of: member), without: id)
  }

  private func planRemove(_ id: NodeID) -> MembershipPlan {
    if configuration.hasRemoved(id) { return settled(Member(id: id, name: "", address: "")) }
    guard member(id) != nil else { return unknown(id) }
    return propose([.remove(id)], without: id)
  }

  private func planReplace(_ old: NodeID, with new: NodeID) -> MembershipPlan {
    guard let successor = member(new) else { return unknown(new) }
    let isVoter = configuration.voters.contains(new)
    if configuration.hasRemoved(old) { return isVoter ? settled(successor) : planPromote(new) }
    guard member(old) != nil else { return unknown(old) }
    if isVoter { return propose([.remove(old)], without: old) }
    guard caughtUp.contains(new) else { return .wait(for: "\(successor.name) to catch up") }
    return propose(promotion(of: successor) + [.remove(old)], without: old)
  }

  // MARK: By itself

  /// A learner becomes a voter, and no spare any more.
  private func promotion(of member: Member) -> [MembershipStep] {
    var member = member
    member.isSpare = false
    return [.promote(member.id), .update(member.id, context: member.context)]
  }

  /// A voter becomes a spare: a learner would be promoted again.
  private func demotion(of member: Member) -> [MembershipStep] {
    var member = member
    member.isSpare = true
    return [.demote(member.id), .update(member.id, context: member.context)]
  }

  /// Learners that have caught up become voters.
  func automaticPromotion() -> [MembershipStep]? {
    guard !configuration.learners.isEmpty else { return nil }
    let ready = configuration.directory.filter {
      configuration.learners.contains($0.id) && !$0.isSpare && caughtUp.contains($0.id)
    }
    return safe(ready.flatMap(promotion))
  }

  /// A voter that is gone for good, it seems, changes places with a spare that keeps up.
  func automaticReplacement(lost: [NodeID]) -> [MembershipStep]? {
    guard let gone = lost.first(where: { configuration.voters.contains($0) }), let old = member(gone),
      let spare = configuration.directory.first(where: {
        configuration.learners.contains($0.id) && $0.isSpare && caughtUp.contains($0.id)
      })
    else { return nil }
    return safe(promotion(of: spare) + demotion(of: old))
  }

  // MARK: Common

  private func member(_ id: NodeID) -> Member? {
    guard configuration.isMember(id) else { return nil }
    return configuration.directory.first { $0.id == id }
  }

  private func unknown(_ id: NodeID) -> MembershipPlan {
    .refuse(MembershipRefusal(.notFound, "there is no member \(id)"))
  }

  private func settled(_ member: Member) -> MembershipPlan {
    isSettled ? .done(member) : .wait(for: "the change under way to be committed")
  }

  private func propose(_ steps: [MembershipStep], without id: NodeID? = nil) -> MembershipPlan {
    guard isSettled else { return .wait(for: "the change under way to be committed") }
    switch target(of: steps) {
    case .failure(let error): return .refuse(error)
    case .success: return id == leader && alive.count > 1 ? .handOver : .propose(steps)
    }
  }

  private func safe(_ steps: [MembershipStep]) -> [MembershipStep]? {
    guard isSettled, !steps.isEmpty, case .success = target(of: steps) else { return nil }
    return steps
  }

  /// A change must leave a majority of voters alive: of those that vote now it is known, of those to come it is checked.
  private func target(of steps: [MembershipStep]) -> Result<Configuration, MembershipRefusal> {
    let target: Configuration
    do throws(MembershipError) { target = try configuration.applying(steps) } catch {
      return .failure(MembershipRefusal(.conflict, error == .noVoters ? "nobody would be left to vote" : "\(error)"))
    }
    if target.voters == configuration.voters { return .success(target) }
    let (voters, living) = (target.voters.count, target.voters.intersection(alive).count)
    guard living > voters / 2 else {
      return .failure(
        MembershipRefusal(.unsafe, "\(living) of \(voters) voters would be alive: too few to go on"))
    }
    return .success(target)
  }
}

/// Whether a learner keeps up: it needs less than a limit for a round, in which it receives what the log held when the
/// round began (dissertation §4.2.1).
struct CatchUp {
  private var target: LogIndex
  private var since: MonotonicTime
  private(set) var isCaughtUp = false

  init(target: LogIndex, now: MonotonicTime) {
    self.target = target
    since = now
  }

  mutating func observe(matchIndex: LogIndex, lastIndex: LogIndex, now: MonotonicTime, limit: Duration) {
    let isLate = now - since > limit
    if matchIndex >= target {
      isCaughtUp = !isLate
      target = lastIndex
      since = now
    } else if isLate {
      isCaughtUp = false
    }
  }
}
