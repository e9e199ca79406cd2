// Families of a Service's addresses, of which a cluster of these servers has one.
import JSON
import Schema

enum ServiceFamilies {
  /// Fills in `ipFamilyPolicy` and `ipFamilies`; returns what is asked for and cannot be had.
  /// - Parameter old: the spec before, when it is an update.
  static func settle(_ spec: inout JSONValue, old: JSONValue?, cluster: IPAddress.Family) -> [FieldError] {
    if let old, isUntouched(spec, old) { return [] }
    let isForeign = spec["clusterIP"] == "None" && spec["selector"].isZero
    if spec["ipFamilyPolicy"].isZero { spec["ipFamilyPolicy"] = isForeign ? "RequireDualStack" : "SingleStack" }
    let policy = spec["ipFamilyPolicy"]
    let isSingle = policy == "SingleStack"
    if isSingle, let old {
      for member in ["clusterIPs", "ipFamilies"] where spec[member] == old[member] && spec[member].elements.count > 1 {
        spec[member] = [spec[member][0]]
      }
    }
    var errors = isSingle ? tooMany(spec) : []
    errors += infer(&spec, cluster)
    guard errors.isEmpty else { return errors }
    if isForeign {
      // Who keeps its endpoints may do so in both families, whatever the cluster has.
      if spec["ipFamilies"].isZero { spec["ipFamilies"] = [.string(cluster.name)] }
      let families = spec["ipFamilies"].elements
      if families.count < 2, !isSingle {
        spec["ipFamilies"] = [families[0], families[0] == "IPv4" ? "IPv6" : "IPv4"]
      }
      return []
    }
    if policy == "RequireDualStack" {
      errors.append(
        .invalid("spec.ipFamilyPolicy", policy, "this cluster is not configured for dual-stack services"))
    }
    for (index, family) in spec["ipFamilies"].elements.enumerated() where family.string != cluster.name {
      errors.append(.invalid("spec.ipFamilies[\(index)]", family, "not configured on this cluster"))
    }
    if errors.isEmpty, spec["ipFamilies"].isZero { spec["ipFamilies"] = [.string(cluster.name)] }
    return errors
  }

  /// Services of another time are left as they are: the cluster may have changed since.
  private static func isUntouched(_ spec: JSONValue, _ old: JSONValue) -> Bool {
    guard !spec["ipFamilies"].isZero, !spec["ipFamilyPolicy"].isZero else { return false }
    return ["type", "ipFamilyPolicy", "ipFamilies", "clusterIPs"].allSatisfy { spec[$0] == old[$0] }
  }

  private static func tooMany(_ spec: JSONValue) -> [FieldError] {
    [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")].filter { spec[$0.0].elements.count == 2 }.map {
      .invalid(
        "spec.ipFamilyPolicy", spec["ipFamilyPolicy"],
        "must be 'RequireDualStack' or 'PreferDualStack' when multiple \($0.1) are specified")
    }
  }

  /// The families of addresses that were asked for.
  private static func infer(_ spec: inout JSONValue, _ cluster: IPAddress.Family) -> [FieldError] {
    var errors: [FieldError] = []
    let addresses = spec["clusterIPs"].isZero ? [spec["clusterIP"]] : spec["clusterIPs"].elements
    for (index, text) in addresses.enumerated() {
      guard let address = IPAddress(text.string ?? "") else { break }
      guard index >= spec["ipFamilies"].elements.count else { continue }
      if address.family == cluster {
        spec["ipFamilies"] = .array(spec["ipFamilies"].elements + [.string(cluster.name)])
      } else {
        errors.append(
          .invalid(
            "spec.clusterIPs[\(index)]", .array(addresses),
            "\(address.family.name) is not configured on this cluster"))
      }
    }
    return errors
  }
}
