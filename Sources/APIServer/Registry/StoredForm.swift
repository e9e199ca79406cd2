// Between trees and the stored form: final bytes with a place for the resourceVersion.
import JSON
import Replica
import Schema

extension StoredObject {
  /// The object as a tree. Stored bytes were written by a server: that they do not parse means the store is damaged.
  public var tree: JSONValue {
    do { return try JSONValue(parsing: bytes) } catch {
      preconditionFailure("stored object \(key) at revision \(revision) is no JSON: \(error)")
    }
  }
}

extension StoredObject {
  /// The object to be looked into without a tree.
  var tape: JSONTape {
    do { return try JSONTape(parsing: bytes) } catch {
      preconditionFailure("stored object \(key) at revision \(revision) is no JSON: \(error)")
    }
  }
}

extension UnversionedObject {
  /// The stored form of a tree: its members in order, `metadata.resourceVersion` left open.
  public init(tree: JSONValue, fence: UInt64 = 0) {
    let metadata = tree["metadata"]
    var bytes: [UInt8] = []
    bytes.reserveCapacity(1024)
    var offset = 0
    bytes.append(UInt8(ascii: "{"))
    for (key, value) in tree.object ?? JSONObject() {
      if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
      JSONValue.write(key, to: &bytes)
      bytes.append(UInt8(ascii: ":"))
      if key == "metadata" { offset = Self.write(metadata: value, to: &bytes) } else { value.write(to: &bytes) }
    }
    bytes.append(UInt8(ascii: "}"))
    precondition(offset > 0, "an object without metadata cannot be stored")
    self.init(
      uid: metadata["uid"].string ?? "", bytes: bytes, revisionOffset: offset,
      labels: metadata["labels"].stringMap, fence: fence)
  }

  /// Writes metadata with an empty resourceVersion and returns where its digits belong: behind the uid, whatever the
  /// object carried before.
  private static func write(metadata: JSONValue, to bytes: inout [UInt8]) -> Int {
    var offset = 0
    func placeRevision() {
      if bytes.last != UInt8(ascii: "{") { bytes.append(UInt8(ascii: ",")) }
      bytes += "\"resourceVersion\":\"".utf8
      offset = bytes.count
      bytes.append(UInt8(ascii: "\""))
    }
    bytes.append(UInt8(ascii: "{"))
    for (key, value) in metadata.object ?? JSONObject() where key != "resourceVersion" {
      if bytes.last != UInt8(ascii: "{") { bytes.append(UInt8(ascii: ",")) }
      JSONValue.write(key, to: &bytes)
      bytes.append(UInt8(ascii: ":"))
      value.write(to: &bytes)
      if key == "uid" { placeRevision() }
    }
    if offset == 0 { placeRevision() }
    bytes.append(UInt8(ascii: "}"))
    return offset
  }
}
