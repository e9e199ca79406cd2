// HAProxy before the servers: TCP passed through, health by /readyz.

enum LoadBalancer {
  /// The configuration. Checks are frequent and connections to a server that died are cut at once, so that clients
  /// notice and come back through another; nothing else is to be tuned here.
  static func configuration(_ plan: ClusterPlan, folder: String) -> String {
    let servers = plan.members.map { member in
      "  server \(member.name) \(member.address) check inter 250ms fastinter 100ms fall 2 rise 2 "
        + "on-marked-down shutdown-sessions"
    }
    return """
      # Written by `trireme up` (\(folder)); edits are lost at its next start.
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
        bind \(plan.endpoint)
        default_backend servers

      backend servers
        balance leastconn
        option httpchk GET /readyz
        http-check expect status 200
        default-server check-ssl verify none
      \(servers.joined(separator: "\n"))

      """
  }
}
