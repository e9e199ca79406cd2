// Keeps the revisions of workloads: adopts, numbers, creates and forgets them.
import Client
import JSON
import Schema

/// The revisions of one kind of workload.
struct ControllerHistory<Workload: RevisedWorkload>: Sendable {
  let client: APIClient
  let informer: Informer<ControllerRevision>

  /// The revision in force, and how often a name was taken on the way to it.
  struct Current {
    var revision: ControllerRevision
    var collisions: Int64?
  }

  /// The workload's revisions, oldest first; orphans that match are adopted.
  func revisions(of workload: Workload) async throws -> [ControllerRevision] {
    var revisions = informer.objects(index: IndexName.controllerUID, value: workload.metadata.uid)
    let orphans = informer.objects(index: IndexName.orphan, value: workload.namespace)
      .filter { !$0.metadata.isBeingDeleted && workload.selector.matches($0.metadata.labels) }
      .sorted { $0.name < $1.name }
    if !orphans.isEmpty, !workload.metadata.isBeingDeleted, try await client.isStillThere(workload) {
      for orphan in orphans {
        try await client.setController(workload.controllerReference, of: orphan)
        revisions.append(orphan)
      }
    }
    return RevisionOrder.sorted(revisions)
  }

  /// Makes the newest revision the template's.
  func current(of workload: Workload, among revisions: [ControllerRevision]) async throws -> Current {
    switch RevisionPlan(workload.template, among: revisions) {
    case .keep(let revision): return Current(revision: revision, collisions: workload.revisionCollisions)
    case .renumber(var revision, let number):
      try await client.patch(
        .controllerRevisions, namespace: revision.namespace, name: revision.name,
        ["metadata": ["uid": .string(revision.metadata.uid)], "revision": .integer(number)], type: .merge)
      revision.revision = number
      return Current(revision: revision, collisions: workload.revisionCollisions)
    case .create(let number): return try await create(number, for: workload)
    }
  }

  /// Creates a revision; a name that another template's has leads to another name.
  private func create(_ number: Int64, for workload: Workload) async throws -> Current {
    var collisions = workload.revisionCollisions
    while true {
      let object = ControllerRevision.json(of: workload, number: number, collisions: collisions)
      do {
        let created = try await client.create(.controllerRevisions, namespace: workload.namespace, object)
        return Current(revision: ControllerRevision(json: created), collisions: collisions)
      } catch let status as APIStatus where status.reason == "AlreadyExists" {
        // Ours, which the informer has not shown yet, or another's.
        let name = object["metadata"]["name"].string ?? ""
        guard
          let existing = try await client.find(.controllerRevisions, namespace: workload.namespace, name: name)
            .map(ControllerRevision.init(json:))
        else { continue }
        if existing.metadata.controller?.uid == workload.metadata.uid,
          existing.template.asRevised == workload.template.asRevised
        {
          return Current(revision: existing, collisions: collisions)
        }
        collisions = (collisions ?? 0) + 1
      }
    }
  }

  /// Forgets the oldest revisions that no pod has, beyond the limit.
  func truncate(
    _ revisions: [ControllerRevision], of workload: Workload, countsLive: Bool = false,
    isLive: (ControllerRevision) -> Bool
  ) async throws {
    let surplus = RevisionOrder.surplus(
      revisions, limit: workload.revisionHistoryLimit, countsLive: countsLive, isLive: isLive)
    for revision in surplus {
      do {
        try await client.delete(
          .controllerRevisions, namespace: revision.namespace, name: revision.name,
          DeleteOptions(uid: revision.metadata.uid))
      } catch let status as APIStatus where status.code == 404 || status.code == 409 { continue }
    }
  }
}
