// Resource requests as the scheduler counts them: small integers, no quantities.
import Client
import Schema

/// Amounts of resources: milli-CPU, bytes, and whatever else by name. Objects name amounts of any size; none counts for
/// more than `most`, so that what thousands of pods ask for, or a hundred times as much, is still a number.
struct Resources: Hashable, Sendable {
  /// More than any node has of anything: 4 PiB, or as many thousandths of a CPU. A pod that asks for it fits nowhere.
  static let most: Int64 = 1 << 52

  var milliCPU: Int64 = 0
  var memory: Int64 = 0
  var ephemeralStorage: Int64 = 0
  var extended: [String: Int64] = [:]

  init() {}

  /// `most`: what no amount is larger than.
  init(_ list: ResourceList, most: Int64 = Self.most) {
    func bounded(_ amount: Int64) -> Int64 { min(max(amount, 0), most) }
    for (name, quantity) in list {
      switch name {
      case "cpu": milliCPU = bounded(quantity.milliValue)
      case "memory": memory = bounded(quantity.value)
      case "ephemeral-storage": ephemeralStorage = bounded(quantity.value)
      case "pods": break
      default: extended[name] = bounded(quantity.value)
      }
    }
  }

  static func += (left: inout Self, right: Self) {
    left.milliCPU = min(left.milliCPU + right.milliCPU, most)
    left.memory = min(left.memory + right.memory, most)
    left.ephemeralStorage = min(left.ephemeralStorage + right.ephemeralStorage, most)
    for (name, amount) in right.extended { left.extended[name] = min((left.extended[name] ?? 0) + amount, most) }
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
      let request = Resources(container.requests)
      running += request
      addScored(container, request)
    }
    for container in spec.initContainers {
      let request = Resources(container.requests)
      if container.restartPolicy == "Always" {
        sidecars += request
        running += request
        addScored(container, request)
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
    scoredMilliCPU = min(max(scoredMilliCPU, initPeak.milliCPU) + overhead.milliCPU, Resources.most)
    scoredMemory = min(max(scoredMemory, initPeak.memory) + overhead.memory, Resources.most)
  }

  private mutating func addScored(_ container: Container, _ request: Resources) {
    let milliCPU = container.requests["cpu"] == nil ? Self.defaultMilliCPU : request.milliCPU
    let memory = container.requests["memory"] == nil ? Self.defaultMemory : request.memory
    scoredMilliCPU = min(scoredMilliCPU + milliCPU, Resources.most)
    scoredMemory = min(scoredMemory + memory, Resources.most)
  }
}
