// The formats of texts that custom resources may ask for. Formats that are not listed say nothing.
import JSON

enum StructuralFormat {
  /// Whether the text is of the format; nil when the format is none that is checked.
  static func holds(_ text: String, _ format: String) -> Bool? {
    switch format {
    case "bsonobjectid": expressions["bsonobjectid"]!.matches(text)
    case "uri": isURI(text)
    case "email": isEmail(text)
    case "hostname": text.utf8.count <= 255 && expressions["hostname"]!.matches(text)
    case "ipv4": IPAddress(text)?.family == .v4
    case "ipv6": IPAddress(text)?.family == .v6
    case "cidr": CIDR(text) != nil
    case "mac": expressions["mac"]!.matches(text)
    case "uuid": expressions["uuid"]!.matches(text)
    case "uuid3": expressions["uuid3"]!.matches(text)
    case "uuid4": expressions["uuid4"]!.matches(text)
    case "uuid5": expressions["uuid5"]!.matches(text)
    case "isbn": isISBN10(text) || isISBN13(text)
    case "isbn10": isISBN10(text)
    case "isbn13": isISBN13(text)
    case "creditcard": isCreditCard(text)
    case "ssn": expressions["ssn"]!.matches(text)
    case "hexcolor": expressions["hexcolor"]!.matches(text)
    case "rgbcolor": expressions["rgbcolor"]!.matches(text)
    case "byte": (try? Base64.decode(text)) != nil
    case "password": true
    case "date": isDate(text)
    case "duration": isDuration(text)
    case "datetime", "date-time": isDateTime(text)
    case "k8s-short-name": Validate.dns1123Label(text).isEmpty
    case "k8s-long-name": Validate.dns1123Subdomain(text).isEmpty
    default: nil
    }
  }

  private static let expressions: [String: RegularExpression] = {
    let hex = "[0-9a-fA-F]"
    func uuid(_ version: String, _ variant: String) -> String {
      "^\(hex){8}-?\(hex){4}-?\(version)\(hex){3}-?\(variant)\(hex){3}-?\(hex){12}$"
    }
    let number = "(0|[1-9][0-9]?|1[0-9][0-9]?|2[0-4][0-9]|25[0-5])"
    let texts = [
      "bsonobjectid": "^\(hex){24}$",
      "hostname":
        "^([a-zA-Z0-9_\\p{L}]|[a-zA-Z0-9_\\p{L}][a-zA-Z0-9_\\p{L}-]{0,61}[a-zA-Z0-9\\p{L}])(\\.([a-zA-Z0-9_\\p{L}]|[a-zA-Z0-9_\\p{L}][a-zA-Z0-9_\\p{L}-]{0,61}[a-zA-Z0-9\\p{L}]))*\\.?$",
      "mac": "^\(hex){2}([:-]\(hex){2}){5}(([:-]\(hex){2}){2})?$|^\(hex){4}(\\.\(hex){4}){2}(\\.\(hex){4})?$",
      "uuid": "^\(hex){8}-?\(hex){4}-?\(hex){4}-?\(hex){4}-?\(hex){12}$",
      "uuid3": uuid("3", hex), "uuid4": uuid("4", "[89abAB]"), "uuid5": uuid("5", "[89abAB]"),
      "ssn": "^\\d{3}[- ]?\\d{2}[- ]?\\d{4}$", "hexcolor": "^#?(\(hex){3}|\(hex){6})$",
      "rgbcolor": "^rgb\\(\\s*\(number)\\s*,\\s*\(number)\\s*,\\s*\(number)\\s*\\)$",
      "email":
        "^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~\\p{L}-]+@[a-zA-Z0-9\\p{L}]([a-zA-Z0-9\\p{L}.-]*[a-zA-Z0-9\\p{L}])?$|^[^<>]*<[^<>@ ]+@[^<>@ ]+>$",
      "uri": "^[a-zA-Z][a-zA-Z0-9+.-]*:[^\\s]+$|^/[^\\s]*$",
      "duration": "^(\\d+)\\s*([A-Za-zµ]+)$",
      "goDuration": "^[-+]?(0|((\\d+\\.?\\d*|\\.\\d+)(ns|us|µs|μs|ms|s|m|h))+)$",
    ]
    return texts.mapValues { text in
      do { return try RegularExpression(text) } catch { preconditionFailure("\(text): \(error)") }
    }
  }()

  private static func isURI(_ text: String) -> Bool { expressions["uri"]!.matches(text) }
  private static func isEmail(_ text: String) -> Bool { expressions["email"]!.matches(text) }

  private static func isDuration(_ text: String) -> Bool {
    if expressions["goDuration"]!.matches(text) { return true }
    guard expressions["duration"]!.matches(text) else { return false }
    let unit = text.drop { !$0.isLetter }.lowercased()
    return [
      "ns", "nano", "us", "µs", "micro", "ms", "milli", "s", "sec", "m", "min", "h", "hr", "hour", "d", "day", "w",
      "wk",
      "week", "nanos", "micros", "millis", "secs", "mins", "hrs", "hours", "days", "wks", "weeks",
    ].contains(unit)
  }

  private static func isDate(_ text: String) -> Bool {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].count == 4, parts[1].count == 2, parts[2].count == 2 else { return false }
    return Timestamp(rfc3339: text + "T00:00:00Z") != nil
  }

  private static func isDateTime(_ text: String) -> Bool {
    Timestamp(rfc3339: text) != nil || Timestamp(rfc3339: text.uppercased()) != nil
  }

  private static func digits(_ text: String) -> [Int] {
    text.unicodeScalars.compactMap { ("0"..."9").contains($0) ? Int($0.value) - 48 : nil }
  }

  private static func isISBN10(_ text: String) -> Bool {
    let plain = text.filter { $0 != "-" && $0 != " " }
    guard plain.count == 10 else { return false }
    var sum = 0
    for (index, character) in plain.enumerated() {
      let value = index == 9 && (character == "X" || character == "x") ? 10 : character.wholeNumberValue
      guard let value else { return false }
      sum += (index + 1) * value
    }
    return sum % 11 == 0
  }

  private static func isISBN13(_ text: String) -> Bool {
    let plain = text.filter { $0 != "-" && $0 != " " }
    let numbers = digits(plain)
    guard plain.count == 13, numbers.count == 13 else { return false }
    return numbers.enumerated().reduce(0) { $0 + $1.element * ($1.offset % 2 == 0 ? 1 : 3) } % 10 == 0
  }

  private static func isCreditCard(_ text: String) -> Bool {
    let numbers = digits(text)
    guard (13...19).contains(numbers.count), text.allSatisfy({ $0.isNumber || $0 == " " || $0 == "-" }) else {
      return false
    }
    let sum = numbers.reversed().enumerated().reduce(0) { sum, digit in
      let doubled = digit.offset % 2 == 1 ? digit.element * 2 : digit.element
      return sum + (doubled > 9 ? doubled - 9 : doubled)
    }
    return sum % 10 == 0
  }
}
