// What a kind has that was made by a CustomResourceDefinition, beside what every kind has.
import JSON

/// One served version of a custom resource.
public final class CustomKind: Sendable {
  /// Where the number of replicas stands in an object.
  public struct ScalePaths: Sendable {
    public var specReplicas: [String]
    public var statusReplicas: [String]
    /// Empty: the Scale has no selector.
    public var labelSelector: [String]
    public init(specReplicas: [String], statusReplicas: [String], labelSelector: [String]) {
      self.specReplicas = specReplicas
      self.statusReplicas = statusReplicas
      self.labelSelector = labelSelector
    }
  }

  /// How objects come from one version to another.
  public enum Conversion: Sendable {
    /// Only apiVersion changes.
    case none
    /// The `spec.conversion.webhook` of the definition.
    case webhook(JSONValue)
  }

  /// Name of the definition.
  public let definition: String
  /// The definition as it was when this was made from it: its revision.
  public let revision: UInt64
  /// Tells definitions apart that have had the same name.
  public let uid: String
  public let listKind: String
  /// Of this version.
  public let schema: StructuralSchema
  /// Of every version, by name: objects may be stored in any of them.
  public let schemas: [String: Structure]
  public let conversion: Conversion
  public let scale: ScalePaths?
  /// The definition is being deleted: objects are no longer created.
  public let isTerminating: Bool
  /// A Warning header for every request of this version.
  public let deprecationWarning: String?
  /// Its objects have a status by default, which is not stored with those that are new: whoever creates one says
  /// nothing of its status.
  public let defaultsStatus: Bool

  public init(
    definition: String, revision: UInt64, uid: String, listKind: String, schema: StructuralSchema,
    schemas: [String: Structure],
    conversion: Conversion, scale: ScalePaths?, isTerminating: Bool, deprecationWarning: String?,
    defaultsStatus: Bool
  ) {
    self.definition = definition
    self.revision = revision
    self.uid = uid
    self.listKind = listKind
    self.schema = schema
    self.schemas = schemas
    self.conversion = conversion
    self.scale = scale
    self.isTerminating = isTerminating
    self.deprecationWarning = deprecationWarning
    self.defaultsStatus = defaultsStatus
  }
}
