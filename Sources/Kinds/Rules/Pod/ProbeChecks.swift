// What may be wrong with probes and life cycle handlers.
import JSON
import Schema

extension Checks {
  mutating func probe(_ probe: JSONValue, _ place: String, _ name: String) {
    handler(probe, place, ["exec", "httpGet", "tcpSocket", "grpc"])
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
      nonNegative(probe[field], "\(place).\(field)")
    }
    let grace = probe["terminationGracePeriodSeconds"]
    if name == "readinessProbe" {
      if !grace.isNull {
        invalid("\(place).terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
      }
    } else {
      if let seconds = grace.integer, seconds <= 0 {
        invalid("\(place).terminationGracePeriodSeconds", grace, "must be greater than 0")
      }
      if let threshold = probe["successThreshold"].integer, threshold != 1 {
        invalid("\(place).successThreshold", probe["successThreshold"], "must be 1")
      }
    }
  }

  mutating func lifecycle(_ lifecycle: JSONValue, _ place: String) {
    for name in ["postStart", "preStop"] where !lifecycle[name].isNull {
      handler(lifecycle[name], "\(place).\(name)", ["exec", "httpGet", "tcpSocket", "sleep"])
    }
  }

  private mutating func handler(_ owner: JSONValue, _ place: String, _ names: [String]) {
    let given = names.filter { !owner[$0].isNull }
    guard let first = given.first else { return required(place, "must specify a handler type") }
    for name in given.dropFirst() { forbidden("\(place).\(name)", "may not specify more than 1 handler type") }
    let action = owner[first]
    let place = "\(place).\(first)"
    switch first {
    case "exec":
      if action["command"].isEmptyValue { required("\(place).command") }
    case "httpGet":
      if action["path"].isEmptyValue { required("\(place).path") }
      portOrName(action["port"], "\(place).port")
      oneOf(action["scheme"], "\(place).scheme", ["HTTP", "HTTPS"])
      for header in action["httpHeaders"].elements {
        text(header["name"], "\(place).httpHeaders", Self.httpHeaderName)
      }
    case "tcpSocket": portOrName(action["port"], "\(place).port")
    case "grpc": port(action["port"], "\(place).port")
    default:
      if let seconds = action["seconds"].integer, seconds <= 0 {
        invalid(
          place, action["seconds"],
          "must be greater than 0 and less than terminationGracePeriodSeconds")
      }
    }
  }

  private static func httpHeaderName(_ name: String) -> [String] {
    let isFine =
      !name.isEmpty
      && name.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d
      }
    return isFine
      ? []
      : [
        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for "
          + "validation is '[-A-Za-z0-9]+')"
      ]
  }
}
