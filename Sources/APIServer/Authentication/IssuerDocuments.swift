// What others need to check the cluster's tokens without asking it (spec/8 §8.2, discovery).
import HTTP
import JSON
import Schema
import World

/// GET /.well-known/openid-configuration and GET /openid/v1/jwks.
public struct IssuerDocument: PathHandler {
  private let bytes: [UInt8]
  private let contentType: String

  /// Who the issuer is and where its keys are.
  public static func configuration(of tokens: ServiceAccountTokens) -> IssuerDocument {
    IssuerDocument(bytes: tokens.discoveryDocument.bytes, contentType: "application/json")
  }
  /// The public keys.
  public static func keys(of tokens: ServiceAccountTokens) -> IssuerDocument {
    IssuerDocument(bytes: tokens.keySet.bytes, contentType: "application/jwk-set+json")
  }

  public func respond(to request: HTTPRequest, context: RequestContext) async -> HTTPResponse {
    guard request.method == "GET" else {
      let status = APIStatus.methodNotAllowed
      return HTTPResponse(
        status: status.code, headers: ["content-type": "application/json"], body: .bytes(status.json.bytes))
    }
    // The reference lets them be kept for an hour: keys outlive tokens.
    let headers: HTTPHeaders = ["content-type": contentType, "cache-control": "public, max-age=3600"]
    return HTTPResponse(status: 200, headers: headers, body: .bytes(bytes))
  }
}
