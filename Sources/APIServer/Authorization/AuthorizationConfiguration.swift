// Who is asked whether a request may be, and in which order: --authorization-mode, or the file of
// --authorization-config (AuthorizationConfiguration of apiserver.config.k8s.io; spec/8 §8.3).
import JSON
import Schema
import World

/// One authorizer of the chain.
public enum AuthorizerChoice: Sendable {
  case node
  case rbac
  case webhook(WebhookAuthorizer)
}

public enum AuthorizationConfiguration {
  /// Why the others of the reference are none here.
  private static func refusal(_ name: String) -> String {
    switch name {
    case "AlwaysAllow": "AlwaysAllow would let everybody do everything: it is not offered"
    case "AlwaysDeny": "AlwaysDeny is what the end of the list does anyway"
    case "ABAC": "ABAC is not offered: write its rules as roles and bindings (RBAC)"
    default: "Unsupported value: \"\(name)\": supported values: \"Node\", \"RBAC\", \"Webhook\""
    }
  }

  /// "Node,RBAC,Webhook". `webhook` is the one that --authorization-webhook-config-file names.
  public static func choices(
    modes: String, webhook: WebhookAuthorizer?
  ) throws(InvalidConfiguration) -> [AuthorizerChoice] {
    var choices: [AuthorizerChoice] = []
    var seen: Set<Substring> = []
    for mode in modes.split(separator: ",", omittingEmptySubsequences: false) {
      guard seen.insert(mode).inserted else {
        throw InvalidConfiguration("--authorization-mode \(modes) has \(mode) more than once")
      }
      switch mode {
      case "Node": choices.append(.node)
      case "RBAC": choices.append(.rbac)
      case "Webhook":
        guard let webhook else {
          throw InvalidConfiguration(
            "--authorization-mode Webhook needs --authorization-webhook-config-file: who is asked?")
        }
        choices.append(.webhook(webhook))
      default: throw InvalidConfiguration("--authorization-mode: \(refusal(String(mode)))")
      }
    }
    if webhook != nil, !seen.contains("Webhook") {
      throw InvalidConfiguration("--authorization-webhook-config-file needs Webhook in --authorization-mode")
    }
    return choices
  }

  /// The authorizers of a file (YAML or JSON). `connect` opens the kubeconfig at a path.
  public static func choices(
    parsing bytes: [UInt8], world: any World, connect: (String) throws -> RemoteReviews
  ) throws -> [AuthorizerChoice] {
    let tree: JSONValue
    do { tree = try YAML.parse(bytes) } catch { throw InvalidConfiguration("it is not YAML: \(error)") }
    let versions = ["v1", "v1beta1", "v1alpha1"].map { "apiserver.config.k8s.io/\($0)" }
    guard tree["kind"] == "AuthorizationConfiguration", versions.contains(tree["apiVersion"].string ?? "") else {
      throw InvalidConfiguration(
        "it must be of kind AuthorizationConfiguration and apiVersion apiserver.config.k8s.io/v1")
    }
    let list = tree["authorizers"].elements
    if list.isEmpty {
      throw InvalidConfiguration("authorizers: Required value: at least one authorization mode must be defined")
    }
    var choices: [AuthorizerChoice] = []
    var builtIn: Set<String> = []
    var names: Set<String> = []
    for (index, authorizer) in list.enumerated() {
      let place = "authorizers[\(index)]"
      let type = authorizer["type"].string ?? ""
      let name = authorizer["name"].string ?? ""
      if name.isEmpty { throw InvalidConfiguration("\(place).name: Required value") }
      if let problem = Validate.dns1123Subdomain(name).first {
        throw InvalidConfiguration("\(place).name: Invalid value: \"\(name)\": \(problem)")
      }
      guard names.insert(name).inserted else {
        throw InvalidConfiguration("\(place).name: Duplicate value: \"\(name)\"")
      }
      guard type == "Webhook" || builtIn.insert(type).inserted else {
        throw InvalidConfiguration("\(place).type: Duplicate value: \"\(type)\"")
      }
      switch type {
      case "Node": choices.append(.node)
      case "RBAC": choices.append(.rbac)
      case "Webhook":
        let webhook = authorizer["webhook"]
        if webhook.isNull { throw InvalidConfiguration("\(place).webhook: Required value") }
        let (path, options) = try options(webhook, "\(place).webhook")
        choices.append(.webhook(WebhookAuthorizer(try connect(path), options: options, world: world)))
      default: throw InvalidConfiguration("\(place).type: \(refusal(type))")
      }
    }
    return choices
  }

  /// The path of the kubeconfig, and how the service is asked.
  private static func options(
    _ webhook: JSONValue, _ place: String
  ) throws(InvalidConfiguration) -> (path: String, WebhookAuthorizer.Options) {
    var options = WebhookAuthorizer.Options()
    func duration(_ member: String, _ whenAbsent: Duration?) throws(InvalidConfiguration) -> Duration {
      guard let text = webhook[member].string else {
        guard let whenAbsent else { throw InvalidConfiguration("\(place).\(member): Required value") }
        return whenAbsent
      }
      guard let nanoseconds = DurationText.nanoseconds(text), nanoseconds > 0 else {
        throw InvalidConfiguration("\(place).\(member): Invalid value: \"\(text)\": must be greater than zero")
      }
      return .nanoseconds(nanoseconds)
    }
    options.timeout = try duration("timeout", nil)
    guard options.timeout <= .seconds(30) else {
      throw InvalidConfiguration(
        "\(place).timeout: Invalid value: \"\(webhook["timeout"].string ?? "")\": must be <= 30s")
    }
    options.allowedLifetime = try duration("authorizedTTL", .seconds(300))
    options.refusedLifetime = try duration("unauthorizedTTL", .seconds(30))
    let version = webhook["subjectAccessReviewVersion"].string ?? ""
    guard ["v1", "v1beta1"].contains(version) else {
      throw InvalidConfiguration(
        "\(place).subjectAccessReviewVersion: Unsupported value: \"\(version)\": supported values: \"v1\", \"v1beta1\"")
    }
    options.version = version
    let policy = webhook["failurePolicy"].string ?? ""
    guard ["NoOpinion", "Deny"].contains(policy) else {
      throw InvalidConfiguration(
        "\(place).failurePolicy: Unsupported value: \"\(policy)\": supported values: \"NoOpinion\", \"Deny\"")
    }
    options.failsClosed = policy == "Deny"
    for (index, condition) in webhook["matchConditions"].elements.enumerated() {
      let text = condition["expression"].string ?? ""
      do throws(InvalidConfiguration) { options.conditions.append(try AccessCondition(text)) } catch {
        throw InvalidConfiguration(
          "\(place).matchConditions[\(index)].expression: Invalid value: \"\(text)\": \(error)")
      }
    }
    let connection = webhook["connectionInfo"]
    guard connection["type"] == "KubeConfigFile", let path = connection["kubeConfigFile"].string, !path.isEmpty else {
      throw InvalidConfiguration(
        "\(place).connectionInfo: it must be of type KubeConfigFile with kubeConfigFile: servers here are no pods, "
          + "InClusterConfig has nothing to read")
    }
    return (path, options)
  }
}
