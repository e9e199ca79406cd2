// A server's folder: pki/, data/, and server.json, which says how the server was started the first time, so that later
// starts need nothing but the folder.
import EventLoop
import JSON
import Raft
import Replica
import TLS

/// Where one server keeps everything.
struct ServerHome: Sendable {
  /// Without a slash at its end.
  let path: String

  var certificates: String { "\(path)/pki" }
  var data: String { "\(path)/data" }
  private var recordFile: String { "\(path)/server.json" }

  /// What is known of the server; nil before its first start. Throws when the file cannot be understood.
  func record() throws -> ServerRecord? {
    guard FileSystem.exists(recordFile) else { return nil }
    guard let record = ServerRecord(json: try JSONValue(parsing: FileSystem.read(recordFile))) else {
      throw CommandFailure("\(recordFile) cannot be understood: it was changed, or written by a newer version")
    }
    return record
  }

  func write(_ record: ServerRecord) throws {
    try FileSystem.write(record.json.description + "\n", to: recordFile, permissions: 0o600)
  }

  /// Whether a disk of a server is there.
  var hasDisk: Bool { FileSystem.exists("\(data)/raft.db") || FileSystem.exists("\(data)/state.db") }
}

/// How a server was started the first time.
struct ServerRecord: Sendable, Equatable {
  enum Phase: String, Sendable {
    /// Certificates and number are there; the disk may not be.
    case prepared
    /// It has taken part in the group: a disk that is empty from now on was wiped.
    case started
    /// The group has removed it: it must not start again on this disk.
    case removed
  }

  var name: String
  /// Where it listens, and how others reach it.
  var listen: String
  var advertise: String
  /// Where clients find the cluster.
  var endpoint: String
  var serviceNetwork: String
  /// The cluster's id and this server's number in it.
  var cluster: String
  var node: NodeID
  /// The group as it was then: whom to ask first. The group as it is stands on the disk.
  var members: [Member]
  /// Joined a running group, and shall become a voter by itself.
  var hasJoined = false
  var phase = Phase.prepared

  static let format: Int64 = 1

  init(
    name: String, listen: String, advertise: String, endpoint: String, serviceNetwork: String, cluster: String,
    node: NodeID, members: [Member]
  ) {
    self.name = name
    self.listen = listen
    self.advertise = advertise
    self.endpoint = endpoint
    self.serviceNetwork = serviceNetwork
    self.cluster = cluster
    self.node = node
    self.members = members
  }

  init?(json: JSONValue) {
    guard json["format"].integer == Self.format, let name = json["name"].string, let listen = json["listen"].string,
      let advertise = json["advertise"].string, let endpoint = json["endpoint"].string,
      let serviceNetwork = json["serviceNetwork"].string, let cluster = json["cluster"].string,
      let node = json["node"].integer, node > 0, let phase = json["phase"].string.flatMap(Phase.init(rawValue:))
    else { return nil }
    self.init(
      name: name, listen: listen, advertise: advertise, endpoint: endpoint, serviceNetwork: serviceNetwork,
      cluster: cluster, node: NodeID(node), members: json["members"].elements.compactMap(Member.init(json:)))
    hasJoined = json["joined"].bool ?? false
    self.phase = phase
  }

  var json: JSONValue {
    [
      "format": .integer(Self.format), "name": .string(name), "listen": .string(listen),
      "advertise": .string(advertise), "endpoint": .string(endpoint), "serviceNetwork": .string(serviceNetwork),
      "cluster": .string(cluster), "node": .integer(Int64(node)), "joined": .bool(hasJoined),
      "phase": .string(phase.rawValue), "members": .array(members.map(\.json)),
    ]
  }
}

extension Member {
  init?(json: JSONValue) {
    guard let id = json["id"].integer, id > 0, let name = json["name"].string, let address = json["address"].string
    else { return nil }
    self.init(id: NodeID(id), name: name, address: address)
  }
  var json: JSONValue { ["id": .integer(Int64(id)), "name": .string(name), "address": .string(address)] }
}
