// Backups through any server: the state as a stream of blocks, and the memory of the last one that was verified.
import APIServer
import EventLoop
import HTTP
import JSON
import Replica
import Schema
import TLS
import World

extension Operations {
  /// `POST backup`: the file's bytes. `?local=true`: of what this server holds, for when there is no majority.
  /// `POST backup/record`: a client has read its copy whole and found it right. `GET backup/key`: to open backups with.
  func backup(_ request: HTTPRequest, _ target: RequestTarget, _ path: [String]) async throws -> HTTPResponse {
    switch (request.method, path) {
    case ("POST", []):
      let isLocal = target[query: "local"] == "true"
      return stream(try await begin(isLocal: isLocal))
    case ("POST", ["record"]):
      let body = try JSONValue(parsing: try await request.body.collect(upTo: 1 << 16))
      var data: JSONValue = ["time": .string(parts.world.wallClock.rfc3339)]
      for key in ["revision", "bytes", "stateHash", "objects", "server"] { data[key] = .string(body[key].string ?? "") }
      try await BackupRecord.write(data, parts.client)
      return OperationsPaths.response(data)
    case ("GET", ["key"]): return OperationsPaths.response(["key": .string(parts.certificates.backupKey.text)])
    default:
      throw APIStatus(code: 405, reason: "MethodNotAllowed", message: "\(request.method) is not for \(target.path)")
    }
  }

  private func begin(isLocal: Bool) async throws -> Backup {
    let (replica, key) = (parts.replica, parts.certificates.backupKey)
    let advice = "What \(parts.record.name) itself holds can be backed up all the same: trireme backup --local"
    if !isLocal { try await requireMajority("no backup was made. \(advice)") }
    do throws(StoreError) {
      if isLocal { return try await replica.backupOfThisServer(sealedWith: key) }
      return try await replica.backup(sealedWith: key)
    } catch {
      if case .stopped(let why) = error {
        throw APIStatus.serviceUnavailable("\(parts.record.name) has stopped: \(why)")
      }
      let problems = GroupHealth(replica.status).problems.joined(separator: " ")
      throw APIStatus.serviceUnavailable("no backup was made: \(error). \(advice). \(problems)")
    }
  }

  /// Block after block, as fast as the client takes them: it holds one version of the state, and slows nobody.
  private func stream(_ backup: Backup) -> HTTPResponse {
    let pipe = BytePipe()
    let loop = EventLoop.current ?? parts.world
    loop.spawn {
      var backup = backup
      do {
        while let block = backup.next() { try await pipe.write(block) }
        pipe.finish()
      } catch {
        // The client has gone; its file has no end, and it knows.
        pipe.finish(throwing: error)
      }
    }
    return HTTPResponse(status: 200, headers: ["content-type": "application/octet-stream"], body: .stream(pipe))
  }
}
