import HTTP
import JSON
// Resources and subresources that answer a create with something computed: reviews, tokens.
import Replica
import Schema
import World

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
    try ObjectMetadata.place(&object, request)
    structure.applyDefaults(to: &object)
    if request.name.isEmpty { request.kind.rules.applyDefaults(to: &object) }
    // Nothing is stored, but the answer tells who wrote what, as for every other object that is created.
    ManagedFieldsUpdater.update(
      old: nil, new: &object, structure: structure, manager: options.fieldManager, apiVersion: kind.apiVersion,
      subresource: request.info.subresource, now: request.now.rfc3339)
    let objects = ObjectLookup(state: store.current, store: store)
    var admitted = request.admissionRequest(
      .create, object: object, options: options.tree(kind: "CreateOptions"), isDryRun: options.isDryRun)
    try await admission.mutateKeepingOwners(&admitted, objects: objects)
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
