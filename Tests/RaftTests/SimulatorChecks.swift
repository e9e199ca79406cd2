// What must hold in every run: the five properties of figure 3, durability of what was acknowledged, linearizable reads.

@testable import Raft

extension Simulator {
  /// "At most one leader can be elected in a given term", and leader completeness: "if a log entry is committed in a given
  /// term, then that entry will be present in the logs of the leaders for all higher-numbered terms".
  mutating func checkElectionSafety(_ id: NodeID) throws {
    guard let raft = servers[id]!.raft, raft.role == .leader else { return }
    if raft.configuration != configurationsSeen.last {
      configurationsSeen.removeAll { $0 == raft.configuration }
      configurationsSeen.append(raft.configuration)
      if configurationsSeen.count > 8 { configurationsSeen.removeFirst() }
    }
    if let other = leaders[raft.currentTerm] {
      if other != id { throw violation("election safety: \(other) and \(id) lead term \(raft.currentTerm)") }
      return
    }
    leaders[raft.currentTerm] = id
    for (entry, term) in zip(committed, committedBy).reversed() where term < raft.currentTerm {
      if entry.index < raft.baseIndex { break }
      if raft.term(at: entry.index) != entry.term {
        throw violation("leader completeness: \(id) leads term \(raft.currentTerm) without entry \(entry.index)")
      }
    }
  }

  /// "If two logs contain an entry with the same index and term, then the logs are identical up to that entry."
  func checkLogMatching() throws {
    let logs = ids.compactMap { servers[$0]!.raft?.log }
    for (position, a) in logs.enumerated() {
      for b in logs[(position + 1)...] {
        var index = min(a.lastIndex, b.lastIndex)
        let lowest = max(a.baseIndex, b.baseIndex)
        while index > lowest && a.term(at: index) != b.term(at: index) { index -= 1 }
        while index > lowest {
          let same = a.entries[Int(index - a.baseIndex) - 1] == b.entries[Int(index - b.baseIndex) - 1]
          if !same { throw violation("log matching: entry \(index)") }
          index -= 1
        }
      }
    }
  }

  /// "If a server has applied a log entry at a given index, no other server will ever apply a different entry for the same
  /// index"; and what is applied anywhere is on a quorum's disks, so that no crash can take it back.
  mutating func apply(_ entry: Entry, at id: NodeID) throws {
    servers[id]!.machine.apply(entry)
    let digest = servers[id]!.machine.digest
    let position = Int(entry.index) - 1
    if position < committed.count {
      if committed[position] != entry || digests[position + 1] != digest {
        throw violation("state machine safety: \(id) applies another entry \(entry.index)")
      }
    } else {
      if position != committed.count { throw violation("entry \(entry.index) is committed before the one before it") }
      // Committed under a configuration that some leader had in its log, perhaps not this server, perhaps before the latest.
      let isStored = configurationsSeen.contains { seen in
        seen.voteResult { voter in
          let disk = servers[voter]!.disk
          // One that is lost had it, perhaps, and speaks no more.
          return wipedDisks.contains(voter) || disk.machine.index >= entry.index || disk.base.index >= entry.index
            || disk.term(at: entry.index) == entry.term
        } == .won
      }
      if !isStored { throw violation("entry \(entry.index) is applied without being on a quorum's disks") }
      committed.append(entry)
      committedBy.append(servers[id]!.raft!.currentTerm)
      digests.append(digest)
    }
    observedIndex = max(observedIndex, entry.index)
  }

  /// A read sees everything that any client had seen when it was asked for.
  mutating func serve(_ read: ReadState, at id: NodeID) throws {
    guard let needed = servers[id]!.reads.removeValue(forKey: read.id) else {
      throw violation("a read is served that nobody waits for")
    }
    readsServed += 1
    let seen = servers[id]!.machine.index
    if seen < needed { throw violation("linearizability: \(id) serves a read at \(seen) that must see \(needed)") }
  }

  func violation(_ text: String) -> Violation { Violation(description: "seed \(seed), moment \(now): \(text)") }
}
