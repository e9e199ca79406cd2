// What is legal in a pod but unwise: texts for Warning headers, in the reference's order and words.
import JSON
import Schema

/// Labels of nodes that have been given up, and what to do instead.
enum NodeLabelWarnings {
  private static let deprecated = [
    "beta.kubernetes.io/arch": "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
    "beta.kubernetes.io/os": "deprecated since v1.14; use \"kubernetes.io/os\" instead",
    "failure-domain.beta.kubernetes.io/region": "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    "failure-domain.beta.kubernetes.io/zone": "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    "beta.kubernetes.io/instance-type": "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": "use \"node-role.kubernetes.io/control-plane\" instead",
  ]

  static func message(_ label: String) -> String? { deprecated[label] }

  /// Of the requirements of one term.
  static func ofExpressions(_ expressions: JSONValue, _ path: String) -> [String] {
    expressions.elements.enumerated().compactMap { index, expression in
      let key = expression["key"].text
      return message(key).map { "\(path)[\(index)].key: \(key) is \($0)" }
    }
  }

  /// Of `nodeSelectorTerms`.
  static func ofTerms(_ terms: JSONValue, _ path: String) -> [String] {
    terms.elements.enumerated().flatMap { index, term in
      ofExpressions(term["matchExpressions"], "\(path)[\(index)].matchExpressions")
    }
  }

  /// Of a LabelSelector.
  static func ofSelector(_ selector: JSONValue, _ path: String) -> [String] {
    ofExpressions(selector["matchExpressions"], "\(path).matchExpressions")
      + (selector["matchLabels"].object ?? [:]).compactMap { label, _ in
        message(label).map { "\(path).matchLabels.\(label): \($0)" }
      }
  }
}

/// Names of objects that become host names.
enum NameWarnings {
  static func ofPod(_ object: JSONValue) -> [String] { label(object, "the Pod's hostname") }
  static func ofOwner(_ object: JSONValue) -> [String] { label(object, "Pod names and hostnames") }

  private static func label(_ object: JSONValue, _ use: String) -> [String] {
    let problems = Validate.dns1123Label(object["metadata"]["name"].text)
    guard !problems.isEmpty else { return [] }
    return [
      "metadata.name: this is used in \(use), which can result in surprising behavior; a DNS label is recommended: "
        + "[\(problems.joined(separator: " "))]"
    ]
  }
}

/// Amounts of bytes that are no whole bytes.
enum ByteWarnings {
  static func fractional(_ amounts: JSONValue, _ names: [String], _ path: @autoclosure Checks.Path) -> [String] {
    guard !amounts.isNull else { return [] }
    return names.compactMap { name in
      guard let quantity = Quantity(amounts[name].text), quantity.milliValue % 1000 != 0 else { return nil }
      return
        "\(path())[\(name)]: fractional byte value \(GoSyntax.quoted(quantity.description)) is invalid, must be an integer"
    }
  }

  /// Of the `spec` of a claim.
  static func ofClaim(_ spec: JSONValue, _ path: @autoclosure Checks.Path) -> [String] {
    ["requests", "limits"].flatMap { member in
      fractional(spec["resources"][member], ["storage"], "\(path()).resources.\(member)")
    }
  }
}

/// Of a pod, or of a template of pods.
struct PodWarnings {
  private let spec: JSONValue
  private let annotations: JSONValue
  /// Of a template: `spec.template`; empty for a pod.
  private let path: String
  private var warnings: [String] = []

  static func ofPod(_ pod: JSONValue) -> [String] {
    PodAppArmor.warnings(pod) + NameWarnings.ofPod(pod) + of(pod, "")
  }
  static func ofTemplate(_ template: JSONValue, _ path: String) -> [String] { of(template, path) }

  private static func of(_ owner: JSONValue, _ path: String) -> [String] {
    var all = PodWarnings(owner, path)
    all.run()
    return all.warnings
  }

  private init(_ owner: JSONValue, _ path: String) {
    spec = owner["spec"]
    annotations = owner["metadata"]["annotations"]
    self.path = path
  }

