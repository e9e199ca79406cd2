// The tables of every group, put together.

extension TypeTable {
  /// The types of every built-in kind; parsed once, at first use.
  public static let builtIn: TypeTable = {
    do {
      return try TypeTable(builtInSections)
    } catch {
      preconditionFailure("the built-in type tables do not parse: \(error)")
    }
  }()

  static let builtInSections: [Section] = [
    Section(package: "meta.v1", text: metaV1),
    Section(package: "core.v1", text: coreV1Pod),
    Section(package: "core.v1", text: coreV1Volumes),
    Section(package: "core.v1", text: coreV1),
    Section(package: "apps.v1", text: appsV1),
    Section(package: "events.v1", text: eventsV1),
    Section(package: "authentication.v1", text: authenticationV1),
    Section(package: "authorization.v1", text: authorizationV1),
    Section(package: "autoscaling.v1", text: autoscalingV1),
    Section(package: "autoscaling.v2", text: autoscalingV2),
    Section(package: "batch.v1", text: batchV1),
    Section(package: "certificates.v1", text: certificatesV1),
    Section(package: "networking.v1", text: networkingV1),
    Section(package: "policy.v1", text: policyV1),
    Section(package: "rbac.v1", text: rbacV1),
    Section(package: "storage.v1", text: storageV1),
    Section(package: "admissionregistration.v1", text: admissionRegistrationV1),
    Section(package: "apiextensions.v1", text: apiExtensionsV1),
    Section(package: "apiregistration.v1", text: apiRegistrationV1),
    Section(package: "scheduling.v1", text: schedulingV1),
    Section(package: "coordination.v1", text: coordinationV1),
    Section(package: "node.v1", text: nodeV1),
    Section(package: "discovery.v1", text: discoveryV1),
    Section(package: "flowcontrol.v1", text: flowControlV1),
  ]
}
