// A service of somebody else's that answers reviews: whose a token is, who may do what (kubeconfig files name it).
import HTTP
import JSON
import Schema
import TLS
import World

/// Where reviews are sent, with the credentials that are shown there.
public struct RemoteReviews: Sendable {
  /// What the reference waits for an answer.
  private static let deadline = Duration.seconds(30)
  /// Tries of one review, and the pause before the second; each further one is half as long again.
  private static let triesMaximum = 5
  private static let firstPause = Duration.milliseconds(500)
  private static let answerBytesMaximum = 1 << 20

  private let url: HTTPSURL
  private let text: String
  private let authorityPEM: String
  private let bearerToken: String
  private let transport: any WebhookTransport
  private let world: any World

  /// `url`: an https URL. `authorityPEM`: as of `WebhookTarget`. `transport` shows the client's certificate, if there is
  /// one.
  public init(
    url: String, authorityPEM: String, bearerToken: String = "", transport: any WebhookTransport, world: any World
  ) throws(InvalidConfiguration) {
    guard let parsed = HTTPSURL(url) else { throw InvalidConfiguration("\(url) is no https:// URL") }
    self.url = parsed
    text = url
    self.authorityPEM = authorityPEM
    self.bearerToken = bearerToken
    self.transport = transport
    self.world = world
  }

  /// Posts a review and returns it answered. Tries again where the service was out of reach or overloaded.
  /// `limit`: for each try.
  func ask(_ review: JSONValue, within limit: Duration? = nil) async throws(InvalidConfiguration) -> JSONValue {
    var pause = Self.firstPause
    var tries = 1
    while true {
      do {
        return try await post(review, within: limit ?? Self.deadline)
      } catch {
        guard error.mayPass, tries < Self.triesMaximum, !Task.isCancelled else {
          throw InvalidConfiguration(error.description)
        }
        do { try await world.sleep(for: pause) } catch { throw InvalidConfiguration("cancelled") }
        tries += 1
        pause = pause * 3 / 2
      }
    }
  }

  private struct Failure: Error {
    let description: String
    let mayPass: Bool
  }

  private func post(_ review: JSONValue, within limit: Duration) async throws(Failure) -> JSONValue {
    var headers: HTTPHeaders = [
      "content-type": "application/json", "accept": "application/json, */*", "user-agent": "kube-apiserver",
      "host": url.authority,
    ]
    if !bearerToken.isEmpty { headers["authorization"] = "Bearer \(bearerToken)" }
    let request = HTTPRequest(
      method: "POST", target: url.path.isEmpty ? "/" : url.path, headers: headers, body: .bytes(review.bytes))
    let response: HTTPResponse
    let bytes: [UInt8]
    do {
      response = try await transport.send(request, to: url.target(authorityPEM: authorityPEM), within: limit)
      bytes = try await response.body.collect(upTo: Self.answerBytesMaximum)
    } catch {
      let isPassing =
        if case HTTPError.connectFailed(let why)? = error as? HTTPError { !why.contains("ertificate") } else { false }
      throw Failure(description: "Post \"\(text)\": \(error)", mayPass: isPassing)
    }
    guard (200...201).contains(response.status) else {
      let isPassing = response.status == 429 || response.status >= 500
      throw Failure(description: "Post \"\(text)\": the server answered \(response.status)", mayPass: isPassing)
    }
    guard let answer = try? JSONValue(parsing: bytes), answer.object != nil else {
      throw Failure(description: "Post \"\(text)\": the answer is no JSON object", mayPass: false)
    }
    return answer
  }
}

/// Answers that are kept for a while, and no more than so many.
struct TimedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private static var entriesMaximum: Int { 8192 }
  private var entries: [Key: (value: Value, until: MonotonicTime)] = [:]

  func value(of key: Key, now: MonotonicTime) -> Value? {
    entries[key].flatMap { $0.until > now ? $0.value : nil }
  }

  mutating func keep(_ value: Value, of key: Key, until: MonotonicTime, now: MonotonicTime) {
    if entries.count >= Self.entriesMaximum {
      entries = entries.filter { $0.value.until > now }
      if entries.count >= Self.entriesMaximum { entries.removeAll(keepingCapacity: true) }
    }
    entries[key] = (value, until)
  }
}
