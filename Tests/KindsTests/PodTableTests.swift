import JSON
import Schema
import Testing
import World

@testable import Kinds

@Suite struct `The table of pods` {
  private let now = WallTime(rfc3339: "2025-01-01T00:05:00Z")!.secondsSinceEpoch

  private func row(_ edit: (inout JSONValue) -> Void) -> [String] {
    let pod = Given.pod {
      $0["status"] = ["phase": "Running"]
      edit(&$0)
    }
    return Given.kind("v1", "Pod").rules.tableCells(pod, now: now).map { $0.string ?? $0.description }
  }
  private func status(_ state: JSONValue, ready: Bool = false, restarts: Int64 = 0) -> JSONValue {
    ["name": "main", "state": state, "ready": .bool(ready), "restartCount": .integer(restarts)]
  }

  @Test func `a running pod`() {
    let cells = row {
      $0["spec"]["nodeName"] = "n1"
      $0["status"]["podIP"] = "10.1.0.4"
      $0["status"]["containerStatuses"] = [status(["running": [:]], ready: true)]
    }
    #expect(cells == ["web", "1/1", "Running", "0", "5m", "10.1.0.4", "n1", "<none>", "<none>"])
  }

  @Test func `a pod that waits`() {
    #expect(row { $0["status"] = ["phase": "Pending"] }[2] == "Pending")
    #expect(
      row {
        $0["status"]["containerStatuses"] = [status(["waiting": ["reason": "ImagePullBackOff"]])]
      }[2] == "ImagePullBackOff")
    #expect(
      row {
        $0["status"] = [
          "phase": "Pending", "conditions": [["type": "PodScheduled", "reason": "SchedulingGated", "status": "False"]],
        ]
      }[2] == "SchedulingGated")
  }

  @Test func `a pod that ended`() {
    #expect(
      row {
        $0["status"]["phase"] = "Succeeded"
        $0["status"]["containerStatuses"] = [status(["terminated": ["exitCode": 0, "reason": "Completed"]])]
      }[2] == "Completed")
    #expect(
      row { $0["status"]["containerStatuses"] = [status(["terminated": ["exitCode": 3]])] }[2] == "ExitCode:3")
    #expect(
      row { $0["status"]["containerStatuses"] = [status(["terminated": ["exitCode": 1, "signal": 9]])] }[2]
        == "Signal:9")
    #expect(row { $0["status"] = ["phase": "Failed", "reason": "Evicted"] }[2] == "Evicted")
  }

  @Test func `a pod with one container done and one running`() {
    func cells(ready: String) -> [String] {
      row {
        $0["spec"]["containers"] = [Given.container, Given.container]
        $0["status"]["conditions"] = [["type": "Ready", "status": .string(ready)]]
        $0["status"]["containerStatuses"] = [
          status(["terminated": ["exitCode": 0, "reason": "Completed"]]), status(["running": [:]], ready: true),
        ]
      }
    }
    #expect(cells(ready: "True")[1...2] == ["1/2", "Running"])
    #expect(cells(ready: "False")[2] == "NotReady")
  }

  @Test func `a pod that initializes`() {
    func initRow(_ states: [JSONValue]) -> String {
      row {
        $0["spec"]["initContainers"] = [["name": "a"], ["name": "b"]]
        $0["status"]["phase"] = "Pending"
        $0["status"]["initContainerStatuses"] = .array(states)
      }[2]
    }
    #expect(initRow([status(["waiting": ["reason": "PodInitializing"]])]) == "Init:0/2")
    #expect(initRow([status(["terminated": ["exitCode": 0]]), status(["running": [:]])]) == "Init:1/2")
    #expect(initRow([status(["terminated": ["exitCode": 1, "reason": "Error"]])]) == "Init:Error")
    #expect(initRow([status(["terminated": ["exitCode": 7]])]) == "Init:ExitCode:7")
    #expect(initRow([status(["waiting": ["reason": "CrashLoopBackOff"]])]) == "Init:CrashLoopBackOff")
  }

  @Test func `a pod that goes away`() {
    #expect(row { $0["metadata"]["deletionTimestamp"] = "2025-01-01T00:04:00Z" }[2] == "Terminating")
    #expect(
      row {
        $0["metadata"]["deletionTimestamp"] = "2025-01-01T00:04:00Z"
        $0["status"]["reason"] = "NodeLost"
      }[2] == "Unknown")
  }

  @Test func `restarts say when the last one was`() {
    #expect(
      row {
        var one = status(["running": [:]], ready: true, restarts: 3)
        one["lastState"] = ["terminated": ["finishedAt": "2025-01-01T00:00:00Z"]]
        $0["status"]["containerStatuses"] = [one]
      }[3] == "3 (5m ago)")
  }

  @Test func `sidecars count among the containers`() {
    let cells = row {
      $0["spec"]["initContainers"] = [["name": "mesh", "restartPolicy": "Always"]]
      $0["status"]["initContainerStatuses"] = [
        ["name": "mesh", "started": true, "ready": true, "restartCount": 1, "state": ["running": [:]]]
      ]
      $0["status"]["containerStatuses"] = [status(["running": [:]], ready: true)]
    }
    #expect(cells[1...3] == ["2/2", "Running", "1"])
  }

  @Test(arguments: [
    (5, "5s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (600, "10m"), (10_799, "179m"), (10_800, "3h"),
    (12_000, "3h20m"), (100_000, "27h"), (200_000, "2d7h"), (800_000, "9d"), (63_072_000, "2y"), (70_000_000, "2y80d"),
    (300_000_000, "9y"), (-5, "<invalid>"), (-1, "0s"),
  ])
  func `ages get coarser as they grow`(seconds: Int64, text: String) {
    #expect(HumanDuration.text(seconds) == text)
  }
}
