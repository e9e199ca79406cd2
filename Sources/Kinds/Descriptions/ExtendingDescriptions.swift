// What extends and guards the API: definitions, webhooks, policies, flow control, access.

extension FieldDescriptions {
  static let extending = #"""
    format: The format of the value.
    jsonPath: Where in the object.
    webhook: A program that is asked.
    acceptedNames: The names it got.
    plural: The name in addresses.
    singular: The name for one.
    listKind: The kind of a list.
    storedVersions: Versions that objects may be stored in.
    conversion: How versions are turned into one another.
    preserveUnknownFields: No longer used; must be false.
    served: Whether it can be used.
    storage: Whether objects are stored in it; true for exactly one.
    schema: What objects look like.
    openAPIV3Schema: The schema.
    subresources: Parts of their own.
    scale: The number of copies, as a part of its own.
    additionalPrinterColumns: Columns of listings.
    deprecated: Whether its use is warned about.
    deprecationWarning: The warning.
    selectableFields: Fields that can be selected by.
    specReplicasPath: Where the wanted number stands.
    statusReplicasPath: Where the present number stands.
    labelSelectorPath: Where the selector stands.
    rule: An expression in CEL that must hold; self is the value.
    optionalOldSelf: Whether the rule is also asked when there was no value before.
    clientConfig: How the webhook is reached.
    conversionReviewVersions: Versions of the question that the webhook understands.
    url: Its address.
    insecureSkipTLSVerify: Whether its certificate goes unchecked.
    groupPriorityMinimum: The rank of the group; the largest comes first.
    versionPriority: The rank of the version within its group.
    valueExpression: An expression in CEL that makes the value.
    warning: What is wrong.
    matchConditions: Expressions that must all hold for it to apply.
    resourceRules: To what it applies.
    excludeResourceRules: To what it does not apply.
    matchPolicy: Exact, or Equivalent to catch other versions too.
    failurePolicy: What happens when it cannot be asked: Fail or Ignore.
    sideEffects: Whether asking changes anything: None or NoneOnDryRun.
    admissionReviewVersions: Versions of the question that the webhook understands.
    reinvocationPolicy: Whether it is asked again after others have changed the object.
    webhooks: The webhooks.
    ruleWithOperations: Operations and resources.
    operations: CREATE, UPDATE, DELETE, CONNECT; * all.
    parameterNotFoundAction: What happens when there are no parameters: Allow or Deny.
    expressionWarnings: What the type checker found.
    typeChecking: What the type checker found.
    policyName: The policy.
    paramKind: The kind of its parameters.
    paramRef: Its parameters.
    matchResources: To what it applies.
    matchConstraints: To what it applies.
    validationActions: Deny, Warn, Audit.
    validations: What must hold.
    auditAnnotations: What is added to the audit log.
    variables: Expressions that others may use by name.
    nominalConcurrencyShares: Its share of the server's seats.
    lendablePercent: How much of its seats others may borrow.
    borrowingLimitPercent: How much it may borrow, in percent of its own seats.
    limitResponse: What happens to requests beyond: Queue or Reject.
    queuing: How they wait.
    queues: How many queues.
    handSize: How many queues a flow may use.
    queueLengthLimit: How many requests a queue holds.
    limited: Settings of a limited level.
    exempt: Settings of an exempt level.
    priorityLevelConfiguration: The level of its requests.
    matchingPrecedence: The smallest that matches wins.
    distinguisherMethod: What tells its flows apart.
    subjects: For whom.
    nonResourceRules: Paths that are no resources.
    clusterScope: Whether it covers what has no namespace.
    aggregationRule: From which other roles its rules are gathered.
    clusterRoleSelectors: Which roles.
    roleRef: The role.
    boundObjectRef: What the token dies with.
    expirationTimestamp: When it ends.
    authenticated: Whether the token is good.
    userInfo: The user.
    rawSelector: The selector, as text.
    requirements: The selector, as requirements.
    fieldSelector: Which objects, by their fields.
    resourceAttributes: What is asked about.
    nonResourceAttributes: Which path is asked about.
    allowed: Whether it is allowed.
    denied: Whether it is refused for certain.
    evaluationError: What went wrong while it was decided.
    incomplete: Whether rules are missing.
    usages: What the key may be used for.
    certificate: The certificate (PEM).
    JSONSchemaProps: A schema of a value.
    id: Not used.
    title: A short name.
    maximum: The largest value.
    minimum: The smallest value.
    exclusiveMaximum: Whether the largest value itself is too large.
    exclusiveMinimum: Whether the smallest value itself is too small.
    maxLength: The most characters.
    minLength: The fewest characters.
    pattern: What it must match (RE2).
    maxItems: The most items.
    minItems: The fewest items.
    uniqueItems: Must not be set.
    multipleOf: What it must be a multiple of.
    enum: The values it may have.
    maxProperties: The most members.
    minProperties: The fewest members.
    properties: The members.
    additionalProperties: What other members look like.
    patternProperties: Not supported.
    dependencies: Not supported.
    additionalItems: Not supported.
    definitions: Not supported.
    externalDocs: Where more is to be read.
    example: An example.
    nullable: Whether null is a value.
    allOf: Schemas that must all hold.
    oneOf: Schemas of which exactly one must hold.
    anyOf: Schemas of which one must hold.
    not: A schema that must not hold.
    x-kubernetes-preserve-unknown-fields: Whether unknown members are kept.
    x-kubernetes-embedded-resource: Whether it is an object with kind and metadata.
    x-kubernetes-int-or-string: Whether it is a number or a text.
    x-kubernetes-list-type: atomic, set or map.
    x-kubernetes-list-map-keys: Members that tell items of a map apart.
    x-kubernetes-map-type: atomic or granular.
    $schema: Must not be set.
    $ref: Must not be set.
    x-kubernetes-validations: Rules in CEL.
    clientCIDR: The network of the clients.
    serverAddress: The address they use.
    """#
}
