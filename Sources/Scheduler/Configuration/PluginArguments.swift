// `pluginConfig`: the arguments of plugins, their checks and what they change in a profile.
import Client
import JSON
import Schema

enum PluginArguments {
  private static let known: [SchedulerPlugin: Set<String>] = [
    .nodeResourcesFit: ["ignoredResources", "ignoredResourceGroups", "scoringStrategy"],
    .balancedAllocation: ["resources"],
    .interPodAffinity: ["hardPodAffinityWeight", "ignorePreferredTermsOfExistingPods"],
    .podTopologySpread: ["defaultConstraints", "defaultingType"],
    .nodeAffinity: ["addedAffinity"],
    .defaultPreemption: ["minCandidateNodesPercentage", "minCandidateNodesAbsolute"],
    .volumeBinding: ["bindTimeoutSeconds", "shape"],
  ]

  /// Finds what is unknown among the arguments of a plugin that has any.
  static func read(_ json: JSONValue, of plugin: String, _ reader: inout ConfigurationReader) {
    guard let known = SchedulerPlugin(rawValue: plugin).flatMap({ known[$0] }) else { return }
    var own = ConfigurationReader()
    _ = own.object(json, "", known.union(["apiVersion", "kind"]))
    if plugin == SchedulerPlugin.nodeResourcesFit.rawValue {
      let strategy = own.object(
        json["scoringStrategy"], "scoringStrategy", ["type", "resources", "requestedToCapacityRatio"])
      _ = own.object(
        strategy["requestedToCapacityRatio"], "scoringStrategy.requestedToCapacityRatio", ["shape"])
    }
    let kind = json["kind"].string ?? "\(plugin)Args"
    if kind != "\(plugin)Args" {
      reader.report(
        "decoding args for plugin \"\(plugin)\": args for plugin \(plugin) were not of type "
          + "\(plugin)Args, got \(kind)")
    }
    do { try own.end() } catch { reader.report("decoding args for plugin \"\(plugin)\": \(error)") }
  }

  // MARK: Checks

  static func check(_ json: JSONValue, of plugin: String, _ path: String, _ checks: inout ConfigurationChecks) {
    switch SchedulerPlugin(rawValue: plugin) {
    case .nodeResourcesFit: checkFit(json, path, &checks)
    case .balancedAllocation:
      var seen: Set<String> = []
      for (position, resource) in json["resources"].elements.enumerated() {
        let path = "\(path).resources[\(position)]"
        if !seen.insert(resource["name"].string ?? "").inserted {
          checks.add(.duplicate("\(path).name", resource["name"]))
        }
        if let weight = resource["weight"].integer, weight != 1 {
          checks.invalid("\(path).weight", .integer(weight), "must be 1")
        }
      }
    case .interPodAffinity:
      checkRange(json["hardPodAffinityWeight"], 0...100, "\(path).hardPodAffinityWeight", &checks)
    case .podTopologySpread: checkSpread(json, path, &checks)
    case .nodeAffinity: NodeAffinityChecks.check(json["addedAffinity"], "\(path).addedAffinity", &checks)
    case .defaultPreemption:
      let (percent, absolute) = ("\(path).minCandidateNodesPercentage", "\(path).minCandidateNodesAbsolute")
      checkRange(json["minCandidateNodesPercentage"], 0...100, percent, &checks)
      if let count = json["minCandidateNodesAbsolute"].integer, count < 0 {
        checks.invalid(absolute, .integer(count), "not in valid range [0, inf)")
      }
      if json["minCandidateNodesPercentage"].integer == 0, json["minCandidateNodesAbsolute"].integer == 0 {
        checks.invalid(percent, 0, "cannot be zero at the same time as minCandidateNodesAbsolute")
        checks.invalid(absolute, 0, "cannot be zero at the same time as minCandidateNodesPercentage")
      }
    case .volumeBinding:
      if let time = json["bindTimeoutSeconds"].integer, time < 0 {
        checks.invalid(
          "\(path).bindTimeoutSeconds", .integer(time), "invalid BindTimeoutSeconds, should not be a negative value")
      }
    default: break
    }
  }

  private static func checkRange(
    _ value: JSONValue, _ range: ClosedRange<Int64>, _ path: String, _ checks: inout ConfigurationChecks
  ) {
    guard let number = value.integer, !range.contains(number) else { return }
    checks.invalid(path, value, "not in valid range [\(range.lowerBound), \(range.upperBound)]")
  }

  private static func checkFit(_ json: JSONValue, _ path: String, _ checks: inout ConfigurationChecks) {
    for list in ["ignoredResources", "ignoredResourceGroups"] {
      for (position, name) in json[list].elements.enumerated() {
        let path = "\(path).\(list)[\(position)]"
        if list == "ignoredResourceGroups", name.string?.contains("/") == true {
          checks.invalid(path, name, "resource group name can't contain '/'")
        }
        for problem in Validate.qualifiedName(name.string ?? "") { checks.invalid(path, name, problem) }
      }
    }
    let strategy = json["scoringStrategy"]
    guard !strategy.isNull else { return }
    let path = "\(path).scoringStrategy"
    let types = ["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"]
    if !types.contains(strategy["type"].string ?? "") {
      checks.add(.notSupported("\(path).type", strategy["type"], supported: types))
    }
    for (position, resource) in strategy["resources"].elements.enumerated() {
      let weight = resource["weight"].integer ?? 1
      guard !(1...100).contains(weight) else { continue }
      checks.invalid(
        "\(path).resources[\(position)].weight", .integer(weight),
        "resource weight of \(resource["name"].string ?? "") not in valid range (0, 100]")
    }
    let ratio = strategy["requestedToCapacityRatio"]
    if strategy["type"].string != types[2] {
      if !ratio.isNull {
        checks.add(
          .forbidden(
            "\(path).requestedToCapacityRatio", "must be nil when type is not RequestedToCapacityRatio"))
      }
    } else if ratio.isNull {
      checks.add(
        .required("\(path).requestedToCapacityRatio", "must be specified when type is RequestedToCapacityRatio"))
    } else {
      checkShape(ratio["shape"].elements, "\(path).requestedToCapacityRatio.shape", &checks)
    }
  }

