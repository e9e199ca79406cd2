// apiextensions.k8s.io ConversionReview: what a conversion webhook is asked, and what it may answer. Pure; the words for
// what is wrong are the reference's.
import JSON
import Schema

enum ConversionReview {
  /// An answer that is none.
  struct Malformed: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  private static let group = "apiextensions.k8s.io"
  private static let known = ["v1", "v1beta1"]

  /// The version of ConversionReview that the webhook likes best of those that are known here.
  static func version(_ accepted: JSONValue) throws(Malformed) -> String {
    guard let version = accepted.elements.compactMap(\.string).first(where: { known.contains($0) }) else {
      throw Malformed("no supported conversion review versions")
    }
    return version
  }

  static func request(
    _ objects: some Sequence<JSONValue>, to apiVersion: String, version: String, uid: String
  ) -> JSONValue {
    [
      "kind": "ConversionReview", "apiVersion": .string("\(group)/\(version)"),
      "request": [
        "uid": .string(uid), "desiredAPIVersion": .string(apiVersion), "objects": .array(Array(objects)),
      ],
    ]
  }

  /// The objects of an answer, not yet checked one by one.
  static func objects(_ body: [UInt8], version: String, uid: String) throws(Malformed) -> [JSONValue] {
    guard let review = try? JSONValue(parsing: body), review.object != nil else {
      throw Malformed("couldn't get version/kind; json parse error: the response is no JSON object")
    }
    let response = review["response"]
    if version == "v1" {
      let expected = GroupVersionKind(group: group, version: "v1", kind: "ConversionReview")
      let given = GroupVersionKind(apiVersion: review["apiVersion"].string ?? "", kind: review["kind"].string ?? "")
      guard given == expected else {
        throw Malformed("expected webhook response of \(expected.goText), got \(given.goText)")
      }
    }
    guard response.object != nil else { throw Malformed("no response provided") }
    // The first version asked for no uid: those that answer in it may know none.
    if version == "v1", response["uid"].string ?? "" != uid {
      throw Malformed(
        "expected response.uid=\(JSONValue.string(uid)), got \(JSONValue.string(response["uid"].string ?? ""))")
    }
    let result = response["result"]
    guard result["status"] == "Success" else {
      let message = result["message"].string ?? ""
      throw Malformed(
        message.isEmpty ? "response.result.status was '\(result["status"].string ?? "")', not 'Success'" : message)
    }
    return response["convertedObjects"].elements
  }

  /// A converted object with the metadata of its original: only labels and annotations may be others. Throws what
  /// follows "conversion webhook for x ".
  static func checked(
    _ converted: JSONValue, original: JSONValue, apiVersion: String
  ) throws(Malformed) -> JSONValue {
    let given = converted["apiVersion"].string ?? ""
    guard given == apiVersion else {
      throw Malformed(
        "returned invalid object at index 0: invalid groupVersion (expected \(apiVersion), received \(given))")
    }
    let kinds = (original["kind"].string ?? "", converted["kind"].string ?? "")
    guard kinds.0 == kinds.1 else {
      throw Malformed("returned invalid object at index 0: invalid kind (expected \(kinds.0), received \(kinds.1))")
    }
    for (name, member) in [("name", "name"), ("namespace", "namespace"), ("UID", "uid")] {
      let before = original["metadata"][member].string ?? ""
      let after = converted["metadata"][member].string ?? ""
      guard before == after else {
        throw Malformed("returned invalid object: must have the same \(name): \(before) != \(after)")
      }
    }
    var result = converted
    do { result["metadata"] = try metadata(of: converted, original["metadata"]) } catch {
      throw Malformed("returned invalid metadata: \(error)")
    }
    return result
  }

  private static func metadata(of converted: JSONValue, _ original: JSONValue) throws(Malformed) -> JSONValue {
    let answered = converted["metadata"]
    if answered.isNull { throw Malformed("missing metadata in converted object") }
    guard answered.object != nil else {
      throw Malformed("invalid metadata of type \(answered.goTypeName) in converted object")
    }
    var metadata = original
    for member in ["labels", "annotations"] {
      let value = answered[member]
      if value.isNull {
        metadata[member] = .null
        continue
      }
      guard let texts = value.object else {
        throw Malformed("invalid metadata.\(member) of type \(value.goTypeName) in converted object")
      }
      for (key, text) in texts where text.string == nil {
        throw Malformed("metadata.\(member)[\(key)] must be a string, but is \(text.goTypeName) in converted object")
      }
      if value != original[member] {
        let errors =
          member == "labels"
          ? ObjectMetaValidation.labels(value, "metadata.labels")
          : ObjectMetaValidation.annotations(value, "metadata.annotation")
        guard errors.isEmpty else { throw Malformed(aggregate(errors)) }
      }
      metadata[member] = value
    }
    return metadata
  }

  /// Several errors as one, as Go's aggregate prints them.
  private static func aggregate(_ errors: [FieldError]) -> String {
    let texts = errors.map { "\($0.field): \($0.message)" }
    return texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ", "))]"
  }
}

extension GroupVersionKind {
  /// "group/version, Kind=kind".
  var goText: String { "\(apiVersion), Kind=\(kind)" }
}

extension JSONValue {
  /// The type that Go gives a value of this kind.
  fileprivate var goTypeName: String {
    switch self {
    case .null: "<nil>"
    case .bool: "bool"
    case .integer: "int64"
    case .double: "float64"
    case .string: "string"
    case .array: "[]interface {}"
    case .object: "map[string]interface {}"
    }
  }
}
