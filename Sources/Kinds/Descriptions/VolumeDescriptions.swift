// Volumes, claims, storage classes and drivers.

extension FieldDescriptions {
  static let volumes = #"""
    volumeSource: What the volume is made of.
    persistentVolumeSource: What the volume is made of.
    volumeID: The volume's identity.
    fsType: The file system, such as ext4.
    diskName: The disk's name.
    diskURI: The disk's address.
    cachingMode: How the host caches.
    secretName: The secret.
    secretNamespace: The secret's namespace.
    shareName: The share.
    driver: The driver.
    volumeHandle: The volume's identity in the eyes of the driver.
    volumeAttributes: What the driver needs to know.
    controllerPublishSecretRef: The secret for attaching.
    nodeStageSecretRef: The secret for staging on the node.
    nodePublishSecretRef: The secret for mounting.
    controllerExpandSecretRef: The secret for growing.
    nodeExpandSecretRef: The secret for growing on the node.
    monitors: Addresses of the monitors.
    secretFile: The file that holds the key.
    signerName: Who signs.
    clusterTrustBundle: Certificates to trust.
    sources: What is brought together.
    medium: Memory for a file system in memory; else the node's disk.
    sizeLimit: How large it may grow.
    targetWWNs: World wide names of the target.
    wwids: World wide identifiers.
    lun: The logical unit.
    datasetName: The dataset's name.
    datasetUUID: The dataset's identity.
    pdName: The disk's name.
    pdID: The disk's identity.
    repository: The repository's address.
    revision: Its revision.
    directory: The folder it becomes.
    endpoints: Where it is reached.
    endpointsNamespace: The namespace of the endpoints.
    targetPortal: The portal's address.
    portals: Further portals.
    iqn: The qualified name of the target.
    iscsiInterface: The interface.
    chapAuthDiscovery: Whether discovery is authenticated.
    chapAuthSession: Whether sessions are authenticated.
    initiatorName: The initiator's name.
    reference: The image or artifact.
    pullPolicy: When it is fetched.
    server: The server.
    targetVolumeAttributesClassName: The class that is being applied.
    currentVolumeAttributesClassName: The class that is applied.
    volumeAttributesClassName: The class of attributes that can change.
    accessModes: How it may be mounted: ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod.
    volumeName: The volume.
    volumeNamespace: The volume's namespace.
    storageClassName: The storage class; "" for none.
    volumeMode: Filesystem or Block.
    dataSource: What it is filled from.
    dataSourceRef: What it is filled from, possibly of another namespace.
    allocatedResourceStatuses: How far a change of its size has come.
    modifyVolumeStatus: How far a change of its attributes has come.
    claimName: The claim.
    claimRef: The claim it is bound to.
    persistentVolumeReclaimPolicy: What becomes of it when its claim is gone: Retain or Delete.
    reclaimPolicy: What becomes of volumes when their claims are gone.
    mountOptions: Options of the mount.
    lastPhaseTransitionTime: When the phase changed last.
    registry: The registry's address.
    volume: The volume.
    tenant: The tenant.
    pool: The pool.
    keyring: The file that holds the keyring.
    gateway: The gateway's address.
    system: The storage system.
    sslEnabled: Whether TLS is used.
    protectionDomain: The protection domain.
    storagePool: The storage pool.
    storageMode: Thick or thin.
    devicePath: Where the device appears.
    mountPath: Where it is mounted.
    subPath: Which folder of the volume.
    subPathExpr: Which folder of the volume, with variables.
    mountPropagation: Whether mounts below it are shared.
    recursiveReadOnly: Whether mounts below it are read-only too.
    required: What must hold.
    secret: A secret.
    configMap: A config map.
    downwardAPI: Fields of the pod.
    serviceAccountToken: A token of the pod's account.
    hostPath: A path of the node.
    emptyDir: An empty folder that goes with the pod.
    nfs: An NFS share.
    iscsi: An iSCSI disk.
    local: A disk of one node.
    csi: A volume of a CSI driver.
    ephemeral: A claim that is made for the pod and goes with it.
    projected: Several sources in one folder.
    persistentVolumeClaim: A claim.
    fc: A Fibre Channel disk.
    rbd: A Ceph block device.
    cephfs: A Ceph file system.
    cinder: An OpenStack disk.
    glusterfs: A Gluster volume.
    gitRepo: A Git repository; deprecated.
    flexVolume: A volume of a flex driver; deprecated.
    flocker: A Flocker dataset; no longer supported.
    awsElasticBlockStore: An AWS disk.
    gcePersistentDisk: A Google disk.
    azureDisk: An Azure disk.
    azureFile: An Azure share.
    vsphereVolume: A vSphere disk.
    photonPersistentDisk: A Photon disk; no longer supported.
    portworxVolume: A Portworx volume.
    scaleIO: A ScaleIO volume; no longer supported.
    storageos: A StorageOS volume; no longer supported.
    quobyte: A Quobyte volume; no longer supported.
    volumePath: The path of the volume.
    storagePolicyName: The storage policy.
    storagePolicyID: The storage policy's identity.
    attachRequired: Whether volumes must be attached before they are mounted.
    podInfoOnMount: Whether the driver is told about the pod.
    volumeLifecycleModes: Persistent, Ephemeral or both.
    storageCapacity: Whether the free capacity counts when pods are placed.
    fsGroupPolicy: Whether ownership of volumes is changed.
    tokenRequests: Tokens the driver is given.
    requiresRepublish: Whether mounts are repeated from time to time.
    seLinuxMount: Whether volumes are mounted with an SELinux label.
    drivers: The drivers of the node.
    topologyKeys: Node labels that say where volumes can be used.
    allocatable: How much can be used.
    nodeTopology: Which nodes.
    maximumVolumeSize: The largest volume that can be made.
    provisioner: Who makes volumes.
    parameters: What the provisioner is told.
    allowVolumeExpansion: Whether volumes may grow.
    volumeBindingMode: Immediate, or WaitForFirstConsumer to wait for a pod.
    allowedTopologies: Where volumes may be made.
    attacher: Who attaches it.
    source: What it is about.
    persistentVolumeName: The volume.
    inlineVolumeSpec: The volume itself.
    attached: Whether it is attached.
    attachmentMetadata: What is needed to use the attachment.
    attachError: Why it could not be attached.
    detachError: Why it could not be detached.
    """#
}
