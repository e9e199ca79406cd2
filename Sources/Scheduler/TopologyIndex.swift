// Topology domains and what is counted in them, kept by deltas. A question that filters or scores ask ("how many pods
// that match stand in each zone?") is answered by counting once; from then on every pod that comes or goes is counted
// where it stands. The cost of one pod therefore grows neither with the pods that run nor with pods times nodes.
import Client
import Schema

/// The domains of one topology key: the values of a node label.
struct TopologyDomains: Sendable {
  /// Nodes without the label.
  static let none: Int32 = -1

  /// By node index; `none` for indices that no node has.
  private(set) var domain: [Int32] = []
  /// Nodes in each domain; a domain without nodes does not exist, and its number is given to the next one.
  private(set) var nodeCounts: [Int32] = []
  private(set) var nodesWithoutLabel = 0
  private var numbers: [String: Int32] = [:]
  private var free: [Int32] = []

  /// A node came, or its label changed: no pod may be counted on it at that moment.
  mutating func put(_ node: NodeIndex, _ value: String?) {
    while domain.count <= node { domain.append(Self.none) }
    guard let value else {
      nodesWithoutLabel += 1
      return
    }
    let number = numbers[value] ?? next(for: value)
    domain[node] = number
    nodeCounts[Int(number)] += 1
  }

  mutating func remove(_ node: NodeIndex, _ value: String?) {
    guard let value, let number = numbers[value] else {
      nodesWithoutLabel -= 1
      return
    }
    domain[node] = Self.none
    nodeCounts[Int(number)] -= 1
    if nodeCounts[Int(number)] == 0 {
      numbers[value] = nil
      free.append(number)
    }
  }

  func domain(of node: NodeIndex) -> Int32 { node < domain.count ? domain[node] : Self.none }

  private mutating func next(for value: String) -> Int32 {
    let number = free.popLast() ?? Int32(nodeCounts.count)
    if Int(number) == nodeCounts.count { nodeCounts.append(0) }
    numbers[value] = number
    return number
  }
}

/// Numbers by domain (or by node), and their sum.
struct DomainCounts: Sendable {
  private(set) var byDomain: [Int32] = []
  private(set) var total = 0

  subscript(domain: Int32) -> Int64 {
    domain >= 0 && domain < byDomain.count ? Int64(byDomain[Int(domain)]) : 0
  }

  mutating func add(_ delta: Int32, to domain: Int32) {
    guard domain >= 0 else { return }
    while byDomain.count <= domain { byDomain.append(0) }
    byDomain[Int(domain)] += delta
    total += Int(delta)
  }
}

/// A label and its value, by which selectors are found without trying all of them.
private struct LabelPair: Hashable, Sendable {
  var key: String
  var value: String

  /// A pair without which the selector matches nothing, if it has one.
  init?(requiredBy selector: LabelSelector) {
    for requirement in selector.requirements where requirement.values.count == 1 {
      switch requirement.operator {
      case .equals, .doubleEquals, .in:
        key = requirement.key
        value = requirement.values[0]
        return
      default: break
      }
    }
    return nil
  }

  init(key: String, value: String) {
    self.key = key
    self.value = value
  }
}

/// Numbered entries, found by the labels of pods that their selectors may match.
private struct SelectorIndex: Sendable {
  private var byPair: [LabelPair: Set<Int>] = [:]
  private var others: Set<Int> = []

  mutating func insert(_ entry: Int, _ selector: LabelSelector) {
    if let pair = LabelPair(requiredBy: selector) {
      byPair[pair, default: []].insert(entry)
    } else if !selector.matchesNothing {
      others.insert(entry)
    }
  }

  mutating func remove(_ entry: Int, _ selector: LabelSelector) {
    guard let pair = LabelPair(requiredBy: selector) else {
      others.remove(entry)
      return
    }
    byPair[pair]?.remove(entry)
    if byPair[pair]?.isEmpty == true { byPair[pair] = nil }
  }

  /// Every entry that may match, and some that do not.
  func forEach(_ labels: [String: String], _ body: (Int) -> Void) {
    for entry in others { body(entry) }
    guard !byPair.isEmpty else { return }
    for (key, value) in labels { for entry in byPair[LabelPair(key: key, value: value)] ?? [] { body(entry) } }
  }
}

/// Pods that match, counted by domain.
struct Tallies: Sendable {
  struct Question: Hashable, Sendable {
    /// A pod counts when it matches all of them.
    var matchers: [PodMatcher]
    /// Nil: by node.
    var topologyKey: String?
    /// Pods that are being deleted count, too.
    var includingDeleted: Bool
  }

  private struct Tally: Sendable {
    var question: Question
    var counts: DomainCounts
    var lastUse: UInt64
  }

  /// Questions kept. A pod asks a few, and pods of one workload ask the same.
  private static let maximumCount = 4096

  private var tallies: [Int: Tally] = [:]
  private var numbers: [Question: Int] = [:]
  private var index = SelectorIndex()
  private var lastNumber = 0
  private var clock: UInt64 = 0

