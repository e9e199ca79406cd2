// What admission makes of a pod before anybody sees it: its service account, its priority, its patience with sick nodes
// (spec/8 §8.4, spec/3 §3.7).
import JSON
import Replica
import Schema
import Synchronization
import World

private let pods = GroupResource(group: "", resource: "pods")

/// The service account of a pod: default, mounted token, pull secrets.
public struct ServiceAccountAdmission: MutatingAdmission {
  public let name = "ServiceAccount"
  private static let accounts = GroupResource(group: "", resource: "serviceaccounts")
  private static let mountPath = "/var/run/secrets/kubernetes.io/serviceaccount"
  /// Seven seconds more than an hour: by that the server knows a kubelet's own request (spec/8 §8.2).
  private static let tokenSeconds: Int64 = 3607
  private let random: @Sendable () -> UInt64

  /// `random` names the volume.
  public init(random: @escaping @Sendable () -> UInt64) { self.random = random }

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    operation == .create && resource == pods && subresource.isEmpty
  }

  public func admit(_ request: inout AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) {
    if !request.object["metadata"]["annotations"]["kubernetes.io/config.mirror"].isNull {
      // A mirror of a pod that a node runs by itself has no account.
      guard request.object["spec"]["serviceAccountName"].isNull else {
        throw request.forbidden("a mirror pod may not reference service accounts")
      }
      return
    }
    var accountName = request.object["spec"]["serviceAccountName"].string ?? ""
    if accountName.isEmpty { accountName = "default" }
    request.object["spec"]["serviceAccountName"] = .string(accountName)
    request.object["spec"]["serviceAccount"] = .string(accountName)
    let account = try await account(accountName, request, objects)
    let wanted =
      request.object["spec"]["automountServiceAccountToken"].bool ?? account["automountServiceAccountToken"].bool
      ?? true
    if wanted { mountToken(in: &request.object) }
    if request.object["spec"]["imagePullSecrets"].elements.isEmpty, !account["imagePullSecrets"].elements.isEmpty {
      request.object["spec"]["imagePullSecrets"] = account["imagePullSecrets"]
    }
  }

  private func account(_ name: String, _ request: AdmissionRequest, _ objects: ObjectLookup) async throws(APIStatus)
    -> JSONValue
  {
    var stored = objects.stored(Self.accounts, namespace: request.namespace, name: name)
    if stored == nil {
      stored = try await objects.fresh().stored(Self.accounts, namespace: request.namespace, name: name)
    }
    guard let stored, let account = try? JSONValue(parsing: stored.bytes) else {
      throw request.forbidden(
        "error looking up service account \(request.namespace)/\(name): serviceaccount \"\(name)\" not found")
    }
    return account
  }

  private func mountToken(in pod: inout JSONValue) {
    let lists = ["initContainers", "containers"]
    let needs = lists.contains { list in pod["spec"][list].elements.contains { !Self.hasMount($0) } }
    guard needs else { return }
    let volume = "kube-api-access-\(suffix())"
    for list in lists {
      pod["spec"][list].mutateElements { container in
        guard !Self.hasMount(container) else { return }
        container["volumeMounts"].append([
          "name": .string(volume), "readOnly": true, "mountPath": .string(Self.mountPath),
        ])
      }
    }
    pod["spec"]["volumes"].append(["name": .string(volume), "projected": Self.projection])
  }

  /// What every mounted token consists of.
  private static let projection: JSONValue = [
    "sources": [
      ["serviceAccountToken": ["expirationSeconds": .integer(tokenSeconds), "path": "token"]],
      ["configMap": ["name": "kube-root-ca.crt", "items": [["key": "ca.crt", "path": "ca.crt"]]]],
      [
        "downwardAPI": [
          "items": [["path": "namespace", "fieldRef": ["apiVersion": "v1", "fieldPath": "metadata.namespace"]]]
        ]
      ],
    ], "defaultMode": 420,
  ]

  private static func hasMount(_ container: JSONValue) -> Bool {
    container["volumeMounts"].elements.contains { $0["mountPath"].string == mountPath }
  }

  private func suffix() -> String {
    let alphabet = Array("bcdfghjklmnpqrstvwxz2456789".utf8)
    var bits = random()
    var characters: [UInt8] = []
    for _ in 0..<5 {
      characters.append(alphabet[Int(bits % UInt64(alphabet.count))])
      bits /= UInt64(alphabet.count)
    }
    return String(decoding: characters, as: UTF8.self)
  }
}

