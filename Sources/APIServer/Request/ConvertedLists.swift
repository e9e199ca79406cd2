// Lists that are not stored bytes end to end: protobuf, tables, other versions. Each object is read and written anew, and
// a large list takes seconds of a processor: others' requests come between.
import HTTP
import JSON
import Kinds
import Replica
import Schema

extension Presenter {
  /// Objects that are presented in one go: a few milliseconds.
  private static let atOnce = 100

  /// The body of a list whose objects are converted. `background` makes what cannot be made piece by piece.
  func convertedList(
    _ page: APIServer.Page, background: any BackgroundWork
  ) async throws(APIStatus) -> HTTPBody {
    if format.encoding == .protobuf { return .pieces(try await protobufList(page)) }
    if case .table(let version) = format.shape, format.encoding == .json, !format.isPretty, !page.objects.isEmpty {
      return .pieces(await tableList(page, tableBuilder(version)))
    }
    guard page.objects.count > Self.atOnce else { return .bytes(try whole(page).get()) }
    // The trees are let go of there, too.
    return .bytes(try await background.run { whole(page) }.get())
  }

  private func whole(_ page: APIServer.Page) -> Result<[UInt8], APIStatus> {
    Result { () throws(APIStatus) in try codec.encode(shaped(page.objects.map(tree), at: page.position), format) }
  }

  private func presented<Form>(_ objects: [StoredObject], _ form: (StoredObject) -> Form) async -> [Form] {
    var forms: [Form] = []
    forms.reserveCapacity(objects.count)
    for object in objects {
      forms.append(form(object))
      if forms.count % Self.atOnce == 0 { await Task.yield() }
    }
    return forms
  }

  /// A table in JSON, each row in bytes before the next one is made.
  private func tableList(_ page: APIServer.Page, _ builder: TableBuilder) async -> BodyPieces {
    let rows = await presented(page.objects) { object in
      let tree = tree(object)
      return (rank: builder.rank(tree), row: builder.row(tree).bytes)
    }
    // Rows are a table's last member.
    let empty = builder.table(metadata: page.position.json, rows: [.null], hasColumns: true).bytes
    let end = Array("null]}".utf8)
    precondition(empty.suffix(end.count) == end[...], "a table ends with its rows")
    var pieces: [[UInt8]] = [Array(empty.dropLast(end.count))]
    for row in builder.ranked(rows) {
      if pieces.count > 1 { pieces[pieces.count - 1].append(UInt8(ascii: ",")) }
      if pieces.count == 1 || pieces[pieces.count - 1].count > Self.pieceBytes { pieces.append([]) }
      pieces[pieces.count - 1] += row
    }
    pieces[pieces.count - 1] += "]}".utf8
    return BodyPieces(pieces)
  }

  /// Rows are joined into pieces of about this size: some TLS records.
  private static let pieceBytes = 64 << 10

  /// A page in protobuf.
  private func protobufList(_ page: APIServer.Page) async throws(APIStatus) -> BodyPieces {
    let (apiVersion, listKind): (String, String)
    let structure: Structure?
    switch format.shape {
    case .object:
      (apiVersion, listKind) = (kind.kind.apiVersion, kind.listKind)
      structure = codec.registry.structure(kind.kind)
    case .partialMetadata(let version):
      (apiVersion, listKind) = ("meta.k8s.io/\(version)", "PartialObjectMetadataList")
      structure = codec.registry.types["meta.v1.PartialObjectMetadata"]
    case .table:
      structure = nil
      (apiVersion, listKind) = ("", "")
    }
    guard let structure, let metadata = codec.registry.types["meta.v1.ListMeta"] else {
      throw .notAcceptable(OutputFormat.offered)
    }
    return BodyPieces(
      ProtobufEnvelope.list(
        apiVersion: apiVersion, kind: listKind,
        metadata: ProtobufEncoder.message(page.position.json, as: metadata),
        items: await presented(page.objects) { ProtobufEncoder.message(tree($0), as: structure) }))
  }
}
