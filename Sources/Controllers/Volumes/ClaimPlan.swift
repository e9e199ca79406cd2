// What becomes of a claim, and of a volume, as values (spec/5 §5.9).
import Client
import Schema

/// Something to tell about a claim or a volume.
struct VolumeRemark: Hashable {
  var isWarning = false
  var reason: String
  var message: String
}

/// What a claim's fate depends on.
struct ClaimSurroundings {
  /// The volume that the claim names.
  var named: PersistentVolume?
  /// Volumes of its class that are nobody's, and those meant for it.
  var candidates: [PersistentVolume] = []
  var storageClass: StorageClass?
  var defaultClass: StorageClass?
  /// Pods that use the claim and have no node yet.
  var waitingPods: [String] = []
}

enum ClaimPlan {
  case nothing
  case bind(PersistentVolume)
  /// The class that claims without any are given.
  case assign(className: String)
  case provision(StorageClass)
  case wait(VolumeRemark?)
  case lose(VolumeRemark)

  init(_ claim: PersistentVolumeClaim, _ surroundings: ClaimSurroundings) {
    if claim.isBindCompleted {
      self = Self.bound(claim, surroundings)
    } else if claim.metadata.isBeingDeleted {
      self = .nothing
    } else if claim.volumeName.isEmpty {
      self = Self.searching(claim, surroundings)
    } else {
      self = Self.wanting(claim, surroundings)
    }
  }

  /// A claim that was bound stays so, or is lost for good.
  private static func bound(_ claim: PersistentVolumeClaim, _ surroundings: ClaimSurroundings) -> Self {
    func lost(_ reason: String, _ message: String) -> Self {
      .lose(VolumeRemark(isWarning: true, reason: reason, message: message))
    }
    if claim.volumeName.isEmpty {
      return lost(
        "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
    }
    guard let volume = surroundings.named else {
      return lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    }
    guard volume.claim == nil || volume.claim?.uid == claim.metadata.uid else {
      return lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
    }
    return .bind(volume)
  }

  /// A claim that takes what suits it.
  private static func searching(_ claim: PersistentVolumeClaim, _ surroundings: ClaimSurroundings) -> Self {
    if claim.className == nil, let defaultClass = surroundings.defaultClass {
      return .assign(className: defaultClass.name)
    }
    let isDelayed = surroundings.storageClass?.waitsForConsumer ?? false
    let best = VolumeMatch.best(for: claim, among: surroundings.candidates, onlyReserved: isDelayed)
    if let best { return .bind(best) }
    if isDelayed && claim.selectedNode == nil { return .wait(delayed(surroundings.waitingPods)) }
    guard let name = claim.className, !name.isEmpty else {
      return .wait(
        VolumeRemark(
          reason: "FailedBinding",
          message: "no persistent volumes available for this claim and no storage class is set"))
    }
    guard let storageClass = surroundings.storageClass else {
      return .wait(failed("storageclass.storage.k8s.io \"\(name)\" not found"))
    }
    return .provision(storageClass)
  }

  private static func delayed(_ pods: [String]) -> VolumeRemark {
    guard !pods.isEmpty else {
      return VolumeRemark(
        reason: "WaitForFirstConsumer", message: "waiting for first consumer to be created before binding")
    }
    let noun = pods.count > 1 ? "pods" : "pod"
    return VolumeRemark(
      reason: "WaitForPodScheduled",
      message: "waiting for \(noun) \(pods.joined(separator: ", ")) to be scheduled")
  }

  static func failed(_ message: String) -> VolumeRemark {
    VolumeRemark(isWarning: true, reason: "ProvisioningFailed", message: message)
  }

  /// A claim that names its volume.
  private static func wanting(_ claim: PersistentVolumeClaim, _ surroundings: ClaimSurroundings) -> Self {
    guard let volume = surroundings.named else { return .wait(nil) }
    if volume.isFor(claim) { return .bind(volume) }
    guard volume.claim == nil else {
      return .wait(
        VolumeRemark(
          isWarning: true, reason: "FailedBinding",
          message: "volume \"\(volume.name)\" already bound to a different claim."))
    }
    if let mismatch = VolumeMatch.mismatch(claim, volume) {
      return .wait(
        VolumeRemark(
          isWarning: true, reason: "VolumeMismatch",
          message: "Cannot bind to requested volume \"\(volume.name)\": \(mismatch)"))
    }
    return .bind(volume)
  }
}

enum VolumePlan {
  /// As it is, its phase should be this.
  case phase(String)
  /// The claim has not been told yet.
  case tell(NamespacedName)
  /// The claim has another volume.
  case unbind
  case release(Reclaim)

  /// What becomes of a volume that is released.
  enum Reclaim {
    case keep
    case delete
    case fail(VolumeRemark)
  }

  /// `claim`: the one that the volume names, nil when there is none of that uid.
  init(_ volume: PersistentVolume, claim: PersistentVolumeClaim?) {
    guard let reference = volume.claim, !reference.uid.isEmpty else {
      self = .phase("Available")
      return
    }
    guard let claim else {
      self = .release(Self.reclaim(volume))
      return
    }
    if claim.volumeName.isEmpty {
      self = .tell(claim.key)
    } else if claim.volumeName == volume.name {
      self = .phase("Bound")
    } else if volume.metadata.annotations[VolumeAnnotation.provisionedBy] != nil && volume.reclaimPolicy == "Delete" {
      self = .release(Self.reclaim(volume))
    } else {
      self = .unbind
    }
  }

  private static func reclaim(_ volume: PersistentVolume) -> Reclaim {
    switch volume.reclaimPolicy {
    case "Delete":
      switch volume.metadata.annotations[VolumeAnnotation.provisionedBy] {
      case LocalPathProvisioner.name: return .delete
      case .some: return .keep
      case nil:
        if volume.isCSI { return .keep }
        return .fail(
          VolumeRemark(
            isWarning: true, reason: "VolumeFailedDelete",
            message: "error getting deleter volume plugin for volume \"\(volume.name)\": "
              + "no deletable volume plugin matched"))
      }
    case "Recycle":
      return .fail(
        VolumeRemark(
          isWarning: true, reason: "VolumeFailedRecycle", message: "No recycler plugin found for the volume!"))
    default: return .keep
    }
  }
}
