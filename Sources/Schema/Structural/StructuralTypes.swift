// A structural schema as the types by which ownership is kept and applied configurations are merged.
import JSON

extension Structure {
  /// The top of a custom kind. `objectMeta`: the structure of metadata.
  public static func custom(_ kind: GroupVersionKind, _ schema: StructuralSchema, objectMeta: Structure) -> Structure {
    let holder = Structure(name: "custom/metadata")
    holder.seal(fields: [Field(name: "metadata", number: 1, type: .structure(objectMeta))])
    holder.expandInline()
    let structure = Structure(
      name: "custom/\(kind.group)/\(kind.version)/\(kind.kind)", description: schema.source["description"].string ?? "",
      preservesUnknownFields: schema.preservesUnknownFields, custom: schema, metadataHolder: holder)
    structure.seal(fields: schema.resourceFields(objectMeta))
    structure.expandInline()
    return structure
  }
}

extension StructuralSchema {
  fileprivate func resourceFields(_ objectMeta: Structure) -> [Field] {
    var fields = [
      Field(name: "apiVersion", number: 0, type: .string), Field(name: "kind", number: 0, type: .string),
      Field(name: "metadata", number: 0, type: .structure(objectMeta)),
    ]
    for name in propertyNames where !StructuralDecoder.resourceMembers.contains(name) {
      if let property = properties[name] { fields.append(property.field(name, objectMeta)) }
    }
    return fields
  }

  private func field(_ name: String, _ objectMeta: Structure) -> Field {
    var field = Field(name: name, number: 0, type: fieldType(objectMeta))
    // Absent differs from zero in objects that no Go type has filled in.
    field.isPointer = true
    field.isRequired = required.contains(name)
    field.defaultValue = defaultValue
    field.isAtomic = mapType == "atomic"
    switch listType {
    case "set": field.listSemantics = .set
    case "map": field.listSemantics = .map(keys: listMapKeys)
    default: field.listSemantics = .atomic
    }
    return field
  }

  private func fieldType(_ objectMeta: Structure) -> FieldType {
    if isIntOrString { return .intOrString }
    switch type {
    case "string": return .string
    case "integer": return .int64
    case "number": return .double
    case "boolean": return .boolean
    case "array": return .array(items?.fieldType(objectMeta) ?? .anyValue)
    case "object":
      if case .schema(let element) = additionalProperties { return .map(element.fieldType(objectMeta)) }
      return .structure(structure(objectMeta))
    default: return properties.isEmpty ? .anyValue : .structure(structure(objectMeta))
    }
  }

  private func structure(_ objectMeta: Structure) -> Structure {
    var keepsOthers = preservesUnknownFields
    if case .any = additionalProperties { keepsOthers = true }
    let structure = Structure(
      name: "custom/object", isAtomic: mapType == "atomic", preservesUnknownFields: keepsOthers)
    if isEmbeddedResource {
      structure.seal(fields: resourceFields(objectMeta))
    } else {
      structure.seal(fields: propertyNames.compactMap { name in properties[name]?.field(name, objectMeta) })
    }
    structure.expandInline()
    return structure
  }
}
