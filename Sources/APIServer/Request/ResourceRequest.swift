// One request for a resource, with everything its handlers need.
import EventLoop
import HTTP
import JSON
import Kinds
import Replica
import Schema
import World

struct ResourceRequest: Sendable {
  let http: HTTPRequest
  let path: RequestPath
  var info: RequestInfo
  let kind: KindDescriptor
  let user: RequestUser
  /// The loop the request runs on.
  let world: any World
  let now: WallTime
  let codec: Codec

  var query: Query { path.query }
  var name: String { info.name }
  var userAgent: String? { http.headers["user-agent"] }
  var resource: GroupResource { kind.groupResource }

  /// The resource under which objects of this kind are stored, whatever version the request speaks.
  var storageResource: String { kind.storageResource }
  /// The namespace of the key: empty for kinds of the cluster (a namespace's own request carries its name).
  var namespace: String { kind.isNamespaced ? info.namespace : "" }

  func key(_ name: String) -> ObjectKey {
    ObjectKey(resource: storageResource, namespace: namespace, name: name)
  }
  var key: ObjectKey { key(name) }

  /// How an answer with one object, or of this kind, is to be written.
  func presenter(
    isList: Bool = false, isWatch: Bool = false, allowsTable: Bool = true
  ) throws(APIStatus) -> Presenter {
    let format = try OutputFormat.negotiate(
      accept: http.headers["accept"], query: query, userAgent: userAgent, shapes: true, isList: isList,
      allowsProtobuf: codec.encodesProtobuf(kind), isWatch: isWatch, allowsTable: allowsTable,
      type: { Self.referenceType(of: kind, isList: isList) })
    return try presenter(format)
  }

  func presenter(_ format: OutputFormat) throws(APIStatus) -> Presenter {
    let text = query["includeObject"] ?? ""
    let included = text.isEmpty ? .metadata : TableBuilder.IncludedObject(rawValue: text)
    guard included != nil || !format.shape.isTable else {
      throw .badRequest(
        "Unable to convert to Table as requested: includeObject: Invalid value: \"\(text)\": "
          + "must be 'Metadata', 'Object', 'None', or empty")
    }
    return Presenter(kind: kind, format: format, included: included ?? .metadata, now: now, codec: codec)
  }

  /// The type of an answer as the reference's programs know it: "*core.PodList".
  private static func referenceType(of kind: KindDescriptor, isList: Bool) -> String {
    guard kind.custom == nil else { return isList ? "*unstructured.UnstructuredList" : "*unstructured.Unstructured" }
    let group = kind.kind.group.split(separator: ".").first ?? "core"
    let package = group == "events" ? "core" : group
    return "*\(package).\(kind.kind.kind)\(isList ? "List" : "")"
  }

  /// The condition every write of an elected loop carries: it still holds its lease.
  var fence: Precondition? {
    http.trusted?.fence.map {
      .fence(
        ObjectKey(resource: "leases.coordination.k8s.io", namespace: $0.namespace, name: $0.lease), $0.transitions)
    }
  }
}
