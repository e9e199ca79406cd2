// Bodies in and out: JSON, YAML, Kubernetes protobuf.
import JSON
import Kinds
import Schema

/// Reads and writes bodies in the encodings of the API.
struct Codec: Sendable {
  let registry: KindRegistry

  /// A tree in the format's encoding.
  func encode(_ tree: JSONValue, _ format: OutputFormat) throws(APIStatus) -> [UInt8] {
    switch format.encoding {
    case .json: return format.isPretty ? tree.prettyBytes : tree.bytes
    case .yaml: return YAML.bytes(tree)
    case .protobuf:
      let kind = GroupVersionKind(apiVersion: tree["apiVersion"].string ?? "", kind: tree["kind"].string ?? "")
      guard let structure = registry.structure(kind) else { throw .notAcceptable(OutputFormat.offered) }
      return ProtobufEncoder.envelope(tree, as: structure)
    }
  }

  /// Whether objects and lists of this kind are known to the server.
  func isRegistered(_ kind: GroupVersionKind) -> Bool {
    if registry.kind(kind) != nil || registry.structure(kind) != nil { return true }
    guard kind.kind.hasSuffix("List") else { return false }
    let element = String(kind.kind.dropLast("List".count))
    return registry.kind(GroupVersionKind(group: kind.group, version: kind.version, kind: element)) != nil
  }

  /// Whether answers of this kind can be had in protobuf: a definition says nothing of field numbers.
  func encodesProtobuf(_ kind: KindDescriptor) -> Bool {
    kind.custom == nil && registry.structure(kind.kind) != nil
  }

  /// Whether this document, which names its kind, has a message.
  func encodesProtobuf(_ tree: JSONValue) -> Bool {
    registry.structure(
      GroupVersionKind(apiVersion: tree["apiVersion"].string ?? "", kind: tree["kind"].string ?? "")) != nil
  }

  /// A DeleteOptions, which clients send under many names: "v1", "meta.k8s.io/v1" or the group version of the object.
  func decodeOptions(_ body: [UInt8], contentType: String?) throws(APIStatus) -> JSONValue {
    guard let structure = registry.types["meta.v1.DeleteOptions"] else {
      preconditionFailure("the type table lacks meta.v1.DeleteOptions")
    }
    let expected = GroupVersionKind(group: "", version: "v1", kind: "DeleteOptions")
    guard MediaType(contentType: contentType) == .json else {
      return try BodyDecoder.decode(body, contentType: contentType, expected: expected, structure: structure).object
    }
    do {
      var tree = try JSONValue(parsing: body)
      if let kind = tree["kind"].string, !kind.isEmpty, kind != expected.kind {
        throw APIStatus.badRequest("DeleteOptions: no kind \"\(kind)\" is registered for options of a deletion")
      }
      tree["kind"] = .string(expected.kind)
      tree["apiVersion"] = .string(expected.apiVersion)
      return try TypedDecoder.decode(tree, as: structure).value
    } catch let status as APIStatus {
      throw status
    } catch {
      throw .badRequest("DeleteOptions: \(error)")
    }
  }
}
