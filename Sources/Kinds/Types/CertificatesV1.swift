// The types of certificates/v1. Notation: TypeTable.

extension TypeTable {
  static let certificatesV1 = #"""
    CertificateSigningRequest @kind "Asks a signer for a certificate.":
      1:metadata! meta.v1.ObjectMeta; 2:spec*! CertificateSigningRequestSpec
      3:status! CertificateSigningRequestStatus
    CertificateSigningRequestCondition:
      1:type*! string; 2:reason string; 3:message string; 4:lastUpdateTime! Time; 5:lastTransitionTime! Time
      6:status*! string
    CertificateSigningRequestSpec:
      1:request*! bytes; 2:username string; 3:uid string; 4:groups string[]; 5:usages string[]
      6:extra map<ExtraValue>; 7:signerName*! string; 8:expirationSeconds? int32
    CertificateSigningRequestStatus:
      1:conditions CertificateSigningRequestCondition[] @map(type); 2:certificate bytes
    """#
}
