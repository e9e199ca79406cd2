// How long a container that exists in memory only would run, and how it would end.
import Client

/// The life of a hollow container that ends by itself; nil for one that runs until it is stopped.
struct HollowTask: Hashable {
  var seconds: Int64
  var exitCode: Int64

  /// A job's container ends after so long, where nothing says how long it takes.
  private static let usualSeconds: Int64 = 1
  /// Nothing runs longer by a number in its command.
  private static let longest: Int64 = 1_000_000_000

  init?(_ request: ContainerRequest) {
    let annotations = request.podAnnotations
    let command = Self.words(request.container.command)
    exitCode =
      annotations[HollowRuntime.exitCodeAnnotation].flatMap { Int64($0) }
      ?? Self.number(after: "exit", command) ?? (command == ["false"] ? 1 : 0)
    if let seconds = annotations[HollowRuntime.runSecondsAnnotation].flatMap({ Int64($0) }) {
      self.seconds = min(max(seconds, 0), Self.longest)
    } else if command.first == "rm" {
      // By which folders of volumes are removed.
      seconds = Self.usualSeconds
    } else if request.isTask && !request.isInit {
      seconds = Self.number(after: "sleep", command) ?? Self.usualSeconds
    } else {
      return nil
    }
  }

  /// `sh -c "sleep 5; exit 1"` as words. No shell: `sleep` and `exit` with a number are all that is understood.
  private static func words(_ command: [String]) -> [Substring] {
    command.flatMap { $0.split { $0.isWhitespace || $0 == ";" || $0 == "&" || $0 == "\"" } }
  }

  private static func number(after word: String, _ words: [Substring]) -> Int64? {
    zip(words, words.dropFirst()).lazy.filter { $0.0 == word }.compactMap { Int64($0.1) }.first {
      (0...longest).contains($0)
    }
  }
}
