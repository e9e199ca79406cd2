// What a handler decided to answer, before it is written in the shape and encoding the client asked for.
import JSON
import Replica
import Schema

struct Answer: Sendable {
  enum Content: Sendable {
    /// An object as stored.
    case stored(StoredObject)
    /// An object as a tree, in the version of the request.
    case object(JSONValue)
    /// A Status or another document that has one shape only.
    case document(JSONValue)
  }
  var code = 200
  var content: Content
  /// Texts for Warning headers.
  var warnings: [String] = []

  static func success(code: Int = 200, details: JSONValue = .null) -> Answer {
    var status: JSONValue = ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success"]
    if !details.isNull { status["details"] = details }
    if code != 200 { status["code"] = .integer(Int64(code)) }
    return Answer(code: code, content: .document(status))
  }
}
