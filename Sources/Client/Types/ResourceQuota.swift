import JSON
import Kinds

public struct ResourceQuota: APIObject {
  public static let reference = ResourceReference.resourceQuotas
  public var metadata: ObjectMeta
  public var quota: Quota
  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    quota = Quota(json)
  }
}
