// What may be wrong with probes and life cycle handlers.
import JSON
import Schema

extension Checks {
  mutating func probe(_ probe: JSONValue, _ place: @autoclosure Path, _ name: String) {
    handler(probe, place(), ["exec", "httpGet", "tcpSocket", "grpc"], gracePeriod: nil)
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
      nonNegative(probe[field], "\(place()).\(field)")
    }
    let grace = probe["terminationGracePeriodSeconds"]
    if let seconds = grace.integer, seconds <= 0 {
      invalid("\(place()).terminationGracePeriodSeconds", grace, "must be greater than 0")
    }
    if name == "readinessProbe" {
      if !grace.isNull {
        invalid("\(place()).terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
      }
    } else if let threshold = probe["successThreshold"].integer, threshold != 1 {
      invalid("\(place()).successThreshold", probe["successThreshold"], "must be 1")
    }
  }

  mutating func lifecycle(_ lifecycle: JSONValue, _ place: @autoclosure Path, gracePeriod: Int64?) {
    for name in ["postStart", "preStop"] where !lifecycle[name].isNull {
      handler(
        lifecycle[name], "\(place()).\(name)", ["exec", "httpGet", "tcpSocket", "sleep"], gracePeriod: gracePeriod)
    }
  }

  private mutating func handler(_ owner: JSONValue, _ place: @autoclosure Path, _ names: [String], gracePeriod: Int64?)
  {
    let given = names.filter { !owner[$0].isNull }
    guard let first = given.first else { return required(place(), "must specify a handler type") }
    handlerAction(owner[first], "\(place()).\(first)", first, gracePeriod: gracePeriod)
    for name in given.dropFirst() { forbidden("\(place()).\(name)", "may not specify more than 1 handler type") }
  }

  private mutating func handlerAction(
    _ action: JSONValue, _ place: @autoclosure Path, _ name: String, gracePeriod: Int64?
  ) {
    switch name {
    case "exec":
      if action["command"].isEmptyValue { required("\(place()).command") }
    case "httpGet":
      if action["path"].isEmptyValue { required("\(place()).path") }
      portOrName(action["port"], "\(place()).port")
      choice(action["scheme"], "\(place()).scheme", ["HTTP", "HTTPS"])
      for header in action["httpHeaders"].elements {
        text(header["name"], "\(place()).httpHeaders", Validate.httpHeaderName)
      }
    case "tcpSocket": portOrName(action["port"], "\(place()).port")
    case "grpc": port(action["port"], "\(place()).port")
    default:
      let seconds = action["seconds"].integer ?? 0
      if let gracePeriod, seconds <= 0 || seconds > gracePeriod {
        invalid(
          place(), .integer(seconds),
          "must be greater than 0 and less than terminationGracePeriodSeconds (\(gracePeriod)). Enable "
            + "AllowPodLifecycleSleepActionZeroValue feature gate for zero sleep.")
      }
    }
  }
}
