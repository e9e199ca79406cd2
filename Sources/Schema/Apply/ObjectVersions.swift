// One object in the versions of its kind. Who owns what is written down in the version that the owner spoke, and so it
// is compared: a field has another name there, or is no field at all.
import JSON

/// The versions of one kind.
public protocol ObjectVersions: Sendable {
  /// The type of that version; nil for one that is not (or no longer) a version of the kind.
  func structure(of apiVersion: String) -> Structure?
  /// The object, canonical, in a version that has a type.
  func converted(_ object: JSONValue, to apiVersion: String) async throws(APIStatus) -> JSONValue
}

/// A kind with one version: whatever others are named, their fields are taken for its own.
struct OneVersion: ObjectVersions {
  let structure: Structure
  init(_ structure: Structure) { self.structure = structure }
  func structure(of apiVersion: String) -> Structure? { structure }
  func converted(_ object: JSONValue, to apiVersion: String) -> JSONValue { object }
}

/// Two states of an object in a version of its kind that is not the one they are written in.
public enum UpdateInVersion: Sendable {
  case states(old: JSONValue, new: JSONValue, structure: Structure)
  /// It is no version of the kind: what was owned in it is forgotten.
  case unknown
  /// The conversion failed: what is owned in it stays owned.
  case unconverted
}

/// What differs between two states of an object, in each version that an owner speaks.
struct VersionedComparisons {
  private let own: FieldComparison
  /// Nil: the kind has no such version.
  private let others: [String: FieldComparison?]

  /// Nothing differs.
  init() {
    own = FieldComparison.none
    others = [:]
  }

  init(own: FieldComparison, others: [String: UpdateInVersion], resetFields: FieldSet) {
    self.own = own
    self.others = others.mapValues { update in
      switch update {
      case .states(let old, let new, let structure):
        var comparison = FieldComparison(old: old, new: new, structure: structure)
        comparison.subtractRecursively(resetFields)
        return comparison
      case .unknown: return nil
      case .unconverted: return FieldComparison.none
      }
    }
  }

  /// Nil where the kind has no such version.
  subscript(_ apiVersion: String) -> FieldComparison? { others[apiVersion] ?? own }
}

extension ObjectVersions {
  /// Both states in another version.
  public func update(
    old: JSONValue, new: JSONValue, in apiVersion: String
  ) async throws(APIStatus) -> UpdateInVersion {
    guard let structure = structure(of: apiVersion) else { return .unknown }
    return .states(
      old: try await converted(old, to: apiVersion), new: try await converted(new, to: apiVersion),
      structure: structure)
  }
}
