// Resource requests as the scheduler counts them: small integers, no quantities.
import Client
import Schema

/// Amounts of resources: milli-CPU, bytes, and whatever else by name.
struct Resources: Hashable, Sendable {
  var milliCPU: Int64 = 0
  var memory: Int64 = 0
  var ephemeralStorage: Int64 = 0
  var extended: [String: Int64] = [:]

  init() {}

  init(_ list: ResourceList) {
    for (name, quantity) in list {
      switch name {
      case "cpu": milliCPU = quantity.milliValue
      case "memory": memory = quantity.value
      case "ephemeral-storage": ephemeralStorage = quantity.value
      case "pods": break
      default: extended[name] = quantity.value
      }
    }
  }

  static func += (left: inout Self, right: Self) {
    left.milliCPU += right.milliCPU
    left.memory += right.memory
    left.ephemeralStorage += right.ephemeralStorage
    for (name, amount) in right.extended { left.extended[name, default: 0] += amount }
  }

  static func -= (left: inout Self, right: Self) {
    left.milliCPU -= right.milliCPU
    left.memory -= right.memory
    left.ephemeralStorage -= right.ephemeralStorage
    for (name, amount) in right.extended { left.extended[name, default: 0] -= amount }
  }

  /// The larger of both in every respect.
  mutating func formMaximum(_ other: Self) {
    milliCPU = max(milliCPU, other.milliCPU)
    memory = max(memory, other.memory)
    ephemeralStorage = max(ephemeralStorage, other.ephemeralStorage)
    for (name, amount) in other.extended { extended[name] = max(extended[name] ?? 0, amount) }
  }
}

/// What a pod asks of `NodeRoom`: numbers only.
struct RoomDemand: Hashable, Sendable, BitwiseCopyable {
  var milliCPU: Int64
  var memory: Int64
  var ephemeralStorage: Int64
  var scoredMilliCPU: Int64
  var scoredMemory: Int64
}

/// What a pod asks for: for fitting, and for scoring (where a container without request still counts for something).
struct PodRequest: Hashable, Sendable {
  var resources = Resources()
  /// With 100 m CPU and 200 MiB for containers that ask for nothing (spec/6 §6.1).
  var scoredMilliCPU: Int64 = 0
  var scoredMemory: Int64 = 0

  var demand: RoomDemand {
    RoomDemand(
      milliCPU: resources.milliCPU, memory: resources.memory, ephemeralStorage: resources.ephemeralStorage,
      scoredMilliCPU: scoredMilliCPU, scoredMemory: scoredMemory)
  }

  private static let defaultMilliCPU: Int64 = 100
  private static let defaultMemory: Int64 = 200 << 20

  /// All containers and sidecars together, or the largest moment of initialisation, whichever is more; and overhead.
  init(_ spec: PodSpec) {
    var running = Resources()
    var initPeak = Resources()
    var sidecars = Resources()
    for container in spec.containers {
      running += Resources(container.requests)
      addScored(container)
    }
    for container in spec.initContainers {
      let request = Resources(container.requests)
      if container.restartPolicy == "Always" {
        sidecars += request
        running += request
        addScored(container)
        initPeak.formMaximum(sidecars)
      } else {
        var moment = sidecars
        moment += request
        initPeak.formMaximum(moment)
      }
    }
    running.formMaximum(initPeak)
    let overhead = Resources(spec.overhead)
    running += overhead
    resources = running
    scoredMilliCPU = max(scoredMilliCPU, initPeak.milliCPU) + overhead.milliCPU
    scoredMemory = max(scoredMemory, initPeak.memory) + overhead.memory
  }

  private mutating func addScored(_ container: Container) {
    scoredMilliCPU += container.requests["cpu"]?.milliValue ?? Self.defaultMilliCPU
    scoredMemory += container.requests["memory"]?.value ?? Self.defaultMemory
  }
}
