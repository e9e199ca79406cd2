// Which objects are encrypted on disk, read from the file that kube-apiserver takes: EncryptionConfiguration of
// apiserver.config.k8s.io (spec/8 §8.6). Keys are the servers' own and changed online; the file only chooses.
import JSON
import Schema

public struct EncryptionConfiguration: Sendable {
  /// Resources whose objects are encrypted: "secrets", "widgets.example.com".
  public let resources: Set<String>
  /// Something of the file that is not followed to the letter, for the log.
  public let remarks: [String]

  /// Providers that mean "encrypted"; Trireme encrypts with AES-256-GCM whatever the name.
  private static let ciphers: Set<String> = ["aesgcm", "aescbc", "secretbox"]

  /// Reads YAML or JSON. Throws what cannot be followed, and what to do about it.
  public init(parsing bytes: [UInt8]) throws(InvalidConfiguration) {
    let tree: JSONValue
    do { tree = try YAML.parse(bytes) } catch { throw InvalidConfiguration("it is not YAML: \(error)") }
    guard tree["kind"] == "EncryptionConfiguration",
      ["apiserver.config.k8s.io/v1", "v1"].contains(tree["apiVersion"].string ?? "")
    else {
      throw InvalidConfiguration(
        "it must be of kind EncryptionConfiguration and apiVersion apiserver.config.k8s.io/v1")
    }
    let entries = tree["resources"].elements
    if entries.isEmpty { throw InvalidConfiguration("resources: Required value: it names nothing to encrypt") }
    var decided: [String: Bool] = [:]
    var keysAreGiven = false
    for (index, entry) in entries.enumerated() {
      let place = "resources[\(index)]"
      let providers = entry["providers"].elements
      if providers.isEmpty { throw InvalidConfiguration("\(place).providers: Required value: at least one is needed") }
      var names: [String] = []
      for (number, provider) in providers.enumerated() {
        names.append(try Self.provider(provider, "\(place).providers[\(number)]"))
      }
      keysAreGiven = keysAreGiven || names.contains { Self.ciphers.contains($0) }
      let resources = entry["resources"].elements.compactMap(\.string)
      if resources.isEmpty { throw InvalidConfiguration("\(place).resources: Required value") }
      for resource in resources {
        try Self.check(resource, "\(place).resources")
        // The first entry that names a resource decides, and its first provider writes.
        if decided[resource] == nil { decided[resource] = names[0] != "identity" }
      }
    }
    resources = Set(decided.filter(\.value).keys)
    remarks =
      keysAreGiven
      ? ["objects are encrypted with AES-256-GCM and the server's own keys; the keys in the file are not used"] : []
  }

  private static func provider(_ provider: JSONValue, _ place: String) throws(InvalidConfiguration) -> String {
    let names = (provider.object ?? [:]).filter { !$0.value.isNull }.map(\.key)
    guard names.count == 1 else {
      throw InvalidConfiguration("\(place): Invalid value: exactly one provider must be specified")
    }
    let name = names[0]
    if name == "identity" { return name }
    if name == "kms" {
      throw InvalidConfiguration(
        "\(place): kms is not offered: servers keep keys of their own beside their data and change them online. "
          + "Use aesgcm, or leave the file out")
    }
    guard ciphers.contains(name) else {
      throw InvalidConfiguration(
        "\(place): Unsupported value: \"\(name)\": supported values: \"aescbc\", \"aesgcm\", \"identity\", \"secretbox\""
      )
    }
    let keys = provider[name]["keys"].elements
    if keys.isEmpty { throw InvalidConfiguration("\(place).\(name).keys: Required value: at least one key is needed") }
    return name
  }

  private static func check(_ resource: String, _ place: String) throws(InvalidConfiguration) {
    if resource.contains("*") {
      throw InvalidConfiguration(
        "\(place): Invalid value: \"\(resource)\": wildcards are not offered: name every resource, such as secrets or "
          + "widgets.example.com")
    }
    if resource.lowercased() != resource {
      throw InvalidConfiguration("\(place): Invalid value: \"\(resource)\": resource names are in lower case")
    }
  }
}
