// The templates that a StatefulSet or DaemonSet has had, as values: which revision is the template's, and which may go.
import Client
import JSON
import Schema
import World

/// A workload whose templates are kept as ControllerRevisions.
protocol RevisedWorkload: SelectingOwner {
  var template: PodTemplate { get }
  var revisionHistoryLimit: Int64 { get }
  /// How often the name of a revision was found taken.
  var revisionCollisions: Int64? { get }
  /// The label by which its revisions carry their hash.
  static var revisionHashLabel: String { get }
}

/// What makes the newest revision the template's.
enum RevisionPlan {
  case keep(ControllerRevision)
  /// A template of before is in force again: its revision becomes the newest.
  case renumber(ControllerRevision, to: Int64)
  case create(number: Int64)

  /// `revisions`: in `RevisionOrder`.
  init(_ template: PodTemplate, among revisions: [ControllerRevision]) {
    guard let newest = revisions.last else {
      self = .create(number: 1)
      return
    }
    let wanted = template.asRevised
    // Anybody may write a revision; after the last number there is only the last.
    let next = newest.revision.addingSaturated(1)
    guard let equal = revisions.last(where: { $0.template.asRevised == wanted }) else {
      self = .create(number: next)
      return
    }
    self = equal.metadata.uid == newest.metadata.uid ? .keep(equal) : .renumber(equal, to: next)
  }
}

enum RevisionOrder {
  /// Oldest first.
  static func sorted(_ revisions: [ControllerRevision]) -> [ControllerRevision] {
    revisions.sorted { left, right in
      if left.revision != right.revision { return left.revision < right.revision }
      if let one = left.metadata.creationTimestamp, let other = right.metadata.creationTimestamp, one != other {
        return one < other
      }
      return left.name < right.name
    }
  }

  /// The oldest of those that nobody lives by, as far as they are more than `limit`. `countsLive`: whether those that
  /// somebody lives by count as well.
  static func surplus(
    _ revisions: [ControllerRevision], limit: Int64, countsLive: Bool = false, isLive: (ControllerRevision) -> Bool
  ) -> [ControllerRevision] {
    let history = revisions.filter { !isLive($0) }
    return Array(history.prefix(max(0, (countsLive ? revisions : history).count - Int(limit))))
  }
}

extension ControllerRevision {
  /// Longer names of owners are cut: the revision's must leave room for its hash.
  private static let ownerNameLimit = 223

  /// What a revision of the workload's template is written as.
  static func json<Workload: RevisedWorkload>(of workload: Workload, number: Int64, collisions: Int64?) -> JSONValue {
    let hash = TemplateHash.hash(workload.template.asRevised.json, collisionCount: collisions)
    var labels = workload.template.json["metadata"]["labels"]
    labels[Workload.revisionHashLabel] = .string(hash)
    var object: JSONValue = [
      "apiVersion": "apps/v1", "kind": "ControllerRevision",
      "metadata": [
        "name": .string("\(workload.name.prefix(ownerNameLimit))-\(hash)"), "namespace": .string(workload.namespace),
        "labels": labels, "ownerReferences": [workload.controllerReference.json],
      ],
      "revision": .integer(number), "data": workload.template.revisionData,
    ]
    for (key, value) in workload.metadata.annotations.sorted(by: { $0.key < $1.key }) {
      object["metadata"]["annotations"][key] = .string(value)
    }
    return object
  }
}

extension PodTemplate {
  /// Without what comes and goes in writing.
  var asRevised: PodTemplate {
    var copy = json
    copy["metadata"]["creationTimestamp"] = .null
    return PodTemplate(json: copy)
  }

  /// The patch that restores the template. kubectl compares it byte by byte with what its own encoder makes of the
  /// workload, to tell whether there is anything to undo: members in order, and the time that a template never has.
  var revisionData: JSONValue {
    var template = asRevised.json
    var metadata = template["metadata"].object ?? JSONObject()
    metadata.appendUnique("creationTimestamp", .null)
    template["metadata"] = .object(metadata)
    template["$patch"] = "replace"
    return ["spec": ["template": template.sortedByKey]]
  }
}
