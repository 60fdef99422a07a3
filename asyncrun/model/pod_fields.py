"""
The fields of a pod, as the Kubernetes API 1.36 knows them.

Made from the models of the Kubernetes Python client 36 (``attribute_map``, ``openapi_types``); a test compares it with
the installed client, and prints the new table when they differ. Parsed when first asked for.

One kind to an entry, without the client's ``V1``. A field alone is text; ``:i`` a whole number, ``:b`` True or False,
``:t`` a time, ``:q`` a quantity (``256Mi``), ``:*`` anything, otherwise a kind; ``[]`` a list, ``{}`` a map with text
as keys; ``!`` after the name: required. The pod's status is not described: the API server ignores it in a new pod.
"""

from __future__ import annotations

from functools import cache

KUBERNETES = "1.36"
"""The version whose fields these are."""


def kinds() -> list[str]:
    """All kinds that are described."""
    return list(_kinds())


@cache
def fields_of(kind: str) -> dict[str, str] | None:
    """The fields of a kind and the notation of what each holds, None for what is no kind (``s``, ``[]Volume``)."""
    fields = _kinds().get(kind)
    return None if fields is None else dict(fields)


@cache
def required_fields(kind: str) -> frozenset[str]:
    """The fields that the API server wants to be there."""
    return _required().get(kind, frozenset())


@cache
def _kinds() -> dict[str, list[tuple[str, str]]]:
    return {
        kind: [(name.rstrip("!"), holds or "s") for name, _, holds in (word.partition(":") for word in words)]
        for kind, words in _entries()
    }


@cache
def _required() -> dict[str, frozenset[str]]:
    return {
        kind: frozenset(name[:-1] for name in (word.partition(":")[0] for word in words) if name.endswith("!"))
        for kind, words in _entries()
    }


def _entries() -> list[tuple[str, list[str]]]:
    entries: list[tuple[str, list[str]]] = []
    for line in _TABLE.strip().splitlines():
        words = line.split()
        if line.startswith(" "):
            entries[-1][1].extend(words)
        else:
            entries.append((words[0].rstrip(":"), words[1:]))
    return entries


