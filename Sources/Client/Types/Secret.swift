// Secrets, as far as control loops read them.
import JSON
import Schema

public struct Secret: APIObject {
  public static let reference = ResourceReference.secrets
  public var metadata: ObjectMeta
  public var type: String
  /// As written: in base64.
  public var data: [String: String]

  public init(json: JSONValue) {
    metadata = ObjectMeta(json: json["metadata"])
    type = json["type"].string ?? ""
    data = json["data"].stringMap
  }

  /// Of a service account's token: whose it is.
  public var accountName: String { metadata.annotations["kubernetes.io/service-account.name"] ?? "" }
  /// Empty until the token is filled in.
  public var accountUID: String { metadata.annotations["kubernetes.io/service-account.uid"] ?? "" }
}
