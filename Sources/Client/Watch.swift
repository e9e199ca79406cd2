import HTTP
import JSON
import Schema
import World

/// One event of a watch (spec/2 §2.3), its object as it came: nothing of it is read until somebody asks.
public enum WatchEvent: Sendable {
  case added(JSONTape.Cursor)
  case modified(JSONTape.Cursor)
  case deleted(JSONTape.Cursor)
  /// Everything up to this resourceVersion has been seen.
  case bookmark(resourceVersion: String, initialEventsEnd: Bool)
}

/// A running watch: `next` until it returns nil (a clean end: go on from the last resourceVersion) or throws an
/// `APIStatus` (410: list again). One reader.
public final class WatchStream: Sendable {
  private let pipe: BytePipe
  private let splitter = WatchSplitter()
  private let world: any World
  private let reading: SharedReading?

  init(pipe: BytePipe, world: any World, reading: SharedReading?) {
    self.pipe = pipe
    self.world = world
    self.reading = reading
  }

  public func next() async throws -> WatchEvent? {
    while true {
      if let frame = splitter.next() { return try event(frame) }
      guard let chunk = try await pipe.next() else { return nil }
      splitter.append(chunk)
    }
  }

  public func cancel() { pipe.cancel() }

  private func event(_ frame: [UInt8]) throws -> WatchEvent {
    let json = try (reading?.tape(of: frame, now: world.now) ?? JSONTape(parsing: frame)).root
    let object = json["object"]
    switch json["type"].string {
    case "ADDED": return .added(object)
    case "MODIFIED": return .modified(object)
    case "DELETED": return .deleted(object)
    case "BOOKMARK":
      return .bookmark(
        resourceVersion: object["metadata"]["resourceVersion"].string ?? "",
        initialEventsEnd: object["metadata"]["annotations"]["k8s.io/initial-events-end"].string == "true")
    case "ERROR": throw APIStatus(json: object.value)
    default: throw HTTPError.malformed("watch event of unknown type")
    }
  }
}

extension APIClient {
  /// Opens a watch of a collection after `resourceVersion` (ListOptions); bookmarks are asked for.
  public func watch(
    path: String, _ options: ListOptions, timeoutSeconds: Int, accept: String = "application/json"
  ) async throws -> WatchStream {
    let query =
      options.query + [
        ("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", String(timeoutSeconds)),
      ]
    // A watch takes a place only until it begins: what lasts for minutes must not keep others out.
    let response = try await gated { try await send("GET", path, query, accept: accept) }
    // Nobody else asks for objects in another form.
    let reading = accept == "application/json" ? reading : nil
    switch response.body {
    case .stream(let pipe): return WatchStream(pipe: pipe, world: world, reading: reading)
    case .bytes, .pieces, .empty:
      let pipe = BytePipe(highWater: .max)
      try pipe.offer(try await response.body.collect())
      pipe.finish()
      return WatchStream(pipe: pipe, world: world, reading: reading)
    }
  }
}
