// Volumes and claims as their controllers read them.
import JSON

public struct PersistentVolumeClaim: APIObject {
  public static let reference = ResourceReference.persistentVolumeClaims
  public var metadata: ObjectMeta
  public init(json: JSONValue) { metadata = ObjectMeta(json: json["metadata"]) }
}

public struct PersistentVolume: APIObject {
  public static let reference = ResourceReference.persistentVolumes
  public var metadata: ObjectMeta
  public var phase: String
  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    phase = json["status"]["phase"].string ?? ""
  }
}
