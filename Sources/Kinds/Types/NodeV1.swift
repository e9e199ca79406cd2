// The types of node/v1. Notation: TypeTable.

extension TypeTable {
  static let nodeV1 = #"""
    Overhead:
      1:podFixed map<Quantity>
    RuntimeClass @kind "A container runtime configuration that pods can choose.":
      1:metadata! meta.v1.ObjectMeta; 2:handler*! string; 3:overhead? Overhead; 4:scheduling? Scheduling
    Scheduling:
      1:nodeSelector map<string> @atomic; 2:tolerations core.v1.Toleration[]
    """#
}
