// The default roles of spec/8 §8.3.1, as text.
//
// A line that is not indented names a cluster role; the lines below it are its rules, one each:
//   VERBS GROUPS: RESOURCES [NAMES]     or     VERBS PATHS (paths begin with "/" or are "*")
// Verbs are joined by ","; READ is get,list,watch, WRITE is create,delete,deletecollection,patch,update, RW both.
// Groups are joined by "/" and written short ("core", "rbac"). "aggregates LABEL" gathers the rules of all roles that
// carry the label.
// A line that ends in "\" goes on in the next one.

extension RBACBootstrap {
  static let clusterRoleTable = #"""
    admin
      aggregates rbac.authorization.k8s.io/aggregate-to-admin
    cluster-admin
      * *: *
      * *
    edit
      aggregates rbac.authorization.k8s.io/aggregate-to-edit
    system:aggregate-to-admin
      create authorization: localsubjectaccessreviews
      RW rbac: rolebindings,roles
    system:aggregate-to-edit
      READ core: pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy
      impersonate core: serviceaccounts
      WRITE core: pods,pods/attach,pods/exec,pods/portforward,pods/proxy
      create core: pods/eviction
      WRITE core: configmaps,events,persistentvolumeclaims,replicationcontrollers, \
        replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy
      create core: serviceaccounts/token
      WRITE apps: daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale, \
        statefulsets,statefulsets/scale
      WRITE autoscaling: horizontalpodautoscalers
      WRITE batch: cronjobs,jobs
      WRITE extensions: daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,networkpolicies, \
        replicasets,replicasets/scale,replicationcontrollers/scale
      WRITE policy: poddisruptionbudgets
      WRITE networking: ingresses,networkpolicies
      RW coordination: leases
    system:aggregate-to-view
      READ core: configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods, \
        replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status
      READ core: bindings,events,limitranges,namespaces/status,pods/log,pods/status, \
        replicationcontrollers/status,resourcequotas,resourcequotas/status
      READ core: namespaces
      READ discovery: endpointslices
      READ apps: controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale, \
        deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale, \
        statefulsets/status
      READ autoscaling: horizontalpodautoscalers,horizontalpodautoscalers/status
      READ batch: cronjobs,cronjobs/status,jobs,jobs/status
      READ extensions: daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses, \
        ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status, \
        replicationcontrollers/scale
      READ policy: poddisruptionbudgets,poddisruptionbudgets/status
      READ networking: ingresses,ingresses/status,networkpolicies
    system:auth-delegator
      create authentication: tokenreviews
      create authorization: subjectaccessreviews
    system:basic-user
      create authorization: selfsubjectaccessreviews,selfsubjectrulesreviews
      create authentication: selfsubjectreviews
    system:certificates.k8s.io:certificatesigningrequests:nodeclient
      create certificates: certificatesigningrequests/nodeclient
    system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
      create certificates: certificatesigningrequests/selfnodeclient
    system:certificates.k8s.io:kube-apiserver-client-approver
      approve certificates: signers [kubernetes.io/kube-apiserver-client]
    system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
      approve certificates: signers [kubernetes.io/kube-apiserver-client-kubelet]
    system:certificates.k8s.io:kubelet-serving-approver
      approve certificates: signers [kubernetes.io/kubelet-serving]
    system:certificates.k8s.io:legacy-unknown-approver
      approve certificates: signers [kubernetes.io/legacy-unknown]
    system:discovery
      get  /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/
    system:heapster
      READ core: events,namespaces,nodes,pods
      READ extensions: deployments
    system:kube-aggregator
      READ core: endpoints,services
    system:kube-controller-manager
      create,patch,update core/events: events
      create coordination: leases
      get,update coordination: leases [kube-controller-manager]
      create core: secrets,serviceaccounts
      delete core: secrets
      get core: configmaps,namespaces,secrets,serviceaccounts
      update core: secrets,serviceaccounts
      create authentication: tokenreviews
      create authorization: subjectaccessreviews
      list,watch *: *
      create core: serviceaccounts/token
    system:kube-dns
      list,watch core: endpoints,services
    system:kube-scheduler
      create,patch,update core/events: events
      create coordination: leases
      get,list,update,watch coordination: leases [kube-scheduler]
      RW coordination: leasecandidates
      READ core: nodes
      delete,get,list,watch core: pods
      create core: bindings,pods/binding
      patch,update core: pods/status
      READ core: replicationcontrollers,services
      READ apps/extensions: replicasets
      READ apps: statefulsets
      READ policy: poddisruptionbudgets
      READ core: persistentvolumeclaims,persistentvolumes
      create authentication: tokenreviews
      create authorization: subjectaccessreviews
      READ storage: csinodes
      READ storage: volumeattachments
      READ core: namespaces
      READ storage: csidrivers
      READ storage: csistoragecapacities
    system:kubelet-api-admin
      READ core: nodes
      proxy core: nodes
      * core: nodes/log,nodes/metrics,nodes/proxy,nodes/stats
    system:monitoring
      get  /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*
    system:node
      create authentication: tokenreviews
      create authorization: localsubjectaccessreviews,subjectaccessreviews
      READ core: services
      create,get,list,watch core: nodes
      patch,update core: nodes/status
      patch,update core: nodes
      create,patch,update core: events
      READ core: pods
      create,delete core: pods
      patch,update core: pods/status
      create core: pods/eviction
      READ core: configmaps,secrets
      get core: persistentvolumeclaims,persistentvolumes
      get core: endpoints
      create,get,list,watch certificates: certificatesigningrequests
      create,delete,get,patch,update coordination: leases
      get storage: volumeattachments
      create core: serviceaccounts/token
      get,patch,update core: persistentvolumeclaims/status
      READ storage: csidrivers
      create,delete,get,patch,update storage: csinodes
      READ node: runtimeclasses
    system:node-bootstrapper
      create,get,list,watch certificates: certificatesigningrequests
    system:node-problem-detector
      get core: nodes
      patch core: nodes/status
      create,patch,update core/events: events
    system:node-proxier
      list,watch core: endpoints,services
      READ core: nodes
      create,patch,update core/events: events
      list,watch discovery: endpointslices
    system:persistent-volume-provisioner
      create,delete,get,list,watch core: persistentvolumes
      get,list,update,watch core: persistentvolumeclaims
      READ storage: storageclasses
      watch core: events
      create,patch,update core/events: events
    system:public-info-viewer
      get  /healthz /livez /readyz /version /version/
    system:service-account-issuer-discovery
      get  /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/
    system:volume-scheduler
      get,list,patch,update,watch core: persistentvolumes
      READ storage: storageclasses
      get,list,patch,update,watch core: persistentvolumeclaims
    view
      aggregates rbac.authorization.k8s.io/aggregate-to-view
    """#

  /// Roles of controllers, each bound to the service account of its name in kube-system.
  static let controllerRoleTable = #"""
    attachdetach-controller
      list,watch core: persistentvolumeclaims,persistentvolumes
      READ core: nodes
      patch,update core: nodes/status
      list,watch core: pods
      create,patch,update core/events: events
      create,delete,get,list,watch storage: volumeattachments
      READ storage: csidrivers
      READ storage: csinodes
    certificate-controller
      delete,get,list,watch certificates: certificatesigningrequests
      update certificates: certificatesigningrequests/approval,certificatesigningrequests/status
      approve certificates: signers [kubernetes.io/kube-apiserver-client-kubelet]
      sign certificates: signers [kubernetes.io/kube-apiserver-client, \
        kubernetes.io/kube-apiserver-client-kubelet,kubernetes.io/kubelet-serving,kubernetes.io/legacy-unknown]
      create authorization: subjectaccessreviews
      create,patch,update core/events: events
    clusterrole-aggregation-controller
      escalate,get,list,patch,update,watch rbac: clusterroles
    cronjob-controller
      get,list,update,watch batch: cronjobs
      create,delete,get,list,patch,update,watch batch: jobs
      update batch: cronjobs/status
      update batch: cronjobs/finalizers
      delete,list,watch core: pods
      create,patch,update core/events: events
    daemon-set-controller
      READ apps/extensions: daemonsets
      update apps/extensions: daemonsets/status
      update apps/extensions: daemonsets/finalizers
      list,watch core: nodes
      create,delete,list,patch,watch core: pods
      create core: pods/binding
      create,delete,get,list,patch,update,watch apps: controllerrevisions
      create,patch,update core/events: events
    deployment-controller
      get,list,update,watch apps/extensions: deployments
      update apps/extensions: deployments/status
      update apps/extensions: deployments/finalizers
      create,delete,get,list,patch,update,watch apps/extensions: replicasets
      get,list,update,watch core: pods
      create,patch,update core/events: events
    disruption-controller
      READ apps/extensions: deployments
      READ apps/extensions: replicasets
      READ core: replicationcontrollers
      READ policy: poddisruptionbudgets
      READ apps: statefulsets
      update policy: poddisruptionbudgets/status
      patch,update core: pods/status
      get *: */scale
      create,patch,update core/events: events
    endpoint-controller
      READ core: pods,services
      create,delete,get,list,update,watch core: endpoints
      create core: endpoints/restricted
      create,patch,update core/events: events
    endpointslice-controller
      READ core: nodes,pods,services
      update core: services/finalizers
      create,delete,get,list,update,watch discovery: endpointslices
      create,patch,update core/events: events
    endpointslicemirroring-controller
      READ core: endpoints,services
      update core: services/finalizers
      update core: endpoints/finalizers
      create,delete,get,list,update,watch discovery: endpointslices
      create,patch,update core/events: events
    ephemeral-volume-controller
      READ core: pods
      update core: pods/finalizers
      create,get,list,watch core: persistentvolumeclaims
      create,patch,update core/events: events
    expand-controller
      get,list,patch,update,watch core: persistentvolumes
      patch,update core: persistentvolumeclaims/status
      READ core: persistentvolumeclaims
      create,patch,update core/events: events
      get core: services
    generic-garbage-collector
      delete,get,list,patch,update,watch *: *
      create,patch,update core/events: events
    horizontal-pod-autoscaler
      READ autoscaling: horizontalpodautoscalers
      update autoscaling: horizontalpodautoscalers/status
      get,update *: */scale
      list,watch core: pods
      list,watch metrics: pods
      READ custom.metrics: *
      READ external.metrics: *
      create,patch,update core/events: events
    job-controller
      get,list,patch,update,watch batch: jobs
      update batch: jobs/status
      update batch: jobs/finalizers
      create,delete,list,patch,watch core: pods
      create,patch,update core/events: events
    legacy-service-account-token-cleaner
      get core: configmaps [kube-apiserver-legacy-service-account-token-tracking]
      delete,patch core: secrets
    namespace-controller
      delete,get,list,watch core: namespaces
      update core: namespaces/finalize,namespaces/status
      delete,deletecollection,get,list,watch *: *
    node-controller
      delete,get,list,patch,update,watch core: nodes
      patch,update core: nodes/status
      patch,update core: pods/status
      delete,get,list,watch core: pods
      create,patch,update core/events: events
    persistent-volume-binder
      create,delete,get,list,update,watch core: persistentvolumes
      update core: persistentvolumes/status
      get,list,update,watch core: persistentvolumeclaims
      update core: persistentvolumeclaims/status
      create,delete,get,list,watch core: pods
      READ storage: storageclasses
      list,watch core: nodes
      create,patch,update core/events: events
      watch core: events
      get core: services
    pod-garbage-collector
      delete,list,watch core: pods
      READ core: nodes
      patch core: pods/status
    pv-protection-controller
      get,list,update,watch core: persistentvolumes
      create,patch,update core/events: events
    pvc-protection-controller
      get,list,update,watch core: persistentvolumeclaims
      READ core: pods
      create,patch,update core/events: events
    replicaset-controller
      get,list,update,watch apps/extensions: replicasets
      update apps/extensions: replicasets/status
      update apps/extensions: replicasets/finalizers
      create,delete,list,patch,watch core: pods
      create,patch,update core/events: events
    replication-controller
      get,list,update,watch core: replicationcontrollers
      update core: replicationcontrollers/status
      update core: replicationcontrollers/finalizers
      create,delete,list,patch,watch core: pods
      create,patch,update core/events: events
    resourcequota-controller
      list,watch *: *
      update core: resourcequotas/status
      create,patch,update core/events: events
    root-ca-cert-publisher
      create,update core: configmaps
      create,patch,update core/events: events
    route-controller
      list,watch core: nodes
      patch core: nodes/status
      create,patch,update core/events: events
    service-account-controller
      create core: serviceaccounts
      create,patch,update core/events: events
    service-controller
      READ core: services
      patch,update core: services/status
      list,watch core: nodes
      create,patch,update core/events: events
    statefulset-controller
      list,watch core: pods
      READ apps: statefulsets
      update apps: statefulsets/status
      update apps: statefulsets/finalizers
      create,delete,get,patch,update core: pods
      create,delete,get,list,patch,update,watch apps: controllerrevisions
      create,get,list,watch core: persistentvolumeclaims
      create,patch,update core/events: events
      delete,update core: persistentvolumeclaims
      update core: pods/finalizers
    ttl-after-finished-controller
      delete,get,list,watch batch: jobs
      create,patch,update core/events: events
    ttl-controller
      list,patch,update,watch core: nodes
      create,patch,update core/events: events
    validatingadmissionpolicy-status-controller
      READ admissionregistration: validatingadmissionpolicies
      get,patch,update admissionregistration: validatingadmissionpolicies/status
      create,patch,update core/events: events
    """#
}
