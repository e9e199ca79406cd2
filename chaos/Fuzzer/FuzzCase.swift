// What a case sends, and what is done with its answer.
import HTTP

public struct FuzzRequest: Sendable {
  public var method: String
  public var target: String
  public var headers: HTTPHeaders
  public var body: [UInt8]

  public init(_ method: String, _ target: String, _ headers: HTTPHeaders = [:], _ body: [UInt8] = []) {
    self.method = method
    self.target = target
    self.headers = headers
    self.body = body
  }

  public var http: HTTPRequest {
    HTTPRequest(method: method, target: target, headers: headers, body: body.isEmpty ? .empty : .bytes(body))
  }

  /// For a reader who wants to send it again.
  public var description: String {
    let fields = headers.fields.map { "\($0.name): \($0.value)" }.joined(separator: "; ")
    let shown = String(decoding: body.prefix(3000), as: UTF8.self)
    return "\(method) \(target)\n  [\(fields)]\n  \(shown)\(body.count > 3000 ? "… (\(body.count) bytes)" : "")"
  }
}

public struct FuzzCase: Sendable {
  public enum Flow: Sendable {
    /// One request.
    case single(FuzzRequest)
    /// Reads an object, changes it, writes it back: the change is drawn from the case's own chance.
    case edit(read: FuzzRequest, write: FuzzRequest)
  }
  public var number: Int
  public var flow: Flow
  /// What was done, in words.
  public var told: String
  /// The path under which an accepted object can be read back; empty where there is none.
  public var objectPath = ""
}
