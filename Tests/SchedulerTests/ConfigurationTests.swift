// Files as kube-scheduler reads them: what they change, and in which words they are refused.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Scheduler

@Suite struct ConfigurationTests {
  private static let head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

  private func read(_ text: String) throws -> SchedulerConfiguration {
    try SchedulerConfiguration(parsing: Array((Self.head + text).utf8))
  }

  private func problem(_ text: String) -> String {
    do {
      _ = try read(text)
      return "none"
    } catch {
      return "\(error)"
    }
  }

  private func profile(_ text: String) throws -> SchedulerProfile {
    let configuration = try read("profiles:\n- schedulerName: custom\n" + text)
    return try #require(configuration.profiles["custom"])
  }

  // MARK: Reading

  @Test func anEmptyFileIsTheDefault() throws {
    let configuration = try read("")
    #expect(configuration.schedulerNames == ["default-scheduler"])
    #expect(configuration.initialBackoff == .seconds(1) && configuration.maximumBackoff == .seconds(10))
    #expect(configuration.election == SchedulerConfiguration.Election())
    let profile = try #require(configuration.profiles["default-scheduler"])
    for plugin in SchedulerPlugin.allCases {
      for point in ExtensionPoint.allCases {
        #expect(profile.has(plugin, at: point) == plugin.points.contains(point), "\(plugin) at \(point)")
      }
      #expect(profile.weight(plugin) == SchedulerProfile.standard.weight(plugin))
    }
    #expect(profile.weight(.taintToleration) == 3 && profile.weight(.nodeName) == 0)
  }

  @Test func thePartsOfAFileAreTakenOver() throws {
    let configuration = try read(
      """
      parallelism: 4
      percentageOfNodesToScore: 30
      podInitialBackoffSeconds: 2
      podMaxBackoffSeconds: 60
      clientConnection: {kubeconfig: /etc/scheduler.conf, qps: 100, burst: 200}
      leaderElection: {leaderElect: false, resourceName: mine, resourceNamespace: here, leaseDuration: 1m30s}
      profiles:
      - schedulerName: a
      - schedulerName: b
        percentageOfNodesToScore: 70
      """)
    #expect(configuration.schedulerNames == ["a", "b"])
    #expect(configuration.initialBackoff == .seconds(2) && configuration.maximumBackoff == .seconds(60))
    #expect(configuration.kubeconfig == "/etc/scheduler.conf")
    #expect(!configuration.election.isWanted && configuration.election.lease == "mine")
    #expect(configuration.election.namespace == "here" && configuration.election.leaseDuration == .seconds(90))
    #expect(configuration.profiles["a"]?.percentageOfNodesToScore == 30)
    #expect(configuration.profiles["b"]?.percentageOfNodesToScore == 70)
  }

  @Test func pluginsAreTurnedOnAndOff() throws {
    let some = try profile(
      """
        plugins:
          score:
            disabled: [{name: ImageLocality}, {name: TaintToleration}]
            enabled: [{name: NodeAffinity, weight: 7}, {name: TaintToleration, weight: 9}]
          filter:
            disabled: [{name: "*"}]
            enabled: [{name: NodeName}]
          multiPoint:
            disabled: [{name: DefaultPreemption}]
      """)
    #expect(some.weight(.imageLocality) == 0 && some.weight(.nodeAffinity) == 7 && some.weight(.taintToleration) == 9)
    #expect(some.enabled[.filter] == [.nodeName])
    #expect(!some.has(.defaultPreemption, at: .postFilter) && some.has(.volumeBinding, at: .reserve))
    let bare = try profile(
      """
        plugins:
          multiPoint:
            disabled: [{name: "*"}]
            enabled: [{name: PrioritySort}, {name: DefaultBinder}, {name: NodeResourcesFit, weight: 5}]
      """)
    #expect(bare.enabled[.filter] == [.nodeResourcesFit] && bare.weight(.nodeResourcesFit) == 5)
  }

