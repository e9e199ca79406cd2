// What becomes of the folder of a volume that goes: a pod on its node removes it, as the local-path provisioner of other
// clusters does it. The volume is there until that is done; what fails is tried again.
import Client
import JSON
import World

/// The next step, as a value.
enum FolderCleaning {
  /// Where the helpers run.
  static let namespace = "kube-system"
  /// On a helper: the volume whose folder it removes.
  static let volumeLabel = "trireme.io/cleans-volume"
  static let imageAnnotation = "trireme.io/helper-image"
  static let usualImage = "busybox:stable"
  /// A helper that has not ended by then is complained of.
  private static let timeout = Duration.seconds(120)
  /// One that failed is kept for so long, for whoever wants to see why, then there is another.
  private static let retry = Duration.seconds(300)
  private static let mountPath = "/volumes"

  case start(JSONValue)
  case wait(Duration, VolumeRemark?)
  case again(helper: Pod)
  /// Nothing is left, or its node is gone and everything with it.
  case finished
  case refuse(VolumeRemark)

  static func helperKey(_ volume: String) -> NamespacedName {
    NamespacedName(namespace: namespace, name: "helper-pod-delete-\(volume)")
  }

  /// `node`: where the folder is, nil when there is no such node any more.
  init(_ volume: PersistentVolume, node: Node?, helper: Pod?, now: WallTime) {
    func failed(_ why: String) -> VolumeRemark {
      VolumeRemark(
        isWarning: true, reason: "VolumeFailedDelete", message: "failed to delete volume \(volume.name): \(why)")
    }
    guard let folder = Self.folder(of: volume) else {
      self = .refuse(failed("\(volume.hostPath) is not a folder that was made for it"))
      return
    }
    guard let node else {
      self = .finished
      return
    }
    guard let helper else {
      self = .start(Self.helper(volume, folder, node.name))
      return
    }
    let age = now - (helper.metadata.creationTimestamp ?? now)
    if helper.status.phase == "Succeeded" {
      self = .finished
    } else if helper.metadata.isBeingDeleted {
      self = .wait(Self.timeout, nil)
    } else if helper.status.phase == "Failed" {
      let left = Self.retry - age
      self =
        left > .zero
        ? .wait(left, failed("helper pod \(helper.key) failed on node \(node.name)")) : .again(helper: helper)
    } else if age < Self.timeout {
      self = .wait(Self.timeout - age, nil)
    } else {
      self = .wait(
        Self.timeout,
        failed(
          "helper pod \(helper.key) has not ended on node \(node.name) after \(Self.timeout.components.seconds) seconds"
        ))
    }
  }

  /// The folder's parent and name. Only what has the name that the provisioner gives is ever removed: a volume that was
  /// written by hand could name any folder of the node.
  private static func folder(of volume: PersistentVolume) -> (parent: String, name: String)? {
    guard let claim = volume.claim, let slash = volume.hostPath.lastIndex(of: "/"),
      volume.hostPath.first == "/", slash > volume.hostPath.startIndex
    else { return nil }
    let name = String(volume.hostPath[volume.hostPath.index(after: slash)...])
    guard name == LocalPathProvisioner.folderName(volume: volume.name, claim.key) else { return nil }
    return (String(volume.hostPath[..<slash]), name)
  }

  private static func helper(
    _ volume: PersistentVolume, _ folder: (parent: String, name: String), _ node: String
  ) -> JSONValue {
    let key = helperKey(volume.name)
    let image = volume.metadata.annotations[imageAnnotation] ?? usualImage
    return [
      "apiVersion": "v1", "kind": "Pod",
      "metadata": [
        "name": .string(key.name), "namespace": .string(key.namespace),
        "labels": .object([volumeLabel: .string(volume.name)]),
      ],
      "spec": [
        // Whatever else the node is not fit for.
        "nodeName": .string(node), "tolerations": [["operator": "Exists"]], "restartPolicy": "Never",
        "automountServiceAccountToken": false, "enableServiceLinks": false,
        "containers": [
          [
            "name": "helper-pod", "image": .string(image), "imagePullPolicy": "IfNotPresent",
            "command": ["rm", "-rf", .string("\(mountPath)/\(folder.name)")],
            "volumeMounts": [["name": "volumes", "mountPath": .string(mountPath)]],
          ]
        ],
        "volumes": [
          ["name": "volumes", "hostPath": ["path": .string(folder.parent), "type": "DirectoryOrCreate"]]
        ],
      ],
    ]
  }
}
