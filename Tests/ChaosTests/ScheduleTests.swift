import ChaosPlan
import Testing

@Suite struct ScheduleTests {
  private let everything = Scenario.named("everything")!

  @Test func theSameSeedDrawsTheSameScheduleAndAnotherSeedAnother() {
    let schedule = everything.schedule(count: 40, over: .seconds(600), seed: 7)
    #expect(schedule == everything.schedule(count: 40, over: .seconds(600), seed: 7))
    #expect(schedule != everything.schedule(count: 40, over: .seconds(600), seed: 8))
  }

  @Test func everyFaultComesBeforeAnyComesAgain() {
    for seed: UInt64 in 1...20 {
      let kinds = everything.faults.count
      let schedule = everything.schedule(count: 2 * kinds, over: .seconds(600), seed: seed)
      #expect(Set(schedule.prefix(kinds).map(\.fault)) == Set(everything.faults))
      #expect(Set(schedule.suffix(kinds).map(\.fault)) == Set(everything.faults))
    }
  }

  @Test func faultsBeginInOrderWithinTheirTimeAndLastAsLongAsTheirKindMay() {
    for seed: UInt64 in 1...50 {
      let schedule = everything.schedule(count: 60, over: .seconds(300), seed: seed)
      #expect(schedule.map(\.at) == schedule.map(\.at).sorted())
      for planned in schedule {
        #expect(planned.at >= .zero && planned.at < .seconds(300))
        let allowed = planned.fault.lasts
        #expect(
          (Duration.milliseconds(allowed.lowerBound)...(.milliseconds(allowed.upperBound))).contains(planned.lasts))
      }
    }
  }

  @Test func companionsTakeNoServerAwayAndLeavePlannedWorkAlone() {
    let schedule = everything.schedule(count: 2000, over: .seconds(600), seed: 3)
    let combined = schedule.filter { $0.companion != nil }
    #expect((200...600).contains(combined.count))
    for planned in combined {
      #expect(planned.companion?.isCompanion == true && planned.companion != planned.fault)
      #expect(!planned.fault.isPlannedWork && planned.fault.sparesMajority)
    }
    let alone = Scenario.named("partitions")!.schedule(count: 200, over: .seconds(600), seed: 3)
    #expect(alone.allSatisfy { $0.companion == nil })
  }

  @Test func pausesReachFromOneSecondToOneMinute() {
    let pauses = Scenario.named("leader-pause")!.schedule(count: 500, over: .seconds(600), seed: 1).map(\.lasts)
    #expect(pauses.min()! < .milliseconds(1200) && pauses.max()! > .seconds(50))
    // Most are short: half of them below a tenth of the longest.
    #expect(pauses.sorted()[250] < .seconds(10))
  }

  @Test func scenariosHaveNamesOfTheirOwnAndFaults() {
    #expect(Set(Scenario.all.map(\.name)).count == Scenario.all.count)
    #expect(Scenario.all.allSatisfy { !$0.faults.isEmpty && !$0.abstract.isEmpty })
    #expect(Scenario.named("nothing-of-the-kind") == nil)
    #expect(Set(everything.faults) == Set(Fault.allCases))
    // Plain processes suffice for what `make test` runs.
    #expect(Scenario.named("leader-kill")?.needsMachines == false)
    #expect(Scenario.named("partitions")?.needsMachines == true)
  }
}

@Suite struct FacilityTests {
  @Test func aScenarioIsPlayedWithoutWhatTheMachineCannotDo() {
    let everything = Scenario.named("everything")!
    let present = Set(Facility.allCases).subtracting([.injectedErrors])
    let left = everything.playable(with: present)!
    #expect(Set(everything.faults).subtracting(left.faults) == [.failWrites, .failSyncs])
    #expect(everything.playable(with: Set(Facility.allCases))!.faults == everything.faults)
  }

  @Test func whereNothingIsLeftNothingIsPlayed() {
    let present = Set(Facility.allCases).subtracting([.balancerPairs])
    #expect(Scenario.named("balancer-pair")!.playable(with: present) == nil)
    // Processes are enough for this one.
    #expect(Scenario.named("leader-kill")!.playable(with: [])?.faults == [.killLeader])
  }