  /// By which pods are counted.
  var topologyKeys: Set<String> { Set(numbers.keys.lazy.compactMap(\.topologyKey)) }

  mutating func answer(_ question: Question) -> DomainCounts? {
    guard let number = numbers[question] else { return nil }
    clock += 1
    tallies[number]?.lastUse = clock
    return tallies[number]?.counts
  }

  mutating func keep(_ question: Question, _ counts: DomainCounts) {
    if tallies.count >= Self.maximumCount { dropHalf() }
    lastNumber += 1
    clock += 1
    numbers[question] = lastNumber
    tallies[lastNumber] = Tally(question: question, counts: counts, lastUse: clock)
    if let first = question.matchers.first { index.insert(lastNumber, first.selector) }
  }

  /// Counts a pod in or out, wherever it matches. `domain` gives the domain of its node under a key.
  mutating func count(_ pod: PlacedPod, _ delta: Int32, domain: (String?) -> Int32) {
    guard !tallies.isEmpty else { return }
    var matching: [Int] = []
    index.forEach(pod.labels) { number in
      guard let question = tallies[number]?.question, question.matches(pod) else { return }
      matching.append(number)
    }
    for number in matching {
      guard let key = tallies[number]?.question.topologyKey else {
        tallies[number]?.counts.add(delta, to: domain(nil))
        continue
      }
      tallies[number]?.counts.add(delta, to: domain(key))
    }
  }

  private mutating func dropHalf() {
    let middle = tallies.values.map(\.lastUse).sorted()[tallies.count / 2]
    for (number, tally) in tallies where tally.lastUse < middle {
      tallies[number] = nil
      numbers[tally.question] = nil
      if let first = tally.question.matchers.first { index.remove(number, first.selector) }
    }
  }
}

extension Tallies.Question {
  func matches(_ pod: PlacedPod) -> Bool {
    (includingDeleted || !pod.isBeingDeleted)
      && matchers.allSatisfy { $0.matches(namespace: pod.key.namespace, labels: pod.labels) }
  }
}

/// What running pods want of others: their affinity and anti-affinity terms, each kept once with the domains in which
/// pods stand that have it.
struct Wishes: Sendable {
  enum Kind: Hashable, Sendable {
    case required, requiredAnti
    /// Below zero: anti-affinity.
    case preferred(weight: Int64)
  }

  struct Wish: Hashable, Sendable {
    var kind: Kind
    var term: PodAffinityTerm
  }

  private struct Counted: Sendable {
    var wish: Wish
    var counts = DomainCounts()
    /// Pods that have it, those outside of every domain included.
    var holders = 0
  }

  private var wishes: [Int: Counted] = [:]
  private var numbers: [Wish: Int] = [:]
  private var index = SelectorIndex()
  private var lastNumber = 0

  var isEmpty: Bool { wishes.isEmpty }

  /// Adds those by which pods are counted.
  func addTopologyKeys(to keys: inout Set<String>) {
    for wish in numbers.keys { keys.insert(wish.term.topologyKey) }
  }

  mutating func count(_ affinity: PodAffinity, _ delta: Int32, domain: (String?) -> Int32) {
    for term in affinity.required { count(Wish(kind: .required, term: term), delta, domain(term.topologyKey)) }
    for term in affinity.requiredAnti { count(Wish(kind: .requiredAnti, term: term), delta, domain(term.topologyKey)) }
    for (weight, term) in affinity.preferred {
      count(Wish(kind: .preferred(weight: weight), term: term), delta, domain(term.topologyKey))
    }
    for (weight, term) in affinity.preferredAnti {
      count(Wish(kind: .preferred(weight: -weight), term: term), delta, domain(term.topologyKey))
    }
  }

  /// Those that mean this pod.
  func about(_ pod: PodToSchedule, namespaceLabels: [String: String]) -> [(wish: Wish, counts: DomainCounts)] {
    guard !wishes.isEmpty else { return [] }
    var found: [(wish: Wish, counts: DomainCounts)] = []
    index.forEach(pod.labels) { number in
      guard let counted = wishes[number],
        counted.wish.term.matches(
          namespace: pod.key.namespace, namespaceLabels: namespaceLabels, labels: pod.labels)
      else { return }
      found.append((counted.wish, counted.counts))
    }
    return found
  }

  private mutating func count(_ wish: Wish, _ delta: Int32, _ domain: Int32) {
    let number = numbers[wish] ?? begin(wish)
    wishes[number]?.counts.add(delta, to: domain)
    wishes[number]?.holders += Int(delta)
    guard wishes[number]?.holders == 0 else { return }
    wishes[number] = nil
    numbers[wish] = nil
    index.remove(number, wish.term.selector)
  }

  private mutating func begin(_ wish: Wish) -> Int {
    lastNumber += 1
    numbers[wish] = lastNumber
    wishes[lastNumber] = Counted(wish: wish)
    index.insert(lastNumber, wish.term.selector)
    return lastNumber
  }
}
