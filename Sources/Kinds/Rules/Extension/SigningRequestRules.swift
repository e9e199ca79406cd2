// Certificate signing requests.
import JSON
import Schema

struct SigningRequestRules: KindRules {
  private static let minimumSeconds: Int64 = 600
  private static let legacySigner = "kubernetes.io/legacy-unknown"
  private static let verdicts = ["Approved", "Denied"]
  private static let usages = [
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
  ]

  func validateName(_ name: String, isGeneratePrefix: Bool) -> String? {
    NameRule.pathSegment.check(name, isGeneratePrefix: isGeneratePrefix)
  }

  /// Who asks is what the server saw, not what the client says.
  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    var spec = object["spec"]
    spec["username"] = .string(context.user.name)
    spec["uid"] = context.user.uid.isEmpty ? .null : .string(context.user.uid)
    spec["groups"] = context.user.groups.isEmpty ? .null : .array(context.user.groups.map { .string($0) })
    spec["extra"] = .null
    for (key, values) in context.user.extra.sorted(by: { $0.key < $1.key }) {
      spec["extra"][key] = .array(values.map { .string($0) })
    }
    object["spec"] = spec
  }

  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    object["spec"] = old["spec"]
    if context.subresource == "approval" {
      // Only the verdict changes here; the certificate belongs to the signer.
      object["status"]["certificate"] = old["status"]["certificate"]
      stampConditions(&object, old, context)
    } else if context.subresource.isEmpty {
      object["status"] = old["status"]
    }
  }

  /// Verdicts come through approval only: what is there stays as it was; what is not is refused.
  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    if context.subresource != "approval" {
      for verdict in Self.verdicts {
        var kept = Self.conditions(old, verdict)[...]
        guard kept.count == Self.conditions(object, verdict).count else { continue }
        object["status"]["conditions"].mutateElements { condition in
          if condition["type"].text == verdict { condition = kept.removeFirst() }
        }
      }
    }
    stampConditions(&object, old, context)
  }

  private func stampConditions(_ object: inout JSONValue, _ old: JSONValue, _ context: RuleContext) {
    let before = old["status"]["conditions"].elements
    object["status"]["conditions"].mutateElements { condition in
      if condition["lastUpdateTime"].isNull { condition["lastUpdateTime"] = .string(context.now) }
      guard condition["lastTransitionTime"].isNull else { return }
      let known = before.first {
        $0["type"] == condition["type"] && $0["status"] == condition["status"] && !$0["lastTransitionTime"].isNull
      }
      condition["lastTransitionTime"] = known?["lastTransitionTime"] ?? .string(context.now)
    }
  }

  private static func conditions(_ request: JSONValue, _ type: String) -> [JSONValue] {
    request["status"]["conditions"].elements.filter { $0["type"].text == type }
  }

  func validate(_ object: JSONValue) -> [FieldError] { validate(object, replacing: .null) }

  /// What stands there already is not held against an update.
  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let bytes = (try? Base64.decode(spec["request"].text)) ?? []
    if PEMText.blocks(bytes).first?.type != "CERTIFICATE REQUEST" {
      checks.invalid("spec.request", goValue: GoSyntax.bytes(bytes), "PEM block type must be CERTIFICATE REQUEST")
    }
    usages(spec["usages"].elements, old["spec"]["usages"].elements, &checks)
    if spec["signerName"].text == Self.legacySigner, old["spec"]["signerName"].text != Self.legacySigner {
      checks.invalid(
        "spec.signerName", spec["signerName"], "the legacy signerName is not allowed via this API version")
    } else {
      checks.signerName(spec["signerName"].text, "spec.signerName")
    }
    if let seconds = spec["expirationSeconds"].integer, seconds < Self.minimumSeconds {
      checks.invalid(
        "spec.expirationSeconds", .integer(seconds), "may not specify a duration less than 600 seconds (10 minutes)")
    }
    conditions(object, old, &checks)
    return checks.errors
  }

  private func usages(_ usages: [JSONValue], _ before: [JSONValue], _ checks: inout Checks) {
    if usages.isEmpty { checks.required("spec.usages", "usages are required") }
    if before.allSatisfy({ Self.usages.contains($0.text) }) {
      for (index, usage) in usages.enumerated() { checks.choice(usage, "spec.usages[\(index)]", Self.usages) }
    }
    guard Set(before).count == before.count else { return }
    var seen: Set<JSONValue> = []
    for (index, usage) in usages.enumerated() where !seen.insert(usage).inserted {
      checks.duplicate("spec.usages[\(index)]", usage)
    }
  }

  private func conditions(_ object: JSONValue, _ old: JSONValue, _ checks: inout Checks) {
    let before = old["status"]["conditions"].elements.map { $0["type"].text }
    let wasBoth = Self.verdicts.allSatisfy(before.contains)
    let hadDuplicates = Set(before).count < before.count
    var seen: Set<String> = []
    for (index, condition) in object["status"]["conditions"].elements.enumerated() {
      let place = "status.conditions[\(index)]"
      let type = condition["type"].text
      if type.isEmpty, !before.contains("") { checks.required("\(place).type") }
      let isAlwaysTrue = Self.verdicts.contains(type) || type == "Failed"
      checks.oneOf(
        condition["status"], "\(place).status", isAlwaysTrue ? ["True"] : ["False", "True", "Unknown"])
      if !wasBoth, Self.verdicts.contains(type), seen.contains(where: { Self.verdicts.contains($0) && $0 != type }) {
        checks.invalid("status.conditions", .string(type), "Approved and Denied conditions are mutually exclusive")
      }
      if !seen.insert(type).inserted, !hadDuplicates { checks.duplicate("\(place).type", .string(type)) }
    }
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] { transitions(object, old) }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    validate(object, replacing: old) + transitions(object, old, maySetCertificate: true)
  }

  func validateApproval(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    validate(object, replacing: old) + transitions(object, old, maySetVerdict: true)
  }

  private func transitions(
    _ object: JSONValue, _ old: JSONValue, maySetVerdict: Bool = false, maySetCertificate: Bool = false
  ) -> [FieldError] {
    var checks = Checks()
    for type in Self.verdicts + ["Failed"]
    where Self.conditions(object, type).count < Self.conditions(old, type).count {
      checks.forbidden("status.conditions", "updates may not remove a condition of type \"\(type)\"")
    }
    for type in Self.verdicts where !maySetVerdict {
      let (new, before) = (Self.conditions(object, type), Self.conditions(old, type))
      if new.count > before.count {
        checks.forbidden("status.conditions", "updates may not add a condition of type \"\(type)\"")
      } else if new.count == before.count, new != before {
        checks.forbidden("status.conditions", "updates may not modify a condition of type \"\(type)\"")
      }
    }
    let before = old["status"]["certificate"].text
    if object["status"]["certificate"].text != before {
      if !maySetCertificate {
        checks.forbidden("status.certificate", "updates may not set certificate content")
      } else if !before.isEmpty {
        checks.forbidden("status.certificate", "updates may not modify existing certificate content")
      }
    }
    return checks.errors
  }
}

