// Who is believed and who is asked beside the cluster itself; named as kube-apiserver names these options.
import APIServer
import ArgumentParser
import Client
import EventLoop
import HTTP
import Schema
import TLS
import World

struct AuthenticationFlags: ParsableArguments {
  @Option(help: "https:// URL of an OpenID Connect issuer whose tokens are believed.")
  var oidcIssuerUrl: String?
  @Option(help: "Whom its tokens must be for.")
  var oidcClientId: String?
  @Option(help: "Authorities of the issuer's certificate (PEM; default: the operating system's).")
  var oidcCaFile: String?
  @Option(help: "Claim that names the user.")
  var oidcUsernameClaim = "sub"
  @Option(help: "Put before names (default: the issuer's URL and #, except for email); - for nothing.")
  var oidcUsernamePrefix: String?
  @Option(help: "Claim that lists the user's groups.")
  var oidcGroupsClaim: String?
  @Option(help: "Put before groups.")
  var oidcGroupsPrefix = ""
  @Option(
    name: .customLong("oidc-required-claim"), help: "claim=value that tokens must have; once for each.")
  var oidcRequiredClaims: [String] = []
  @Option(help: "Algorithms of its tokens: RS256, RS384, …, ES256, …, PS256, …; separated by commas.")
  var oidcSigningAlgs = "RS256"
  @Option(help: "AuthenticationConfiguration (apiserver.config.k8s.io/v1beta1); in place of the options --oidc-….")
  var authenticationConfig: String?
  @Option(help: "kubeconfig of a service that is sent TokenReviews for tokens that nobody else knows.")
  var authenticationTokenWebhookConfigFile: String?
  @Option(help: "Version of authentication.k8s.io that it speaks: v1 or v1beta1.")
  var authenticationTokenWebhookVersion = "v1beta1"
  @Option(help: "How long its answers hold: 2m.")
  var authenticationTokenWebhookCacheTtl = "2m"
  @Option(help: "File of tokens: token,user,uid,\"group1,group2\" on each line.")
  var tokenAuthFile: String?

  func validate() throws {
    if oidcIssuerUrl == nil {
      guard oidcClientId == nil, oidcCaFile == nil, oidcGroupsClaim == nil, oidcRequiredClaims.isEmpty else {
        throw ValidationError("the options --oidc-… need --oidc-issuer-url: whose tokens?")
      }
    } else if authenticationConfig != nil {
      throw ValidationError("--authentication-config and --oidc-issuer-url exclude each other")
    }
    for claim in oidcRequiredClaims where !claim.contains("=") {
      throw ValidationError("--oidc-required-claim \(claim) is not of the form claim=value")
    }
    try ReviewVersion.check(authenticationTokenWebhookVersion, "--authentication-token-webhook-version")
    _ = try DurationFlag.parse(authenticationTokenWebhookCacheTtl, "--authentication-token-webhook-cache-ttl")
  }

  /// The authenticators in the reference's order. Reads the files. `loop`: on which others are asked.
  func authenticators(on loop: EventLoop) throws -> [any TokenAuthenticator] {
    var all: [any TokenAuthenticator] = []
    if let tokenAuthFile {
      all.append(try ConfigurationFile.explaining(tokenAuthFile) { try StaticTokens(parsing: $0) })
    }
    let connections = WebhookConnections(loop: loop)
    for issuer in try issuers() { all.append(OIDCAuthenticator(issuer, transport: connections, world: loop)) }
    if let path = authenticationTokenWebhookConfigFile {
      var options = WebhookTokens.Options()
      options.version = authenticationTokenWebhookVersion
      options.cacheLifetime = try DurationFlag.parse(
        authenticationTokenWebhookCacheTtl, "--authentication-token-webhook-cache-ttl")
      all.append(WebhookTokens(try ConfigurationFile.reviews(path, loop), options: options, world: loop))
    }
    return all
  }

  private func issuers() throws -> [OIDCConfiguration] {
    if let authenticationConfig {
      return try ConfigurationFile.explaining(authenticationConfig) {
        try AuthenticationConfiguration(parsing: Array($0.utf8)).issuers
      }
    }
    guard let oidcIssuerUrl else { return [] }
    let required = oidcRequiredClaims.map { text in
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (claim: String(parts[0]), value: String(parts[1]))
    }
    return [
      try OIDCConfiguration(
        issuer: oidcIssuerUrl, clientID: oidcClientId ?? "", usernameClaim: oidcUsernameClaim,
        usernamePrefix: oidcUsernamePrefix, groupsClaim: oidcGroupsClaim, groupsPrefix: oidcGroupsPrefix,
        requiredClaims: required, algorithms: Set(oidcSigningAlgs.split(separator: ",").map(String.init)),
        authorityPEM: try oidcCaFile.map { try FileSystem.readText($0) } ?? "")
    ]
  }
}

