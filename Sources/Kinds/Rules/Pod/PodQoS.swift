// The quality of service class of a pod, computed from its resources.
import JSON
import Schema

public enum PodQoS {
  /// Guaranteed: every container limits CPU and memory to what it requests. BestEffort: none asks for anything.
  public static func ofPod(_ pod: JSONValue) -> String {
    var requests: [String: Quantity] = [:]
    var limits: [String: Quantity] = [:]
    var isGuaranteed = true
    for list in ["containers", "initContainers"] {
      for container in pod["spec"][list].elements {
        add(container["resources"]["requests"], to: &requests)
        if add(container["resources"]["limits"], to: &limits) < counted.count { isGuaranteed = false }
      }
    }
    if requests.isEmpty, limits.isEmpty { return "BestEffort" }
    return isGuaranteed && requests == limits ? "Guaranteed" : "Burstable"
  }

  private static let counted = ["cpu", "memory"]

  /// Returns how many of the resources that count are there.
  @discardableResult
  private static func add(_ list: JSONValue, to sums: inout [String: Quantity]) -> Int {
    var found = 0
    for name in counted {
      guard let text = list[name].string, let quantity = Quantity(text), quantity > .zero else { continue }
      found += 1
      sums[name] = (sums[name] ?? .zero) + quantity
    }
    return found
  }
}
