// The pods of a job: its template, and what tells each from the others.
import Client
import JSON

extension JobPodRequest {
  /// A name has so much room for what goes before its five random letters.
  private static let longestPrefix = 58
  private static let indexVariable = "JOB_COMPLETION_INDEX"

  /// The pod to be created in the job's namespace, for its index if it has one: that is in the name.
  func creation(of job: Job) -> CreationRequest { CreationRequest(object: pod(of: job)) }

  func pod(of job: Job) -> JSONValue {
    var pod = job.template.pod(ownedBy: job)
    let finalizers = pod["metadata"]["finalizers"].elements
    if !finalizers.contains(.string(JobNames.finalizer)) {
      pod["metadata"]["finalizers"] = .array(finalizers + [.string(JobNames.finalizer)])
    }
    guard let index else { return pod }
    let text = JSONValue.string("\(index)")
    let suffix = "-\(index)-"
    pod["metadata"]["generateName"] = .string(job.name.prefix(Self.longestPrefix - suffix.utf8.count) + suffix)
    pod["metadata"]["annotations"][JobNames.completionIndex] = text
    pod["metadata"]["labels"][JobNames.completionIndex] = text
    if let failures { pod["metadata"]["annotations"][JobNames.failureCount] = .string("\(failures)") }
    if ignoredFailures > 0 {
      pod["metadata"]["annotations"][JobNames.ignoredFailureCount] = .string("\(ignoredFailures)")
    }
    pod["spec"]["hostname"] = .string("\(job.name)-\(index)")
    for list in ["initContainers", "containers"] where !pod["spec"][list].isNull {
      pod["spec"][list] = .array(pod["spec"][list].elements.map(Self.tellIndex))
    }
    return pod
  }

  private static func tellIndex(_ container: JSONValue) -> JSONValue {
    let known = container["env"].elements
    guard !known.contains(where: { $0["name"].string == indexVariable }) else { return container }
    var container = container
    let path = "metadata.labels['\(JobNames.completionIndex)']"
    container["env"] = .array(
      known + [
        ["name": .string(indexVariable), "valueFrom": ["fieldRef": ["fieldPath": .string(path)]]]
      ])
    return container
  }
}
