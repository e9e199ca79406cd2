// The parameters of operations, each described once.
import JSON

/// Parameters of operations, made once.
enum OpenAPIParameters {
  private static func query(_ name: String, _ type: String, _ description: String) -> JSONValue {
    [
      "name": .string(name), "in": "query", "description": .string(description),
      "schema": ["type": .string(type), "uniqueItems": true],
    ]
  }

  static let pretty = query("pretty", "string", "If 'true', the output is indented.")
  private static let dryRun = query("dryRun", "string", "All: do everything but store the result.")
  private static let fieldManager = query(
    "fieldManager", "string", "The name of the actor that makes this change, at most 128 printable characters.")
  private static let fieldValidation = query(
    "fieldValidation", "string",
    "What to do about unknown or duplicate fields: Ignore drops them, Warn (the default) says so, Strict fails.")
  private static let force = query(
    "force", "boolean", "Apply only: take fields from managers that own them. Must be unset for other patches.")

  static let write = [dryRun, fieldManager, fieldValidation]
  static let patch = write + [force]
  static let delete = [
    dryRun,
    query(
      "ignoreStoreReadErrorWithClusterBreakingPotential", "boolean",
      "Delete what cannot be read. Refused by this server: its store mends what is damaged from other servers."),
    query("gracePeriodSeconds", "integer", "Seconds before the object is deleted; 0 deletes at once."),
    query("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    query("propagationPolicy", "string", "What happens to dependents: Orphan, Background or Foreground."),
  ]
  static let list =
    [query("allowWatchBookmarks", "boolean", "Watch events of type BOOKMARK may be sent.")] + selection
    + [query("watch", "boolean", "Watch for changes instead of listing.")]

  /// Which objects a list or the deletion of a collection is about.
  static let selection = [
    query("continue", "string", "Where to go on with a list, as its last page said."),
    query("fieldSelector", "string", "Restricts the objects by their fields."),
    query("labelSelector", "string", "Restricts the objects by their labels."),
    query("limit", "integer", "At most so many objects."),
    query("resourceVersion", "string", "Which versions may be served."),
    query("resourceVersionMatch", "string", "How resourceVersion is applied: Exact or NotOlderThan."),
    query("sendInitialEvents", "boolean", "A watch begins with the state as events and a bookmark."),
    query("timeoutSeconds", "integer", "How long the call may last."),
  ]

  private static let container = query("container", "string", "The container's name; the only one when there is one.")
  private static let streams = [
    container, query("stderr", "boolean", "Send what it writes to its standard error."),
    query("stdin", "boolean", "Pass on what is sent to its standard input."),
    query("stdout", "boolean", "Send what it writes to its standard output."),
    query("tty", "boolean", "Give it a terminal."),
  ]
  private static let proxy = [query("path", "string", "The path to ask for behind the proxy.")]

  /// By subresource: what a connection is told.
  static let connection: [String: [JSONValue]] = [
    "attach": streams, "exec": [query("command", "string", "The command, a word each; no shell.")] + streams,
    "portforward": [query("ports", "integer", "The ports to forward.")], "proxy": proxy,
  ]

  static let log = [
    container, query("follow", "boolean", "Go on with what is written from now on."),
    query("insecureSkipTLSVerifyBackend", "boolean", "Do not check the certificate of the node."),
    query("limitBytes", "integer", "At most so many bytes."),
    query("previous", "boolean", "The log of the container that ran before."),
    query("sinceSeconds", "integer", "Only what is no older than so many seconds."),
    query("stream", "string", "All, Stdout or Stderr."),
    query("tailLines", "integer", "Only so many lines from the end."),
    query("timestamps", "boolean", "Each line with the time it was written."),
  ]

  private static let pathTexts = [
    "name": "Name of the object.", "namespace": "The namespace of the objects.",
    "path": "The path to ask for behind the proxy.",
  ]

  static func path(_ name: String) -> JSONValue {
    [
      "name": .string(name), "in": "path", "required": true,
      "description": .string(pathTexts[name] ?? ""),
      "schema": ["type": "string", "uniqueItems": true],
    ]
  }
}
