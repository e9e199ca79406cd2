// The types of storage/v1. Notation: TypeTable.

extension TypeTable {
  static let storageV1 = #"""
    CSIDriver @kind "A CSI volume driver deployed on the cluster.":
      1:metadata! meta.v1.ObjectMeta; 2:spec*! CSIDriverSpec
    CSIDriverSpec:
      1:attachRequired? bool =true; 2:podInfoOnMount? bool =false; 3:volumeLifecycleModes string[] @set =[Persistent]
      4:storageCapacity? bool =false
      5:fsGroupPolicy? string =ReadWriteOnceWithFSType {File,None,ReadWriteOnceWithFSType}
      6:tokenRequests TokenRequest[]; 7:requiresRepublish? bool =false; 8:seLinuxMount? bool =false
    CSINode @kind "The CSI drivers installed on one node.":
      1:metadata! meta.v1.ObjectMeta; 2:spec*! CSINodeSpec
    CSINodeDriver:
      1:name*! string; 2:nodeID*! string; 3:topologyKeys! string[]; 4:allocatable? VolumeNodeResources
    CSINodeSpec:
      1:drivers*! CSINodeDriver[] @map(name) @merge(name)
    CSIStorageCapacity @kind "Storage capacity of a class in a part of the cluster.":
      1:metadata! meta.v1.ObjectMeta; 2:nodeTopology? meta.v1.LabelSelector; 3:storageClassName*! string
      4:capacity? Quantity; 5:maximumVolumeSize? Quantity
    StorageClass @kind "A class of storage with its provisioner.":
      1:metadata! meta.v1.ObjectMeta; 2:provisioner*! string; 3:parameters map<string>
      4:reclaimPolicy? string =Delete {Delete,Recycle,Retain}
      5:mountOptions string[]; 6:allowVolumeExpansion? bool
      7:volumeBindingMode? string =Immediate {Immediate,WaitForFirstConsumer}
      8:allowedTopologies core.v1.TopologySelectorTerm[]
    TokenRequest:
      1:audience*! string; 2:expirationSeconds? int64
    VolumeAttachment @kind "The intent to attach a volume to a node, or detach it.":
      1:metadata! meta.v1.ObjectMeta; 2:spec*! VolumeAttachmentSpec; 3:status! VolumeAttachmentStatus
    VolumeAttachmentSource:
      1:persistentVolumeName? string; 2:inlineVolumeSpec? core.v1.PersistentVolumeSpec
    VolumeAttachmentSpec:
      1:attacher*! string; 2:source*! VolumeAttachmentSource; 3:nodeName*! string
    VolumeAttachmentStatus:
      1:attached*! bool; 2:attachmentMetadata map<string>; 3:attachError? VolumeError; 4:detachError? VolumeError
    VolumeError:
      1:time! Time; 2:message string
    VolumeNodeResources:
      1:count? int32
    """#
}
