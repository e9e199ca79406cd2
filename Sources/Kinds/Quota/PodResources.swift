// What pods ask for, added up.
import JSON
import Schema

/// Quantities by resource name.
public struct ResourceAmounts: Sendable, Equatable {
  public private(set) var amounts: [String: Quantity] = [:]

  public init() {}

  /// From a map of quantities; what is no quantity was refused before.
  public init(_ json: JSONValue) {
    for (name, value) in json.object ?? JSONObject() {
      guard let text = value.string ?? value.integer.map(String.init) else { continue }
      amounts[name] = Quantity(text)
    }
  }

  public subscript(name: String) -> Quantity? {
    get { amounts[name] }
    set { amounts[name] = newValue }
  }

  public static func += (left: inout Self, right: Self) {
    for (name, value) in right.amounts { left.amounts[name] = (left.amounts[name] ?? .zero) + value }
  }
  public static func -= (left: inout Self, right: Self) {
    for (name, value) in right.amounts { left.amounts[name] = (left.amounts[name] ?? .zero) - value }
  }

  /// The larger of both, by name.
  public mutating func raise(to other: Self) {
    for (name, value) in other.amounts { amounts[name] = amounts[name].map { max($0, value) } ?? value }
  }

  public var json: JSONValue {
    var object = JSONObject()
    for (name, value) in amounts.sorted(by: { $0.key < $1.key }) { object[name] = .string(value.description) }
    return .object(object)
  }
}

/// The sums over the containers of a pod.
public struct PodResources: Sendable {
  private let spec: JSONValue
  public init(_ pod: JSONValue) { spec = pod["spec"] }

  /// "requests" or "limits": all containers together, or the hungriest of those that run before them; overhead on top.
  public func amounts(_ kind: String) -> ResourceAmounts {
    var sum = ResourceAmounts()
    for container in spec["containers"].elements { sum += ResourceAmounts(container["resources"][kind]) }
    var sidecars = ResourceAmounts()
    var first = ResourceAmounts()
    for container in spec["initContainers"].elements {
      var needed = ResourceAmounts(container["resources"][kind])
      if container["restartPolicy"] == "Always" {
        sidecars += needed
        sum += needed
        needed = sidecars
      } else {
        needed += sidecars
      }
      first.raise(to: needed)
    }
    sum.raise(to: first)
    let overhead = ResourceAmounts(spec["overhead"])
    for (name, value) in overhead.amounts where kind == "requests" || sum[name] != nil {
      sum[name] = (sum[name] ?? .zero) + value
    }
    return sum
  }
}
