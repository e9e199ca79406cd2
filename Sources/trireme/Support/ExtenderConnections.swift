// The way to a scheduler's extenders: connections that are kept, one client for each.
import EventLoop
import Glibc
import HTTP
import Scheduler
import Schema
import Synchronization
import TLS

/// Sends requests to extenders, over TLS where their configuration says so.
final class ExtenderConnections: Sendable {
  private let clients: [ExtenderConfiguration: HTTPClient]

  /// Reads the files that the configurations name. Throws when one cannot be used.
  init(_ extenders: [ExtenderConfiguration], loop: EventLoop) throws {
    var clients: [ExtenderConfiguration: HTTPClient] = [:]
    for extender in extenders {
      guard let place = extender.place else { continue }
      clients[extender] = HTTPClient(
        loop: loop, endpoint: .ip(place.host, port: place.port),
        tls: place.isTLS ? try Self.configuration(extender.tls) : nil,
        serverName: extender.tls.serverName.isEmpty ? place.host : extender.tls.serverName)
    }
    self.clients = clients
  }

  var sender: ExtenderSender {
    { [self] request, extender in
      guard let client = clients[extender] else { throw HTTPError.connectFailed("no way to \(extender.urlPrefix)") }
      return try await client.send(request, within: extender.timeout, isWhole: true)
    }
  }

  private static func configuration(_ tls: ExtenderConfiguration.TLS) throws -> TLSConfiguration {
    func text(_ data: String, _ file: String) throws -> String {
      if !data.isEmpty { return String(decoding: try Base64.decode(data), as: UTF8.self) }
      return file.isEmpty ? "" : try FileSystem.readText(file)
    }
    let authority = try text(tls.authorityData, tls.authorityFile)
    let certificate = try text(tls.certificateData, tls.certificateFile)
    let key = try text(tls.keyData, tls.keyFile)
    let trust: TLSConfiguration.Trust =
      if tls.isInsecure {
        .anything
      } else if authority.isEmpty {
        .system
      } else {
        .certificates(try Certificate.all(inPEM: authority))
      }
    let identity = certificate.isEmpty ? nil : try Identity(certificatePEM: certificate, privateKeyPEM: key)
    // Extenders are not ours: the newest version that they speak may be 1.2.
    return try .client(trust: trust, identity: identity, minimumVersion: .tls12)
  }
}
