// Asks webhooks: finds them, sends them a review, reads their answer.
import HTTP
import JSON
import Replica
import Schema
import Synchronization
import TLS
import World

/// The webhooks of a cluster, and the way to them.
public final class WebhookCaller: Sendable {
  enum Kind: String, Sendable {
    case mutating = "mutatingwebhookconfigurations"
    case validating = "validatingwebhookconfigurations"
    var resource: GroupResource { GroupResource(group: "admissionregistration.k8s.io", resource: rawValue) }
  }
  /// Why a call failed: what follows `failed calling webhook "x": `.
  enum Failure: Error {
    case calling(String)
    case refused(APIStatus)
  }
  /// Why nothing usable came back: in the words of the reference's client.
  struct CallFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }
  private struct Compiled: Sendable {
    var newest: Revision = 0
    var count = 0
    var webhooks: [Webhook] = []
  }
  private static let responseMaximum = 3 << 20

  private let transport: any WebhookTransport
  private let randomBits: @Sendable () -> UInt64
  private let authorizer: any Authorizer
  private let clock: @Sendable () -> MonotonicTime?
  let metrics = WebhookMetrics()
  private let compiled = Mutex<[Kind: Compiled]>([:])

  /// `authorizer` answers match conditions that ask it; without one nothing is allowed. `randomBits` names reviews and
  /// picks endpoints. `clock` measures how long webhooks take; without one they take no time.
  public init(
    transport: any WebhookTransport, authorizer: any Authorizer = AuthorizerChain([]),
    clock: @escaping @Sendable () -> MonotonicTime? = { nil }, randomBits: @escaping @Sendable () -> UInt64
  ) {
    self.transport = transport
    self.authorizer = authorizer
    self.clock = clock
    self.randomBits = randomBits
  }

  /// Reaches nobody.
  public static let unreachable = WebhookCaller(transport: UnreachableWebhooks()) { 0 }

  /// All webhooks of a kind, by name of their configuration, then in its order.
  func webhooks(_ kind: Kind, _ objects: ObjectLookup) -> [Webhook] {
    let stored = objects.stored(kind.resource)
    if stored.isEmpty { return [] }
    let newest = stored.reduce(0) { max($0, $1.revision) }
    if let known = compiled.withLock({ $0[kind] }), known.newest == newest, known.count == stored.count {
      return known.webhooks
    }
    let webhooks = stored.sorted { $0.key.name < $1.key.name }.flatMap { object in
      object.tree["webhooks"].elements.map { Webhook($0, configuration: object.key.name) }
    }
    compiled.withLock { $0[kind] = Compiled(newest: newest, count: stored.count, webhooks: webhooks) }
    return webhooks
  }

  /// Configuration objects are never subject to webhooks: a wrong one could not be mended.
  static func isExempt(_ resource: GroupResource) -> Bool {
    resource.group == "admissionregistration.k8s.io"
      && [
        "mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
      ].contains(resource.resource)
  }

  /// The kind as which a webhook is to be asked about a request; nil when it is none of its business.
  func kind(
    for request: AdmissionRequest, _ webhook: Webhook, _ objects: ObjectLookup
  ) async throws(APIStatus) -> GroupVersionKind? {
    guard let kind = webhook.kind(for: request, objects) else { return nil }
    guard webhook.hasConditions else { return kind }
    let shown = try await shown(request, as: kind, objects)
    return try await webhook.meetsConditions(shown, as: kind, authorizer) ? kind : nil
  }

  /// What the webhook says of a request that it sees as one for `kind`.
  func ask(
    _ webhook: Webhook, _ request: AdmissionRequest, as kind: GroupVersionKind, _ objects: ObjectLookup, mayPatch: Bool
  ) async throws(Failure) -> AdmissionReview.Verdict {
    let asked = clock()
    func record(_ outcome: WebhookMetrics.Outcome) {
      let took = asked.flatMap { asked in clock().map { $0 - asked } } ?? .zero
      metrics.record(outcome, name: webhook.name, mayPatch: mayPatch, operation: request.operation, took: took)
    }
    do throws(Failure) {
      let verdict = try await review(webhook, request, as: kind, objects, mayPatch: mayPatch)
      record(
        verdict.isAllowed ? .allowed : .denied(AdmissionReview.denial(webhook.name, verdict.status).code))
      return verdict
    } catch {
      switch error {
      case .refused(let status): record(.refused(status.code))
      case .calling: record(.failed(isPassedOver: webhook.failsOpen))
      }
      throw error
    }
  }

  private func review(
    _ webhook: Webhook, _ request: AdmissionRequest, as kind: GroupVersionKind, _ objects: ObjectLookup, mayPatch: Bool
  ) async throws(Failure) -> AdmissionReview.Verdict {
    if request.isDryRun, !webhook.allowsDryRun {
      throw .refused(.badRequest("admission webhook \"\(webhook.name)\" does not support dry run"))
    }
    guard let version = AdmissionReview.version(webhook.reviewVersions) else {
      throw .calling(
        "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)")
    }
    let uid = uuid()
    let shown: AdmissionRequest
    do throws(APIStatus) { shown = try await self.shown(request, as: kind, objects) } catch { throw .refused(error) }
    let review = AdmissionReview.request(shown, as: kind, version: version, uid: uid)
    let body = try await post(review, to: webhook.clientConfig, within: webhook.timeout, objects)
    let verdict: AdmissionReview.Verdict
    do throws(AdmissionReview.Malformed) {
      verdict = try AdmissionReview.verdict(body, version: version, uid: uid, mayPatch: mayPatch)
    } catch {
      throw .calling("received invalid webhook response: \(error)")
    }
    AuditRecord.current?.annotate(verdict.auditAnnotations, by: webhook)
    return verdict
  }

  /// The request with its objects as those of `kind`, where they come there by a conversion webhook.
  func shown(
    _ request: AdmissionRequest, as kind: GroupVersionKind, _ objects: ObjectLookup
  ) async throws(APIStatus) -> AdmissionRequest {
    let descriptor = request.descriptor
    guard descriptor.isConvertedByWebhook, kind != descriptor.kind else { return request }
    return AdmissionRequest(
      operation: request.operation, descriptor: descriptor, subresource: request.subresource,
      namespace: request.namespace, name: request.name, user: request.user, isDryRun: request.isDryRun,
      options: request.options, now: request.now,
      object: try await converted(request.object, from: descriptor.kind, to: kind, descriptor, objects),
      oldObject: try await converted(request.oldObject, from: descriptor.kind, to: kind, descriptor, objects))
  }

  /// As `EquivalentKinds.converted`, by the kind's conversion webhook where it has one.
  func converted(
    _ object: JSONValue, from source: GroupVersionKind, to target: GroupVersionKind, _ descriptor: KindDescriptor,
    _ objects: ObjectLookup
  ) async throws(APIStatus) -> JSONValue {
    guard descriptor.isConvertedByWebhook, let custom = descriptor.custom, source != target, object.object != nil,
      object["kind"].string == source.kind
    else { return EquivalentKinds.converted(object, from: source, to: target, descriptor) }
    do throws(APIStatus) { return try await converted([object], to: target, custom, objects)[0] } catch {
      throw .internalError(error.message)
    }
  }

  // MARK: - Calling

  /// Posts a document; returns the body of the answer.
  func post(
    _ document: JSONValue, to config: JSONValue, within limit: Duration, _ objects: ObjectLookup
  ) async throws(Failure) -> [UInt8] {
    do throws(CallFailure) {
      return try await exchange(document, with: config, within: limit, objects)
    } catch {
      throw .calling("failed to call webhook: \(error)")
    }
  }

  /// Posts a document; returns the body of the answer.
  func exchange(
    _ document: JSONValue, with config: JSONValue, within limit: Duration, _ objects: ObjectLookup
  ) async throws(CallFailure) -> [UInt8] {
    let place = try place(config, objects, timeout: limit)
    let request = HTTPRequest(
      method: "POST", target: place.target,
      headers: [
        "content-type": "application/json", "accept": "application/json, */*", "user-agent": "kube-apiserver-admission",
        "host": place.authority,
      ], body: .bytes(document.bytes))
    let response: HTTPResponse
    let bytes: [UInt8]
    do {
      response = try await transport.send(request, to: place.address, within: limit)
      bytes = try await response.body.collect(upTo: Self.responseMaximum)
    } catch {
      throw CallFailure("Post \"\(place.url)\": \(Self.text(error, place.address))")
    }
    guard response.status == 200 else { throw CallFailure(Self.text(status: response.status, bytes)) }
    return bytes
  }

  /// As Go's client words what went wrong.
  static func text(_ error: any Error, _ address: WebhookTarget) -> String {
    guard let error = error as? HTTPError else { return "\(error)" }
    switch error {
    case .timedOut: return "context deadline exceeded"
    case .connectFailed(let why):
      if why.contains("refused") { return "dial tcp \(address.host):\(address.port): connect: connection refused" }
      guard let refusal = why.firstRange(of: "certificate was not accepted: ") else {
        return "dial tcp \(address.host):\(address.port): \(why)"
      }
      let reason = why[refusal.upperBound...]
      let known = reason == "unknown CA" ? "certificate signed by unknown authority" : String(reason)
      return "tls: failed to verify certificate: x509: \(known)"
    default: return "\(error)"
    }
  }

  private static func text(status: Int, _ body: [UInt8]) -> String {
    switch status {
    case 404: return "the server could not find the requested resource"
    case 401: return "Unauthorized"
    default:
      let head = String(decoding: body.prefix(256), as: UTF8.self)
      return head.isEmpty
        ? "the server responded with the status code \(status) but did not return more information"
        : "an error on the server (\(JSONValue.string(head))) has prevented the request from succeeding"
    }
  }

  private struct Place {
    var address: WebhookTarget
    var target: String
    var url: String
    var authority: String
  }

  private func place(_ config: JSONValue, _ objects: ObjectLookup, timeout: Duration) throws(CallFailure) -> Place {
    let authority = (try? Base64.decode(config["caBundle"].string ?? "")) ?? []
    let pem = String(decoding: authority, as: UTF8.self)
    let query = "timeout=\(timeout.components.seconds)s"
    if let text = config["url"].string {
      guard let url = HTTPSURL(text) else { throw CallFailure("could not get REST client: \(text) is no https URL") }
      let path = url.path.isEmpty ? "/" : url.path
      let target = "\(path)\(path.contains("?") ? "&" : "?")\(query)"
      return Place(
        address: url.target(authorityPEM: pem), target: target, url: "https://\(url.authority)\(target)",
        authority: url.authority)
    }
    let service = config["service"]
    let namespace = service["namespace"].string ?? ""
    let name = service["name"].string ?? ""
    let port = service["port"].integer ?? 443
    let path = service["path"].string ?? "/"
    let serverName = "\(name).\(namespace).svc"
    let url = "https://\(serverName):\(port)\(path)?\(query)"
    do throws(ServiceResolution.Failure) {
      let endpoint = try ServiceResolution.endpoint(
        namespace: namespace, name: name, port: port, objects: objects, choice: randomBits())
      return Place(
        address: WebhookTarget(host: endpoint.host, port: endpoint.port, serverName: serverName, authorityPEM: pem),
        target: "\(path)?\(query)", url: url, authority: port == 443 ? serverName : "\(serverName):\(port)")
    } catch {
      throw CallFailure("Post \"\(url)\": \(error)")
    }
  }

  /// A random UUID (RFC 9562, version 4).
  func uuid() -> String {
    let (high, low) = (randomBits(), randomBits())
    func hex(_ value: UInt64, _ digits: Int) -> String {
      let text = String(value, radix: 16)
      return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
    return [
      hex(high >> 32, 8), hex((high >> 16) & 0xffff, 4), hex((high & 0x0fff) | 0x4000, 4),
      hex(((low >> 48) & 0x3fff) | 0x8000, 4), hex(low & 0xffff_ffff_ffff, 12),
    ].joined(separator: "-")
  }
}
