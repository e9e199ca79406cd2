// How controllers create objects: under names of their own choosing, so that a creation whose answer was lost is asked for
// again under the same name, and never becomes two. (The reference leaves the name to the server, and makes one pod too
// many when an answer is lost; Sources/APIServer/DIVERGENCE.md.)
import Client
import JSON
import Schema
import Synchronization
import World

/// An object to be created for an owner.
struct CreationRequest: Sendable {
  /// Has a generateName: the name that is chosen begins with it.
  var object: JSONValue
  /// What it is for, among the owner's objects: a name that was chosen for one purpose serves no other.
  var purpose = ""

  fileprivate var base: String { object["metadata"]["generateName"].string ?? "" }
  fileprivate var use: OwnedObjectUse { OwnedObjectUse(base: base, purpose: purpose) }
}

/// Whose an object is to be.
struct ObjectOwner: Sendable {
  let key: NamespacedName
  let uid: String

  init(_ owner: some APIObject) { self.init(key: owner.key, uid: owner.metadata.uid) }

  init(key: NamespacedName, uid: String) {
    self.key = key
    self.uid = uid
  }
}

/// What a name was chosen for.
private struct OwnedObjectUse: Hashable {
  var base: String
  var purpose: String
}

/// The objects of one kind that one controller creates and deletes for its owners, between asking and seeing. Any
/// thread; for one owner one turn at a time, which a work queue sees to.
final class OwnedObjects<Object: APIObject>: Sendable {
  /// Names for which nobody has said what became of them; of one owner not more than two turns can leave behind.
  private static var unsettledLimit: Int { 1000 }
  /// A name that another's object has is replaced this often, as the server would.
  private static var renames: Int { 8 }

  let expectations: Expectations
  private let world: any World
  private let client: APIClient
  private let informer: Informer<Object>
  /// By owner's uid: names under which a creation was tried and failed, or had no answer. The object may come yet.
  private let unsettled = Mutex<[String: [String: OwnedObjectUse]]>([:])

  init(client: APIClient, informer: Informer<Object>, world: any World) {
    self.client = client
    self.informer = informer
    self.world = world
    expectations = Expectations(world: world)
  }

  /// Whether all that was asked for has been seen: counting is right.
  func isSettled(_ key: NamespacedName) -> Bool { expectations.isSatisfied(key) }

  /// The owner is gone; another may take its name, and has asked for nothing yet.
  func forget(_ owner: ObjectOwner) {
    expectations.forget(owner.key)
    unsettled.withLock { $0[owner.uid] = nil }
  }

  // MARK: Seeing

  func creationSeen(_ object: NamespacedName, of owner: ObjectOwner) {
    expectations.creationObserved(owner.key, object)
    settle(object.name, of: owner)
  }

  func deletionSeen(_ object: NamespacedName, of owner: ObjectOwner) {
    expectations.deletionObserved(owner.key, object)
    settle(object.name, of: owner)
  }

  private func settle(_ name: String, of owner: ObjectOwner) {
    unsettled.withLock { unsettled in
      guard unsettled[owner.uid]?.removeValue(forKey: name) != nil, unsettled[owner.uid]?.isEmpty == true else {
        return
      }
      unsettled[owner.uid] = nil
    }
  }

  // MARK: Asking

  /// Begins a turn: chooses the names, and expects to see what is asked for from here on.
  func begin(
    creating requests: [CreationRequest], deleting: [NamespacedName] = [], for owner: ObjectOwner
  ) -> [String] {
    let names = chooseNames(for: requests, of: owner)
    let keys = names.map { NamespacedName(namespace: owner.key.namespace, name: $0) }
    expectations.expect(creations: keys, deletions: deleting, by: owner.key)
    // Of those that had no answer some may have been seen just now, before anybody expected them.
    for key in keys where informer.get(key)?.metadata.controller?.uid == owner.uid { creationSeen(key, of: owner) }
    return names
  }

