// From a resource request to its handler: does the resource exist, does it have the verb, which subresource is it.
import HTTP
import JSON
import Kinds
import Schema
import World

extension APIServer {
  /// How often a write is tried again when the definition of its kind changes at the same time.
  private static let definitionRetries = 8

  /// Requests for custom resources are taken up again when their definition turned out to have changed.
  func route(
    _ http: HTTPRequest, _ path: RequestPath, _ info: RequestInfo, _ user: RequestUser, _ world: any World
  ) async throws(APIStatus) -> HTTPResponse {
    var http = http
    for _ in 0..<Self.definitionRetries {
      guard let kind = try await kind(for: info) else {
        // An APIService that has not come as far as this server.
        guard let api = try await aggregatedAPI(path.segments, isNewest: true) else {
          throw notFound(path.segments)
        }
        return await proxy(http, to: api, path, info, user, world)
      }
      guard let custom = kind.custom else { return try await route(http, path, info, user, world, kind) }
      // What is to be read twice is read into memory first.
      if info.isMutating, case .stream = http.body { http.body = .bytes(try await http.wholeBody()) }
      do throws(APIStatus) {
        var response = try await route(http, path, info, user, world, kind)
        if let warning = custom.deprecationWarning {
          for header in Warnings.headers([warning]) { response.headers.add("warning", header) }
        }
        return response
      } catch {
        guard error.reason == Self.definitionChanged.reason else {
          // Whoever is refused is told as well.
          var refusal = error
          if let warning = custom.deprecationWarning { refusal.warnings.append(warning) }
          throw refusal
        }
      }
    }
    throw .serviceUnavailable("the definition of \(info.resource).\(info.group) changes all the time")
  }

  private func route(
    _ http: HTTPRequest, _ path: RequestPath, _ info: RequestInfo, _ user: RequestUser, _ world: any World,
    _ kind: KindDescriptor
  ) async throws(APIStatus) -> HTTPResponse {
    let isOwnNamespace = info.resource == "namespaces" && info.group.isEmpty
    if !kind.isNamespaced, !info.namespace.isEmpty, !isOwnNamespace {
      throw kind.custom == nil ? .unknownResource : .unknownPath
    }
    if kind.custom != nil, kind.isNamespaced, info.namespace.isEmpty, info.verb != "list", info.verb != "watch" {
      throw .unknownPath
    }
    let request = ResourceRequest(
      http: http, path: path, info: info, kind: kind, user: user, world: world, now: world.wallClock,
      codec: Codec(registry: registry))
    if kind.custom?.isTerminating == true, info.verb == "create", info.subresource.isEmpty {
      var status = APIStatus.methodNotAllowed
      status.message = "create not allowed while custom resource definition is terminating"
      throw status.about(kind.groupResource, "")
    }
    guard info.subresource.isEmpty else { return try await routeSubresource(request) }
    try checkShape(request)
    if kind.groupResource == Self.componentStatuses { return try await componentStatuses(request) }
    switch info.verb {
    case "get": return try await get(request)
    case "list": return try await list(request)
    case "watch": return try await watch(request)
    case "create":
      if let computed = dependencies.computed[kind.groupResource.description] {
        return try await compute(request, computed, body: kind.kind, structure: kind.structure)
      }
      if kind.groupResource == GroupResource(group: "", resource: "bindings") { return try await bind(request) }
      return try await create(request)
    case "update": return try await update(request)
    case "patch": return try await patch(request)
    case "delete": return try await delete(request)
    case "deletecollection": return try await deleteCollection(request)
    default: throw .methodNotAllowed
    }
  }

  /// Whether a path of this form takes this verb.
  private func checkShape(_ request: ResourceRequest) throws(APIStatus) {
    let info = request.info
    guard let verb = Verb(rawValue: info.verb), request.kind.verbs.contains(verb) else { throw .methodNotAllowed }
    let needsName = ["get", "update", "patch", "delete"].contains(info.verb)
    if needsName != !info.name.isEmpty, info.verb != "watch" { throw .methodNotAllowed }
    if request.kind.isNamespaced, info.namespace.isEmpty {
      switch info.verb {
      case "list", "watch": break
      // The path is there for lists, where there are lists.
      case "create", "deletecollection":
        throw request.kind.verbs.contains(.list) ? .methodNotAllowed : .unknownResource
      default: throw .unknownResource
      }
    }
    if refusesHead(request) { throw .methodNotAllowed }
  }

  /// Built-in kinds are got by GET alone; custom ones also by HEAD, for the reference routes them by verb.
  private func refusesHead(_ request: ResourceRequest) -> Bool {
    request.http.method == "HEAD" && request.kind.custom == nil
  }

  private func routeSubresource(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    let info = request.info
    guard let subresource = request.kind.subresource(info.subresource) else {
      throw request.kind.custom == nil ? .unknownResource : .notFound(request.resource, request.name)
    }
    let isProxy = subresource.name == "proxy"
    guard info.rest.isEmpty || isProxy else { throw .unknownResource }
    if request.kind.isNamespaced, info.namespace.isEmpty { throw .unknownResource }
    guard isProxy || subresource.verbs.contains(where: { $0.rawValue == info.verb }) && !refusesHead(request) else {
      throw request.kind.custom == nil ? .methodNotAllowed : .methodNotSupported(request.resource, info.verb)
    }
    if let computed = dependencies.computed["\(request.kind.groupResource)/\(subresource.name)"] {
      return try await compute(request, computed, subresource)
    }
    switch subresource.name {
    case "status": return try await surface(request, .status)
    case "finalize": return try await surface(request, .finalize)
    case "approval": return try await surface(request, .approval)
    case "ephemeralcontainers": return try await surface(request, .ephemeralContainers)
    case "scale": return try await scale(request)
    case "binding": return try await bind(request)
    case "eviction": return try await evict(request)
    case "log", "exec", "attach", "portforward", "proxy": return try await connect(request)
    default: throw .unknownResource
    }
  }

  /// A subresource whose body is the object itself.
  private func surface(_ request: ResourceRequest, _ surface: UpdateSurface) async throws(APIStatus) -> HTTPResponse {
    switch request.info.verb {
    case "get": try await get(request)
    case "update": try await update(request, surface: surface)
    case "patch": try await patch(request, surface: surface)
    default: throw .methodNotAllowed
    }
  }
}
