// Which flow a request belongs to (spec/2 §2.11): FlowSchemas compiled into rules that can be asked.
import JSON
import Replica
import Schema

/// What flow control goes by: who asks for what.
struct FlowQuestion: Sendable {
  var attributes: AuthorizationAttributes
  var user: RequestUser { attributes.user }
}

/// One FlowSchema, ready to be asked.
final class FlowSchema: Sendable {
  enum Distinguisher: String, Sendable { case byUser = "ByUser", byNamespace = "ByNamespace" }

  let name: String
  let uid: String
  let level: String
  let precedence: Int64
  let distinguisher: Distinguisher?
  private let rules: [Rule]

  init(_ object: JSONValue) {
    name = object["metadata"]["name"].string ?? ""
    uid = object["metadata"]["uid"].string ?? ""
    let spec = object["spec"]
    level = spec["priorityLevelConfiguration"]["name"].string ?? ""
    precedence = spec["matchingPrecedence"].integer ?? 1000
    distinguisher = spec["distinguisherMethod"]["type"].string.flatMap { Distinguisher(rawValue: $0) }
    rules = spec["rules"].elements.map { Rule($0) }
  }

  func matches(_ question: FlowQuestion) -> Bool { rules.contains { $0.matches(question) } }

  /// What tells the flows of one schema apart.
  func distinguisher(of question: FlowQuestion) -> String {
    switch distinguisher {
    case .byUser: question.user.name
    case .byNamespace: question.attributes.namespace
    case nil: ""
    }
  }
}

extension FlowSchema {
  private struct Rule: Sendable {
    var subjects: [Subject]
    var resources: [ResourceRule]
    var paths: [PathRule]

    init(_ rule: JSONValue) {
      subjects = rule["subjects"].elements.compactMap { Subject($0) }
      resources = rule["resourceRules"].elements.map { ResourceRule($0) }
      paths = rule["nonResourceRules"].elements.map { PathRule($0) }
    }

    func matches(_ question: FlowQuestion) -> Bool {
      guard subjects.contains(where: { $0.matches(question.user) }) else { return false }
      return question.attributes.isResourceRequest
        ? resources.contains { $0.matches(question.attributes) } : paths.contains { $0.matches(question.attributes) }
    }
  }

  private enum Subject: Sendable {
    case user(String)
    case group(String)
    /// A service account by its user name, or all of a namespace by their prefix.
    case account(String)
    case accounts(prefix: String)

    init?(_ subject: JSONValue) {
      switch subject["kind"].string {
      case "User": self = .user(subject["user"]["name"].string ?? "")
      case "Group": self = .group(subject["group"]["name"].string ?? "")
      case "ServiceAccount":
        let prefix = "system:serviceaccount:\(subject["serviceAccount"]["namespace"].string ?? ""):"
        let name = subject["serviceAccount"]["name"].string ?? ""
        self = name == "*" ? .accounts(prefix: prefix) : .account(prefix + name)
      default: return nil
      }
    }

    func matches(_ user: RequestUser) -> Bool {
      switch self {
      case .user(let name): name == "*" || name == user.name
      case .group(let name): name == "*" || user.groups.contains(name)
      case .account(let name): name == user.name
      case .accounts(let prefix): user.name.hasPrefix(prefix)
      }
    }
  }

  /// A list in which "*" stands for everything.
  private struct Words: Sendable {
    private var words: [String]
    private var isEverything: Bool

    init(_ list: JSONValue) {
      words = list.elements.compactMap(\.string)
      isEverything = words.contains("*")
    }
    func contains(_ word: String) -> Bool { isEverything || words.contains(word) }
    func contains(where isMatch: (String) -> Bool) -> Bool { isEverything || words.contains(where: isMatch) }
  }

  private struct ResourceRule: Sendable {
    var verbs: Words
    var groups: Words
    var resources: Words
    var namespaces: Words
    var isClusterScoped: Bool

    init(_ rule: JSONValue) {
      verbs = Words(rule["verbs"])
      groups = Words(rule["apiGroups"])
      resources = Words(rule["resources"])
      namespaces = Words(rule["namespaces"])
      isClusterScoped = rule["clusterScope"].bool ?? false
    }

    func matches(_ request: AuthorizationAttributes) -> Bool {
      guard verbs.contains(request.verb), groups.contains(request.apiGroup) else { return false }
      guard request.namespace.isEmpty ? isClusterScoped : namespaces.contains(request.namespace) else { return false }
      if request.subresource.isEmpty { return resources.contains(request.resource) }
      return resources.contains("\(request.resource)/\(request.subresource)")
    }
  }

  private struct PathRule: Sendable {
    var verbs: Words
    var paths: Words

    init(_ rule: JSONValue) {
      verbs = Words(rule["verbs"])
      paths = Words(rule["nonResourceURLs"])
    }

    func matches(_ request: AuthorizationAttributes) -> Bool {
      guard verbs.contains(request.verb) else { return false }
      return paths.contains { pattern in
        pattern == request.path || (pattern.hasSuffix("*") && request.path.hasPrefix(pattern.dropLast()))
      }
    }
  }
}
