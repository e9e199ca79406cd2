// Jobs from beginning to end, on nodes that run nothing.
import Client
import HTTP
import JSON
import Kubelet
import Schema
import TestSupport
import Testing
import World

enum JobFixture {
  /// A job whose pods run for so long and end so.
  static func job(
    _ name: String, _ spec: JSONValue = [:], seconds: Int = 2, exitCode: Int = 0, restartPolicy: String = "Never"
  ) -> JSONValue {
    var job: JSONValue = [
      "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": .string(name)],
      "spec": [
        "template": [
          "metadata": [
            "annotations": [
              HollowRuntime.runSecondsAnnotation: .string("\(seconds)"),
              HollowRuntime.exitCodeAnnotation: .string("\(exitCode)"),
            ]
          ],
          "spec": ["restartPolicy": .string(restartPolicy), "containers": [["name": "main", "image": "task:1"]]],
        ]
      ],
    ]
    for (key, value) in spec.object ?? [:] { job["spec"][key] = value }
    return job
  }
}

extension ControlPlane {
  func create(_ job: JSONValue) async throws { try await admin.create(.jobs, namespace: "default", job) }

  func job(_ name: String) async throws -> Job {
    Job(json: try await admin.get(.jobs, namespace: "default", name: name))
  }

  /// Waits until the job has that condition and returns it.
  @discardableResult
  func ended(_ name: String, _ type: String = "Complete", within limit: Duration = .seconds(120)) async throws -> Job {
    try await world.eventually("job \(name) is \(type)", within: limit) {
      try await job(name).status.condition(type) != nil
    }
    return try await job(name)
  }

  func podsOf(_ job: String) async throws -> [Pod] { try await pods("batch.kubernetes.io/job-name=\(job)") }
}

