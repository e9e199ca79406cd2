// Which objects belong to an owner, and how they change hands (spec/5, "Common machinery").
import Client
import JSON
import Schema

/// The objects of one kind, as one owner sees them.
struct Claim<Object: APIObject> {
  var owned: [Object] = []
  /// Match the selector and have no owner.
  var toAdopt: [Object] = []
  /// Owned, but match no longer.
  var toRelease: [Object] = []

  /// `controlled`: objects that name the owner's uid; `orphans`: objects of the namespace that nobody controls.
  /// `isMember`: what else makes an object the owner's; `isAdoptable`: what else an orphan needs.
  init(
    owner: some SelectingOwner, controlled: [Object], orphans: [Object], isMember: (Object) -> Bool,
    isAdoptable: (Object) -> Bool
  ) {
    for object in controlled {
      if owner.selector.matches(object.metadata.labels) && isMember(object) {
        owned.append(object)
      } else if !object.metadata.isBeingDeleted {
        toRelease.append(object)
      }
    }
    guard !owner.metadata.isBeingDeleted else { return }
    toAdopt = orphans.filter { object in
      !object.metadata.isBeingDeleted && isAdoptable(object) && owner.selector.matches(object.metadata.labels)
        && isMember(object)
    }
  }
}

extension APIClient {
  /// The objects that are the owner's, after adopting and releasing. `adopt` returns the object as it is then.
  func claim<Owner: SelectingOwner, Object: APIObject>(
    _ objects: Informer<Object>, for owner: Owner, isMember: (Object) -> Bool = { _ in true },
    isAdoptable: (Object) -> Bool = { _ in true }, adopt: ((Object) async throws -> Object)? = nil,
    release: ((Object) async throws -> Void)? = nil
  ) async throws -> [Object] {
    let claim = Claim(
      owner: owner, controlled: objects.objects(index: IndexName.controllerUID, value: owner.metadata.uid),
      orphans: objects.objects(index: IndexName.orphan, value: owner.namespace), isMember: isMember,
      isAdoptable: isAdoptable)
    var owned = claim.owned
    if !claim.toAdopt.isEmpty, try await isStillThere(owner) {
      for object in claim.toAdopt {
        if let adopt {
          owned.append(try await adopt(object))
        } else {
          try await setController(owner.controllerReference, of: object)
          owned.append(object)
        }
      }
    }
    for object in claim.toRelease {
      if let release {
        try await release(object)
      } else {
        try await removeOwner(uid: owner.metadata.uid, of: object)
      }
    }
    return owned
  }

  /// A live read before adopting: the informer may not know yet that the owner was deleted and made anew.
  func isStillThere<Owner: APIObject>(_ owner: Owner) async throws -> Bool {
    guard let live = try await find(Owner.reference, namespace: owner.namespace, name: owner.name) else { return false }
    return live["metadata"]["uid"].string == owner.metadata.uid && live["metadata"]["deletionTimestamp"].isNull
  }

  /// Makes `owner` the controller of an orphan; the uid in the patch keeps it from meeting another object of that name.
  func setController<Object: APIObject>(_ owner: OwnerReference, of object: Object) async throws {
    try await patch(
      Object.reference, namespace: object.namespace, name: object.name,
      ["metadata": ["ownerReferences": [owner.json], "uid": .string(object.metadata.uid)]], type: .strategic)
  }

  /// Takes an owner off an object; an object that has gone meanwhile needs no release.
  func removeOwner<Object: APIObject>(uid: String, of object: Object) async throws {
    do {
      try await patch(
        Object.reference, namespace: object.namespace, name: object.name,
        [
          "metadata": [
            "ownerReferences": [["$patch": "delete", "uid": .string(uid)]], "uid": .string(object.metadata.uid),
          ]
        ], type: .strategic)
    } catch let status as APIStatus where status.code == 404 || status.code == 422 || status.code == 409 {
      return
    }
  }
}

extension Informer where Object: SelectingOwner {
  /// The owner that controls an object; not an earlier one of that name.
  func controller(of object: some ObjectWithMetadata) -> Object? {
    guard let key = controllerKey(of: object.metadata), let owner = get(key),
      owner.metadata.uid == object.metadata.controller?.uid
    else { return nil }
    return owner
  }

  /// Where an object says that its controller is, if that is of this kind.
  func controllerKey(of metadata: ObjectMeta) -> NamespacedName? {
    guard let controller = metadata.controller, controller.kind == Object.reference.kind,
      controller.apiVersion == Object.reference.apiVersion
    else { return nil }
    return NamespacedName(namespace: metadata.namespace, name: controller.name)
  }

  /// An orphan concerns every owner whose selector matches it.
  func suitors(of orphan: some ObjectWithMetadata) -> [Object] {
    guard orphan.metadata.controller == nil else { return [] }
    return objects(index: IndexName.namespace, value: orphan.namespace)
      .filter { $0.selector.matches(orphan.metadata.labels) }
  }
}
