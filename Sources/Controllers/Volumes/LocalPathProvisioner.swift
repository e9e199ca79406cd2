// Volumes that are folders of a node, made when a pod needs one: the storage that every cluster has without anything
// installed. The kubelet makes the folder when the first pod mounts it; when the volume goes, FolderCleaning has it removed.
import Client
import JSON

enum LocalPathProvisioner {
  static let name = "trireme.io/local-path"
  /// The parameter of a class that says where its volumes lie, and where they lie without it.
  static let pathParameter = "path"
  static let defaultPath = "/var/lib/trireme/volumes"
  /// The parameter that names the image of the pods that remove folders; it must have `rm`.
  static let imageParameter = "helperImage"

  /// Why there can be no such volume.
  struct Refusal: Error, CustomStringConvertible {
    let description: String
  }

  /// A folder is called after its volume and the claim.
  static func folderName(volume: String, _ claim: NamespacedName) -> String {
    "\(volume)_\(claim.namespace)_\(claim.name)"
  }

  static func volumeName(_ claim: PersistentVolumeClaim) -> String { "pvc-\(claim.metadata.uid)" }

  /// The volume for a claim on the node that was chosen for its first pod.
  static func volume(for claim: PersistentVolumeClaim, _ storageClass: StorageClass, node: Node) throws(Refusal)
    -> JSONValue
  {
    guard claim.accessModes.allSatisfy({ $0 == "ReadWriteOnce" || $0 == "ReadWriteOncePod" }) else {
      throw Refusal(description: "a folder of one node supports only ReadWriteOnce and ReadWriteOncePod access modes")
    }
    guard claim.volumeMode == "Filesystem" else {
      throw Refusal(description: "a folder of a node supports only volume mode Filesystem")
    }
    guard claim.selector == nil else { throw Refusal(description: "claim.Spec.Selector is not supported") }
    let name = volumeName(claim)
    let parent = storageClass.parameters[pathParameter] ?? defaultPath
    let host = node.metadata.labels["kubernetes.io/hostname"] ?? node.name
    var volume: JSONValue = [
      "apiVersion": "v1", "kind": "PersistentVolume",
      "metadata": [
        "name": .string(name), "annotations": .object([VolumeAnnotation.provisionedBy: .string(Self.name)]),
      ],
      "spec": [
        "capacity": ["storage": .string("\(claim.requested)")],
        "accessModes": .array(claim.accessModes.map { .string($0) }), "volumeMode": .string(claim.volumeMode),
        "persistentVolumeReclaimPolicy": .string(storageClass.reclaimPolicy),
        "storageClassName": .string(storageClass.name),
        "claimRef": [
          "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": .string(claim.namespace),
          "name": .string(claim.name), "uid": .string(claim.metadata.uid),
        ],
        "hostPath": [
          "path": .string("\(parent)/\(folderName(volume: name, claim.key))"), "type": "DirectoryOrCreate",
        ],
        "nodeAffinity": [
          "required": [
            "nodeSelectorTerms": [
              [
                "matchExpressions": [
                  ["key": "kubernetes.io/hostname", "operator": "In", "values": [.string(host)]]
                ]
              ]
            ]
          ]
        ],
      ],
    ]
    if storageClass.reclaimPolicy == "Delete" {
      volume["metadata"]["finalizers"] = [.string(VolumeBinder.contentFinalizer)]
    }
    if let image = storageClass.parameters[imageParameter] {
      volume["metadata"]["annotations"][FolderCleaning.imageAnnotation] = .string(image)
    }
    if !storageClass.mountOptions.isNull { volume["spec"]["mountOptions"] = storageClass.mountOptions }
    return volume
  }
}