_TABLE = """
AWSElasticBlockStoreVolumeSource: fsType partition:i readOnly:b volumeID!
Affinity: nodeAffinity:NodeAffinity podAffinity:PodAffinity podAntiAffinity:PodAntiAffinity
AppArmorProfile: localhostProfile type!
AzureDiskVolumeSource: cachingMode diskName! diskURI! fsType kind readOnly:b
AzureFileVolumeSource: readOnly:b secretName! shareName!
CSIVolumeSource: driver! fsType nodePublishSecretRef:LocalObjectReference readOnly:b volumeAttributes:{}s
Capabilities: add:[]s drop:[]s
CephFSVolumeSource: monitors!:[]s path readOnly:b secretFile secretRef:LocalObjectReference user
CinderVolumeSource: fsType readOnly:b secretRef:LocalObjectReference volumeID!
ClusterTrustBundleProjection: labelSelector:LabelSelector name optional:b path! signerName
ConfigMapEnvSource: name optional:b
ConfigMapKeySelector: key! name optional:b
ConfigMapProjection: items:[]KeyToPath name optional:b
ConfigMapVolumeSource: defaultMode:i items:[]KeyToPath name optional:b
Container: args:[]s command:[]s env:[]EnvVar envFrom:[]EnvFromSource image imagePullPolicy lifecycle:Lifecycle
  livenessProbe:Probe name! ports:[]ContainerPort readinessProbe:Probe resizePolicy:[]ContainerResizePolicy
  resources:ResourceRequirements restartPolicy restartPolicyRules:[]ContainerRestartRule
  securityContext:SecurityContext startupProbe:Probe stdin:b stdinOnce:b terminationMessagePath
  terminationMessagePolicy tty:b volumeDevices:[]VolumeDevice volumeMounts:[]VolumeMount workingDir
ContainerPort: containerPort!:i hostIP hostPort:i name protocol
ContainerResizePolicy: resourceName! restartPolicy!
ContainerRestartRule: action! exitCodes:ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes: operator! values:[]i
CoreResourceClaim: name! request
DownwardAPIProjection: items:[]DownwardAPIVolumeFile
DownwardAPIVolumeFile: fieldRef:ObjectFieldSelector mode:i path! resourceFieldRef:ResourceFieldSelector
DownwardAPIVolumeSource: defaultMode:i items:[]DownwardAPIVolumeFile
EmptyDirVolumeSource: medium sizeLimit:q
EnvFromSource: configMapRef:ConfigMapEnvSource prefix secretRef:SecretEnvSource
EnvVar: name! value valueFrom:EnvVarSource
EnvVarSource: configMapKeyRef:ConfigMapKeySelector fieldRef:ObjectFieldSelector fileKeyRef:FileKeySelector
  resourceFieldRef:ResourceFieldSelector secretKeyRef:SecretKeySelector
EphemeralContainer: args:[]s command:[]s env:[]EnvVar envFrom:[]EnvFromSource image imagePullPolicy
  lifecycle:Lifecycle livenessProbe:Probe name! ports:[]ContainerPort readinessProbe:Probe
  resizePolicy:[]ContainerResizePolicy resources:ResourceRequirements restartPolicy
  restartPolicyRules:[]ContainerRestartRule securityContext:SecurityContext startupProbe:Probe stdin:b stdinOnce:b
  targetContainerName terminationMessagePath terminationMessagePolicy tty:b volumeDevices:[]VolumeDevice
  volumeMounts:[]VolumeMount workingDir
EphemeralVolumeSource: volumeClaimTemplate:PersistentVolumeClaimTemplate
ExecAction: command:[]s
FCVolumeSource: fsType lun:i readOnly:b targetWWNs:[]s wwids:[]s
FileKeySelector: key! optional:b path! volumeName!
FlexVolumeSource: driver! fsType options:{}s readOnly:b secretRef:LocalObjectReference
FlockerVolumeSource: datasetName datasetUUID
GCEPersistentDiskVolumeSource: fsType partition:i pdName! readOnly:b
GRPCAction: port!:i service
GitRepoVolumeSource: directory repository! revision
GlusterfsVolumeSource: endpoints! path! readOnly:b
HTTPGetAction: host httpHeaders:[]HTTPHeader path port!:* scheme
HTTPHeader: name! value!
HostAlias: hostnames:[]s ip!
HostPathVolumeSource: path! type
ISCSIVolumeSource: chapAuthDiscovery:b chapAuthSession:b fsType initiatorName iqn! iscsiInterface lun!:i portals:[]s
  readOnly:b secretRef:LocalObjectReference targetPortal!
ImageVolumeSource: pullPolicy reference
KeyToPath: key! mode:i path!
LabelSelector: matchExpressions:[]LabelSelectorRequirement matchLabels:{}s
LabelSelectorRequirement: key! operator! values:[]s
Lifecycle: postStart:LifecycleHandler preStop:LifecycleHandler stopSignal
LifecycleHandler: exec:ExecAction httpGet:HTTPGetAction sleep:SleepAction tcpSocket:TCPSocketAction
LocalObjectReference: name
ManagedFieldsEntry: apiVersion fieldsType fieldsV1:* manager operation subresource time:t
NFSVolumeSource: path! readOnly:b server!
NodeAffinity: preferredDuringSchedulingIgnoredDuringExecution:[]PreferredSchedulingTerm
  requiredDuringSchedulingIgnoredDuringExecution:NodeSelector
NodeSelector: nodeSelectorTerms!:[]NodeSelectorTerm
NodeSelectorRequirement: key! operator! values:[]s
NodeSelectorTerm: matchExpressions:[]NodeSelectorRequirement matchFields:[]NodeSelectorRequirement
ObjectFieldSelector: apiVersion fieldPath!
ObjectMeta: annotations:{}s creationTimestamp:t deletionGracePeriodSeconds:i deletionTimestamp:t finalizers:[]s
  generateName generation:i labels:{}s managedFields:[]ManagedFieldsEntry name namespace
  ownerReferences:[]OwnerReference resourceVersion selfLink uid
OwnerReference: apiVersion! blockOwnerDeletion:b controller:b kind! name! uid!
PersistentVolumeClaimSpec: accessModes:[]s dataSource:TypedLocalObjectReference dataSourceRef:TypedObjectReference
  resources:VolumeResourceRequirements selector:LabelSelector storageClassName volumeAttributesClassName volumeMode
  volumeName
PersistentVolumeClaimTemplate: metadata:ObjectMeta spec!:PersistentVolumeClaimSpec
PersistentVolumeClaimVolumeSource: claimName! readOnly:b
PhotonPersistentDiskVolumeSource: fsType pdID!
Pod: apiVersion kind metadata:ObjectMeta spec:PodSpec status:*
PodAffinity: preferredDuringSchedulingIgnoredDuringExecution:[]WeightedPodAffinityTerm
  requiredDuringSchedulingIgnoredDuringExecution:[]PodAffinityTerm
PodAffinityTerm: labelSelector:LabelSelector matchLabelKeys:[]s mismatchLabelKeys:[]s namespaceSelector:LabelSelector
  namespaces:[]s topologyKey!
PodAntiAffinity: preferredDuringSchedulingIgnoredDuringExecution:[]WeightedPodAffinityTerm
  requiredDuringSchedulingIgnoredDuringExecution:[]PodAffinityTerm
PodCertificateProjection: certificateChainPath credentialBundlePath keyPath keyType! maxExpirationSeconds:i
  signerName! userAnnotations:{}s
PodDNSConfig: nameservers:[]s options:[]PodDNSConfigOption searches:[]s
PodDNSConfigOption: name value
PodOS: name!
PodReadinessGate: conditionType!
PodResourceClaim: name! resourceClaimName resourceClaimTemplateName
PodSchedulingGate: name!
PodSchedulingGroup: podGroupName
PodSecurityContext: appArmorProfile:AppArmorProfile fsGroup:i fsGroupChangePolicy runAsGroup:i runAsNonRoot:b
  runAsUser:i seLinuxChangePolicy seLinuxOptions:SELinuxOptions seccompProfile:SeccompProfile supplementalGroups:[]i
  supplementalGroupsPolicy sysctls:[]Sysctl windowsOptions:WindowsSecurityContextOptions
PodSpec: activeDeadlineSeconds:i affinity:Affinity automountServiceAccountToken:b containers!:[]Container
  dnsConfig:PodDNSConfig dnsPolicy enableServiceLinks:b ephemeralContainers:[]EphemeralContainer
  hostAliases:[]HostAlias hostIPC:b hostNetwork:b hostPID:b hostUsers:b hostname hostnameOverride
  imagePullSecrets:[]LocalObjectReference initContainers:[]Container nodeName nodeSelector:{}s os:PodOS overhead:{}q
  preemptionPolicy priority:i priorityClassName readinessGates:[]PodReadinessGate resourceClaims:[]PodResourceClaim
  resources:ResourceRequirements restartPolicy runtimeClassName schedulerName schedulingGates:[]PodSchedulingGate
  schedulingGroup:PodSchedulingGroup securityContext:PodSecurityContext serviceAccount serviceAccountName
  setHostnameAsFQDN:b shareProcessNamespace:b subdomain terminationGracePeriodSeconds:i tolerations:[]Toleration
  topologySpreadConstraints:[]TopologySpreadConstraint volumes:[]Volume
PortworxVolumeSource: fsType readOnly:b volumeID!
PreferredSchedulingTerm: preference!:NodeSelectorTerm weight!:i
Probe: exec:ExecAction failureThreshold:i grpc:GRPCAction httpGet:HTTPGetAction initialDelaySeconds:i periodSeconds:i
  successThreshold:i tcpSocket:TCPSocketAction terminationGracePeriodSeconds:i timeoutSeconds:i
ProjectedVolumeSource: defaultMode:i sources:[]VolumeProjection
QuobyteVolumeSource: group readOnly:b registry! tenant user volume!
RBDVolumeSource: fsType image! keyring monitors!:[]s pool readOnly:b secretRef:LocalObjectReference user
ResourceFieldSelector: containerName divisor:q resource!
ResourceRequirements: claims:[]CoreResourceClaim limits:{}q requests:{}q
SELinuxOptions: level role type user
ScaleIOVolumeSource: fsType gateway! protectionDomain readOnly:b secretRef!:LocalObjectReference sslEnabled:b
  storageMode storagePool system! volumeName
SeccompProfile: localhostProfile type!
SecretEnvSource: name optional:b
SecretKeySelector: key! name optional:b
SecretProjection: items:[]KeyToPath name optional:b
SecretVolumeSource: defaultMode:i items:[]KeyToPath optional:b secretName
SecurityContext: allowPrivilegeEscalation:b appArmorProfile:AppArmorProfile capabilities:Capabilities privileged:b
  procMount readOnlyRootFilesystem:b runAsGroup:i runAsNonRoot:b runAsUser:i seLinuxOptions:SELinuxOptions
  seccompProfile:SeccompProfile windowsOptions:WindowsSecurityContextOptions
ServiceAccountTokenProjection: audience expirationSeconds:i path!
SleepAction: seconds!:i
StorageOSVolumeSource: fsType readOnly:b secretRef:LocalObjectReference volumeName volumeNamespace
Sysctl: name! value!
TCPSocketAction: host port!:*
Toleration: effect key operator tolerationSeconds:i value
TopologySpreadConstraint: labelSelector:LabelSelector matchLabelKeys:[]s maxSkew!:i minDomains:i nodeAffinityPolicy
  nodeTaintsPolicy topologyKey! whenUnsatisfiable!
TypedLocalObjectReference: apiGroup kind! name!
TypedObjectReference: apiGroup kind! name! namespace
Volume: awsElasticBlockStore:AWSElasticBlockStoreVolumeSource azureDisk:AzureDiskVolumeSource
  azureFile:AzureFileVolumeSource cephfs:CephFSVolumeSource cinder:CinderVolumeSource configMap:ConfigMapVolumeSource
  csi:CSIVolumeSource downwardAPI:DownwardAPIVolumeSource emptyDir:EmptyDirVolumeSource
  ephemeral:EphemeralVolumeSource fc:FCVolumeSource flexVolume:FlexVolumeSource flocker:FlockerVolumeSource
  gcePersistentDisk:GCEPersistentDiskVolumeSource gitRepo:GitRepoVolumeSource glusterfs:GlusterfsVolumeSource
  hostPath:HostPathVolumeSource image:ImageVolumeSource iscsi:ISCSIVolumeSource name! nfs:NFSVolumeSource
  persistentVolumeClaim:PersistentVolumeClaimVolumeSource photonPersistentDisk:PhotonPersistentDiskVolumeSource
  portworxVolume:PortworxVolumeSource projected:ProjectedVolumeSource quobyte:QuobyteVolumeSource rbd:RBDVolumeSource
  scaleIO:ScaleIOVolumeSource secret:SecretVolumeSource storageos:StorageOSVolumeSource
  vsphereVolume:VsphereVirtualDiskVolumeSource
VolumeDevice: devicePath! name!
VolumeMount: mountPath! mountPropagation name! readOnly:b recursiveReadOnly subPath subPathExpr
VolumeProjection: clusterTrustBundle:ClusterTrustBundleProjection configMap:ConfigMapProjection
  downwardAPI:DownwardAPIProjection podCertificate:PodCertificateProjection secret:SecretProjection
  serviceAccountToken:ServiceAccountTokenProjection
VolumeResourceRequirements: limits:{}q requests:{}q
VsphereVirtualDiskVolumeSource: fsType storagePolicyID storagePolicyName volumePath!
WeightedPodAffinityTerm: podAffinityTerm!:PodAffinityTerm weight!:i
WindowsSecurityContextOptions: gmsaCredentialSpec gmsaCredentialSpecName hostProcess:b runAsUserName
"""
