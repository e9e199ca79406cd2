// From stored objects and trees to the bytes the client asked for: shape (object, Table, metadata only), version,
// encoding. The common case, JSON in the stored version, hands out the stored bytes untouched.
import HTTP
import JSON
import Kinds
import Replica
import Schema
import World

/// Presents objects of one kind in one format.
struct Presenter: Sendable {
  let kind: KindDescriptor
  let format: OutputFormat
  let included: TableBuilder.IncludedObject
  let now: WallTime
  /// Encodes other things than JSON.
  let codec: Codec

  /// Stored bytes (converted, where a webhook does that) may be sent as they are, but for objects that need conversion
  /// all the same.
  var usesStoredBytes: Bool {
    format.shape == .object && format.encoding == .json && !format.isPretty
      && (kind.storage == kind.kind || kind.isConvertedByWebhook)
  }
  func usesStoredBytes(of object: StoredObject) -> Bool { usesStoredBytes && !kind.needsConversion(object) }

  /// The object in the version of the request.
  func tree(_ object: StoredObject) -> JSONValue {
    kind.needsConversion(object) ? Conversion.fromStorage(object.tree, to: kind) : object.tree
  }

  /// The object as JSON in the version of the request: its own bytes where they are that.
  func bytes(_ object: StoredObject) -> [UInt8] {
    kind.needsConversion(object) ? tree(object).bytes : object.bytes
  }

  /// How stored objects of a built-in kind begin.
  var typePrefix: [UInt8] {
    Array("{\"kind\":\"\(kind.kind.kind)\",\"apiVersion\":\"\(kind.kind.apiVersion)\",".utf8)
  }

  /// One object in its shape, still a tree.
  func shaped(_ object: JSONValue, withColumns: Bool = true) -> JSONValue {
    switch format.shape {
    case .object: object
    case .partialMetadata(let version): TableBuilder.partialObject(object, version: version)
    case .table(let version): tableBuilder(version).table(object, hasColumns: withColumns)
    }
  }

  /// PartialObjectMetadata of a stored object: its metadata's own bytes. (Conversion leaves metadata alone, but for the
  /// annotations of autoscaling/v1, which say nothing to those who ask for metadata only.)
  static func partialBytes(_ object: StoredObject, version: String) -> [UInt8] {
    let metadata = JSONTape.rawBytes(of: "metadata", in: object.bytes[...])
    var bytes: [UInt8] = []
    bytes.reserveCapacity(metadata.count + 96)
    bytes += "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/".utf8
    bytes += version.utf8
    bytes += "\",\"metadata\":".utf8
    bytes += metadata
    bytes.append(UInt8(ascii: "}"))
    return bytes
  }

  func tableBuilder(_ version: String) -> TableBuilder {
    TableBuilder(kind, includes: included, version: version, now: now.secondsSinceEpoch)
  }

  /// A list in its shape, still a tree.
  func shaped(_ objects: [JSONValue], at position: ListPosition) -> JSONValue {
    switch format.shape {
    case .table(let version): tableBuilder(version).table(objects, at: position)
    case .partialMetadata(let version): TableBuilder.partialObjects(objects, at: position, version: version)
    case .object:
      [
        "kind": .string(kind.listKind), "apiVersion": .string(kind.kind.apiVersion), "metadata": position.json,
        "items": .array(kind.custom == nil ? objects.map(Self.untyped) : objects),
      ]
    }
  }

  /// An item of a list, which has said of what kind its items are. (Lists of custom resources say it again each time.)
  static func untyped(_ object: JSONValue) -> JSONValue {
    var object = object
    object["kind"] = .null
    object["apiVersion"] = .null
    return object
  }

  /// An answer as it goes out.
  func response(_ answer: Answer) throws(APIStatus) -> HTTPResponse {
    let body: HTTPBody
    switch answer.content {
    case .stored(let object) where usesStoredBytes(of: object): body = .bytes(object.bytes)
    case .stored(let object): body = .bytes(try codec.encode(shaped(tree(object)), format))
    case .object(let tree): body = .bytes(try codec.encode(shaped(tree), format))
    case .document(let tree): body = .bytes(try codec.encode(tree, format))
    }
    var response = HTTPResponse(
      status: answer.code, headers: ["content-type": format.encoding.rawValue], body: body)
    for warning in Warnings.headers(answer.warnings) { response.headers.add("warning", warning) }
    return response
  }
}
