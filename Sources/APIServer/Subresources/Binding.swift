import HTTP
import JSON
import Kinds
// pods/binding and bindings: the scheduler puts a pod on a node.
import Replica
import Schema
import World

extension APIServer {
  /// POST to pods/{name}/binding, or to bindings with the pod's name in the body.
  func bind(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    let registry = request.codec.registry
    let bindingKind = GroupVersionKind(group: "", version: "v1", kind: "Binding")
    guard let pods = registry.kind(group: "", version: "v1", resource: "pods"),
      let structure = registry.structure(bindingKind)
    else { throw .unknownResource }
    let presenter = try request.presenter()
    let options = try WriteOptions(request.query, kind: "CreateOptions", userAgent: request.userAgent)
    let decoded = try await request.decodeBody(
      expected: bindingKind, structure: structure, validation: options.fieldValidation)
    var binding = decoded.object
    try ObjectMetadata.place(&binding, request)
    if !request.name.isEmpty, !binding["metadata"]["name"].isZero {
      try ObjectMetadata.checkName(binding, request.name)
    }
    let name = request.name.isEmpty ? binding["metadata"]["name"].string ?? "" : request.name
    let errors = PodBinding.validate(binding)
    guard errors.isEmpty else { throw .invalid(bindingKind, name, errors) }

    let objects = ObjectLookup(state: store.current, store: store)
    var admitted = request.admissionRequest(
      .create, object: binding, name: name, options: options.tree(kind: "CreateOptions"), isDryRun: options.isDryRun)
    try await admission.mutate(&admitted, objects: objects)
    let verdict = try await admission.validate(admitted, objects: objects)

    let podRequest = ResourceRequest(request, kind: pods, name: name)
    let now = request.now.rfc3339
    let plan = UpdatePlan(
      surface: .binding, options: options,
      produce: { [binding = admitted.object] (old) throws(APIStatus) in
        var pod = old
        if APIMutant.bindingRepeatable.isActive { pod["spec"]["nodeName"] = nil }
        try PodBinding.apply(binding, to: &pod, now: now)
        return pod
      }, ownsManagedFields: true, isReplacement: false)
    _ = try await update(podRequest, plan)
    var answer = Answer.success(code: 201)
    answer.warnings = decoded.warnings + admitted.warnings + verdict.warnings
    return try presenter.response(answer)
  }
}

extension ResourceRequest {
  /// A request that another one makes on the way: same user, loop and fence; another object.
  init(_ other: ResourceRequest, kind: KindDescriptor, name: String) {
    var info = other.info
    info.name = name
    self.init(
      http: other.http, path: other.path, info: info, kind: kind, user: other.user, world: other.world,
      now: other.now, codec: other.codec)
  }
}
