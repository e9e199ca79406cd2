// The types of authentication/v1. Notation: TypeTable.

extension TypeTable {
  static let authenticationV1 = #"""
    BoundObjectReference:
      1:kind string; 2:apiVersion string; 3:name string; 4:uid string
    SelfSubjectReview @kind "Tells a user who they are to the server.":
      1:metadata! meta.v1.ObjectMeta; 2:status! SelfSubjectReviewStatus
    SelfSubjectReviewStatus:
      1:userInfo! UserInfo
    TokenRequest @kind "Asks for a token of a service account.":
      1:metadata! meta.v1.ObjectMeta; 2:spec*! TokenRequestSpec; 3:status! TokenRequestStatus
    TokenRequestSpec:
      1:audiences*! string[] @atomic; 3:boundObjectRef?! BoundObjectReference; 4:expirationSeconds?! int64 =3600
    TokenRequestStatus:
      1:token*! string; 2:expirationTimestamp*! Time
    TokenReview @kind "Asks whether a token is valid and whose it is.":
      1:metadata! meta.v1.ObjectMeta; 2:spec*! TokenReviewSpec; 3:status! TokenReviewStatus
    TokenReviewSpec:
      1:token string; 2:audiences string[]
    TokenReviewStatus:
      1:authenticated bool; 2:user! UserInfo; 3:error string; 4:audiences string[]
    UserInfo:
      1:username string; 2:uid string; 3:groups string[]; 4:extra map<ExtraValue>
    """#
}
