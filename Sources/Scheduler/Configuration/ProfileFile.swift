// One entry of `profiles`: the default plugins with what the file enables and disables, for all points at once
// (multiPoint) or for one.
import Client
import JSON
import Schema

struct ProfileFile {
  struct PluginEntry: Equatable {
    var name: String
    var weight: Int64
  }
  struct PluginSet: Equatable {
    var enabled: [PluginEntry] = []
    var disabled: Set<String> = []
  }

  var name: String
  let json: JSONValue
  private var multiPoint = PluginSet()
  private var sets: [ExtensionPoint: PluginSet] = [:]
  private var arguments: [(plugin: String, json: JSONValue)] = []

  /// The default profile.
  init(_ json: JSONValue) {
    self.json = json
    name = json["schedulerName"].string ?? ""
  }

  init(_ json: JSONValue, _ path: String, _ reader: inout ConfigurationReader) {
    self.init(reader.object(json, path, ["schedulerName", "percentageOfNodesToScore", "plugins", "pluginConfig"]))
    let plugins = reader.object(
      json["plugins"], "\(path).plugins", Set(ExtensionPoint.allCases.map(\.rawValue)).union(["multiPoint"]))
    func entries(_ json: JSONValue, _ path: String) -> [PluginEntry] {
      reader.list(json, path).enumerated().map { position, entry in
        let entry = reader.object(entry, "\(path)[\(position)]", ["name", "weight"])
        return PluginEntry(name: entry["name"].string ?? "", weight: entry["weight"].integer ?? 0)
      }
    }
    func set(_ point: String) -> PluginSet {
      let path = "\(path).plugins.\(point)"
      let set = reader.object(plugins[point], path, ["enabled", "disabled"])
      return PluginSet(
        enabled: entries(set["enabled"], "\(path).enabled"),
        disabled: Set(entries(set["disabled"], "\(path).disabled").map(\.name)))
    }
    multiPoint = set("multiPoint")
    for point in ExtensionPoint.allCases { sets[point] = set(point.rawValue) }
    for (position, entry) in reader.list(json["pluginConfig"], "\(path).pluginConfig").enumerated() {
      let entry = reader.object(entry, "\(path).pluginConfig[\(position)]", ["name", "args"])
      let plugin = entry["name"].string ?? ""
      PluginArguments.read(entry["args"], of: plugin, &reader)
      arguments.append((plugin, entry["args"]))
    }
  }

  var queueSort: JSONValue { json["plugins"]["queueSort"] }

  func check(_ path: String, _ checks: inout ConfigurationChecks) {
    let version = "kubescheduler.config.k8s.io/v1"
    let removed = "was invalid in version \"\(version)\" (KubeSchedulerConfiguration is version \"\(version)\")"
    for point in ExtensionPoint.allCases {
      for (position, entry) in (sets[point]?.enabled ?? []).enumerated()
      where SchedulerPlugin.removed.contains(entry.name) {
        checks.invalid("\(path).plugins.\(point.rawValue).enabled[\(position)]", .string(entry.name), removed)
      }
    }
    var seen: Set<String> = []
    for (position, (plugin, json)) in arguments.enumerated() {
      let path = "\(path).pluginConfig[\(position)]"
      if !seen.insert(plugin).inserted { checks.add(.duplicate(path, .string(plugin))) }
      if SchedulerPlugin.removed.contains(plugin) {
        checks.invalid(path, .string(plugin), removed)
      } else {
        PluginArguments.check(json, of: plugin, "\(path).args", &checks)
      }
    }
  }

  /// Throws for plugins that do not exist, or have no say where the file puts them.
  func profile(percentage: Int64?) throws -> SchedulerProfile {
    do {
      let everywhere = multiPointPlugins
      var enabled: [ExtensionPoint: Set<SchedulerPlugin>] = [:]
      var weights: [SchedulerPlugin: Int64] = [:]
      for point in ExtensionPoint.allCases {
        var here: Set<SchedulerPlugin> = []
        for entry in sets[point]?.enabled ?? [] {
          let plugin = try Self.plugin(entry.name, at: point)
          guard plugin.points.contains(point) else {
            throw SchedulerConfigurationError("plugin \"\(entry.name)\" does not extend \(point.interfaceName) plugin")
          }
          guard here.insert(plugin).inserted else {
            throw SchedulerConfigurationError(
              "plugin \"\(entry.name)\" already registered as \"\(point.interfaceName)\"")
          }
          if point == .score { weights[plugin] = max(1, entry.weight) }
        }
        enabled[point] = here
      }
      for point in ExtensionPoint.allCases {
        let disabled = sets[point]?.disabled ?? []
        let own = enabled[point] ?? []
        var added: Set<SchedulerPlugin> = []
        for entry in everywhere {
          let plugin = try Self.plugin(entry.name, at: point)
          guard plugin.points.contains(point), !own.contains(plugin), !disabled.contains("*"),
            !disabled.contains(entry.name)
          else { continue }
          guard added.insert(plugin).inserted else {
            throw SchedulerConfigurationError(
              "plugin \"\(entry.name)\" already registered as \"\(point.interfaceName)\"")
          }
          if point == .score, weights[plugin] == nil { weights[plugin] = max(1, entry.weight) }
        }
        enabled[point] = own.union(added)
      }
      if enabled[.queueSort]?.count != 1 {
        throw SchedulerConfigurationError(
          "only one queue sort plugin required for profile with scheduler name \"\(name)\", but got "
            + "\(enabled[.queueSort]?.count ?? 0)")
      }
      if enabled[.bind]?.isEmpty != false {
        throw SchedulerConfigurationError(
          "at least one bind plugin is needed for profile with scheduler name \"\(name)\"")
      }
      var profile = SchedulerProfile(name: name, enabled: enabled, weights: weights)
      profile.percentageOfNodesToScore = json["percentageOfNodesToScore"].integer ?? percentage ?? 0
      for (plugin, json) in arguments { PluginArguments.take(json, of: plugin, &profile) }
      return profile
    } catch let error as SchedulerConfigurationError {
      throw SchedulerConfigurationError(
        "initializing profiles: creating profile for scheduler name \(name): \(error.description)")
    }
  }

  private static func plugin(_ name: String, at point: ExtensionPoint) throws -> SchedulerPlugin {
    guard let plugin = SchedulerPlugin(rawValue: name) else {
      throw SchedulerConfigurationError("\(point.interfaceName) \"\(name)\" does not exist")
    }
    return plugin
  }

  /// The default plugins but those that multiPoint disables, with the weights that it gives, and those that it adds.
  private var multiPointPlugins: [PluginEntry] {
    var own = multiPoint.enabled
    var plugins: [PluginEntry] = []
    if !multiPoint.disabled.contains("*") {
      for plugin in SchedulerPlugin.allCases where !multiPoint.disabled.contains(plugin.rawValue) {
        if let position = own.lastIndex(where: { $0.name == plugin.rawValue }) {
          plugins.append(own.remove(at: position))
        } else {
          plugins.append(PluginEntry(name: plugin.rawValue, weight: plugin.defaultWeight ?? 0))
        }
      }
    }
    return plugins + own
  }
}