  private var specPath: String { path.isEmpty ? "spec" : "\(path).spec" }
  private func annotationPath(_ key: String) -> String {
    path.isEmpty ? "metadata.annotations[\(key)]" : "\(path).metadata.annotations[\(key)]"
  }
  private mutating func warn(_ place: String, _ text: String) { warnings.append("\(place): \(text)") }

  private mutating func run() {
    nodeLabels()
    topologySpread()
    deprecatedAnnotations()
    volumes()
    projectedPaths()
    duplicates(of: "ip", in: "hostAliases")
    duplicates(of: "name", in: "imagePullSecrets")
    for (index, secret) in spec["imagePullSecrets"].elements.enumerated() where secret["name"].isEmptyValue {
      warn("\(specPath).imagePullSecrets[\(index)].name", "invalid empty name \"\"")
    }
    warnings += ByteWarnings.fractional(spec["overhead"], Self.byteResources, "\(specPath).overhead")
    if spec["securityContext"]["seccompProfile"].isNull { seccomp("seccomp.security.alpha.kubernetes.io/pod") }
    forEachContainer { $0.container($1, $2) }
    ports()
    if let seconds = spec["terminationGracePeriodSeconds"].integer, seconds < 0 {
      warn(
        "\(specPath).terminationGracePeriodSeconds",
        "must be >= 0; negative values are invalid and will be treated as 1")
    }
    affinityTerms()
  }

  private static let byteResources = ["memory", "ephemeral-storage"]
  private static let matchesNothing = "a null labelSelector results in matching no pod"
  private static let required = "requiredDuringSchedulingIgnoredDuringExecution"
  private static let preferred = "preferredDuringSchedulingIgnoredDuringExecution"

  private mutating func nodeLabels() {
    for (key, _) in spec["nodeSelector"].object ?? [:] {
      if let message = NodeLabelWarnings.message(key) { warn("\(specPath).nodeSelector[\(key)]", message) }
    }
    let affinity = spec["affinity"]["nodeAffinity"]
    guard !affinity.isNull else { return }
    let place = "\(specPath).affinity.nodeAffinity"
    warnings += NodeLabelWarnings.ofTerms(
      affinity[Self.required]["nodeSelectorTerms"], "\(place).\(Self.required).nodeSelectorTerms")
    for (index, term) in affinity[Self.preferred].elements.enumerated() {
      warnings += NodeLabelWarnings.ofExpressions(
        term["preference"]["matchExpressions"],
        "\(place).\(Self.preferred)[\(index)].preference.matchExpressions")
    }
  }

  private mutating func topologySpread() {
    for (index, constraint) in spec["topologySpreadConstraints"].elements.enumerated() {
      let place = "\(specPath).topologySpreadConstraints[\(index)]"
      let key = constraint["topologyKey"].text
      if let message = NodeLabelWarnings.message(key) { warn("\(place).topologyKey", "\(key) is \(message)") }
      if constraint["labelSelector"].isNull { warn("\(place).labelSelector", Self.matchesNothing) }
    }
  }

