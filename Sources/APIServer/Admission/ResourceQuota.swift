// Quotas: what a namespace may hold at most (spec/8 §8.4, spec/3 §3.7).
//
// Usage is charged by the same command that writes the object, under the condition that the quota is still the one that
// was read: two creates never share the last place, whichever servers they come through. What deletions give back is
// found when a quota seems to be exhausted: only then is everything counted, in the state that belongs to its revision.
import JSON
import Kinds
import Replica
import Schema

public struct ResourceQuotaAdmission: ValidatingAdmission {
  public let name = "ResourceQuota"
  private static let quotas = GroupResource(group: "", resource: "resourcequotas")
  private static let changing: Set<String> = ["services", "persistentvolumeclaims"]

  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    guard subresource.isEmpty else { return false }
    return operation == .create || (operation == .update && Self.changing.contains(resource.description))
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    guard !request.namespace.isEmpty, request.descriptor.isNamespaced else { return .allowed }
    let found = objects.stored(Self.quotas, namespace: request.namespace)
    var verdict = AdmissionVerdict()
    // A quota that this server has not seen yet counts as well.
    if request.operation == .create, !APIMutant.quotaUnguarded.isActive {
      verdict.preconditions.append(
        .count(resource: Self.quotas.description, namespace: request.namespace, UInt64(found.count)))
    }
    guard !found.isEmpty else { return verdict }
    let subject = QuotaSubject(request.object, request.resource, now: request.now)
    let before =
      request.operation == .update ? QuotaSubject(request.oldObject, request.resource, now: request.now) : nil
    var refusals: [String] = []
    for stored in found {
      let quota = Quota(stored.tree)
      guard quota.covers(subject) else { continue }
      if let missing = quota.missing(subject), request.operation == .create {
        throw request.forbidden("failed quota: \(quota.name): must specify \(missing)")
      }
      var delta = quota.restrict(subject.usage)
      if let before { delta -= quota.restrict(before.usage) }
      guard delta.amounts.values.contains(where: { !$0.isZero }) else { continue }
      guard let used = charge(delta, to: quota, request, objects, &refusals) else { continue }
      var tree = stored.tree
      tree["status"]["hard"] = quota.hard.json
      tree["status"]["used"] = used.json
      if !APIMutant.quotaUnguarded.isActive { verdict.preconditions.append(.revision(stored.key, stored.revision)) }
      verdict.mutations.append(.put(stored.key, UnversionedObject(tree: tree)))
    }
    guard refusals.isEmpty else { throw request.forbidden(refusals.joined(separator: "; ")) }
    return verdict
  }

  /// The usage after the write; nil when there is no room, and why.
  private func charge(
    _ delta: ResourceAmounts, to quota: Quota, _ request: AdmissionRequest, _ objects: ObjectLookup,
    _ refusals: inout [String]
  ) -> ResourceAmounts? {
    if var used = quota.usedIfKnown {
      used += delta
      if quota.exceeded(by: used, delta).isEmpty { return used }
    }
    var used = count(quota, request, objects)
    let before = used
    used += delta
    let exceeded = quota.exceeded(by: used, delta)
    guard !exceeded.isEmpty else { return used }
    func list(_ amounts: ResourceAmounts) -> String {
      exceeded.map { "\($0)=\(amounts[$0] ?? .zero)" }.joined(separator: ",")
    }
    refusals.append(
      "exceeded quota: \(quota.name), requested: \(list(delta)), used: \(list(before)), limited: \(list(quota.hard))")
    return nil
  }

  /// What the objects that are there use.
  private func count(_ quota: Quota, _ request: AdmissionRequest, _ objects: ObjectLookup) -> ResourceAmounts {
    var used = quota.nothing
    for resource in quota.resources {
      for object in objects.objects(resource, namespace: request.namespace) {
        used += quota.charge(for: QuotaSubject(object, resource, now: request.now))
      }
    }
    return used
  }
}