@Suite struct JobStories {
  @Test func aJobRunsItsPodAndIsComplete() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.create(JobFixture.job("hello"))
      try await plane.world.eventually("a pod runs") { try await plane.job("hello").status.ready == 1 }
      #expect(try await plane.job("hello").status.active == 1)
      let job = try await plane.ended("hello")
      #expect(job.status.succeeded == 1 && job.status.active == 0 && job.status.failed == 0)
      #expect(job.status.conditions.map(\.type) == ["SuccessCriteriaMet", "Complete"])
      #expect(job.status.uncountedSucceeded.isEmpty && job.status.terminating == 0 && job.status.ready == 0)
      #expect(try #require(job.status.completionTime) > (try #require(job.status.startTime)))
      let pod = try #require(try await plane.podsOf("hello").first)
      #expect(pod.name.hasPrefix("hello-") && pod.status.phase == "Succeeded" && pod.metadata.finalizers.isEmpty)
      for label in ["controller-uid", "batch.kubernetes.io/controller-uid"] {
        #expect(pod.metadata.labels[label] == job.metadata.uid)
      }
      #expect(pod.metadata.labels["job-name"] == "hello")
      try await plane.world.eventually("two events") {
        try await plane.events(of: "hello") == [
          "SuccessfulCreate: Created pod: \(pod.name)", "Completed: Job completed",
        ]
      }
    }
  }

  @Test func manyCompletionsRunAFewAtATime() throws {
    try ControlPlane().tell { plane in
      try await plane.create(JobFixture.job("many", ["completions": 12, "parallelism": 4]))
      try await plane.world.eventually("all are done") {
        let running = try await plane.podsOf("many").count(where: \.isActive)
        #expect(running <= 4)
        return try await plane.job("many").isFinished
      }
      #expect(try await plane.job("many").status.succeeded == 12)
      #expect(try await plane.podsOf("many").count == 12)
    }
  }

  @Test func anIndexedJobRunsEachIndexOnce() throws {
    try ControlPlane().tell { plane in
      try await plane.create(
        JobFixture.job("indexed", ["completionMode": "Indexed", "completions": 7, "parallelism": 3]))
      let job = try await plane.ended("indexed")
      #expect(job.status.completedIndexes == "0-6" && job.status.succeeded == 7)
      let pods = try await plane.podsOf("indexed")
      #expect(
        pods.compactMap { $0.metadata.labels["batch.kubernetes.io/job-completion-index"] }.sorted()
          == (0..<7).map { "\($0)" })
      #expect(pods.allSatisfy { $0.name.hasPrefix("\($0.spec.hostname)-") })
    }
  }

  @Test func aJobThatKeepsFailingIsGivenUp() throws {
    try ControlPlane(nodes: 1).tell { plane in
      let begun = plane.world.now
      try await plane.create(JobFixture.job("bad", ["backoffLimit": 2], exitCode: 1))
      let job = try await plane.ended("bad", "Failed")
      #expect(job.status.failed == 3 && job.status.completionTime == nil)
      #expect(job.status.conditions.map(\.type) == ["FailureTarget", "Failed"])
      #expect(job.finished?.reason == "BackoffLimitExceeded")
      // 10 s after the first failure, 20 s after the second.
      #expect(plane.world.now - begun > .seconds(30))
      try await plane.world.eventually("said so") {
        try await plane.events(of: "bad").last
          == "BackoffLimitExceeded: Job has reached the specified backoff limit"
      }
    }
  }

  @Test func aDeadlineEndsAJobThatRuns() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.create(JobFixture.job("slow", ["activeDeadlineSeconds": 20], seconds: 1000))
      let job = try await plane.ended("slow", "Failed")
      #expect(job.finished?.reason == "DeadlineExceeded" && job.status.failed == 1 && job.status.active == 0)
      try await plane.world.eventually("its pod is gone") { try await plane.podsOf("slow").isEmpty }
    }
  }

  @Test func aJobIsSuspendedAndResumed() throws {
    try ControlPlane().tell { plane in
      try await plane.create(JobFixture.job("pause", ["completions": 2, "parallelism": 2], seconds: 30))
      try await plane.world.eventually("two run") { try await plane.job("pause").status.ready == 2 }
      func suspend(_ value: Bool) async throws {
        try await plane.admin.patch(
          .jobs, namespace: "default", name: "pause", ["spec": ["suspend": .bool(value)]], type: .merge)
      }
      try await suspend(true)
      try await plane.world.eventually("none runs") {
        let job = try await plane.job("pause")
        let pods = try await plane.podsOf("pause")
        return job.status.condition("Suspended") != nil && job.status.active == 0 && pods.isEmpty
      }
      let before = try await plane.job("pause").status.startTime
      try await plane.world.sleep(for: .seconds(60))
      #expect(try await plane.podsOf("pause").isEmpty)
      try await suspend(false)
      let resumed = plane.world.now
      let job = try await plane.ended("pause")
      #expect(plane.world.now - resumed < .seconds(40), "nobody waits for failures that were none")
      #expect(try #require(job.status.startTime) > (try #require(before)))
      #expect(job.status.succeeded == 2)
      let events = try await plane.events(of: "pause")
      #expect(events.contains("Suspended: Job suspended") && events.contains("Resumed: Job resumed"))
    }
  }

  @Test func anotherManagersJobIsLeftAlone() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.create(JobFixture.job("foreign", ["managedBy": "example.com/queue"]))
      try await plane.world.sleep(for: .seconds(30))
      #expect(try await plane.podsOf("foreign").isEmpty)
      #expect(try await plane.job("foreign").status == JobStatus(json: [:]))
    }
  }

  @Test func deletingAJobLetsItsPodsGo() throws {
    for propagation in [DeleteOptions.Propagation.background, .foreground, .orphan] {
      try ControlPlane(nodes: 1).tell { plane in
        try await plane.create(JobFixture.job("gone", ["parallelism": 2, "completions": 2], seconds: 1000))
        try await plane.world.eventually("two run") { try await plane.job("gone").status.ready == 2 }
        try await plane.admin.delete(
          .jobs, namespace: "default", name: "gone", DeleteOptions(propagation: propagation))
        try await plane.world.eventually("\(propagation): nothing holds a pod") {
          guard try await plane.admin.find(.jobs, namespace: "default", name: "gone") == nil else { return false }
          let pods = try await plane.podsOf("gone")
          return propagation == .orphan
            ? pods.count == 2 && pods.allSatisfy { $0.metadata.finalizers.isEmpty && $0.isActive } : pods.isEmpty
        }
      }
    }
  }

  @Test func indexesFailOnTheirOwn() throws {
    try ControlPlane().tell { plane in
      // No node will have this image's exit code right: all indexes fail, each twice.
      try await plane.create(
        JobFixture.job(
          "perindex",
          ["completionMode": "Indexed", "completions": 3, "parallelism": 3, "backoffLimitPerIndex": 1], exitCode: 1))
      let job = try await plane.ended("perindex", "Failed")
      #expect(job.finished?.reason == "FailedIndexes" && job.finished?.message == "Job has failed indexes")
      #expect(job.status.failedIndexes == "0-2" && job.status.failed == 6)
    }
  }

  @Test func aFailurePolicyEndsAJobAtOnce() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.create(
        JobFixture.job(
          "policy",
          [
            "podFailurePolicy": [
              "rules": [["action": "FailJob", "onExitCodes": ["operator": "In", "values": [42]]]]
            ]
          ], exitCode: 42))
      let job = try await plane.ended("policy", "Failed")
      let pod = try #require(try await plane.podsOf("policy").first)
      #expect(job.finished?.reason == "PodFailurePolicy" && job.status.failed == 1)
      #expect(
        job.finished?.message
          == "Container main for pod default/\(pod.name) failed with exit code 42 matching FailJob rule at index 0")
    }
  }

  @Test func aJobThatMayNotMakePodsSaysSoAndDoesNotSpin() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.admin.create(
        ResourceReference("", "v1", "resourcequotas", "ResourceQuota"), namespace: "default",
        ["metadata": ["name": "none"], "spec": ["hard": ["pods": "0"]]])
      try await plane.admin.patch(
        ResourceReference("", "v1", "resourcequotas", "ResourceQuota"), namespace: "default", name: "none",
        ["status": ["hard": ["pods": "0"], "used": ["pods": "0"]]], type: .merge, subresource: "status")
      try await plane.create(JobFixture.job("refused"))
      try await plane.world.eventually("said so") {
        try await plane.events(of: "refused").contains { $0.hasPrefix("FailedCreate: Error creating: pods ") }
      }
      try await plane.world.sleep(for: .seconds(60))
      let count = try await plane.admin.list(.events, namespace: "default").items
        .filter { $0["reason"].string == "FailedCreate" }.compactMap { $0["count"].integer }.reduce(0, +)
      #expect(count < 30, "tried \(count) times in a minute")
    }
  }

  /// Whoever is killed, and whenever: no pod is lost, none counted twice.
  @Test func countsSurviveManyHandOvers() throws {
    let plane = try ControlPlane(controllers: false)
    try plane.tell { plane in
      var term: Int64 = 0
      func lead() async throws -> SpawnedTask {
        term += 1
        return try await plane.takeOver(term)
      }
      var leading = try await lead()
      try await plane.create(JobFixture.job("counted", ["completions": 60, "parallelism": 10], seconds: 1))
      try await plane.create(
        JobFixture.job(
          "indexed", ["completions": 40, "parallelism": 10, "completionMode": "Indexed"], seconds: 1))
      var milliseconds: Int64 = 137
      while true {
        milliseconds = (milliseconds * 31 + 7) % 1900
        try await plane.world.sleep(for: .milliseconds(200 + milliseconds))
        let (one, other) = (try await plane.job("counted"), try await plane.job("indexed"))
        for job in [one, other] {
          #expect(job.status.succeeded + job.status.uncountedSucceeded.count <= job.completions ?? 0)
          #expect(job.status.failed == 0)
        }
        if one.isFinished && other.isFinished { break }
        guard term < 60 else {
          Issue.record("not done after \(term) terms: \(one.status) \(other.status)")
          break
        }
        let deposed = leading
        leading = try await lead()
        deposed.cancel()
        await deposed.wait()
      }
      let counted = try await plane.podsOf("counted")
      #expect(counted.count == 60 && counted.allSatisfy { $0.status.phase == "Succeeded" })
      #expect(try await plane.job("counted").status.succeeded == 60)
      #expect(try await plane.job("indexed").status.completedIndexes == "0-39")
      #expect(counted.allSatisfy { $0.metadata.finalizers.isEmpty })
      leading.cancel()
      await leading.wait()
    }
  }
}