  private static let deprecated = [
    (
      "scheduler.alpha.kubernetes.io/critical-pod",
      "non-functional in v1.16+; use the \"priorityClassName\" field instead"
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
  ].map { (key: $0.0, message: $0.1) }

  private mutating func deprecatedAnnotations() {
    guard !annotations.isNull else { return }
    for (key, message) in Self.deprecated where !annotations[key].isNull { warn(annotationPath(key), message) }
  }

  private mutating func volumes() {
    for (index, volume) in spec["volumes"].elements.enumerated() {
      func place() -> String { "\(specPath).volumes[\(index)]" }
      for (name, message) in VolumeWarnings.ofPods where !volume[name].isNull { warn("\(place()).\(name)", message) }
      let claim = volume["ephemeral"]["volumeClaimTemplate"]
      if !claim.isNull {
        warnings += ByteWarnings.ofClaim(claim["spec"], "\(place()).ephemeral.volumeClaimTemplate.spec")
      }
      for (name, message) in VolumeWarnings.ofPodsSince128 where !volume[name].isNull {
        warn("\(place()).\(name)", message)
      }
    }
  }

  /// Files that a projected token hides.
  private mutating func projectedPaths() {
    var tokens: Set<String> = []
    for volume in spec["volumes"].elements {
      for source in volume["projected"]["sources"].elements where !source["serviceAccountToken"].isNull {
        tokens.insert(source["serviceAccountToken"]["path"].text)
      }
    }
    guard !tokens.isEmpty else { return }
    for (index, volume) in spec["volumes"].elements.enumerated() {
      for source in volume["projected"]["sources"].elements {
        // (The reference names secrets in the plural.)
        for (name, shown) in [("configMap", "configMap"), ("secret", "secrets"), ("downwardAPI", "downwardAPI")] {
          for (number, item) in source[name]["items"].elements.enumerated() where tokens.contains(item["path"].text) {
            warn(
              "\(specPath).volumes[\(index)].projected.sources.\(shown)[\(number)]",
              "has duplicated path with ServiceAccountToken \(GoSyntax.quoted(item["path"].text))")
          }
        }
      }
    }
  }

  private mutating func duplicates(of member: String, in list: String) {
    var seen: Set<String> = []
    for (index, item) in spec[list].elements.enumerated() where !seen.insert(item[member].text).inserted {
      warn(
        "\(specPath).\(list)[\(index)].\(member)", "duplicate \(member) \(GoSyntax.quoted(item[member].text))")
    }
  }

  private mutating func seccomp(_ key: @autoclosure () -> String) {
    guard !annotations.isNull, !annotations[key()].isNull else { return }
    warn(annotationPath(key()), "non-functional in v1.27+; use the \"seccompProfile\" field instead")
  }

  private mutating func forEachContainer(_ body: (inout PodWarnings, JSONValue, Checks.Path) -> Void) {
    let specPath = specPath
    for list in ["initContainers", "containers", "ephemeralContainers"] {
      for (index, container) in spec[list].elements.enumerated() {
        body(&self, container) { "\(specPath).\(list)[\(index)]" }
      }
    }
  }

  private mutating func container(_ container: JSONValue, _ place: Checks.Path) {
    let (name, context) = (container["name"].text, container["securityContext"])
    if context["seccompProfile"].isNull { seccomp("container.seccomp.security.alpha.kubernetes.io/\(name)") }
    if !path.isEmpty, !annotations.isNull { deprecatedProfile(name, context) }
    let resources = container["resources"]
    for resource in Self.byteResources {
      for member in ["limits", "requests"] {
        warnings += ByteWarnings.fractional(resources[member], [resource], "\(place()).resources.\(member)")
      }
    }
    variables(container["env"].elements, "\(place()).env")
  }

  private mutating func deprecatedProfile(_ container: String, _ context: JSONValue) {
    let hasProfile = !spec["securityContext"]["appArmorProfile"].isNull || !context["appArmorProfile"].isNull
    let key = PodAppArmor.annotationPrefix + container
    if !hasProfile, !annotations[key].isNull {
      warn(annotationPath(key), "deprecated since v1.30; use the \"appArmorProfile\" field instead")
    }
  }

  private mutating func variables(_ variables: [JSONValue], _ place: @autoclosure Checks.Path) {
    guard variables.count > 1 else { return }
    var seen: Set<String> = []
    for (index, variable) in variables.enumerated() {
      let name = variable["name"].text
      guard !seen.insert(name).inserted else { continue }
      // A value that is built on the one before is meant so.
      let (reference, value) = ("$(\(name))", variable["value"].text)
      if variable["valueFrom"].isNull, value != reference, value.contains(reference) { continue }
      warn(
        "\(place())[\(index)]",
        "hides previous definition of \(GoSyntax.quoted(name)), which may be dropped when using apply")
    }
  }

  private struct Port {
    var place: String
    var address: String
    var number: Int64
  }

  private mutating func ports() {
    var known: [String: [Port]] = [:]
    forEachContainer { warnings, container, place in
      for (index, port) in container["ports"].elements.enumerated() {
        let new = Port(
          place: "\(place()).ports[\(index)]", address: port["hostIP"].text, number: port["hostPort"].integer ?? 0)
        let number = port["containerPort"].integer ?? 0
        if !new.address.isEmpty, new.number == 0 {
          warnings.warn(
            new.place,
            "hostIP set without hostPort: {Name:\(port["name"].text) HostPort:0 ContainerPort:\(number) "
              + "Protocol:\(port["protocol"].text) HostIP:\(new.address)}")
        }
        let key = "\(number)/\(port["protocol"].text)"
        for other in known[key] ?? [] {
          if new.address == other.address, new.number == other.number {
            warnings.warn(new.place, "duplicate port definition with \(other.place)")
          } else if new.number == 0 || other.number == 0 {
            warnings.warn(new.place, "overlapping port definition with \(other.place)")
          } else if new.number == other.number, new.address.isEmpty != other.address.isEmpty {
            warnings.warn(new.place, "dangerously ambiguous port definition with \(other.place)")
          }
        }
        known[key, default: []].append(new)
      }
    }
  }

  private mutating func affinityTerms() {
    for name in ["podAffinity", "podAntiAffinity"] {
      let affinity = spec["affinity"][name]
      guard !affinity.isNull else { continue }
      let place = "\(specPath).affinity.\(name)"
      for (index, term) in affinity[Self.required].elements.enumerated() where term["labelSelector"].isNull {
        warn("\(place).\(Self.required)[\(index)].labelSelector", Self.matchesNothing)
      }
      for (index, term) in affinity[Self.preferred].elements.enumerated()
      where term["podAffinityTerm"]["labelSelector"].isNull {
        warn("\(place).\(Self.preferred)[\(index)].podAffinityTerm.labelSelector", Self.matchesNothing)
      }
    }
  }
}

/// Kinds of volumes that are on their way out, or gone.
enum VolumeWarnings {
  private static let goneIn116 = "deprecated in v1.11, non-functional in v1.16+"
  private static let goneIn122 = "deprecated in v1.16, non-functional in v1.22+"
  private static let goneIn125 = "deprecated in v1.22, non-functional in v1.25+"
  private static let goneIn126 = "deprecated in v1.25, non-functional in v1.26+"
  private static let goneIn131 = "deprecated in v1.28, non-functional in v1.31+"

