// Counts what a client asks and how it was answered, as client-go does.
import HTTP
import World

/// Requests to `host` through another transport, counted. Any thread.
public struct MeteredTransport: HTTPTransport {
  private let base: any HTTPTransport
  private let host: String
  private let metrics: LoopMetrics
  private let world: any World

  public init(_ base: any HTTPTransport, host: String, metrics: LoopMetrics, world: any World) {
    self.base = base
    self.host = host
    self.metrics = metrics
    self.world = world
  }

  public func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    let start = world.now
    do {
      let response = try await base.send(request)
      metrics.requested(host, request.method, "\(response.status)", took: world.now - start)
      return response
    } catch {
      metrics.requested(host, request.method, "<error>", took: world.now - start)
      throw error
    }
  }
}
