import Kinds
import Schema
import Testing

@Suite struct DescriptionTests {
  @Test func everyFieldOfEveryServedKindIsDescribed() {
    var missing: Set<String> = []
    var seen: Set<ObjectIdentifier> = []
    func walk(_ type: FieldType) {
      switch type {
      case .array(let element), .map(let element): walk(element)
      case .structure(let structure): walk(structure)
      default: break
      }
    }
    func walk(_ structure: Structure) {
      guard seen.insert(ObjectIdentifier(structure)).inserted else { return }
      for member in structure.members {
        if member.description.isEmpty, FieldDescriptions.all.field(member.name, of: structure.name).isEmpty {
          missing.insert("\(structure.name).\(member.name)")
        }
        walk(member.type)
      }
    }
    for kind in KindRegistry.builtIn.kinds { walk(kind.structure) }
    // What every object has needs no words.
    missing = missing.filter { !$0.hasSuffix(".apiVersion") && !$0.hasSuffix(".kind") }
    #expect(missing.isEmpty, "\(missing.sorted().joined(separator: "\n"))")
  }
}
