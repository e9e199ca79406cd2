// Service account tokens: JSON Web Tokens that the cluster signs and every server can check (spec/8 §8.2).
import JSON
import Replica
import Schema
import TLS
import World

/// Signs and verifies the tokens of one cluster. All servers share the key.
public struct ServiceAccountTokens: Sendable {
  /// What the cluster calls itself in tokens; also the default audience.
  public static let issuer = "https://kubernetes.default.svc.cluster.local"
  /// No token may be asked for that lives shorter (spec/8 §8.2).
  static let minimumSeconds: Int64 = 600
  static let maximumSeconds: Int64 = 1 << 32
  static let defaultSeconds: Int64 = 3600
  /// A token is ten times shorter; nobody makes us parse more before the signature is checked.
  private static let bytesMaximum = 16 << 10
  /// An object that has been on its way out for longer no longer vouches for a token.
  private static let deletionGrace = Duration.seconds(60)

  private let key: PrivateKey
  private let publicKey: PublicKey
  /// base64url(SHA-256 of the DER public key).
  private let keyID: String
  private let header: String
  private let signatures = SignatureCache()

  /// The key must be one that signs tokens (P-256 or RSA).
  public init(key: PrivateKey) {
    guard let algorithm = key.algorithm else { preconditionFailure("the token key is of a kind that signs no tokens") }
    self.key = key
    publicKey = key.publicKey
    keyID = Crypto.base64URL(Crypto.sha256(publicKey.der))
    let json: JSONValue = ["alg": .string(algorithm.rawValue), "kid": .string(keyID)]
    header = Crypto.base64URL(json.bytes)
  }

  /// An object that a token is bound to: it dies with it.
  struct Bound: Hashable {
    var kind: String
    var name: String
    var uid: String
  }

  /// What a valid token says.
  struct Claims {
    var namespace: String
    var account: String
    var accountUID: String
    var audiences: [String]
    var tokenID: String
    var pod: Bound?
    var node: Bound?
    var secret: Bound?
  }

  // MARK: Signing

  func sign(
    namespace: String, account: String, accountUID: String, audiences: [String], bound: [Bound], tokenID: String,
    issuedAt: WallTime, seconds: Int64, warnAfterSeconds: Int64? = nil
  ) throws(APIStatus) -> String {
    let issued = issuedAt.secondsSinceEpoch
    var kubernetes: JSONValue = [
      "namespace": .string(namespace), "serviceaccount": ["name": .string(account), "uid": .string(accountUID)],
    ]
    for object in bound {
      kubernetes[object.kind.lowercased()] = ["name": .string(object.name), "uid": .string(object.uid)]
    }
    if let warnAfterSeconds { kubernetes["warnafter"] = .integer(issued + warnAfterSeconds) }
    let claims: JSONValue = [
      "aud": .array(audiences.map { .string($0) }), "exp": .integer(issued + seconds), "iat": .integer(issued),
      "iss": .string(Self.issuer), "jti": .string(tokenID), "kubernetes.io": kubernetes, "nbf": .integer(issued),
      "sub": .string("system:serviceaccount:\(namespace):\(account)"),
    ]
    let signed = "\(header).\(Crypto.base64URL(claims.bytes))"
    do {
      return "\(signed).\(Crypto.base64URL(try key.sign(signed.utf8)))"
    } catch {
      throw .internalError("\(error)")
    }
  }

  // MARK: Verifying

  /// Why a token is refused. The client learns no more than 401; logs may.
  enum Refusal: Error, Hashable {
    /// Not one of ours at all: another authenticator may know it.
    case foreign
    case malformed, badSignature, expired, notYetValid, wrongAudience
    case objectGone(String)
  }

  /// Checks signature, times and audience, and that everything the token is bound to is still there.
  func verify(_ token: String, audiences: [String], now: WallTime, state: any StateView) throws(Refusal) -> Claims {
    let json = try signedClaims(token)
    guard let expires = json["exp"].integer, let starts = json["nbf"].integer else { throw .malformed }
    guard now.secondsSinceEpoch < expires else { throw .expired }
    // Clocks of servers differ a little; a token may be used elsewhere in the second it was made.
    guard now.secondsSinceEpoch + 60 >= starts else { throw .notYetValid }
    let granted = json["aud"].string.map { [$0] } ?? json["aud"].elements.compactMap(\.string)
    // A review may ask for hundreds of thousands, a token name thousands.
    let asked = Set(audiences)
    let common = granted.filter { asked.contains($0) }
    guard !common.isEmpty else { throw .wrongAudience }
    let claims = try claims(json["kubernetes.io"], audiences: common, tokenID: json["jti"].string ?? "")
    try checkAlive(claims, now: now, state: state)
    return claims
  }

