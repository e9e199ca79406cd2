// Conversion of custom resources by a webhook: many objects in one call, each checked before it is used.
import JSON
import Schema

extension KindDescriptor {
  /// Objects come to this version from others by a webhook. That takes time: it is done before anything else is made of
  /// them, see `APIServer.inVersion(of:_:)`.
  var isConvertedByWebhook: Bool {
    guard let custom, case .webhook = custom.conversion else { return false }
    return custom.schemas.count > 1
  }
}

extension WebhookCaller {
  /// How long a conversion may take. What the reference allows.
  private static let conversionTime = Duration.seconds(30)
  /// Bounds of one call: its answer must be read whole.
  private static let conversionObjects = 256
  private static let conversionBytes = 1 << 20

  /// The objects in the version `target`, in their order; those that are in it stay as they are.
  func converted(
    _ objects: [JSONValue], to target: GroupVersionKind, _ custom: CustomKind, _ lookup: ObjectLookup
  ) async throws(APIStatus) -> [JSONValue] {
    guard case .webhook(let configuration) = custom.conversion else {
      return objects.map { CustomConversion.renamed($0, to: target, custom) }
    }
    var results = objects
    var batch: [Int] = []
    var bytes = 0
    for index in objects.indices where objects[index]["apiVersion"].string != target.apiVersion {
      batch.append(index)
      bytes += objects[index].bytes.count
      if batch.count == Self.conversionObjects || bytes >= Self.conversionBytes {
        try await convert(&results, at: batch, to: target, custom, configuration, lookup)
        (batch, bytes) = ([], 0)
      }
    }
    if !batch.isEmpty { try await convert(&results, at: batch, to: target, custom, configuration, lookup) }
    return results
  }

  private func convert(
    _ objects: inout [JSONValue], at indices: [Int], to target: GroupVersionKind, _ custom: CustomKind,
    _ configuration: JSONValue, _ lookup: ObjectLookup
  ) async throws(APIStatus) {
    let source = GroupVersionKind(apiVersion: objects[indices[0]]["apiVersion"].string ?? "", kind: target.kind)
    func failure(_ what: String) -> APIStatus {
      APIStatus(code: 500, reason: "", message: "conversion webhook for \(source.goText) \(what)")
    }
    let answered: [JSONValue]
    do throws(ConversionReview.Malformed) {
      let version = try ConversionReview.version(configuration["conversionReviewVersions"])
      let uid = uuid()
      let review = ConversionReview.request(
        indices.lazy.map { [objects] in objects[$0] }, to: target.apiVersion, version: version, uid: uid)
      let body: [UInt8]
      do throws(CallFailure) {
        body = try await exchange(review, with: configuration["clientConfig"], within: Self.conversionTime, lookup)
      } catch {
        throw ConversionReview.Malformed(error.description)
      }
      answered = try ConversionReview.objects(body, version: version, uid: uid)
    } catch {
      throw failure("failed: \(error)")
    }
    guard answered.count == indices.count else {
      throw failure("returned \(answered.count) objects, expected \(indices.count)")
    }
    for (index, object) in zip(indices, answered) {
      do throws(ConversionReview.Malformed) {
        let checked = try ConversionReview.checked(object, original: objects[index], apiVersion: target.apiVersion)
        objects[index] =
          custom.schemas[target.version].map { TypedDecoder.canonicalized(checked, as: $0) } ?? checked
      } catch {
        throw failure(error.description)
      }
    }
  }
}
