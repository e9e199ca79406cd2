// What a DELETE does to an object (spec/2 §2.8): pure decisions, taken again for every version of the object.
import JSON
import Schema
import World

enum Deletion: Sendable {
  /// Remove it now.
  case remove
  /// Write this: marked as being deleted, held by finalizers, a grace period or a namespace's contents.
  case mark(JSONValue)
  /// It is being deleted already and this request changes nothing.
  case pending

  static let orphanFinalizer = "orphan"
  static let foregroundFinalizer = "foregroundDeletion"

  /// `object` in its own version.
  static func decide(_ object: JSONValue, kind: KindDescriptor, options: DeleteOptions, now: WallTime) -> Deletion {
    if kind.kind.group.isEmpty, kind.kind.kind == "Namespace" { return namespace(object, kind, options, now) }
    if kind.traits.deletesGracefully { return graceful(object, kind, options, now) }
    var marked = object
    setFinalizers(&marked, kind, options)
    if kind.groupResource == DefinedKinds.resource, !ObjectMetadata.isBeingDeleted(object) {
      DefinitionStatus.beginDeletion(&marked, now: now)
    }
    return held(marked, object, now)
  }

  /// Kept when anything holds it, else removed.
  private static func held(_ marked: JSONValue, _ object: JSONValue, _ now: WallTime) -> Deletion {
    guard !ObjectMetadata.finalizers(marked).isEmpty, !APIMutant.finalizersIgnored.isActive else { return .remove }
    var marked = marked
    if !ObjectMetadata.isBeingDeleted(marked) {
      ObjectMetadata.markDeleted(&marked, at: now, gracePeriodSeconds: 0)
    } else if marked["metadata"]["deletionGracePeriodSeconds"].integer != 0 {
      marked["metadata"]["deletionGracePeriodSeconds"] = 0
    }
    return marked == object ? .pending : .mark(marked)
  }

  /// The first request begins the end of a namespace; its controller empties and finalizes it.
  private static func namespace(
    _ object: JSONValue, _ kind: KindDescriptor, _ options: DeleteOptions, _ now: WallTime
  ) -> Deletion {
    var marked = object
    if !ObjectMetadata.isBeingDeleted(object) {
      marked["metadata"]["deletionTimestamp"] = .string(now.rfc3339)
      marked["status"]["phase"] = "Terminating"
      setFinalizers(&marked, kind, options)
    }
    guard object["spec"]["finalizers"].elements.isEmpty else { return marked == object ? .pending : .mark(marked) }
    return held(marked, object, now)
  }

  /// A pod that runs is first told to end; its kubelet removes it.
  private static func graceful(
    _ object: JSONValue, _ kind: KindDescriptor, _ options: DeleteOptions, _ now: WallTime
  ) -> Deletion {
    var marked = object
    let metadata = object["metadata"]
    let period: Int64
    if ObjectMetadata.isBeingDeleted(object) {
      guard let running = metadata["deletionGracePeriodSeconds"].integer else { return .remove }
      // Once deletion has begun its grace can only become shorter.
      guard let wanted = options.gracePeriodSeconds, wanted < running else { return .pending }
      period = max(wanted, wanted < 0 ? 1 : 0)
      guard period < running else { return .pending }
      let end = metadata["deletionTimestamp"].string.flatMap { WallTime(rfc3339: $0) } ?? now
      marked["metadata"]["deletionTimestamp"] = .string((end + .seconds(period - running)).rfc3339)
      marked["metadata"]["deletionGracePeriodSeconds"] = .integer(period)
    } else {
      period = gracePeriod(of: object, options)
      ObjectMetadata.markDeleted(&marked, at: now + .seconds(period), gracePeriodSeconds: period)
      setFinalizers(&marked, kind, options)
    }
    return period == 0 && ObjectMetadata.finalizers(marked).isEmpty ? .remove : .mark(marked)
  }

  private static func gracePeriod(of pod: JSONValue, _ options: DeleteOptions) -> Int64 {
    let phase = pod["status"]["phase"].string
    if pod["spec"]["nodeName"].isZero || phase == "Succeeded" || phase == "Failed" { return 0 }
    let period = options.gracePeriodSeconds ?? pod["spec"]["terminationGracePeriodSeconds"].integer ?? 0
    return period < 0 ? 1 : period
  }

  /// The finalizers of garbage collection, as the request, the object and the kind's default have it.
  private static func setFinalizers(_ object: inout JSONValue, _ kind: KindDescriptor, _ options: DeleteOptions) {
    guard kind.traits.isGarbageCollected else { return }
    let present = ObjectMetadata.finalizers(object)
    var wanted = present.filter { $0 != orphanFinalizer && $0 != foregroundFinalizer }
    switch propagation(present, kind, options) {
    case .orphan: wanted.append(orphanFinalizer)
    case .foreground: wanted.append(foregroundFinalizer)
    case .background: break
    }
    guard Set(wanted) != Set(present) else { return }
    object["metadata"]["finalizers"] = wanted.isEmpty ? .null : .array(wanted.map { .string($0) })
  }

  private static func propagation(
    _ finalizers: [String], _ kind: KindDescriptor, _ options: DeleteOptions
  ) -> PropagationPolicy {
    if let orphan = options.orphanDependents { return orphan ? .orphan : .background }
    if let policy = options.propagationPolicy { return policy }
    if finalizers.contains(orphanFinalizer) { return .orphan }
    if finalizers.contains(foregroundFinalizer) { return .foreground }
    return kind.traits.orphansByDefault ? .orphan : .background
  }
}
