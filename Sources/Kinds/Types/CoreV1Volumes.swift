// The types of core/v1 for storage: volumes of pods, persistent volumes and claims. Notation: TypeTable.

extension TypeTable {
  static let coreV1Volumes = #"""
    AWSElasticBlockStoreVolumeSource:
      1:volumeID*! string; 2:fsType string; 3:partition int32; 4:readOnly bool
    AzureDiskVolumeSource:
      1:diskName*! string; 2:diskURI*! string; 3:cachingMode? string =ReadWrite; 4:fsType? string =ext4
      5:readOnly? bool =false; 6:kind? string =Shared
    AzureFilePersistentVolumeSource:
      1:secretName*! string; 2:shareName*! string; 3:readOnly bool; 4:secretNamespace?! string
    AzureFileVolumeSource:
      1:secretName*! string; 2:shareName*! string; 3:readOnly bool
    CSIPersistentVolumeSource:
      1:driver*! string; 2:volumeHandle*! string; 3:readOnly bool; 4:fsType string; 5:volumeAttributes map<string>
      6:controllerPublishSecretRef? SecretReference; 7:nodeStageSecretRef? SecretReference
      8:nodePublishSecretRef? SecretReference; 9:controllerExpandSecretRef? SecretReference
      10:nodeExpandSecretRef? SecretReference
    CSIVolumeSource:
      1:driver*! string; 2:readOnly? bool; 3:fsType? string; 4:volumeAttributes map<string>
      5:nodePublishSecretRef? LocalObjectReference
    CephFSPersistentVolumeSource:
      1:monitors*! string[]; 2:path string; 3:user string; 4:secretFile string; 5:secretRef? SecretReference
      6:readOnly bool
    CephFSVolumeSource:
      1:monitors*! string[]; 2:path string; 3:user string; 4:secretFile string; 5:secretRef? LocalObjectReference
      6:readOnly bool
    CinderPersistentVolumeSource:
      1:volumeID*! string; 2:fsType string; 3:readOnly bool; 4:secretRef? SecretReference
    CinderVolumeSource:
      1:volumeID*! string; 2:fsType string; 3:readOnly bool; 4:secretRef? LocalObjectReference
    ClusterTrustBundleProjection:
      1:name? string; 2:signerName? string; 3:labelSelector? meta.v1.LabelSelector; 4:path*! string; 5:optional? bool
    ConfigMapProjection:
      1:localObjectReference(inline) LocalObjectReference; 2:items KeyToPath[]; 4:optional? bool
    ConfigMapVolumeSource:
      1:localObjectReference(inline) LocalObjectReference; 2:items KeyToPath[]; 3:defaultMode? int32 =420
      4:optional? bool
    DownwardAPIProjection:
      1:items DownwardAPIVolumeFile[]
    DownwardAPIVolumeFile:
      1:path*! string; 2:fieldRef? ObjectFieldSelector; 3:resourceFieldRef? ResourceFieldSelector; 4:mode? int32
    DownwardAPIVolumeSource:
      1:items DownwardAPIVolumeFile[]; 2:defaultMode? int32 =420
    EmptyDirVolumeSource:
      1:medium string; 2:sizeLimit? Quantity
    EphemeralVolumeSource:
      1:volumeClaimTemplate? PersistentVolumeClaimTemplate
    FCVolumeSource:
      1:targetWWNs string[]; 2:lun? int32; 3:fsType string; 4:readOnly bool; 5:wwids string[]
    FlexPersistentVolumeSource:
      1:driver*! string; 2:fsType string; 3:secretRef? SecretReference; 4:readOnly bool; 5:options map<string>
    FlexVolumeSource:
      1:driver*! string; 2:fsType string; 3:secretRef? LocalObjectReference; 4:readOnly bool; 5:options map<string>
    FlockerVolumeSource:
      1:datasetName string; 2:datasetUUID string
    GCEPersistentDiskVolumeSource:
      1:pdName*! string; 2:fsType string; 3:partition int32; 4:readOnly bool
    GitRepoVolumeSource:
      1:repository*! string; 2:revision string; 3:directory string
    GlusterfsPersistentVolumeSource:
      1:endpoints*! string; 2:path*! string; 3:readOnly bool; 4:endpointsNamespace? string
    GlusterfsVolumeSource:
      1:endpoints*! string; 2:path*! string; 3:readOnly bool
    HostPathVolumeSource:
      1:path*! string; 2:type? string =""
    ISCSIPersistentVolumeSource:
      1:targetPortal*! string; 2:iqn*! string; 3:lun*! int32; 4:iscsiInterface string =default; 5:fsType string
      6:readOnly bool; 7:portals string[]; 8:chapAuthDiscovery bool; 10:secretRef? SecretReference
      11:chapAuthSession bool; 12:initiatorName? string
    ISCSIVolumeSource:
      1:targetPortal*! string; 2:iqn*! string; 3:lun*! int32; 4:iscsiInterface string =default; 5:fsType string
      6:readOnly bool; 7:portals string[]; 8:chapAuthDiscovery bool; 10:secretRef? LocalObjectReference
      11:chapAuthSession bool; 12:initiatorName? string
    ImageVolumeSource:
      1:reference string; 2:pullPolicy string
    KeyToPath:
      1:key*! string; 2:path*! string; 3:mode? int32
    LocalVolumeSource:
      1:path*! string; 2:fsType? string
    ModifyVolumeStatus:
      1:targetVolumeAttributesClassName string; 2:status*! string
    NFSVolumeSource:
      1:server*! string; 2:path*! string; 3:readOnly bool
    PersistentVolume @kind "A piece of storage in the cluster, independent of any pod.":
      1:metadata! meta.v1.ObjectMeta; 2:spec! PersistentVolumeSpec; 3:status! PersistentVolumeStatus ={}
    PersistentVolumeClaim @kind "A request for a persistent volume.":
      1:metadata! meta.v1.ObjectMeta; 2:spec! PersistentVolumeClaimSpec; 3:status! PersistentVolumeClaimStatus ={}
    PersistentVolumeClaimCondition:
      1:type*! string; 2:status*! string; 3:lastProbeTime! Time; 4:lastTransitionTime! Time; 5:reason string
      6:message string
    PersistentVolumeClaimSpec:
      1:accessModes string[]; 2:resources! VolumeResourceRequirements; 3:volumeName string
      4:selector? meta.v1.LabelSelector; 5:storageClassName? string
      6:volumeMode? string =Filesystem {Block,Filesystem}
      7:dataSource? TypedLocalObjectReference; 8:dataSourceRef? TypedObjectReference
      9:volumeAttributesClassName? string
    PersistentVolumeClaimStatus:
      1:phase string =Pending {Bound,Lost,Pending}
      2:accessModes string[]; 3:capacity map<Quantity>
      4:conditions PersistentVolumeClaimCondition[] @map(type) @merge(type); 5:allocatedResources map<Quantity>
      7:allocatedResourceStatuses map<string>; 8:currentVolumeAttributesClassName? string
      9:modifyVolumeStatus? ModifyVolumeStatus
    PersistentVolumeClaimTemplate:
      1:metadata! meta.v1.ObjectMeta; 2:spec*! PersistentVolumeClaimSpec
    PersistentVolumeClaimVolumeSource:
      1:claimName*! string; 2:readOnly bool
    PersistentVolumeSource:
      1:gcePersistentDisk? GCEPersistentDiskVolumeSource; 2:awsElasticBlockStore? AWSElasticBlockStoreVolumeSource
      3:hostPath? HostPathVolumeSource; 4:glusterfs? GlusterfsPersistentVolumeSource; 5:nfs? NFSVolumeSource
      6:rbd? RBDPersistentVolumeSource; 7:iscsi? ISCSIPersistentVolumeSource; 8:cinder? CinderPersistentVolumeSource
      9:cephfs? CephFSPersistentVolumeSource; 10:fc? FCVolumeSource; 11:flocker? FlockerVolumeSource
      12:flexVolume? FlexPersistentVolumeSource; 13:azureFile? AzureFilePersistentVolumeSource
      14:vsphereVolume? VsphereVirtualDiskVolumeSource; 15:quobyte? QuobyteVolumeSource
      16:azureDisk? AzureDiskVolumeSource; 17:photonPersistentDisk? PhotonPersistentDiskVolumeSource
      18:portworxVolume? PortworxVolumeSource; 19:scaleIO? ScaleIOPersistentVolumeSource; 20:local? LocalVolumeSource
      21:storageos? StorageOSPersistentVolumeSource; 22:csi? CSIPersistentVolumeSource
    PersistentVolumeSpec:
      1:capacity map<Quantity>; 2:persistentVolumeSource(inline) PersistentVolumeSource; 3:accessModes string[]
      4:claimRef? ObjectReference @granular
      5:persistentVolumeReclaimPolicy string =Retain {Delete,Recycle,Retain}
      6:storageClassName string; 7:mountOptions string[]
      8:volumeMode? string =Filesystem {Block,Filesystem}
      9:nodeAffinity? VolumeNodeAffinity; 10:volumeAttributesClassName? string
    PersistentVolumeStatus:
      1:phase string =Pending {Available,Bound,Failed,Pending,Released}
      2:message string; 3:reason string; 4:lastPhaseTransitionTime? Time
    PhotonPersistentDiskVolumeSource:
      1:pdID*! string; 2:fsType string
    PortworxVolumeSource:
      1:volumeID*! string; 2:fsType string; 3:readOnly bool
    ProjectedVolumeSource:
      1:sources! VolumeProjection[]; 2:defaultMode? int32 =420
    QuobyteVolumeSource:
      1:registry*! string; 2:volume*! string; 3:readOnly bool; 4:user string; 5:group string; 6:tenant string
    RBDPersistentVolumeSource:
      1:monitors*! string[]; 2:image*! string; 3:fsType string; 4:pool string =rbd; 5:user string =admin
      6:keyring string =/etc/ceph/keyring; 7:secretRef? SecretReference; 8:readOnly bool
    RBDVolumeSource:
      1:monitors*! string[]; 2:image*! string; 3:fsType string; 4:pool string =rbd; 5:user string =admin
      6:keyring string =/etc/ceph/keyring; 7:secretRef? LocalObjectReference; 8:readOnly bool
    ScaleIOPersistentVolumeSource:
      1:gateway*! string; 2:system*! string; 3:secretRef*?! SecretReference; 4:sslEnabled bool
      5:protectionDomain string; 6:storagePool string; 7:storageMode string =ThinProvisioned; 8:volumeName string
      9:fsType string =xfs; 10:readOnly bool
    ScaleIOVolumeSource:
      1:gateway*! string; 2:system*! string; 3:secretRef*?! LocalObjectReference; 4:sslEnabled bool
      5:protectionDomain string; 6:storagePool string; 7:storageMode string =ThinProvisioned; 8:volumeName string
      9:fsType string =xfs; 10:readOnly bool
    SecretProjection:
      1:localObjectReference(inline) LocalObjectReference; 2:items KeyToPath[]; 4:optional? bool
    SecretReference @atomic:
      1:name string; 2:namespace string
    SecretVolumeSource:
      1:secretName string; 2:items KeyToPath[]; 3:defaultMode? int32 =420; 4:optional? bool
    ServiceAccountTokenProjection:
      1:audience string; 2:expirationSeconds? int64 =3600; 3:path*! string
    StorageOSPersistentVolumeSource:
      1:volumeName string; 2:volumeNamespace string; 3:fsType string; 4:readOnly bool; 5:secretRef? ObjectReference
    StorageOSVolumeSource:
      1:volumeName string; 2:volumeNamespace string; 3:fsType string; 4:readOnly bool
      5:secretRef? LocalObjectReference
    TypedObjectReference:
      1:apiGroup?! string; 2:kind*! string; 3:name*! string; 4:namespace? string
    Volume "A directory or device that containers of the pod can mount.":
      1:name*! string; 2:volumeSource(inline) VolumeSource
    VolumeDevice:
      1:name*! string; 2:devicePath*! string
    VolumeMount:
      1:name*! string; 2:readOnly bool; 3:mountPath*! string; 4:subPath string; 5:mountPropagation? string
      6:subPathExpr string; 7:recursiveReadOnly? string
    VolumeMountStatus:
      1:name*! string; 2:mountPath*! string; 3:readOnly bool; 4:recursiveReadOnly? string
    VolumeNodeAffinity:
      1:required? NodeSelector
    VolumeProjection:
      1:secret? SecretProjection; 2:downwardAPI? DownwardAPIProjection; 3:configMap? ConfigMapProjection
      4:serviceAccountToken? ServiceAccountTokenProjection; 5:clusterTrustBundle? ClusterTrustBundleProjection
    VolumeResourceRequirements:
      1:limits map<Quantity>; 2:requests map<Quantity>
    VolumeSource:
      1:hostPath? HostPathVolumeSource; 2:emptyDir? EmptyDirVolumeSource
      3:gcePersistentDisk? GCEPersistentDiskVolumeSource; 4:awsElasticBlockStore? AWSElasticBlockStoreVolumeSource
      5:gitRepo? GitRepoVolumeSource; 6:secret? SecretVolumeSource; 7:nfs? NFSVolumeSource; 8:iscsi? ISCSIVolumeSource
      9:glusterfs? GlusterfsVolumeSource; 10:persistentVolumeClaim? PersistentVolumeClaimVolumeSource
      11:rbd? RBDVolumeSource; 12:flexVolume? FlexVolumeSource; 13:cinder? CinderVolumeSource
      14:cephfs? CephFSVolumeSource; 15:flocker? FlockerVolumeSource; 16:downwardAPI? DownwardAPIVolumeSource
      17:fc? FCVolumeSource; 18:azureFile? AzureFileVolumeSource; 19:configMap? ConfigMapVolumeSource
      20:vsphereVolume? VsphereVirtualDiskVolumeSource; 21:quobyte? QuobyteVolumeSource
      22:azureDisk? AzureDiskVolumeSource; 23:photonPersistentDisk? PhotonPersistentDiskVolumeSource
      24:portworxVolume? PortworxVolumeSource; 25:scaleIO? ScaleIOVolumeSource; 26:projected? ProjectedVolumeSource
      27:storageos? StorageOSVolumeSource; 28:csi? CSIVolumeSource; 29:ephemeral? EphemeralVolumeSource
      30:image? ImageVolumeSource
    VsphereVirtualDiskVolumeSource:
      1:volumePath*! string; 2:fsType string; 3:storagePolicyName string; 4:storagePolicyID string
    """#
}