/// A pod's priority, from its class or the global default.
public struct PriorityAdmission: MutatingAdmission {
  public let name = "Priority"
  private static let classes = GroupResource(group: "scheduling.k8s.io", resource: "priorityclasses")
  private let globalDefault = GlobalDefaultPriority()

  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    operation == .create && resource == pods && subresource.isEmpty
  }

  public func admit(_ request: inout AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) {
    let spec = request.object["spec"]
    var priority: Int64 = 0
    var policy = "PreemptLowerPriority"
    if let name = spec["priorityClassName"].string, !name.isEmpty {
      guard let found = objects.stored(Self.classes, name: name), let json = try? JSONValue(parsing: found.bytes) else {
        throw request.forbidden("no PriorityClass with name \(name) was found")
      }
      priority = json["value"].integer ?? 0
      policy = json["preemptionPolicy"].string ?? policy
    } else if let fallback = globalDefault.among(objects.stored(Self.classes)) {
      priority = fallback["value"].integer ?? 0
      policy = fallback["preemptionPolicy"].string ?? policy
      request.object["spec"]["priorityClassName"] = fallback["metadata"]["name"]
    }
    if let asked = spec["priority"].integer, asked != priority {
      throw request.forbidden(
        "the integer value of priority (\(asked)) must not be provided in pod spec; priority admission controller computed \(priority) from the given PriorityClass name"
      )
    }
    if let asked = spec["preemptionPolicy"].string, !asked.isEmpty, asked != policy {
      throw request.forbidden(
        "the string value of PreemptionPolicy (\(asked)) must not be provided in pod spec; priority admission controller computed \(policy) from the given PriorityClass name"
      )
    }
    request.object["spec"]["priority"] = .integer(priority)
    request.object["spec"]["preemptionPolicy"] = .string(policy)
  }
}

/// The class of pods that name none: read when classes have changed, and not for every pod.
private final class GlobalDefaultPriority: Sendable {
  private let known = Mutex<(classes: [StoredObject], fallback: JSONValue?)>(([], nil))

  /// Of several global defaults the lowest counts.
  func among(_ classes: [StoredObject]) -> JSONValue? {
    known.withLock { known in
      if !known.classes.elementsEqual(classes, by: ===) {
        let fallback = classes.compactMap { try? JSONValue(parsing: $0.bytes) }
          .filter { $0["globalDefault"].bool == true }
          .min { ($0["value"].integer ?? 0) < ($1["value"].integer ?? 0) }
        known = (classes, fallback)
      }
      return known.fallback
    }
  }
}

/// Pods bear a node that is not ready or not reachable for five minutes, unless they say otherwise.
public struct DefaultTolerations: MutatingAdmission {
  public let name = "DefaultTolerationSeconds"
  private static let seconds: Int64 = 300

  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    operation == .create && resource == pods && subresource.isEmpty
  }

  public func admit(_ request: inout AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
      let tolerated = request.object["spec"]["tolerations"].elements.contains { toleration in
        let keyMatches = toleration["key"].string == key || (toleration["key"].string ?? "").isEmpty
        let effect = toleration["effect"].string ?? ""
        return keyMatches && (effect == "NoExecute" || effect.isEmpty)
      }
      guard !tolerated else { continue }
      request.object["spec"]["tolerations"].append([
        "key": .string(key), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": .integer(Self.seconds),
      ])
    }
  }
}
