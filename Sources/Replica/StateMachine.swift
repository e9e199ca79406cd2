// The replicated state machine: entries in log order go in, changes come out, the same on every server.

import Storage

/// What applying one entry did.
struct Applied {
  let request: RequestID
  /// Nil when the request had expired and nothing happened.
  let outcome: CommandOutcome?
}

/// The whole replicated state as a value. Copying it is cheap; applying is deterministic: only the entry is read.
struct StateMachine: Sendable {
  /// The revision of an empty cluster. Not zero: resourceVersion "0" has a meaning of its own for clients.
  static let firstRevision: Revision = 1

  private(set) var map: ObjectMap
  private(set) var revision: Revision
  /// Index of the last log entry that is part of this state.
  private(set) var appliedIndex: UInt64
  /// Term of that entry.
  private(set) var appliedTerm: UInt64
  private(set) var requests: RequestTable
  private var pool = StringPool()

  init() {
    map = ObjectMap()
    revision = Self.firstRevision
    appliedIndex = 0
    appliedTerm = 0
    requests = RequestTable()
  }

  init(
    map: ObjectMap, revision: Revision, appliedIndex: UInt64, appliedTerm: UInt64, requests: RequestTable
  ) {
    self.map = map
    self.revision = revision
    self.appliedIndex = appliedIndex
    self.appliedTerm = appliedTerm
    self.requests = requests
  }

  var version: StateVersion { StateVersion(revision: revision, map: map) }

  /// The hash of the objects and the revision: equal on all replicas at equal applied index, and computed again from
  /// the rows of a disk, a backup or a snapshot to see that they are what was written.
  var stateHash: UInt64 { Self.hash(of: map, at: revision) }

  static func hash(of map: ObjectMap, at revision: Revision) -> UInt64 {
    withUnsafeBytes(of: revision.littleEndian) { xxh64($0, seed: map.hash) }
  }

  /// Notes an entry that holds no command (a leader's first, a configuration).
  mutating func skip(index: UInt64, term: UInt64) {
    precondition(index == appliedIndex + 1, "entries are applied in log order, none twice")
    appliedIndex = index
    appliedTerm = term
  }

  /// Applies one entry and appends its changes to `changes`. Throws on bytes that it cannot read, having changed
  /// nothing: the replica must stop, for others may have understood them.
  mutating func apply(
    _ entry: [UInt8], index: UInt64, term: UInt64, changes: inout [Change]
  ) throws(CodecError) -> Applied {
    let proposal = try DecodedCommandEntry(entry, &pool)
    skip(index: index, term: term)
    switch requests.admit(proposal.request, lowWatermark: proposal.lowWatermark) {
    case .expired: return Applied(request: proposal.request, outcome: nil)
    case .repeated(let outcome): return Applied(request: proposal.request, outcome: outcome)
    case .new: break
    }
    let outcome: CommandOutcome
    if let (failed, current) = firstFailure(of: proposal.preconditions) {
      outcome = .failed(precondition: failed, current: current)
    } else {
      let first = changes.count
      for mutation in proposal.mutations {
        if let change = perform(mutation, entry) { changes.append(change) }
      }
      outcome = .committed(Array(changes[first...]))
    }
    requests.record(proposal.request, outcome)
    return Applied(request: proposal.request, outcome: outcome)
  }

  private func firstFailure(of preconditions: [Precondition]) -> (index: Int, current: StoredObject?)? {
    for (index, precondition) in preconditions.enumerated() {
      let current: StoredObject?
      let holds: Bool
      switch precondition {
      case .revision(let key, let revision):
        current = map[key]
        holds = current?.revision == revision || (ReplicaMutant.revisionUnchecked.isActive && current != nil)
      case .absent(let key):
        current = map[key]
        holds = current == nil || ReplicaMutant.absenceUnchecked.isActive
      case .exists(let key):
        current = map[key]
        holds = current != nil
      case .fence(let key, let fence):
        current = map[key]
        holds = current?.fence == fence || ReplicaMutant.fenceUnchecked.isActive
      case .count(let resource, let namespace, let count):
        current = nil
        holds = map.positions(resource: resource, namespace: namespace).count == count
      }
      if !holds { return (index, current) }
    }
    return nil
  }

  /// Performs one mutation at the next revision; nil if there was nothing to delete.
  private mutating func perform(_ mutation: DecodedCommandEntry.Mutation, _ entry: [UInt8]) -> Change? {
    let next = revision + 1
    switch mutation {
    case .put(let key, let fields):
      let previous = map[key]
      let bytes = splice(next, into: entry[fields.document], at: fields.revisionOffset, replacing: 0)
      // Versions of one object share what did not change: most of a pod's updates leave key and uid alone.
      let same = previous?.uid == fields.uid ? previous : nil
      let object = StoredObject(
        key: previous?.key ?? pool.interned(key), revision: next, uid: same?.uid ?? fields.uid, bytes: bytes,
        revisionOffset: fields.revisionOffset, labels: fields.labels, fence: fields.fence,
        // A pod that is bound stays where it is.
        node: same?.node ?? NodeName(in: bytes, of: key))
      map.put(object)
      revision = next
      return Change(kind: .put, revision: next, object: object, previous: previous)
    case .delete(let key):
      guard let previous = map.remove(key) else { return nil }
      let digits = previous.bytes[previous.revisionOffset...].prefix { $0 >= 48 && $0 <= 57 }.count
      let last = StoredObject(
        key: previous.key, revision: next, uid: previous.uid,
        bytes: splice(next, into: previous.bytes[...], at: previous.revisionOffset, replacing: digits),
        revisionOffset: previous.revisionOffset, labels: previous.labels, fence: previous.fence,
        node: previous.node)
      revision = next
      return Change(kind: .delete, revision: next, object: last, previous: previous)
    }
  }
}

/// `document` with the digits of `revision` at `offset`, in place of `replaced` bytes there.
private func splice(
  _ revision: Revision, into document: ArraySlice<UInt8>, at offset: Int, replacing replaced: Int
) -> [UInt8] {
  var digits = 1
  var rest = revision / 10
  while rest > 0 {
    digits += 1
    rest /= 10
  }
  let size = document.count - replaced + digits
  return document.withUnsafeBytes { source in
    [UInt8](unsafeUninitializedCapacity: size) { target, count in
      let raw = UnsafeMutableRawBufferPointer(target)
      raw.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[..<offset]))
      var value = revision
      for place in stride(from: offset + digits - 1, through: offset, by: -1) {
        raw[place] = UInt8(48 + value % 10)
        value /= 10
      }
      UnsafeMutableRawBufferPointer(rebasing: raw[(offset + digits)...])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[(offset + replaced)...]))
      count = size
    }
  }
}
