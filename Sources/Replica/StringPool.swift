// One copy of what many objects have in common: names of resources and namespaces, sets of labels.

/// A cache, emptied when full: what it returns never depends on what it holds.
struct StringPool: Sendable {
  /// More names than a large cluster has resources and namespaces together.
  static let nameCapacity = 16_384
  /// Sets of labels: a workload's pods share one, and a set takes some hundred bytes.
  static let labelCapacity = 4096
  private var names: [String: String] = [:]
  private var labelSets: [[UInt8]: [String: String]] = [:]

  mutating func interned(_ key: ObjectKey) -> ObjectKey {
    ObjectKey(resource: interned(key.resource), namespace: interned(key.namespace), name: key.name)
  }

  private mutating func interned(_ text: String) -> String {
    if text.utf8.count <= 15 { return text }  // Small strings live inside the value.
    if let known = names[text] { return known }
    if names.count >= Self.nameCapacity { names.removeAll() }
    names[text] = text
    return text
  }

  /// The labels that `encoded` stands for (see `ByteWriter.write(_:)`).
  mutating func labels(_ encoded: [UInt8]) throws(CodecError) -> [String: String] {
    if encoded == [0] { return [:] }
    if let known = labelSets[encoded] { return known }
    var reader = ByteReader(encoded)
    return remember(try reader.labels(), as: encoded)
  }

  mutating func interned(_ labels: [String: String]) -> [String: String] {
    if labels.isEmpty { return [:] }
    var writer = ByteWriter()
    writer.write(labels)
    return labelSets[writer.bytes] ?? remember(labels, as: writer.bytes)
  }

  private mutating func remember(_ labels: [String: String], as encoded: [UInt8]) -> [String: String] {
    if labelSets.count >= Self.labelCapacity { labelSets.removeAll() }
    labelSets[encoded] = labels
    return labels
  }
}
