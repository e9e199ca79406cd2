// What an answer must be, whatever was asked.
import HTTP
import JSON

public enum FuzzJudge {
  /// Answers of the 500s that Kubernetes gives as well, each with its reason.
  private static let known: [(code: Int, text: String, why: String)] = [
    (500, "resourceVersion should not be set on objects to be created", "spec/2 §2.7: the reference's own answer"),
    (504, "Too large resource version", "the client asks for a revision of the future"),
    (503, "no route from this server to the pod network", "a proxy to pods that run nowhere"),
    (503, "no endpoints available for service", "a proxy to a service that nobody serves"),
    (500, "dial tcp", "a kubelet that does not exist"),
    (500, "more than one PodDisruptionBudget", "spec/3 §3.7: the reference's own answer"),
    (500, "failed to create typed patch object", "kubernetes issue 139253: the reference's own answer"),
    (500, "please try again", "others write the same object all the time"),
  ]

  /// What a client may be asked to read.
  private static let messageMaximum = 16 << 20
  /// What an object may measure.
  private static let storedMaximum = 3 << 20

  /// What is wrong with an answer; nil when nothing is.
  public static func check(_ request: FuzzRequest, status: Int, headers: HTTPHeaders, body: [UInt8]) -> String? {
    if request.method == "HEAD" {
      if !body.isEmpty { return "an answer to HEAD has a body" }
      // A revision of the future, of which HEAD can say no more.
      if status == 504, request.target.contains("resourceVersion=") { return nil }
      return status >= 500 ? "status \(status)" : nil
    }
    let text = String(decoding: body.prefix(2000), as: UTF8.self)
    if status >= 500 {
      let isKnown = known.contains { $0.code == status && text.contains($0.text) }
      guard isKnown else { return "status \(status): \(text)" }
    }
    if (300..<400).contains(status) { return "a redirection: \(status)" }
    if status < 200 { return "status \(status)" }
    if status >= 400 { return checkStatus(status, headers, body, text, request) }
    guard headers["content-type"]?.hasPrefix("application/json") == true, !isStream(request) else { return nil }
    // What is compressed is not opened: that clients can is a matter of other tests.
    if headers["content-encoding"] == "gzip" {
      return body.starts(with: [0x1f, 0x8b]) ? nil : "an answer that says it is gzip and is not: \(text)"
    }
    do { _ = try JSONValue(parsing: body) } catch { return "the answer is no JSON (\(error)): \(text)" }
    return nil
  }

  private static func isStream(_ request: FuzzRequest) -> Bool {
    request.target.contains("watch") || request.target.contains("follow")
  }

  private static func checkStatus(
    _ status: Int, _ headers: HTTPHeaders, _ body: [UInt8], _ text: String, _ request: FuzzRequest
  ) -> String? {
    guard headers["content-type"]?.hasPrefix("application/json") == true else {
      // Health, metrics and documents answer in text.
      // A path that leads nowhere, as the reference says it.
      if status == 404, text == "404 page not found\n" { return nil }
      let isResource = request.target.hasPrefix("/api/v1/") || request.target.hasPrefix("/apis/")
      return isResource ? "an error that is no Status: \(headers["content-type"] ?? "no type"): \(text)" : nil
    }
    guard let json = try? JSONValue(parsing: body) else { return "a Status that is no JSON: \(text)" }
    guard json["kind"] == "Status", json["apiVersion"] == "v1", json["status"] == "Failure",
      json["metadata"].object != nil
    else { return "an error that is no Status: \(text)" }
    guard json["code"].integer == Int64(status) else { return "the Status says another code than \(status): \(text)" }
    guard let message = json["message"].string, !message.isEmpty else { return "a Status without message: \(text)" }
    // A value that is refused is shown, a few times, and of five thousand bad elements each is named: a message may be as
    // many times larger than what was sent as an error is larger than the smallest element, never its square.
    // A patch whose outcome is no object of its kind is told with that outcome, as the reference tells it: whatever was
    // stored, quoted.
    let showsObject = request.method == "PATCH" && message.hasPrefix(" \"\" is invalid: patch: Invalid value: ")
    let stored = showsObject ? 4 * storedMaximum : 0
    guard message.utf8.count < min(messageMaximum, 100_000 + stored + 64 * request.body.count) else {
      return "a message of \(message.utf8.count) bytes"
    }
    guard json["reason"].string != nil || status == 500 else { return "a Status without reason: \(text)" }
    if status == 422, request.method != "PATCH", json["details"]["causes"].elements.isEmpty {
      return "422 without causes: \(text)"
    }
    for cause in json["details"]["causes"].elements where cause["message"].string == nil {
      return "a cause without message: \(text)"
    }
    if status == 429 || status == 503, headers["retry-after"] == nil { return "\(status) without Retry-After" }
    return nil
  }
}
