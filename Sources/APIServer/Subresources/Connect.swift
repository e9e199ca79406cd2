// log, exec, attach, portforward, proxy: requests that a kubelet answers.
import HTTP
import JSON
import Replica
import Schema
import World

extension APIServer {
  func connect(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    if request.info.subresource == "log" { _ = try LogOptions(request.query, pod: request.name) }
    let objects = ObjectLookup(state: try await linearizableState(), store: store)
    // What is proxied to may be named with a scheme and a port.
    let proxied = request.info.subresource == "proxy" ? ProxiedName(request.name) : nil
    if request.info.subresource == "proxy", proxied == nil {
      throw .badRequest("invalid \(request.kind.singular) request \"\(request.name)\"")
    }
    let key = request.key(proxied?.name ?? request.name)
    guard let stored = objects.state.object(key) else { throw .notFound(request.resource, key.name) }
    var options: JSONValue = [:]
    for item in request.query.items { options[item.name] = .string(item.value) }
    if request.info.subresource != "log" {
      var admitted = request.admissionRequest(
        .connect, object: options, old: stored.tree, options: options, isDryRun: false)
      try await admission.mutate(&admitted, objects: objects)
      _ = try await admission.validate(admitted, objects: objects)
    }
    let rest = RequestTarget(segments: request.info.rest).path
    switch (request.kind.resource, request.info.subresource) {
    case ("nodes", "proxy"):
      guard let proxied else { throw .unknownResource }
      let kubelet = KubeletEndpoint(stored.tree)
      try ProxyAddress.check(kubelet.host)
      guard !proxied.port.isEmpty, proxied.port != String(kubelet.port) else {
        return try await forward(request, node: stored.tree, path: rest)
      }
      // Another port than the kubelet's is some other program of the node.
      guard let port = UInt16(proxied.port), port > 0 else {
        throw .badRequest("invalid node request \"\(request.name)\"")
      }
      return try await reach(request, (kubelet.host, port), proxied, path: rest)
    case ("pods", "proxy"):
      guard let proxied else { throw .unknownResource }
      return try await reach(request, try proxied.place(ofPod: stored.tree), proxied, path: rest)
    case ("services", "proxy"):
      guard let proxied else { throw .unknownResource }
      let place = try proxied.place(
        ofService: stored.tree, namespace: request.namespace, objects, choice: request.world.randomBits())
      return try await reach(request, place, proxied, path: rest)
    case ("pods", let subresource):
      return try await connect(request, pod: stored.tree, subresource, objects)
    default: throw .methodNotAllowed
    }
  }

  private func reach(
    _ request: ResourceRequest, _ place: (host: String, port: UInt16), _ proxied: ProxiedName, path: String
  ) async throws(APIStatus) -> HTTPResponse {
    try ProxyAddress.check(place.host)
    let query = request.path.rawQuery
    return try await dependencies.kubelets.reach(
      request.http, host: place.host, port: place.port, isSecure: proxied.isSecure,
      path: query.isEmpty ? path : "\(path)?\(query)")
  }

  private func connect(
    _ request: ResourceRequest, pod: JSONValue, _ subresource: String, _ objects: ObjectLookup
  ) async throws(APIStatus) -> HTTPResponse {
    let place = RequestTarget(
      segments: try PodConnection.segments(subresource, request, pod),
      query: try PodConnection.query(subresource, request))
    guard let nodeName = pod["spec"]["nodeName"].string, !nodeName.isEmpty else {
      // A pod that runs nowhere has said nothing yet.
      if subresource == "log" {
        return HTTPResponse(status: 200, headers: ["content-type": "text/plain"], body: .empty)
      }
      throw .badRequest("pod \(request.name) does not have a host assigned")
    }
    let nodes = GroupResource(group: "", resource: "nodes")
    guard let node = objects.object(nodes, name: nodeName) else { throw .notFound(nodes, nodeName) }
    if subresource == "log" { return try await log(request, node, place.encoded) }
    guard request.http.headers["upgrade"] != nil else { throw .badRequest("Upgrade request required") }
    return try await stream(request, subresource, node, place.encoded)
  }

  private func log(
    _ request: ResourceRequest, _ node: JSONValue, _ path: String
  ) async throws(APIStatus) -> HTTPResponse {
    let response = try await dependencies.kubelets.forward(request.http.withoutUpgrade, to: node, path: path)
    // A log is bytes or a reason why there are none.
    guard (200...206).contains(response.status) else { throw await PodConnection.failure(response, request) }
    guard WebSocketHandshake.isUpgrade(request.http) else { return response }
    return BodyOverWebSocket.log(request.http, response, world: request.world)
  }

