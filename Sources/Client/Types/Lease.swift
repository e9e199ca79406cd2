import JSON

public struct LeaseObject: APIObject {
  public static let reference = ResourceReference.leases
  public var metadata: ObjectMeta
  public var holder: String
  public var renewTime: String
  public var durationSeconds: Int64
  public var transitions: Int64

  public init(json: some JSONReadable) {
    metadata = ObjectMeta(json: json["metadata"])
    holder = json["spec"]["holderIdentity"].string ?? ""
    renewTime = json["spec"]["renewTime"].string ?? ""
    durationSeconds = json["spec"]["leaseDurationSeconds"].integer ?? 0
    transitions = json["spec"]["leaseTransitions"].integer ?? 0
  }
  public static func read(_ json: JSONTape.Cursor) -> Self { Self(json: json) }
}
