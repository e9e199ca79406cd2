// The package's own sources as tests read them.
import Foundation

struct SourceFile {
  var target: String
  var path: String
  var lines: [Substring]
}

enum PackageSources {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// Every Swift file under Sources, and under chaos as a target of its own.
  static let all: [SourceFile] =
    files(under: "Sources")
    + files(under: "chaos").map { file in
      var file = file
      file.target = "chaos"
      return file
    }

  static func files(under folder: String) -> [SourceFile] {
    let base = root.appendingPathComponent(folder)
    let enumerator = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil)
    var files: [SourceFile] = []
    while let url = enumerator?.nextObject() as? URL {
      guard url.pathExtension == "swift", let text = try? String(contentsOf: url, encoding: .utf8) else { continue }
      let relative = String(url.path.dropFirst(base.path.count + 1))
      files.append(
        SourceFile(
          target: String(relative.prefix { $0 != "/" }), path: "\(folder)/\(relative)",
          lines: text.split(separator: "\n", omittingEmptySubsequences: false)))
    }
    return files
  }
}