  /// A tunnel, in which the kubelet has its own say; what it does not speak itself is translated.
  private func stream(
    _ request: ResourceRequest, _ subresource: String, _ node: JSONValue, _ path: String
  ) async throws(APIStatus) -> HTTPResponse {
    let kubelets = dependencies.kubelets
    if subresource != "portforward", RemoteCommand.isWanted(request.http) {
      let asked = request.http.asSPDY(RemoteCommand.kubeletProtocols)
      let response = try await kubelets.forward(asked, to: node, path: path)
      do {
        return try RemoteCommand.answer(
          request.http, response, CommandStreams(request.query), world: request.world)
      } catch { throw .badRequest("\(error)") }
    }
    let tunneled = TunneledPortForward.protocols(request.http)
    if subresource == "portforward", !tunneled.isEmpty {
      let response = try await kubelets.forward(request.http.asSPDY(tunneled), to: node, path: path)
      do { return try TunneledPortForward.answer(request.http, response, world: request.world) } catch {
        throw .badRequest("\(error)")
      }
    }
    return try await kubelets.forward(request.http, to: node, path: path)
  }

  private func forward(
    _ request: ResourceRequest, node: JSONValue, path: String
  ) async throws(APIStatus) -> HTTPResponse {
    let query = request.path.rawQuery
    return try await dependencies.kubelets.forward(
      request.http, to: node, path: query.isEmpty ? path : "\(path)?\(query)")
  }
}

/// Which container, and where the kubelet serves it (spec/7).
enum PodConnection {
  static func segments(_ subresource: String, _ request: ResourceRequest, _ pod: JSONValue) throws(APIStatus)
    -> [String]
  {
    let place = [request.namespace, request.name]
    switch subresource {
    case "portforward": return ["portForward"] + place
    case "log": return ["containerLogs"] + place + [try container(of: pod, request)]
    default: return [subresource] + place + [try container(of: pod, request)]
    }
  }

  /// The options as kubelets know them.
  static func query(
    _ subresource: String, _ request: ResourceRequest
  ) throws(APIStatus) -> [(name: String, value: String)] {
    switch subresource {
    case "log": return try LogOptions(request.query, pod: request.name).kubeletQuery
    case "portforward":
      let ports = request.query.values("ports")
      for port in ports where Int32(port) == nil {
        throw .badRequest("strconv.ParseInt: parsing \(JSONValue.string(port)): invalid syntax")
      }
      return ports.isEmpty ? [] : [("port", ports.joined(separator: ","))]
    default: return CommandStreams(request.query).kubeletQuery
    }
  }

  private static func container(of pod: JSONValue, _ request: ResourceRequest) throws(APIStatus) -> String {
    let spec = pod["spec"]
    let all = ["initContainers", "containers", "ephemeralContainers"].flatMap { member in
      spec[member].elements.compactMap { $0["name"].string }
    }
    let wanted = request.query["container"] ?? ""
    guard wanted.isEmpty else {
      guard all.contains(wanted) else {
        throw .badRequest("container \(wanted) is not valid for pod \(request.name)")
      }
      return wanted
    }
    // Which of several is the default one is for clients to say (kubectl reads an annotation).
    let containers = spec["containers"].elements
    if containers.count == 1, let only = containers[0]["name"].string { return only }
    throw .badRequest(
      "a container name must be specified for pod \(request.name), choose one of: [\(all.joined(separator: " "))]")
  }

  /// Bytes of a kubelet's answer that may become part of a message.
  private static let failureTextMaximum = 50_000

  /// What a kubelet says in its own words, as a Status.
  static func failure(_ response: HTTPResponse, _ request: ResourceRequest) async -> APIStatus {
    let bytes = (try? await response.body.collect(upTo: failureTextMaximum)) ?? []
    let text = String(decoding: bytes, as: UTF8.self)
    let place = "( pods/log \(request.name))"
    switch response.status {
    case 400: return .badRequest(text)
    case 500: return .internalError(text)
    case 401: return .unauthorized
    case 403: return APIStatus(code: 403, reason: "Forbidden", message: text.isEmpty ? "forbidden \(place)" : text)
    case 404:
      return APIStatus(
        code: 404, reason: "NotFound", message: "the server could not find the requested resource \(place)")
    case let code where code > 500:
      return APIStatus(
        code: code, reason: "InternalError",
        message: "an error on the server (\(JSONValue.string(text))) has prevented the request from succeeding \(place)"
      )
    case let code:
      return APIStatus(
        code: code < 400 ? 502 : code, reason: "Unknown",
        message: "the server responded with the status code \(code) but did not return more information \(place)")
    }
  }
}
