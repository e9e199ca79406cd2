// HAProxy before the servers: TCP passed through, health by /readyz.

/// What HAProxy is told to stand before a cluster. Checks are frequent and connections to a server that died are cut at
/// once, so that clients notice and come back through another; nothing else is to be tuned.
public struct HAProxyConfiguration: Sendable {
  /// Where clients come: "10.0.0.100:6443"; ":6443" for every address.
  public var bind: String
  /// Places of servers that do not exist yet are checked like dead ones and get nothing.
  public var servers: [(name: String, address: String)]

  public init(bind: String, servers: [(name: String, address: String)]) {
    self.bind = bind
    self.servers = servers
  }

  /// A server of the backend: `trireme member list -o haproxy` prints them for the configurations of others.
  public static func serverLine(_ name: String, _ address: String) -> String {
    "  server \(name) \(address) check inter 250ms fastinter 100ms fall 2 rise 2 on-marked-down shutdown-sessions"
  }

  /// The whole file.
  public var text: String {
    """
    global
      maxconn 8192

    defaults
      mode tcp
      timeout connect 1s
      # Watches are long and quiet, exec sessions too.
      timeout client 4h
      timeout server 4h
      timeout check 2s
      option clitcpka
      option srvtcpka
      # A connection that a server refuses goes to another one.
      retries 3
      option redispatch 1

    frontend kubernetes
      bind \(bind)
      default_backend servers

    # Places of servers that do not exist yet are checked like dead ones and get nothing.
    backend servers
      balance leastconn
      option httpchk GET /readyz
      http-check expect status 200
      default-server check-ssl verify none
    \(servers.map { Self.serverLine($0.name, $0.address) }.joined(separator: "\n"))

    """
  }
}