  static let ofPods = [
    ("photonPersistentDisk", goneIn116), ("gitRepo", "deprecated in v1.11"), ("scaleIO", goneIn122),
    ("flocker", goneIn125), ("storageos", goneIn125), ("quobyte", goneIn125), ("glusterfs", goneIn126),
  ].map { (name: $0.0, message: $0.1) }
  static let ofPodsSince128 = [("cephfs", goneIn131), ("rbd", goneIn131)].map { (name: $0.0, message: $0.1) }

  /// A volume has one source: the first that is named.
  static let ofPersistentVolumes = [
    ("cephfs", goneIn131), ("photonPersistentDisk", goneIn116), ("scaleIO", goneIn122), ("storageos", goneIn125),
    ("glusterfs", goneIn126), ("flocker", goneIn125), ("quobyte", goneIn125), ("rbd", goneIn131),
  ].map { (name: $0.0, message: $0.1) }
}

extension KindRules {
  /// Of kinds whose pods are named after them: once for each change of what is wanted.
  func templateWarnings(
    _ object: JSONValue, _ old: JSONValue, namesPods: Bool = true, _ path: String = "spec.template"
  ) -> [String] {
    guard old.isNull || object["metadata"]["generation"] != old["metadata"]["generation"] else { return [] }
    return (old.isNull && namesPods ? NameWarnings.ofOwner(object) : [])
      + PodWarnings.ofTemplate(object["spec"]["template"], path)
  }
}
