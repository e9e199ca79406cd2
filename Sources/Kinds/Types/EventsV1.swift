// The types of events/v1. Notation: TypeTable.

extension TypeTable {
  static let eventsV1 = #"""
    Event @kind "A report of something that happened in the cluster. Kept for an hour.":
      1:metadata! meta.v1.ObjectMeta; 2:eventTime*! MicroTime; 3:series? EventSeries; 4:reportingController string
      5:reportingInstance string; 6:action string; 7:reason string; 8:regarding! core.v1.ObjectReference
      9:related? core.v1.ObjectReference; 10:note string; 11:type string; 12:deprecatedSource! core.v1.EventSource
      13:deprecatedFirstTimestamp! Time; 14:deprecatedLastTimestamp! Time; 15:deprecatedCount int32
    EventSeries:
      1:count*! int32; 2:lastObservedTime*! MicroTime
    """#
}
