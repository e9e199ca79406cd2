// The versions of one kind, for those who own fields of its objects in another version than a request speaks.
import JSON
import Kinds
import Replica
import Schema

struct KindVersions: ObjectVersions {
  let kind: KindDescriptor
  let registry: KindRegistry
  let webhooks: WebhookCaller
  let lookup: ObjectLookup

  private func target(_ apiVersion: String) -> GroupVersionKind {
    GroupVersionKind(apiVersion: apiVersion, kind: kind.kind.kind)
  }

  func structure(of apiVersion: String) -> Structure? {
    let target = target(apiVersion)
    if let custom = kind.custom { return target.group == kind.kind.group ? custom.schemas[target.version] : nil }
    if target == kind.kind { return kind.structure }
    if let other = registry.kind(target), other.storage == kind.storage { return other.structure }
    // Of before 1.32: the same fields, as far as anybody still owns some.
    return KindConversion.wasServed(kind.kind, in: target) ? kind.structure : nil
  }

  func converted(_ object: JSONValue, to apiVersion: String) async throws(APIStatus) -> JSONValue {
    guard object["apiVersion"].string != apiVersion, let structure = structure(of: apiVersion) else { return object }
    let target = target(apiVersion)
    var object = object
    object["metadata"]["managedFields"] = .null
    if let custom = kind.custom {
      return try await webhooks.converted([object], to: target, custom, lookup)[0]
    }
    let source = GroupVersionKind(apiVersion: object["apiVersion"].string ?? "", kind: target.kind)
    return TypedDecoder.canonicalized(KindConversion.convert(object, from: source, to: target), as: structure)
  }

  /// What an update means to managers of other versions. Where the conversion fails they keep what they own: a webhook
  /// that is down is no reason to refuse a write that does not need it.
  func updates(old: JSONValue, new: JSONValue) async -> [String: UpdateInVersion] {
    var result: [String: UpdateInVersion] = [:]
    for version in ManagedFieldsUpdater.otherVersions(old: old, new: new, apiVersion: kind.kind.apiVersion) {
      do throws(APIStatus) { result[version] = try await update(old: old, new: new, in: version) } catch {
        result[version] = .unconverted
      }
    }
    return result
  }
}

extension APIServer {
  func versions(of kind: KindDescriptor) -> KindVersions {
    KindVersions(
      kind: kind, registry: registry, webhooks: dependencies.webhooks,
      lookup: ObjectLookup(state: store.current, store: store))
  }
}
