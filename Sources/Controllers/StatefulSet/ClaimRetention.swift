// Who owns the claims of a StatefulSet's pods (persistentVolumeClaimRetentionPolicy): the garbage collector deletes them
// with their owners. With the set when it goes, or with the pod that is one too many.
import Client

struct ClaimRetention {
  let set: StatefulSet
  /// The pod's name and uid; the uid is empty before it is made.
  let pod: OwnerReference
  /// The pod is one that the set will not have any more.
  let isScaledDown: Bool

  init(set: StatefulSet, pod: Pod, ordinal: Int64) {
    self.init(set: set, podName: pod.name, podUID: pod.metadata.uid, ordinal: ordinal)
  }

  init(set: StatefulSet, podName: String, podUID: String, ordinal: Int64) {
    self.set = set
    pod = OwnerReference(apiVersion: "v1", kind: "Pod", name: podName, uid: podUID)
    isScaledDown = !set.ordinals.contains(ordinal)
  }

  /// The claim belongs to an earlier pod of that name: it is about to go, and no pod may use it.
  func isStale(_ owners: [OwnerReference]) -> Bool {
    set.deletesClaimsWithPod && owners.contains { isNamed(pod, $0) && $0.uid != pod.uid }
  }

  /// Somebody else manages the claim: the policy is not for it.
  func hasForeignController(_ owners: [OwnerReference]) -> Bool {
    guard set.deletesClaimsWithSet || set.deletesClaimsWithPod else { return false }
    return owners.contains { owner in
      for own in [set.controllerReference, pod] where isNamed(own, owner) { return owner.uid != own.uid }
      return owner.controller
    }
  }

  /// The owners that the claim should have; nil when it has them, or must be left alone.
  func correction(_ owners: [OwnerReference]) -> [OwnerReference]? {
    let own = [set.controllerReference, pod]
    for reference in own {
      // Of an earlier set or pod: not ours to touch.
      if let known = owners.first(where: { isNamed(reference, $0) }), known.uid != reference.uid { return nil }
    }
    let others = owners.filter { owner in !own.contains { isNamed($0, owner) } }
    var wanted: [OwnerReference] = []
    if !hasForeignController(owners) {
      if isScaledDown && set.deletesClaimsWithPod {
        wanted = [pod]
      } else if set.deletesClaimsWithSet {
        wanted = [set.controllerReference]
      }
    }
    let present = owners.filter { owner in own.contains { isNamed($0, owner) } }
    let isSame = Set(present.map(\.uid)) == Set(wanted.map(\.uid)) && present.allSatisfy(\.controller)
    return isSame ? nil : others + wanted
  }

  private func isNamed(_ one: OwnerReference, _ other: OwnerReference) -> Bool {
    one.apiVersion == other.apiVersion && one.kind == other.kind && one.name == other.name
  }
}
