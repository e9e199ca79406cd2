// kubeconfig files: where the servers are and who we are.
import JSON
import Schema

/// The current context of a kubeconfig, credentials inlined. Made by `trireme up`; read by agents and loops.
public struct Kubeconfig: Sendable, Equatable {
  /// "https://127.0.0.1:6443"; agents hold a list, of which this is the first.
  public var server: String
  public var certificateAuthorityPEM: String
  public var clientCertificatePEM: String
  public var clientKeyPEM: String
  public var token: String
  public var clusterName: String
  public var userName: String

  public init(
    server: String, certificateAuthorityPEM: String, clientCertificatePEM: String = "", clientKeyPEM: String = "",
    token: String = "", clusterName: String = "trireme", userName: String = "admin"
  ) {
    self.server = server
    self.certificateAuthorityPEM = certificateAuthorityPEM
    self.clientCertificatePEM = clientCertificatePEM
    self.clientKeyPEM = clientKeyPEM
    self.token = token
    self.clusterName = clusterName
    self.userName = userName
  }

  /// Why a kubeconfig cannot be used, in words for its owner.
  public struct Malformed: Error, CustomStringConvertible {
    public var description: String
  }

  /// Reads YAML or JSON. `readFile` is asked for certificate paths, should they stand there instead of data.
  public init(parsing text: [UInt8], base64Decode: (String) -> [UInt8]?, readFile: (String) throws -> [UInt8]) throws {
    let config = try YAML.parse(text)
    let contextName = config["current-context"].string ?? ""
    func named(_ list: String, _ name: String, _ member: String) throws -> JSONValue {
      guard let found = config[list].elements.first(where: { $0["name"].string == name }) else {
        throw Malformed(description: "kubeconfig: no entry \"\(name)\" under \(list)")
      }
      return found[member]
    }
    let context = try named("contexts", contextName, "context")
    clusterName = context["cluster"].string ?? ""
    userName = context["user"].string ?? ""
    let cluster = try named("clusters", clusterName, "cluster")
    let user = try named("users", userName, "user")
    func material(_ object: JSONValue, _ key: String) throws -> String {
      if let data = object["\(key)-data"].string {
        guard let bytes = base64Decode(data) else {
          throw Malformed(description: "kubeconfig: \(key)-data is not base64")
        }
        return String(decoding: bytes, as: UTF8.self)
      }
      guard let path = object[key].string else { return "" }
      return String(decoding: try readFile(path), as: UTF8.self)
    }
    server = cluster["server"].string ?? ""
    guard server.hasPrefix("https://") else {
      throw Malformed(description: "kubeconfig: server of cluster \"\(clusterName)\" must begin with https://")
    }
    certificateAuthorityPEM = try material(cluster, "certificate-authority")
    clientCertificatePEM = try material(user, "client-certificate")
    clientKeyPEM = try material(user, "client-key")
    token = user["token"].string ?? ""
  }

  /// The file, as kubectl reads it.
  public func yaml(base64Encode: (String) -> String) -> String {
    var user = ""
    if !clientCertificatePEM.isEmpty {
      user += "    client-certificate-data: \(base64Encode(clientCertificatePEM))\n"
      user += "    client-key-data: \(base64Encode(clientKeyPEM))\n"
    }
    if !token.isEmpty { user += "    token: \(token)\n" }
    return """
      apiVersion: v1
      kind: Config
      clusters:
      - name: \(clusterName)
        cluster:
          server: \(server)
          certificate-authority-data: \(base64Encode(certificateAuthorityPEM))
      users:
      - name: \(userName)
        user:
      \(user)contexts:
      - name: \(userName)@\(clusterName)
        context:
          cluster: \(clusterName)
          user: \(userName)
      current-context: \(userName)@\(clusterName)

      """
  }
}
