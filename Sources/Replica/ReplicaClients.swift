// What clients ask of the driver: commands on their way into the log, reads on their way to a read index.

import Raft
import World

extension ReplicaDriver {
  /// Entry bytes placed in the log, or sent to the leader, in one go.
  private static let placementBytes = 1 << 20

  func takeInbox() {
    countTicks()
    let deadline = world.now + options.requestTimeout
    for item in shared.inbox.take() {
      switch item {
      case .proposal(let entry, let answer):
        guard !isStopped else {
          item.refuse(status.stopped ?? "stopped", self)
          continue
        }
        if let why = refusal() {
          answer.resume(returning: .failure(.noRoom(why)))
          continue
        }
        if let why = refusal(ofVersion: entry) {
          answer.resume(returning: .failure(.notUnderstood(why)))
          continue
        }
        status.proposalsTotal += 1
        if !proposals.add(entry, answer, deadline: deadline) { answer.resume(returning: .failure(.timedOut)) }
      case .read(let answer):
        guard !isStopped else {
          item.refuse(status.stopped ?? "stopped", self)
          continue
        }
        reads.add(answer, deadline: deadline)
      case .control(let body): body(self)
      }
    }
    // Not a turn of its own: what other loops and sockets bring in this round joins the same batch.
    scheduleTurn()
  }

  /// Gives waiting commands to the log, if this server leads, or to the leader.
  func placeProposals() {
    while proposals.hasUnsent {
      if raft.role == .leader {
        let (sequences, entries) = proposals.takeUnsent(upTo: Self.placementBytes, now: world.now)
        guard !entries.isEmpty else { return }  // All that was to be sent again has been answered meanwhile.
        do throws(ProposeError) { _ = try raft.propose(entries) } catch { return proposals.putBack(sequences) }
      } else if let leader = raft.leader, leader != options.node {
        let (sequences, entries) = proposals.takeUnsent(upTo: Self.placementBytes, now: world.now)
        guard !entries.isEmpty else { return }
        guard transport.send([frame(.forward(entries), to: leader)], to: leader, lane: .control) else {
          return proposals.putBack(sequences)
        }
        status.forwardedTotal += UInt64(entries.count)
      } else {
        return
      }
    }
  }

  /// Asks for one read index on behalf of everyone who waits.
  func startReads() {
    guard reads.hasWaiting else { return }
    do throws(ReadError) { reads.asked(try raft.readIndex(), now: world.now) } catch {}
  }
}
