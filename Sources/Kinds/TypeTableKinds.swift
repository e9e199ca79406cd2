// Structures by the kind they are the body of.
import Schema

extension TypeTable {
  /// The structure of a kind, served or not: Scale, Eviction, DeleteOptions, Status. Packages are named after the first
  /// label of their group; what every group shares stands in meta.
  public func structure(of kind: GroupVersionKind) -> Structure? {
    if kind.group == "meta.k8s.io" { return self["meta.v1.\(kind.kind)"] }
    let package = kind.group.isEmpty ? "core" : String(kind.group.prefix { $0 != "." })
    if let structure = self["\(package).\(kind.version).\(kind.kind)"] { return structure }
    return kind.group.isEmpty ? self["meta.\(kind.version).\(kind.kind)"] : nil
  }
}