struct AuthorizationFlags: ParsableArguments {
  @Option(help: "Who is asked, in order: Node, RBAC, Webhook; separated by commas.")
  var authorizationMode: String?
  @Option(help: "AuthorizationConfiguration (apiserver.config.k8s.io/v1); in place of --authorization-mode.")
  var authorizationConfig: String?
  @Option(help: "kubeconfig of the service that Webhook asks.")
  var authorizationWebhookConfigFile: String?
  @Option(help: "Version of authorization.k8s.io that it speaks: v1 or v1beta1.")
  var authorizationWebhookVersion = "v1beta1"
  @Option(help: "How long its yes holds: 5m.")
  var authorizationWebhookCacheAuthorizedTtl = "5m"
  @Option(help: "How long its no holds: 30s.")
  var authorizationWebhookCacheUnauthorizedTtl = "30s"

  func validate() throws {
    if authorizationConfig != nil, authorizationMode != nil || authorizationWebhookConfigFile != nil {
      throw ValidationError(
        "--authorization-config excludes --authorization-mode and --authorization-webhook-config-file")
    }
    try ReviewVersion.check(authorizationWebhookVersion, "--authorization-webhook-version")
    _ = try lifetimes()
  }

  private func lifetimes() throws -> (allowed: Duration, refused: Duration) {
    (
      try DurationFlag.parse(authorizationWebhookCacheAuthorizedTtl, "--authorization-webhook-cache-authorized-ttl"),
      try DurationFlag.parse(
        authorizationWebhookCacheUnauthorizedTtl, "--authorization-webhook-cache-unauthorized-ttl")
    )
  }

  /// Reads the files. `loop`: on which others are asked.
  func authorizers(on loop: EventLoop) throws -> [AuthorizerChoice] {
    if let authorizationConfig {
      return try ConfigurationFile.explaining(authorizationConfig) { text in
        try AuthorizationConfiguration.choices(parsing: Array(text.utf8), world: loop) {
          try ConfigurationFile.reviews($0, loop)
        }
      }
    }
    var webhook: WebhookAuthorizer?
    if let path = authorizationWebhookConfigFile {
      var options = WebhookAuthorizer.Options()
      options.version = authorizationWebhookVersion
      (options.allowedLifetime, options.refusedLifetime) = try lifetimes()
      webhook = WebhookAuthorizer(try ConfigurationFile.reviews(path, loop), options: options, world: loop)
    }
    return try AuthorizationConfiguration.choices(modes: authorizationMode ?? "Node,RBAC", webhook: webhook)
  }
}

private enum ReviewVersion {
  static func check(_ version: String, _ option: String) throws {
    guard version == "v1" || version == "v1beta1" else { throw ValidationError("\(option) must be v1 or v1beta1") }
  }
}

private enum DurationFlag {
  static func parse(_ text: String, _ option: String) throws -> Duration {
    guard let nanoseconds = DurationText.nanoseconds(text), nanoseconds >= 0 else {
      throw ValidationError("\(option) \(text) is no duration such as 2m or 30s")
    }
    return .nanoseconds(nanoseconds)
  }
}

enum ConfigurationFile {
  /// What the reader makes of the file; its complaints begin with the file's name.
  static func explaining<Result>(_ path: String, _ read: (String) throws -> Result) throws -> Result {
    let text = try FileSystem.readText(path)
    do { return try read(text) } catch { throw CommandFailure("\(path): \(error)") }
  }

  /// The service that a kubeconfig names, with what it says to show there. Paths in it are relative to its own folder.
  static func reviews(_ path: String, _ loop: EventLoop) throws -> RemoteReviews {
    try explaining(path) { text in
      let folder = FileSystem.parent(of: path)
      let config = try Kubeconfig(
        parsing: Array(text.utf8), base64Decode: { try? Base64.decode($0) },
        readFile: { try FileSystem.read($0.hasPrefix("/") ? $0 : "\(folder)/\($0)") })
      let identity =
        config.clientCertificatePEM.isEmpty
        ? nil : try Identity(certificatePEM: config.clientCertificatePEM, privateKeyPEM: config.clientKeyPEM)
      return try RemoteReviews(
        url: config.server, authorityPEM: config.certificateAuthorityPEM, bearerToken: config.token,
        transport: WebhookConnections(loop: loop, identity: identity), world: loop)
    }
  }
}
