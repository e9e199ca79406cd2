// Sets of Unicode scalars, as character classes of regular expressions name them.

struct ScalarSet: Sendable {
  private var ranges: [ClosedRange<UInt32>] = []
  private var categories: [ScalarCategory] = []
  /// Sets whose negation is a part of this one: `[\D\S]`.
  private var negated: [ScalarSet] = []
  var isNegated = false
  var ignoresCase = false

  init() {}
  init(_ scalar: Unicode.Scalar) { ranges = [scalar.value...scalar.value] }
  init(_ ranges: ClosedRange<Unicode.Scalar>...) {
    self.ranges = ranges.map { $0.lowerBound.value...$0.upperBound.value }
  }
  init(_ category: ScalarCategory) { categories = [category] }

  static let digit = ScalarSet("0"..."9")
  static let word = ScalarSet("0"..."9", "A"..."Z", "a"..."z", "_"..."_")
  static let space = ScalarSet("\t"..."\n", "\u{c}"..."\r", " "..." ")
  static let anything: ScalarSet = {
    var set = ScalarSet()
    set.isNegated = true
    return set
  }()
  static let anythingButNewline: ScalarSet = {
    var set = ScalarSet("\n")
    set.isNegated = true
    return set
  }()

  var negation: ScalarSet {
    var set = self
    set.isNegated.toggle()
    return set
  }

  mutating func insert(_ range: ClosedRange<Unicode.Scalar>) {
    ranges.append(range.lowerBound.value...range.upperBound.value)
  }
  mutating func insert(_ other: ScalarSet) {
    if other.isNegated {
      negated.append(other.negation)
    } else {
      ranges += other.ranges
      categories += other.categories
      negated += other.negated
    }
  }

  func contains(_ scalar: Unicode.Scalar) -> Bool {
    var isMember = holds(scalar)
    if !isMember, ignoresCase {
      for variant in [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping] {
        let scalars = variant.unicodeScalars
        if scalars.count == 1, let only = scalars.first, only != scalar, holds(only) { isMember = true }
      }
    }
    return isMember != isNegated
  }

  private func holds(_ scalar: Unicode.Scalar) -> Bool {
    for range in ranges where range.contains(scalar.value) { return true }
    for category in categories where category.contains(scalar) { return true }
    for set in negated where !set.contains(scalar) { return true }
    return false
  }

  /// `[:alpha:]` and its like; nil for a name that is none.
  static func named(_ name: some StringProtocol) -> ScalarSet? {
    switch name {
    case "alnum": ScalarSet("0"..."9", "A"..."Z", "a"..."z")
    case "alpha": ScalarSet("A"..."Z", "a"..."z")
    case "ascii": ScalarSet("\0"..."\u{7f}")
    case "blank": ScalarSet("\t"..."\t", " "..." ")
    case "cntrl": ScalarSet("\0"..."\u{1f}", "\u{7f}"..."\u{7f}")
    case "digit": digit
    case "graph": ScalarSet("!"..."~")
    case "lower": ScalarSet("a"..."z")
    case "print": ScalarSet(" "..."~")
    case "punct": ScalarSet("!"..."/", ":"..."@", "["..."`", "{"..."~")
    case "space": ScalarSet("\t"..."\r", " "..." ")
    case "upper": ScalarSet("A"..."Z")
    case "word": word
    case "xdigit": ScalarSet("0"..."9", "A"..."F", "a"..."f")
    default: nil
    }
  }
}

/// A general category of Unicode, by the names that RE2 has for them: "L", "Lu", "Nd".
struct ScalarCategory: Sendable {
  let name: String

  private static let all: Set<String> = [
    "Any", "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps", "Pe",
    "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Co", "Cs",
    "Latin", "Greek", "Cyrillic", "Han",
  ]

  init?(_ name: String) {
    guard Self.all.contains(name) else { return nil }
    self.name = name
  }

  func contains(_ scalar: Unicode.Scalar) -> Bool {
    switch name {
    case "Any": return true
    // Scripts by their main blocks: what patterns of the API use them for.
    case "Latin":
      return scalar.properties.isAlphabetic
        && (scalar.value < 0x250 || (0x1e00...0x1eff).contains(scalar.value)) && scalar.value != 0xb5
    case "Greek": return (0x370...0x3ff).contains(scalar.value) || (0x1f00...0x1fff).contains(scalar.value)
    case "Cyrillic": return (0x400...0x52f).contains(scalar.value)
    case "Han": return scalar.properties.isIdeographic
    default: return Self.abbreviation(scalar.properties.generalCategory).hasPrefix(name)
    }
  }

  private static func abbreviation(_ category: Unicode.GeneralCategory) -> String {
    switch category {
    case .uppercaseLetter: "Lu"
    case .lowercaseLetter: "Ll"
    case .titlecaseLetter: "Lt"
    case .modifierLetter: "Lm"
    case .otherLetter: "Lo"
    case .nonspacingMark: "Mn"
    case .spacingMark: "Mc"
    case .enclosingMark: "Me"
    case .decimalNumber: "Nd"
    case .letterNumber: "Nl"
    case .otherNumber: "No"
    case .connectorPunctuation: "Pc"
    case .dashPunctuation: "Pd"
    case .openPunctuation: "Ps"
    case .closePunctuation: "Pe"
    case .initialPunctuation: "Pi"
    case .finalPunctuation: "Pf"
    case .otherPunctuation: "Po"
    case .mathSymbol: "Sm"
    case .currencySymbol: "Sc"
    case .modifierSymbol: "Sk"
    case .otherSymbol: "So"
    case .spaceSeparator: "Zs"
    case .lineSeparator: "Zl"
    case .paragraphSeparator: "Zp"
    case .control: "Cc"
    case .format: "Cf"
    case .surrogate: "Cs"
    case .privateUse: "Co"
    case .unassigned: "Cn"
    @unknown default: "Cn"
    }
  }
}
