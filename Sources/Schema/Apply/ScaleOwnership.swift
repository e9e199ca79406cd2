// Who owns the number of replicas, seen through a Scale: an apply to …/scale meets the owners of the object's own field,
// and what comes of it is written back to the object.
import JSON

public enum ScaleOwnership {
  private static let apiVersion = "autoscaling/v1"
  /// The field as a Scale has it.
  private static let scaleReplicas = FieldSet.members([["spec", "replicas"]])

  /// The managedFields of a Scale: those who own the number of replicas of its object, each under the version of Scale.
  ///
  /// - Parameter replicas: where the object has the number, such as `["spec", "replicas"]`.
  public static func ofScale(_ managedFields: JSONValue, replicas: [String]) -> JSONValue {
    let path = FieldSet.members([replicas])
    var result = ManagedFieldsEntries()
    for entry in ManagedFieldsEntries(managedFields)?.entries ?? [] where entry.contains(all: path) {
      result.entries.append(seen(entry))
    }
    return result.json
  }

  /// The managedFields of the object after its Scale was written. Of new owners it is not told when they wrote, as in the
  /// reference.
  ///
  /// - Parameters:
  ///   - managedFields: of the object before.
  ///   - scale: of the Scale afterwards.
  ///   - apiVersion: of the object.
  public static func ofObject(
    _ managedFields: JSONValue, scale: JSONValue, replicas: [String], apiVersion: String
  ) -> JSONValue {
    let path = FieldSet.members([replicas])
    var owners = (ManagedFieldsEntries(scale)?.entries ?? []).filter { $0.contains(all: scaleReplicas) }
    var result = ManagedFieldsEntries()
    for var entry in ManagedFieldsEntries(managedFields)?.entries ?? [] {
      if entry.contains(all: path) {
        if let own = owners.firstIndex(where: { $0.belongs(to: seen(entry)) }) {
          owners.remove(at: own)
        } else {
          entry.set = entry.set.subtracting(path)
        }
      }
      result.entries.append(entry)
    }
    for owner in owners {
      result.entries.append(
        ManagedFieldsEntries.Entry(
          manager: owner.manager, operation: owner.operation, apiVersion: apiVersion, time: nil,
          subresource: owner.subresource, set: path))
    }
    result.removeEmpty()
    return result.json
  }

  private static func seen(_ entry: ManagedFieldsEntries.Entry) -> ManagedFieldsEntries.Entry {
    ManagedFieldsEntries.Entry(
      manager: entry.manager, operation: entry.operation, apiVersion: apiVersion, time: entry.time,
      subresource: entry.subresource, set: scaleReplicas)
  }
}
