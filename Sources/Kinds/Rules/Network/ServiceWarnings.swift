// What is legal in a service but unwise, or without effect.
import JSON
import Schema

enum ServiceWarnings {
  private static let hints = "service.kubernetes.io/topology-aware-hints"

  static func of(_ service: JSONValue) -> [String] {
    let spec = service["spec"]
    var warnings: [String] = []
    if !service["metadata"]["annotations"][hints].isNull {
      warnings.append("annotation \(hints) is deprecated, please use service.kubernetes.io/topology-mode instead")
    }
    let isHeadless = spec["type"] == "ClusterIP" && spec["clusterIP"] == "None"
    if !spec["clusterIP"].isEmptyValue, spec["clusterIP"] != "None" {
      for (index, address) in spec["clusterIPs"].elements.enumerated() {
        warnings += ofAddress(address.text, "spec.clusterIPs[\(index)]")
      }
    }
    if isHeadless {
      if !spec["loadBalancerIP"].isEmptyValue {
        warnings.append("spec.loadBalancerIP is ignored for headless services")
      }
      if !spec["externalIPs"].isEmptyValue { warnings.append("spec.externalIPs is ignored for headless services") }
      if spec["sessionAffinity"] != "None" {
        warnings.append("spec.SessionAffinity is ignored for headless services")
      }
    }
    for (index, address) in spec["externalIPs"].elements.enumerated() {
      warnings += ofAddress(address.text, "spec.externalIPs[\(index)]")
    }
    if !spec["loadBalancerIP"].isEmptyValue {
      warnings += ofAddress(spec["loadBalancerIP"].text, "spec.loadBalancerIP")
    }
    for (index, range) in spec["loadBalancerSourceRanges"].elements.enumerated() {
      warnings += ofRange(range.text, "spec.loadBalancerSourceRanges[\(index)]")
    }
    if spec["type"] == "ExternalName", !spec["externalIPs"].isEmptyValue {
      warnings.append("spec.externalIPs is ignored when spec.type is \"ExternalName\"")
    }
    if spec["type"] != "ExternalName", !spec["externalName"].isEmptyValue {
      warnings.append("spec.externalName is ignored when spec.type is not \"ExternalName\"")
    }
    return warnings
  }

  private static let willBeInvalid = "was accepted, but will be invalid in a future Kubernetes release"

  /// Leading zeros, which Go's newer parser refuses; IPv6 that is not written canonically.
  private static func ofAddress(_ text: String, _ path: String) -> [String] {
    if let problem = strictProblem(text) {
      return [
        "\(path): IP address \(willBeInvalid): ParseAddr(\(GoSyntax.quoted(text))): \(problem)"
      ]
    }
    guard text.contains(":"), let address = IPAddress(text) else { return [] }
    let canonical = address.family == .v4 ? "::ffff:\(address)" : address.description
    guard canonical != text else { return [] }
    return [
      "\(path): IPv6 address \(GoSyntax.quoted(text)) is not in RFC 5952 canonical format "
        + "(\(GoSyntax.quoted(canonical))), which may cause controller apply-loops"
    ]
  }

  private static func ofRange(_ text: String, _ path: String) -> [String] {
    guard let slash = text.firstIndex(of: "/") else { return [] }
    let address = String(text[..<slash])
    if let problem = strictProblem(address) {
      return [
        "\(path): IP prefix \(willBeInvalid): netip.ParsePrefix(\(GoSyntax.quoted(text))): "
          + "ParseAddr(\(GoSyntax.quoted(address))): \(problem)"
      ]
    }
    guard text.contains(":"), let parsed = IPAddress(address), parsed.family == .v6 else { return [] }
    let canonical = "\(parsed)\(text[slash...])"
    guard canonical != text else { return [] }
    return [
      "\(path): IPv6 prefix \(GoSyntax.quoted(text)) is not in RFC 5952 canonical format "
        + "(\(GoSyntax.quoted(canonical))), which may cause controller apply-loops"
    ]
  }

  private static func strictProblem(_ text: String) -> String? {
    let dotted = text.split(separator: ":").last ?? ""
    guard dotted.contains(".") else { return nil }
    let hasLeadingZero = dotted.split(separator: ".").contains { $0.count > 1 && $0.hasPrefix("0") }
    return hasLeadingZero ? "IPv4 field has octet with leading zero" : nil
  }
}
