// Which secrets the pods of a service account may name, where the account says that this is to be enforced
// (CVE-2023-2728: in every list of containers, those that are added later included).
import JSON
import Replica
import Schema

/// The other half of the ServiceAccount plugin.
public struct MountableSecrets: ValidatingAdmission {
  public let name = "ServiceAccount"
  private static let annotation = "kubernetes.io/enforce-mountable-secrets"

  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    guard resource.description == "pods" else { return false }
    return operation == .create ? subresource.isEmpty : subresource == "ephemeralcontainers" && operation == .update
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    let spec = request.object["spec"]
    let account = spec["serviceAccountName"].string ?? ""
    let resource = GroupResource(group: "", resource: "serviceaccounts")
    guard !account.isEmpty, let found = objects.object(resource, namespace: request.namespace, name: account),
      ["true", "True", "TRUE", "t", "T", "1"].contains(found["metadata"]["annotations"][Self.annotation].string ?? "")
    else { return .allowed }
    let mountable = Set(found["secrets"].elements.compactMap { $0["name"].string })
    for (index, secret) in spec["imagePullSecrets"].elements.enumerated() {
      let pullable = found["imagePullSecrets"].elements.contains { $0["name"] == secret["name"] }
      guard pullable else {
        throw request.forbidden(
          "imagePullSecrets[\(index)].name=\"\(secret["name"].string ?? "")\" is not allowed because service account "
            + "\(account) does not reference that imagePullSecret")
      }
    }
    for (what, secret) in Self.references(spec) where !mountable.contains(secret) {
      throw request.forbidden(
        "\(what)secret.secretName=\"\(secret)\" is not allowed because service account \(account) does not reference that "
          + "secret")
    }
    return .allowed
  }

  /// Every secret that a pod names, and where.
  private static func references(_ spec: JSONValue) -> [(what: String, secret: String)] {
    var found: [(String, String)] = []
    for volume in spec["volumes"].elements {
      if let secret = volume["secret"]["secretName"].string { found.append(("volume with ", secret)) }
    }
    for (member, kind) in [
      ("initContainers", "init container"), ("containers", "container"), ("ephemeralContainers", "ephemeral container"),
    ] {
      for container in spec[member].elements {
        let place = "\(kind) \(container["name"].string ?? "") with "
        for variable in container["env"].elements {
          guard let secret = variable["valueFrom"]["secretKeyRef"]["name"].string else { continue }
          found.append(("\(place)envVar \(variable["name"].string ?? "") referencing ", secret))
        }
        for source in container["envFrom"].elements {
          if let secret = source["secretRef"]["name"].string { found.append(("\(place)envFrom referencing ", secret)) }
        }
      }
    }
    return found
  }
}