  private static func checkShape(_ shape: [JSONValue], _ path: String, _ checks: inout ConfigurationChecks) {
    if shape.isEmpty { checks.add(.required(path, "at least one point must be specified")) }
    for position in shape.indices.dropFirst() {
      let utilization = shape[position]["utilization"]
      guard (shape[position - 1]["utilization"].integer ?? 0) >= (utilization.integer ?? 0) else { continue }
      checks.invalid("\(path)[\(position)].utilization", utilization, "values must be sorted in increasing order")
      break
    }
    for (position, point) in shape.enumerated() {
      checkRange(point["utilization"], 0...100, "\(path)[\(position)].utilization", &checks)
      checkRange(point["score"], 0...10, "\(path)[\(position)].score", &checks)
    }
  }

  private static func checkSpread(_ json: JSONValue, _ path: String, _ checks: inout ConfigurationChecks) {
    let constraints = json["defaultConstraints"].elements
    let type = json["defaultingType"].string ?? "System"
    if !["List", "System"].contains(type) {
      checks.add(.notSupported("\(path).defaultingType", .string(type), supported: ["List", "System"]))
    }
    if type == "System" && !constraints.isEmpty {
      checks.invalid("\(path).defaultingType", .string(type), "when .defaultConstraints are not empty")
    }
    var seen: Set<[String]> = []
    for (position, constraint) in constraints.enumerated() {
      let path = "\(path).defaultConstraints[\(position)]"
      let (key, action) = (constraint["topologyKey"].string ?? "", constraint["whenUnsatisfiable"].string ?? "")
      if (constraint["maxSkew"].integer ?? 0) <= 0 {
        checks.invalid("\(path).maxSkew", .integer(constraint["maxSkew"].integer ?? 0), "not in valid range (0, inf)")
      }
      if key.isEmpty { checks.add(.required("\(path).topologyKey", "can not be empty")) }
      let actions = ["DoNotSchedule", "ScheduleAnyway"]
      if action.isEmpty {
        checks.add(.required("\(path).whenUnsatisfiable", "can not be empty"))
      } else if !actions.contains(action) {
        checks.add(.notSupported("\(path).whenUnsatisfiable", .string(action), supported: actions))
      }
      if !constraint["labelSelector"].isNull {
        checks.add(
          .forbidden(
            "\(path).labelSelector", "constraint must not define a selector, as they deduced for each pod"))
      }
      if !seen.insert([key, action]).inserted { checks.add(.duplicate(path, .string("{\(key), \(action)}"))) }
    }
  }

  // MARK: What they change

  static func take(_ json: JSONValue, of plugin: String, _ profile: inout SchedulerProfile) {
    switch SchedulerPlugin(rawValue: plugin) {
    case .nodeResourcesFit:
      profile.ignoredResources = Set(json["ignoredResources"].elements.compactMap(\.string))
      profile.ignoredResourceGroups = Set(json["ignoredResourceGroups"].elements.compactMap(\.string))
      let strategy = json["scoringStrategy"]
      let resources = strategy["resources"].elements.map {
        WeighedResource(name: $0["name"].string ?? "", weight: $0["weight"].integer ?? 1)
      }
      if !resources.isEmpty { profile.scoredResources = resources }
      switch strategy["type"].string {
      case "MostAllocated": profile.strategy = .mostAllocated
      case "RequestedToCapacityRatio":
        profile.strategy = .requestedToCapacityRatio(
          strategy["requestedToCapacityRatio"]["shape"].elements.map {
            // A file's scores go to ten.
            .init(utilization: $0["utilization"].integer ?? 0, score: ($0["score"].integer ?? 0) * 10)
          })
      default: break
      }
    case .balancedAllocation:
      let resources = json["resources"].elements.compactMap { $0["name"].string }
      if !resources.isEmpty { profile.balancedResources = resources }
    case .interPodAffinity:
      profile.hardPodAffinityWeight = json["hardPodAffinityWeight"].integer ?? 1
      profile.ignoresPreferredTermsOfExistingPods = json["ignorePreferredTermsOfExistingPods"].bool ?? false
    case .podTopologySpread:
      if json["defaultingType"].string == "List" { profile.defaultConstraints = json["defaultConstraints"].elements }
    case .nodeAffinity:
      if !json["addedAffinity"].isNull {
        profile.addedAffinity = NodeAffinity(["nodeAffinity": json["addedAffinity"]])
      }
    case .defaultPreemption:
      profile.candidateNodesPercent = Int(json["minCandidateNodesPercentage"].integer ?? 10)
      profile.minimumCandidateNodes = Int(json["minCandidateNodesAbsolute"].integer ?? 100)
    case .volumeBinding: profile.bindTimeout = .seconds(json["bindTimeoutSeconds"].integer ?? 600)
    default: break
    }
  }
}