  @Test func whatNeedsAFacilityNeedsMachines() {
    for fault in Fault.allCases where !fault.facilities.isEmpty {
      #expect(fault.facilities.contains(.machines), "\(fault)")
    }
  }
}

@Suite struct TargetTests {
  @Test(arguments: [3, 5]) func faultsThatSpareAMajorityLeaveOneThatSeesEachOther(servers: Int) {
    for fault in Fault.allCases where fault.sparesMajority {
      for leader in 0..<servers {
        for choice: UInt64 in 0..<30 {
          let target = fault.target(leader: leader, servers: servers, choice: choice)
          let survivors = (0..<servers).filter { !target.victims.contains($0) }
          #expect(survivors.count > servers / 2, "\(fault)")
          let hasCut = target.cuts.contains { cut in
            guard case .server(let from) = cut.from, case .server(let to) = cut.to else { return false }
            return survivors.contains(from) && survivors.contains(to)
          }
          #expect(!hasCut, "\(fault) cuts between survivors")
        }
      }
    }
  }

  @Test(arguments: [3, 5]) func aMajorityIsKilledWhereThatIsAsked(servers: Int) {
    for choice: UInt64 in 0..<10 {
      let target = Fault.killMajority.target(leader: 1, servers: servers, choice: choice)
      #expect(Set(target.victims).count == servers / 2 + 1)
    }
    #expect(Fault.killAll.target(leader: 0, servers: servers, choice: 0).victims == Array(0..<servers))
  }

  @Test func theLeaderIsHitWhereTheFaultSaysSoAndNeverByTheOthers() {
    for leader in 0..<3 {
      for choice: UInt64 in 0..<10 {
        for fault in Fault.allCases where fault.topplesLeader && fault != .transferLeadership {
          #expect(fault.target(leader: leader, servers: 3, choice: choice).victims == [leader], "\(fault)")
        }
        for fault in [Fault.killFollower, .pauseFollower, .partitionBridge] {
          #expect(!fault.target(leader: leader, servers: 3, choice: choice).victims.contains(leader), "\(fault)")
        }
        #expect(Fault.successor(leader: leader, servers: 3, choice: choice) != leader)
      }
    }
  }

  @Test func partitionsCutWhatTheySay() {
    func server(_ number: Int) -> Place { .server(number) }
    let alone = Fault.partitionLeader.target(leader: 0, servers: 3, choice: 0).cuts
    #expect(
      alone == [
        Cut(from: server(0), to: server(1)), Cut(from: server(1), to: server(0)), Cut(from: server(0), to: server(2)),
        Cut(from: server(2), to: server(0)),
      ])
    let unplugged = Fault.unplugLeader.target(leader: 0, servers: 3, choice: 0).cuts
    #expect(unplugged == alone.union([Cut(from: server(0), to: .hub)]))
    let mute = Fault.partitionOneWay.target(leader: 0, servers: 3, choice: 0).cuts
    #expect(mute == [Cut(from: server(0), to: server(1)), Cut(from: server(0), to: server(2))])
    let deaf = Fault.partitionOneWay.target(leader: 0, servers: 3, choice: 1).cuts
    #expect(deaf == [Cut(from: server(1), to: server(0)), Cut(from: server(2), to: server(0))])
    // Server 1 stands between the leader and server 2.
    let bridge = Fault.partitionBridge.target(leader: 0, servers: 3, choice: 0)
    #expect(bridge.victims == [2])
    #expect(bridge.cuts == [Cut(from: server(0), to: server(2)), Cut(from: server(2), to: server(0))])
    let minority = Fault.partitionMinority.target(leader: 0, servers: 5, choice: 3)
    #expect(minority.victims == [3, 4])
    // Both directions of two times three links; among themselves they talk.
    #expect(minority.cuts.count == 12)
    #expect(!minority.cuts.contains(Cut(from: server(3), to: server(4))))
  }
}
