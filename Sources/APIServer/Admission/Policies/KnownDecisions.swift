// Answers of the authorizer for expressions, which cannot wait: what is not known yet ends the evaluation, is asked, and
// the evaluation is done again.
import CEL
import Schema
import Synchronization

final class KnownDecisions: CELAuthorizer {
  /// Checks answered for one request; an expression can afford two.
  private static let roundsMaximum = 64

  private struct State {
    var known: [CELAuthorizationCheck: CELAuthorizationDecision] = [:]
    var wanted: CELAuthorizationCheck?
  }
  private let authorizer: any Authorizer
  private let user: RequestUser
  private let state = Mutex(State())

  init(_ authorizer: any Authorizer, user: RequestUser) {
    self.authorizer = authorizer
    self.user = user
  }

  func decide(_ check: CELAuthorizationCheck) throws(CELError) -> CELAuthorizationDecision {
    let known = state.withLock { state in
      if state.known[check] == nil { state.wanted = check }
      return state.known[check]
    }
    guard let known else { throw .suspended }
    return known
  }

  /// The outcome of the work once everything it asks is known. The work is done again for every answer: it must have
  /// no effects.
  func settle<Outcome>(_ work: () -> Outcome) async -> Outcome {
    var outcome = work()
    for _ in 0..<Self.roundsMaximum {
      let wanted = state.withLock { state in
        defer { state.wanted = nil }
        return state.wanted
      }
      guard let wanted else { break }
      let decision = await authorizer.authorize(attributes(wanted))
      state.withLock {
        $0.known[wanted] = CELAuthorizationDecision(isAllowed: decision.isAllowed, reason: decision.reason)
      }
      outcome = work()
    }
    return outcome
  }

  private func attributes(_ check: CELAuthorizationCheck) -> AuthorizationAttributes {
    var user = user
    if let account = check.serviceAccount {
      user = RequestUser(
        name: "system:serviceaccount:\(account.namespace):\(account.name)",
        groups: [
          "system:serviceaccounts", "system:serviceaccounts:\(account.namespace)", "system:authenticated",
        ])
    }
    if let path = check.path {
      return AuthorizationAttributes(user: user, verb: check.verb, isResourceRequest: false, path: path)
    }
    return AuthorizationAttributes(
      user: user, verb: check.verb, namespace: check.namespace, apiGroup: check.group, apiVersion: "*",
      resource: check.resource, subresource: check.subresource, name: check.name, fieldSelector: check.fieldSelector,
      labelSelector: check.labelSelector)
  }
}
