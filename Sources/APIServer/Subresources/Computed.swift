import HTTP
import JSON
// Resources and subresources that answer a create with something computed: reviews, tokens.
import Replica
import Schema

extension APIServer {
  func compute(
    _ request: ResourceRequest, _ computed: any ComputedResource, _ subresource: Subresource
  ) async throws(APIStatus) -> HTTPResponse {
    guard let structure = request.codec.registry.structure(subresource.kind) else {
      throw .internalError("no type for \(subresource.kind)")
    }
    return try await compute(request, computed, body: subresource.kind, structure: structure)
  }

  func compute(
    _ request: ResourceRequest, _ computed: any ComputedResource, body kind: GroupVersionKind, structure: Structure
  ) async throws(APIStatus) -> HTTPResponse {
    let format = try OutputFormat.negotiate(
      accept: request.http.headers["accept"], query: request.query, userAgent: request.userAgent, shapes: false,
      isList: false)
    let options = try WriteOptions(request.query, kind: "CreateOptions", userAgent: request.userAgent)
    let decoded = try await request.decodeBody(
      expected: kind, structure: structure, validation: options.fieldValidation)
    var object = decoded.object
    if request.kind.isNamespaced, object["metadata"]["namespace"].isZero {
      object["metadata"]["namespace"] = .string(request.namespace)
    }
    structure.applyDefaults(to: &object)
    if request.name.isEmpty { request.kind.rules.applyDefaults(to: &object) }
    let objects = ObjectLookup(state: store.current, store: store)
    var admitted = request.admissionRequest(
      .create, object: object, options: options.tree(kind: "CreateOptions"), isDryRun: options.isDryRun)
    try await admission.mutate(&admitted, objects: objects)
    let verdict = try await admission.validate(admitted, objects: objects)
    let context = RequestContext(
      user: request.user, namespace: request.info.namespace, name: request.name, isDryRun: options.isDryRun,
      now: request.now, world: request.world)
    let answer = try await computed.create(admitted.object, context: context, objects: objects)
    return try request.presenter(format).response(
      Answer(
        code: 201, content: .document(answer), warnings: decoded.warnings + admitted.warnings + verdict.warnings))
  }
}