  /// What the token says, once it is certain that the cluster has said it.
  private func signedClaims(_ token: String) throws(Refusal) -> JSONValue {
    if let known = signatures.claims(of: token) { return known }
    guard token.utf8.count <= Self.bytesMaximum else { throw .foreign }
    let parts = token.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 3, let claimBytes = Crypto.decodeBase64URL(parts[1]),
      let json = try? JSONValue(parsing: claimBytes), json["iss"].string == Self.issuer
    else { throw .foreign }
    guard let signature = Crypto.decodeBase64URL(parts[2]), let algorithm = publicKey.algorithm,
      publicKey.verify(signature, of: "\(parts[0]).\(parts[1])".utf8, algorithm: algorithm)
    else { throw .badSignature }
    signatures.remember(token, json)
    return json
  }

  private func claims(_ json: JSONValue, audiences: [String], tokenID: String) throws(Refusal) -> Claims {
    guard let namespace = json["namespace"].string, let account = json["serviceaccount"]["name"].string,
      let uid = json["serviceaccount"]["uid"].string
    else { throw .malformed }
    func bound(_ kind: String) -> Bound? {
      json[kind]["name"].string.map { Bound(kind: kind, name: $0, uid: json[kind]["uid"].string ?? "") }
    }
    return Claims(
      namespace: namespace, account: account, accountUID: uid, audiences: audiences, tokenID: tokenID,
      pod: bound("pod"), node: bound("node"), secret: bound("secret"))
  }

  private func checkAlive(_ claims: Claims, now: WallTime, state: any StateView) throws(Refusal) {
    func check(_ resource: String, _ namespace: String, _ name: String, _ uid: String) throws(Refusal) {
      guard let object = state.object(ObjectKey(resource: resource, namespace: namespace, name: name)),
        object.uid == uid
      else { throw .objectGone("\(resource)/\(name)") }
      guard let tape = try? JSONTape(parsing: object.bytes),
        let deletion = tape.root["metadata"]["deletionTimestamp"].string.flatMap(WallTime.init(rfc3339:))
      else { return }
      if deletion + Self.deletionGrace < now { throw .objectGone("\(resource)/\(name)") }
    }
    try check("serviceaccounts", claims.namespace, claims.account, claims.accountUID)
    if let pod = claims.pod { try check("pods", claims.namespace, pod.name, pod.uid) }
    if let secret = claims.secret { try check("secrets", claims.namespace, secret.name, secret.uid) }
    // A node bound beside a pod is for information; bound alone it must live.
    if let node = claims.node, claims.pod == nil { try check("nodes", "", node.name, node.uid) }
  }

  // MARK: Documents

  /// /openid/v1/jwks.
  var keySet: JSONValue {
    var key: JSONValue = ["use": "sig", "kid": .string(keyID), "alg": .string(publicKey.algorithm?.rawValue ?? "")]
    switch publicKey.parameters {
    case .ellipticCurve(let curve, let x, let y):
      key["kty"] = "EC"
      key["crv"] = .string(curve.rawValue)
      key["x"] = .string(Crypto.base64URL(x))
      key["y"] = .string(Crypto.base64URL(y))
    case .rsa(let modulus, let exponent):
      key["kty"] = "RSA"
      key["n"] = .string(Crypto.base64URL(modulus))
      key["e"] = .string(Crypto.base64URL(exponent))
    case nil: break
    }
    return ["keys": [key]]
  }

  /// /.well-known/openid-configuration.
  var discoveryDocument: JSONValue {
    [
      "issuer": .string(Self.issuer), "jwks_uri": .string("\(Self.issuer)/openid/v1/jwks"),
      "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
      "id_token_signing_alg_values_supported": [.string(publicKey.algorithm?.rawValue ?? "")],
    ]
  }
}

extension ServiceAccountTokens.Claims {
  /// The user that a token stands for (spec/8 §8.1).
  var user: RequestUser {
    var extra = ["authentication.kubernetes.io/credential-id": ["JTI=\(tokenID)"]]
    if let pod {
      extra["authentication.kubernetes.io/pod-name"] = [pod.name]
      extra["authentication.kubernetes.io/pod-uid"] = [pod.uid]
    }
    if let node {
      extra["authentication.kubernetes.io/node-name"] = [node.name]
      extra["authentication.kubernetes.io/node-uid"] = [node.uid]
    }
    return RequestUser(
      name: "system:serviceaccount:\(namespace):\(account)", uid: accountUID,
      groups: ["system:serviceaccounts", "system:serviceaccounts:\(namespace)", "system:authenticated"], extra: extra)
  }
}
