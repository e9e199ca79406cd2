// What may be asked of a container's log: `PodLogOptions`, refused here and not by a kubelet.
import HTTP
import JSON
import Schema

enum LogOptions {
  private static let kind = GroupVersionKind(group: "", version: "v1", kind: "PodLogOptions")

  static func check(_ query: Query, pod: String) throws(APIStatus) {
    var errors: [FieldError] = []
    if let lines = try number(query, "tailLines"), lines < 0 {
      errors.append(.invalid("tailLines", .integer(lines), "must be greater than or equal to 0"))
    }
    if let bytes = try number(query, "limitBytes"), bytes < 1 {
      errors.append(.invalid("limitBytes", .integer(bytes), "must be greater than 0"))
    }
    let seconds = try number(query, "sinceSeconds")
    if seconds != nil, query["sinceTime"]?.isEmpty == false {
      errors.append(.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    } else if let seconds, seconds < 1 {
      errors.append(.invalid("sinceSeconds", .integer(seconds), "must be greater than 0"))
    }
    guard errors.isEmpty else { throw .invalid(kind, pod, errors) }
  }

  private static func number(_ query: Query, _ name: String) throws(APIStatus) -> Int64? {
    guard let text = query[name], !text.isEmpty else { return nil }
    guard let number = Int64(text) else {
      throw .badRequest("strconv.ParseInt: parsing \"\(text)\": invalid syntax")
    }
    return number
  }
}