extension Checks {
  private static let maximumSignerLength = 253 + 253 + 63 + 2

  /// `example.com/signer-name`.
  mutating func signerName(_ name: String, _ place: String) {
    if name.isEmpty { return required(place) }
    let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2 else {
      return invalid(
        place, .string(name), "must be a fully qualified domain and path of the form 'example.com/signer-name'")
    }
    if parts[0].utf8.count > Validate.dns1123SubdomainMaximum {
      report(.tooLong(place, maximumBytes: Validate.dns1123SubdomainMaximum))
    }
    let domain = parts[0].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    for label in domain {
      for problem in Validate.dns1123Label(label) {
        invalid(place, .string(parts[0]), "validating label \(GoSyntax.quoted(label)): \(problem)")
      }
    }
    if domain.count < 2 {
      invalid(place, .string(parts[0]), "should be a domain with at least two segments separated by dots")
    }
    for label in parts[1].split(separator: ".", omittingEmptySubsequences: false).map(String.init) {
      for problem in Validate.dns1123Subdomain(label) {
        invalid(place, .string(parts[1]), "validating label \(GoSyntax.quoted(label)): \(problem)")
      }
    }
    if name.utf8.count > Self.maximumSignerLength { report(.tooLong(place, maximumBytes: Self.maximumSignerLength)) }
  }
}