  /// First the names of which it is not known what became.
  private func chooseNames(for requests: [CreationRequest], of owner: ObjectOwner) -> [String] {
    guard !requests.isEmpty else { return [] }
    var left: [OwnedObjectUse: [String]] = [:]
    let known = unsettled.withLock { unsettled in
      if unsettled[owner.uid]?.count ?? 0 > Self.unsettledLimit { unsettled[owner.uid] = nil }
      return unsettled[owner.uid] ?? [:]
    }
    for (name, use) in known.sorted(by: { $0.key > $1.key }) { left[use, default: []].append(name) }
    var taken = Set(known.keys)
    return requests.map { request in
      if let name = left[request.use]?.popLast() { return name }
      let name = freshName(request.base, beside: taken, in: owner.key.namespace)
      taken.insert(name)
      return name
    }
  }

  /// As the server would make it; none that is known to be in use.
  private func freshName(_ base: String, beside taken: Set<String>, in namespace: String) -> String {
    var random = WorldRandom(world)
    while true {
      let name = ResourceNaming.generatedName(base, using: &random)
      if !taken.contains(name), informer.get(namespace: namespace, name: name) == nil { return name }
    }
  }

  /// Creates one of those that the turn began with; returns its name. What fails is not expected any more, and tried
  /// again under the same name whenever something is to be created for that purpose.
  func create(_ request: CreationRequest, named first: String, for owner: ObjectOwner) async throws -> String {
    var name = first
    var object = request.object
    for _ in 0...Self.renames {
      object["metadata"]["name"] = .string(name)
      let key = NamespacedName(namespace: owner.key.namespace, name: name)
      do {
        try await client.create(Object.reference, namespace: owner.key.namespace, object)
        settle(name, of: owner)
        return name
      } catch let status as APIStatus where status.reason == "AlreadyExists" {
        switch await holder(of: key) {
        case .success(owner.uid):
          // Carried out before, without an answer.
          settle(name, of: owner)
          return name
        case .success(nil): continue
        case .success:
          settle(name, of: owner)
          name = freshName(request.base, beside: [name], in: owner.key.namespace)
          expectations.expectCreation(
            NamespacedName(namespace: owner.key.namespace, name: name), insteadOf: key, by: owner.key)
        case .failure(let error): throw failed(key, request, owner, error)
        }
      } catch { throw failed(key, request, owner, error) }
    }
    let key = NamespacedName(namespace: owner.key.namespace, name: name)
    throw failed(key, request, owner, APIStatus.alreadyExists(Object.reference.groupResource, name))
  }

  private func failed(
    _ object: NamespacedName, _ request: CreationRequest, _ owner: ObjectOwner, _ error: any Error
  ) -> any Error {
    unsettled.withLock { $0[owner.uid, default: [:]][object.name] = request.use }
    expectations.creationObserved(owner.key, object)
    // It may have been seen while its answer was on the way.
    if informer.get(object) != nil { settle(object.name, of: owner) }
    return error
  }

  /// A turn of creations, one after the other; the first that fails ends it.
  func createAll(_ requests: [CreationRequest], for owner: ObjectOwner) async throws {
    guard !requests.isEmpty else { return }
    let names = begin(creating: requests, for: owner)
    for (index, request) in requests.enumerated() {
      do {
        _ = try await create(request, named: names[index], for: owner)
      } catch {
        abandon(names.dropFirst(index + 1), of: owner)
        throw error
      }
    }
  }

  /// What was not tried after all is not expected.
  func abandon(_ names: some Sequence<String>, of owner: ObjectOwner) {
    for name in names {
      expectations.creationObserved(owner.key, NamespacedName(namespace: owner.key.namespace, name: name))
    }
  }

  /// The uid that controls the object of that name, "" for nobody's; nil when there is no such object. By a list: that
  /// is what controllers' roles allow.
  private func holder(of key: NamespacedName) async -> Result<String?, any Error> {
    do {
      let found = try await client.list(
        Object.reference, namespace: key.namespace, ListOptions(fieldSelector: "metadata.name=\(key.name)"))
      return .success(found.items.first.map { Object(json: $0).metadata.controller?.uid ?? "" })
    } catch {
      return .failure(error)
    }
  }
}