  @Test func whatIsUnknownIsRefused() {
    #expect(problem("colour: red") == "strict decoding error: unknown field \"colour\"")
    #expect(
      problem("profiles:\n- schedulerName: a\n  plugin: {}\n")
        == "strict decoding error: unknown field \"profiles[0].plugin\"")
    #expect(
      problem("profiles:\n- pluginConfig:\n  - name: NodeResourcesFit\n    args: {strategy: x}\n")
        == "strict decoding error: decoding args for plugin \"NodeResourcesFit\": strict decoding error: "
        + "unknown field \"strategy\"")
    #expect(
      problem("profiles:\n- plugins:\n    filter:\n      enabled: [{name: Mine}]\n")
        == "initializing profiles: creating profile for scheduler name default-scheduler: "
        + "FilterPlugin \"Mine\" does not exist")
    #expect(
      problem("profiles:\n- plugins:\n    multiPoint:\n      enabled: [{name: Mine}]\n")
        == "initializing profiles: creating profile for scheduler name default-scheduler: "
        + "PreFilterPlugin \"Mine\" does not exist")
    #expect(
      problem("profiles:\n- plugins:\n    score:\n      enabled: [{name: NodeName}]\n")
        == "initializing profiles: creating profile for scheduler name default-scheduler: "
        + "plugin \"NodeName\" does not extend ScorePlugin plugin")
    #expect(throws: SchedulerConfigurationError.self) {
      try SchedulerConfiguration(
        parsing: Array("apiVersion: kubescheduler.config.k8s.io/v1beta2\nkind: KubeSchedulerConfiguration".utf8))
    }
  }

  @Test func whatMakesNoSenseIsRefused() {
    #expect(
      problem("profiles:\n- schedulerName: a\n- schedulerName: a\n")
        == "profiles[1].schedulerName: Duplicate value: \"profiles[0].schedulerName\"")
    #expect(
      problem("profiles:\n- schedulerName: a\n- percentageOfNodesToScore: 101\n")
        == "[profiles[1].schedulerName: Required value, "
        + "profiles[1].percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]]")
    #expect(
      problem("podInitialBackoffSeconds: 0\npodMaxBackoffSeconds: -1\nparallelism: 0")
        == "[parallelism: Invalid value: 0: should be an integer value greater than zero, "
        + "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0, "
        + "podMaxBackoffSeconds: Invalid value: -1: must be greater than or equal to PodInitialBackoffSeconds]")
    #expect(
      problem(
        """
        extenders:
        - {urlPrefix: "http://a", prioritizeVerb: p, bindVerb: b}
        - {urlPrefix: "http://b", bindVerb: b}
        """)
        == "[extenders[0].weight: Invalid value: 0: must have a positive weight applied to it, "
        + "extenders: Invalid value: \"found 2 extenders implementing bind\": only one extender can implement bind]")
    #expect(
      problem(
        """
        profiles:
        - pluginConfig:
          - name: InterPodAffinity
            args: {hardPodAffinityWeight: 101}
          - name: InterPodAffinity
            args: {}
        """)
        == "[profiles[0].pluginConfig[0].args.hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100], "
        + "profiles[0].pluginConfig[1]: Duplicate value: \"InterPodAffinity\"]")
    #expect(
      problem(
        """
        profiles:
        - plugins: {queueSort: {disabled: [{name: "*"}]}}
        """)
        == "initializing profiles: creating profile for scheduler name default-scheduler: only one queue sort plugin "
        + "required for profile with scheduler name \"default-scheduler\", but got 0")
  }

  @Test func durationsAreGos() {
    #expect(GoDuration.parse("1h2m3.5s") == .milliseconds(3_723_500))
    #expect(GoDuration.parse("300ms") == .milliseconds(300) && GoDuration.parse("-1s") == .seconds(-1))
    for text in ["", "1", "s", "1x", "1.s.", "abc"] { #expect(GoDuration.parse(text) == nil, "\(text)") }
  }

  // MARK: What profiles change

  private func put(_ profile: SchedulerProfile, _ nodes: [JSONValue], _ placed: [(Pod, String)], _ pod: Pod) -> String {
    var offline = OfflineScheduler(nodes: nodes.map(Node.init(json:)), profile: profile)
    for (pod, node) in placed { offline.force(pod, on: node) }
    var chance = Chance()
    switch offline.put(pod, using: &chance) {
    case .placed(let node): return node
    case .madeRoom(let node, _): return "room on \(node)"
    case .refused(let why): return why
    }
  }

  private func pod(_ name: String, cpu: String = "1") -> Pod {
    var json = Fixture.pod(name, cpu: cpu)
    json["metadata"]["uid"] = .string("uid-\(name)")
    return Pod(json: json)
  }

  @Test func fullNodesCanBePreferred() throws {
    let packing = try profile(
      """
        pluginConfig:
        - name: NodeResourcesFit
          args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}}
        plugins: {score: {disabled: [{name: NodeResourcesBalancedAllocation}]}}
      """)
    let nodes = [Fixture.node("a"), Fixture.node("b")]
    #expect(put(packing, nodes, [(pod("x"), "b")], pod("p")) == "b")
    #expect(put(.standard, nodes, [(pod("x"), "b")], pod("p")) == "a")
    // A function of one's own: half full is best.
    let shaped = try profile(
      """
        pluginConfig:
        - name: NodeResourcesFit
          args:
            scoringStrategy:
              type: RequestedToCapacityRatio
              resources: [{name: cpu, weight: 1}]
              requestedToCapacityRatio:
                shape: [{utilization: 0, score: 0}, {utilization: 50, score: 10}, {utilization: 100, score: 0}]
        plugins: {score: {disabled: [{name: NodeResourcesBalancedAllocation}]}}
      """)
    let three = nodes + [Fixture.node("c")]
    #expect(put(shaped, three, [(pod("x"), "b"), (pod("y", cpu: "3"), "c")], pod("p")) == "b")
  }

  @Test func filtersCanBeTurnedOff() throws {
    var tainted = Fixture.node("a", cpu: "1")
    tainted["spec"]["taints"] = [["key": "k", "value": "v", "effect": "NoSchedule"]]
    tainted["spec"]["unschedulable"] = true
    let lax = try profile(
      "  plugins: {filter: {disabled: [{name: TaintToleration}, {name: NodeUnschedulable}, {name: NodeResourcesFit}]}}")
    #expect(put(lax, [tainted], [], pod("p", cpu: "2")) == "a")
    let careless = try profile("  plugins: {multiPoint: {disabled: [{name: DefaultPreemption}]}}")
    #expect(
      put(careless, [Fixture.node("a", cpu: "1")], [], pod("p", cpu: "2"))
        == "0/1 nodes are available: 1 Insufficient cpu.")
  }

  @Test func anAffinityThatCannotBeMeantIsRefused() {
    func problem(_ affinity: String) -> String {
      self.problem(
        "profiles:\n- pluginConfig:\n  - name: NodeAffinity\n    args: {addedAffinity: {\(affinity)}}\n")
    }
    let required = "requiredDuringSchedulingIgnoredDuringExecution"
    let path = "profiles[0].pluginConfig[0].addedAffinity.\(required).nodeSelectorTerms[0]"
    func term(_ term: String) -> String { problem("\(required): {nodeSelectorTerms: [{\(term)}]}") }
    #expect(term("matchExpressions: [{key: pool, operator: In, values: [batch]}]") == "none")
    #expect(
      term("matchExpressions: [{key: pool, operator: Is, values: [batch]}]").contains(
        "addedAffinity.\(required).nodeSelectorTerms[0].matchExpressions[0].operator: Unsupported value: \"Is\": "
          + "supported values: \"In\", \"NotIn\""), "\(path)")
    #expect(
      term("matchExpressions: [{key: pool, operator: In}]").contains(
        ".values: Invalid value: []string{}: for 'in', 'notin' operators, values set can't be empty"))
    #expect(term("matchExpressions: [{key: -, operator: Exists}]").contains("matchExpressions[0].key: Invalid value"))
    #expect(
      term("matchExpressions: [{key: n, operator: Gt, values: [x]}]").contains("the value must be an integer"))
    #expect(
      term("matchFields: [{key: metadata.name, operator: In, values: [a, b]}]").contains("must have one element"))
    #expect(term("matchFields: [{key: metadata.name, operator: Exists}]").contains("matchFields[0].operator"))
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    func preference(_ weight: Int) -> String {
      problem("\(preferred): [{weight: \(weight), preference: {matchExpressions: [{key: a, operator: Is}]}}]")
    }
    #expect(preference(1).contains("addedAffinity.\(preferred)[0].matchExpressions[0].operator"))
    #expect(preference(0) == "none", "what weighs nothing is not looked at")
  }

  @Test func argumentsOfFiltersHold() throws {
    let enforced = try profile(
      """
        pluginConfig:
        - name: NodeAffinity
          args:
            addedAffinity:
              requiredDuringSchedulingIgnoredDuringExecution:
                nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [batch]}]}]
        plugins: {multiPoint: {disabled: [{name: DefaultPreemption}]}}
      """)
    #expect(
      put(enforced, [Fixture.node("a")], [], pod("p"))
        == "0/1 nodes are available: 1 node(s) didn't match scheduler-enforced node affinity.")
    #expect(put(enforced, [Fixture.node("a", labels: ["pool": "batch"])], [], pod("p")) == "a")
    let ignoring = try profile(
      """
        pluginConfig:
        - name: NodeResourcesFit
          args: {ignoredResources: [vendor.io/gpu], ignoredResourceGroups: [other.io]}
      """)
    var greedy = Fixture.pod("p")
    greedy["spec"]["containers"] = [
      ["name": "c", "resources": ["requests": ["vendor.io/gpu": "1", "other.io/thing": "2"]]]
    ]
    #expect(put(ignoring, [Fixture.node("a")], [], Pod(json: greedy)) == "a")
    #expect(put(.standard, [Fixture.node("a")], [], Pod(json: greedy)).contains("1 Insufficient other.io/thing"))
  }

  // MARK: At work

  @Test func podsOfOtherSchedulersAreLeftAlone() throws {
    let cluster = try TestCluster()
    let configuration = try read("profiles:\n- schedulerName: default-scheduler\n- schedulerName: batch\n")
    let task = cluster.world.spawn {
      await Scheduler(
        client: cluster.client("system:kube-scheduler"), configuration: configuration, logger: cluster.logger
      ).run()
    }
    let admin = cluster.client()
    try cluster.world.run {
      try await admin.create(.serviceAccounts, namespace: "default", ["metadata": ["name": "default"]])
      try await admin.create(.nodes, Fixture.node("n"))
      try await admin.patch(.nodes, name: "n", ["spec": ["taints": .null]], type: .merge)
      for name in ["default-scheduler", "batch", "theirs"] {
        var pod = Fixture.pod(name)
        pod["spec"]["schedulerName"] = .string(name)
        try await admin.create(.pods, namespace: "default", pod)
      }
      try await cluster.world.eventually("both profiles' pods are bound") {
        let pods = try await admin.list(.pods, namespace: "default").items.map(Pod.init(json:))
        return Set(pods.filter { !$0.spec.nodeName.isEmpty }.map(\.name)) == ["default-scheduler", "batch"]
      }
      try await cluster.world.sleep(for: .seconds(30))
      let theirs = Pod(json: try await admin.get(.pods, namespace: "default", name: "theirs"))
      #expect(theirs.spec.nodeName.isEmpty && theirs.status.condition("PodScheduled") == nil)
      // Each profile tells in its own name.
      let events = try await admin.list(.events, namespace: "default").items
      #expect(
        events.contains { $0["source"]["component"].string == "batch" || $0["reportingComponent"].string == "batch" })
      task.cancel()
      await task.wait()
    }
  }
}
