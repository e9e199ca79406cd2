// The types of discovery/v1. Notation: TypeTable.

extension TypeTable {
  static let discoveryV1 = #"""
    Endpoint:
      1:addresses*! string[] @set; 2:conditions! EndpointConditions; 3:hostname? string
      4:targetRef? core.v1.ObjectReference; 5:deprecatedTopology map<string>; 6:nodeName? string; 7:zone? string
      8:hints? EndpointHints
    EndpointConditions:
      1:ready? bool; 2:serving? bool; 3:terminating? bool
    EndpointHints:
      1:forZones ForZone[]
    EndpointPort @atomic:
      1:name? string =""; 2:protocol? string =TCP {SCTP,TCP,UDP}; 3:port? int32; 4:appProtocol? string
    EndpointSlice @kind "A part of the addresses that implement a service.":
      1:metadata! meta.v1.ObjectMeta; 2:endpoints*! Endpoint[] @atomic; 3:ports! EndpointPort[] @atomic
      4:addressType*! string {FQDN,IPv4,IPv6}
    ForZone:
      1:name*! string
    """#
}
