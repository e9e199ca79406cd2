// One entry of `extenders`: another process that has a say over HTTP.
import JSON
import Schema

public struct ExtenderConfiguration: Sendable, Hashable {
  public struct ManagedResource: Sendable, Hashable {
    public var name: String
    /// NodeResourcesFit does not look whether nodes have it: the extender does.
    public var isIgnoredByScheduler: Bool
  }

  /// Whose certificate is trusted, and what is shown: files by path, or their content.
  public struct TLS: Sendable, Hashable {
    public var isInsecure = false
    public var serverName = ""
    public var certificateFile = ""
    public var keyFile = ""
    public var authorityFile = ""
    /// PEM, base64.
    public var certificateData = ""
    public var keyData = ""
    public var authorityData = ""
  }

  /// "http://127.0.0.1:8888/scheduler".
  public var urlPrefix: String
  /// Empty verbs: it has no say there.
  public var filterVerb: String
  public var prioritizeVerb: String
  public var preemptVerb: String
  public var bindVerb: String
  public var weight: Int64
  public var enableHTTPS: Bool
  public var tls: TLS
  /// For one request.
  public var timeout: Duration
  /// It knows the nodes: their names are enough.
  public var isNodeCacheCapable: Bool
  /// It has a say for pods that ask for one of them; empty: for all pods.
  public var managedResources: [ManagedResource]
  /// Pods are scheduled without it when it does not answer.
  public var isIgnorable: Bool

  private static let standardTimeout = Duration.seconds(5)

  init(_ json: JSONValue, _ path: String, _ reader: inout ConfigurationReader) {
    let json = reader.object(
      json, path,
      [
        "urlPrefix", "filterVerb", "preemptVerb", "prioritizeVerb", "weight", "bindVerb", "enableHTTPS", "tlsConfig",
        "httpTimeout", "nodeCacheCapable", "managedResources", "ignorable",
      ])
    func text(_ name: String) -> String { json[name].string ?? "" }
    urlPrefix = text("urlPrefix")
    filterVerb = text("filterVerb")
    prioritizeVerb = text("prioritizeVerb")
    preemptVerb = text("preemptVerb")
    bindVerb = text("bindVerb")
    weight = json["weight"].integer ?? 0
    enableHTTPS = json["enableHTTPS"].bool ?? false
    isNodeCacheCapable = json["nodeCacheCapable"].bool ?? false
    isIgnorable = json["ignorable"].bool ?? false
    timeout = Self.standardTimeout
    if let time = json["httpTimeout"].string {
      if let parsed = GoDuration.parse(time) {
        if parsed > .zero { timeout = parsed }
      } else {
        reader.report("\(path).httpTimeout: time: invalid duration \"\(time)\"")
      }
    }
    let file = reader.object(
      json["tlsConfig"], "\(path).tlsConfig",
      ["insecure", "serverName", "certFile", "keyFile", "caFile", "certData", "keyData", "caData"])
    tls = TLS(
      isInsecure: file["insecure"].bool ?? false, serverName: file["serverName"].string ?? "",
      certificateFile: file["certFile"].string ?? "", keyFile: file["keyFile"].string ?? "",
      authorityFile: file["caFile"].string ?? "", certificateData: file["certData"].string ?? "",
      keyData: file["keyData"].string ?? "", authorityData: file["caData"].string ?? "")
    managedResources = reader.list(json["managedResources"], "\(path).managedResources").enumerated().map {
      let resource = reader.object(
        $0.element, "\(path).managedResources[\($0.offset)]", ["name", "ignoredByScheduler"])
      return ManagedResource(
        name: resource["name"].string ?? "", isIgnoredByScheduler: resource["ignoredByScheduler"].bool ?? false)
    }
  }

  /// Host, port and path of `urlPrefix`; nil when it is none.
  public var place: (isTLS: Bool, host: String, port: UInt16, path: String)? {
    let isTLS = urlPrefix.hasPrefix("https://")
    guard isTLS || urlPrefix.hasPrefix("http://") else { return nil }
    let rest = urlPrefix.dropFirst(isTLS ? 8 : 7)
    let authority = rest.prefix { $0 != "/" }
    var path = String(rest.dropFirst(authority.count))
    while path.hasSuffix("/") { path.removeLast() }
    var host = authority
    var port: UInt16 = isTLS || enableHTTPS ? 443 : 80
    if let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") {
      guard let number = UInt16(authority[authority.index(after: colon)...]) else { return nil }
      port = number
      host = authority[..<colon]
    }
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    return host.isEmpty ? nil : (isTLS || enableHTTPS, String(host), port, path)
  }

  var urlProblem: String? { place == nil ? "must be a URL of the form http://host:port/path" : nil }
}
