// A server that has joined becomes a voter by itself, when the leader finds that it has caught up: what the operator is
// told meanwhile.
import EventLoop
import Logging
import Replica
import Synchronization
import World

final class VoterClimb: Sendable {
  private static let interval = Duration.milliseconds(200)
  /// How long nobody connects before the operator is told what may be the matter.
  private static let silence = Duration.seconds(15)

  private let home: ServerHome
  private let record: ServerRecord
  private let replica: Replica
  private let world: EventLoop
  private let logger: Logger
  private let isGivenUp = Atomic<Bool>(false)

  init(home: ServerHome, record: ServerRecord, replica: Replica, world: EventLoop, logger: Logger) {
    self.home = home
    self.record = record
    self.replica = replica
    self.world = world
    self.logger = logger
  }

  /// The server is on its way out: it wants no vote any more, nor after another start.
  func giveUp() {
    isGivenUp.store(true, ordering: .relaxed)
    finish()
  }

  func start() {
    guard record.hasJoined else { return }
    world.spawn { await self.run() }
  }

  private func run() async {
    let start = world.now
    var isWarned = false
    var hasContact = false
    while !isGivenUp.load(ordering: .relaxed) {
      let status = replica.status
      let isVoter = status.members.first(where: \.isSelf)?.isVoter ?? false
      if isVoter { return welcome(status) }
      if !hasContact, let leader = status.members.first(where: { $0.member.id == status.leadership.leader }) {
        hasContact = true
        Terminal.say("  ✓ The leader (\(leader.member.name)) sends what the cluster holds")
      } else if !hasContact, !isWarned, world.now - start > Self.silence {
        isWarned = true
        Terminal.say(
          "  … no server of the cluster has connected to \(record.advertise) for \(Self.silence): can they reach that address?"
        )
      }
      try? await world.sleep(for: Self.interval)
    }
  }

  private func welcome(_ status: ReplicaStatus) {
    finish()
    let health = GroupHealth(status)
    Terminal.say(
      "  ✓ \(record.name) is a voter, one of \(health.voters.count): the cluster survives the loss of "
        + "\((health.voters.count - 1) / 2) of them")
    logger.info("this server is a voter", metadata: ["voters": "\(health.voters.count)"])
  }

  /// Notes that there is nothing left to be done.
  private func finish() {
    guard var record = try? home.record(), record.hasJoined else { return }
    record.hasJoined = false
    do { try home.write(record) } catch { logger.warning("server.json cannot be written: \(error)") }
  }
}
