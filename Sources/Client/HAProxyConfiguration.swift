// HAProxy before the servers: TCP passed through, health by /readyz.

/// What HAProxy is told to stand before a cluster. Checks are frequent and connections to a server that died are cut at
/// once, so that clients notice and come back through another; nothing else is to be tuned.
public struct HAProxyConfiguration: Sendable {
  /// Where clients come: "10.0.0.100:6443"; ":6443" for every address.
  public var bind: String
  public var servers: [(name: String, address: String)]
  /// Places of servers that do not exist yet: checked like dead ones, but rarely, and get nothing.
  public var spares: [(name: String, address: String)]

  public init(
    bind: String, servers: [(name: String, address: String)], spares: [(name: String, address: String)] = []
  ) {
    self.bind = bind
    self.servers = servers
    self.spares = spares
  }

  /// A server of the backend: `trireme member list -o haproxy` prints them for the configurations of others.
  public static func serverLine(_ name: String, _ address: String) -> String {
    "  server \(name) \(address) check inter 250ms fastinter 100ms fall 2 rise 2 on-marked-down shutdown-sessions"
  }

  private var serverLines: [String] {
    servers.map { Self.serverLine($0.name, $0.address) }
      + spares.map { Self.serverLine($0.name, $0.address) + " downinter 1s" }
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
      # What hangs is found as soon as what is dead: the system takes connections on behalf of a server that stands still.
      timeout check 250ms
      option clitcpka
      option srvtcpka
      # A connection that a server refuses goes to another one.
      retries 3
      option redispatch 1

    frontend kubernetes
      bind \(bind)
      default_backend servers

    backend servers
      balance leastconn
      # Servers answer this path, and no other, without TLS: handshakes all the time would cost more than all else that
      # an idle cluster does.
      option httpchk GET /readyz
      http-check expect status 200
      # Who is about to end says so: nobody new is sent there, and whoever is there is not cut off.
      http-check disable-on-404
    \(serverLines.joined(separator: "\n"))

    """
  }
}
