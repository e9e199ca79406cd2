// The types of flowcontrol/v1. Notation: TypeTable.

extension TypeTable {
  static let flowControlV1 = #"""
    ExemptPriorityLevelConfiguration:
      1:nominalConcurrencyShares? int32 =0; 2:lendablePercent? int32 =0
    FlowDistinguisherMethod:
      1:type*! string
    FlowSchema @kind "Sorts requests into flows and assigns them a priority level.":
      1:metadata! meta.v1.ObjectMeta; 2:spec! FlowSchemaSpec; 3:status! FlowSchemaStatus
    FlowSchemaCondition:
      1:type string; 2:status string; 3:lastTransitionTime! Time; 4:reason string; 5:message string
    FlowSchemaSpec:
      1:priorityLevelConfiguration*! PriorityLevelConfigurationReference; 2:matchingPrecedence! int32 =1000
      3:distinguisherMethod? FlowDistinguisherMethod; 4:rules PolicyRulesWithSubjects[]
    FlowSchemaStatus:
      1:conditions FlowSchemaCondition[] @map(type) @merge(type)
    GroupSubject:
      1:name*! string
    LimitResponse:
      1:type*! string; 2:queuing? QueuingConfiguration
    LimitedPriorityLevelConfiguration:
      1:nominalConcurrencyShares?! int32 =30; 2:limitResponse! LimitResponse; 3:lendablePercent? int32 =0
      4:borrowingLimitPercent? int32
    NonResourcePolicyRule:
      1:verbs*! string[] @set; 6:nonResourceURLs*! string[] @set
    PolicyRulesWithSubjects:
      1:subjects*! Subject[]; 2:resourceRules ResourcePolicyRule[]; 3:nonResourceRules NonResourcePolicyRule[]
    PriorityLevelConfiguration @kind "A share of the concurrency of the server.":
      1:metadata! meta.v1.ObjectMeta; 2:spec! PriorityLevelConfigurationSpec
      3:status! PriorityLevelConfigurationStatus
    PriorityLevelConfigurationCondition:
      1:type string; 2:status string; 3:lastTransitionTime! Time; 4:reason string; 5:message string
    PriorityLevelConfigurationReference:
      1:name*! string
    PriorityLevelConfigurationSpec:
      1:type*! string; 2:limited? LimitedPriorityLevelConfiguration; 3:exempt? ExemptPriorityLevelConfiguration
    PriorityLevelConfigurationStatus:
      1:conditions PriorityLevelConfigurationCondition[] @map(type) @merge(type)
    QueuingConfiguration:
      1:queues! int32 =64; 2:handSize! int32 =8; 3:queueLengthLimit! int32 =50
    ResourcePolicyRule:
      1:verbs*! string[] @set; 2:apiGroups*! string[] @set; 3:resources*! string[] @set; 4:clusterScope bool
      5:namespaces! string[] @set
    ServiceAccountSubject:
      1:namespace*! string; 2:name*! string
    Subject:
      1:kind*! string; 2:user? UserSubject; 3:group? GroupSubject; 4:serviceAccount? ServiceAccountSubject
    UserSubject:
      1:name*! string
    """#
}
