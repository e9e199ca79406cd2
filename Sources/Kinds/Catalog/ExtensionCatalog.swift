// The resources that extend the server: webhooks, policies, custom resources, aggregated APIs.
import Schema

extension Catalog {
  private static let categories = ["api-extensions"]

  static func admissionRegistration(_ group: CatalogGroup) -> [KindDescriptor] {
    let traits: [WritableKeyPath<KindTraits, Bool>] = [\.requiresResourceVersionOnUpdate, \.tracksGeneration]
    return [
      group.kind(
        "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", categories: categories, isNamespaced: false,
        traits: traits, rules: WebhookConfigurationRules(), table: .webhooks),
      group.kind(
        "ValidatingAdmissionPolicy", "validatingadmissionpolicies", categories: categories, isNamespaced: false,
        subresources: [.status], traits: traits, rules: AdmissionPolicyRules(), table: .admissionPolicy),
      group.kind(
        "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", categories: categories,
        isNamespaced: false, traits: traits, rules: AdmissionPolicyBindingRules(), table: .admissionPolicyBinding),
      group.kind(
        "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", categories: categories,
        isNamespaced: false, traits: traits, rules: WebhookConfigurationRules(), table: .webhooks),
    ]
  }

  static func apiExtensions(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "CustomResourceDefinition", "customresourcedefinitions", shortNames: ["crd", "crds"], categories: categories,
        isNamespaced: false, subresources: [.status],
        traits: [\.requiresResourceVersionOnUpdate, \.tracksGeneration], rules: CustomResourceDefinitionRules())
    ]
  }

  static func apiRegistration(_ group: CatalogGroup) -> [KindDescriptor] {
    [
      group.kind(
        "APIService", "apiservices", categories: categories, isNamespaced: false, subresources: [.status],
        traits: [\.requiresResourceVersionOnUpdate], rules: APIServiceRules(), table: .apiService)
    ]
  }
}
