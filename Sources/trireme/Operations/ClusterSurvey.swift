// What `trireme status` shows: every member asked by the server that was asked, and what their answers come to.
import HTTP
import JSON
import Replica
import World

struct ClusterSurvey: Sendable {
  private let operations: Operations

  init(_ operations: Operations) { self.operations = operations }

  private struct Answer: Sendable {
    var member: MemberStatus
    /// Null when there was none.
    var status: JSONValue
    var error: String
  }

  func take() async -> JSONValue {
    let replica = operations.parts.replica.status
    let answers = await ask()
    let leaderView = answers.first { $0.status["role"].string == "leader" }?.status["members"].elements ?? []
    let health = Self.health(answers)
    let agreement = await agreement(answers)
    var problems = health.problems
    if !agreement["differ"].elements.isEmpty {
      let names = agreement["differ"].elements.compactMap(\.string).joined(separator: ", ")
      problems.insert(
        "The state of \(names) differs from the others': it is damaged there. Replace it: trireme member remove", at: 0)
    }
    let backup = await BackupRecord.read(operations.parts.replica)
    return [
      "cluster": .string(replica.cluster), "asked": .string(operations.parts.record.name),
      "leader": health.leader.map { .string($0) } ?? .null,
      "servers": .array(answers.map { Self.describe($0, leaderView) }), "agreement": agreement,
      "voters": .integer(Int64(health.voters.count)), "answering": .integer(Int64(health.answering)),
      "majority": .integer(Int64(health.majority)), "tolerableLosses": .integer(Int64(health.tolerableLosses)),
      "backup": backup, "problems": .array(problems.map { .string($0) }),
    ]
  }

  private func ask() async -> [Answer] {
    await operations.askMembers("/trireme/status").map { member, answer in
      switch answer {
      case .success(let status): Answer(member: member, status: status, error: "")
      case .failure(let silence): Answer(member: member, status: .null, error: silence.why)
      }
    }
  }

  /// Who answers at this moment.
  func health() async -> GroupHealth { Self.health(await ask()) }

  private static func health(_ answers: [Answer]) -> GroupHealth {
    let servers = answers.map { answer -> GroupHealth.Server in
      GroupHealth.Server(
        name: answer.member.member.name, address: answer.member.member.address, isVoter: answer.member.isVoter,
        answers: !answer.status.isNull && !answer.member.isForeign, isWiped: answer.member.isForeign)
    }
    // Who does not answer does not lead any more, whatever the others have heard so far.
    let leader = answers.lazy.compactMap { $0.status["leader"].string }.first { name in
      servers.contains { $0.name == name && $0.answers }
    }
    return GroupHealth(servers: servers, leader: leader)
  }

  /// Compares the state hashes after the last entry that all who answer have applied.
  private func agreement(_ answers: [Answer]) async -> JSONValue {
    let present = answers.filter { !$0.status.isNull }
    guard let index = present.compactMap({ $0.status["appliedIndex"].integer }).min() else { return .null }
    let link = operations.parts.link
    let hashes = await withTaskGroup(of: (String, String?).self) { group in
      for answer in present {
        let member = answer.member.member
        group.addTask {
          let told = try? await link.json(
            "GET", "/trireme/status?hashAt=\(index)", to: member.address, within: Operations.patience)
          return (member.name, told?.body["hashAt"].string)
        }
      }
      return await group.reduce(into: [String: String?]()) { $0[$1.0] = .some($1.1) }
    }
    // What most say is taken for the truth.
    let counts = hashes.values.compactMap { $0 }.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
    let common = counts.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key
    func names(_ isWanted: (String?) -> Bool) -> JSONValue {
      .array(present.map(\.member.member.name).filter { isWanted(hashes[$0] ?? nil) }.map { .string($0) })
    }
    return [
      "index": .integer(index), "hash": common.map { .string($0) } ?? .null,
      "agree": names { $0 != nil && $0 == common },
      "differ": names { $0 != nil && $0 != common }, "unknown": names { $0 == nil },
    ]
  }

  private static func describe(_ answer: Answer, _ leaderView: [JSONValue]) -> JSONValue {
    let status = answer.status
    var value = answer.member.member.json
    let role = status["role"].string ?? ""
    value["role"] = .string(role == "leader" ? role : answer.member.isVoter ? "voter" : "learner")
    value["answers"] = .bool(!status.isNull)
    if !answer.error.isEmpty { value["error"] = .string(answer.error) }
    let seen = leaderView.first { $0["name"] == value["name"] } ?? .null
    for key in ["lag", "silentMilliseconds", "receivingSnapshot"] where !seen[key].isNull { value[key] = seen[key] }
    for key in [
      "version", "term", "appliedIndex", "revision", "stateHash", "lastFsyncSeconds", "fsyncSeconds", "objects",
    ]
    where !status[key].isNull { value[key] = status[key] }
    return value
  }
}
