// What is wrong with an object's metadata (spec/2 §2.7), whatever its kind.
import JSON

public enum ObjectMetaValidation {
  /// Everything wrong with the metadata of a new object whose name was generated already.
  /// - Parameter knowsFinalizers: whether short names of finalizers are those of Kubernetes alone: of all kinds but
  ///   custom ones and a few others.
  /// - Parameter validateName: the kind's rule: what is wrong with a name, or with a base for generated names.
  public static func create(
    _ metadata: JSONValue, isNamespaced: Bool, path: String = "metadata", knowsFinalizers: Bool = true,
    validateName: (_ name: String, _ isGeneratePrefix: Bool) -> [String]
  ) -> [FieldError] {
    var errors: [FieldError] = []
    if let base = metadata["generateName"].string, !base.isEmpty {
      errors += validateName(base, true).map { .invalid("\(path).generateName", .string(base), $0) }
    }
    if let name = metadata["name"].string, !name.isEmpty {
      errors += validateName(name, false).map { .invalid("\(path).name", .string(name), $0) }
    } else {
      errors.append(.required("\(path).name", "name or generateName is required"))
    }
    let namespace = metadata["namespace"].string ?? ""
    if isNamespaced {
      if namespace.isEmpty {
        errors.append(.required("\(path).namespace"))
      } else {
        errors += Validate.dns1123Label(namespace).map { .invalid("\(path).namespace", .string(namespace), $0) }
      }
    } else if !namespace.isEmpty {
      errors.append(.forbidden("\(path).namespace", "not allowed on this type"))
    }
    errors += Validate.nonNegative(metadata["generation"].integer ?? 0, "\(path).generation")
    return errors + common(metadata, path) + (knowsFinalizers ? shortFinalizers(metadata, path) : [])
  }

  /// Everything wrong with the metadata of a changed object.
  public static func update(_ metadata: JSONValue, old: JSONValue, path: String = "metadata") -> [FieldError] {
    var errors: [FieldError] = []
    if !old["deletionTimestamp"].isNull {
      errors += newFinalizers(metadata["finalizers"], old: old["finalizers"], "\(path).finalizers")
    }
    if metadata["resourceVersion"].isZero {
      errors.append(.invalid("\(path).resourceVersion", "", "must be specified for an update"))
    }
    let generation = metadata["generation"].integer ?? 0
    if generation < old["generation"].integer ?? 0 {
      errors.append(.invalid("\(path).generation", .integer(generation), "must not be decremented"))
    }
    for member in [
      "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
    ] {
      errors += Validate.immutable(metadata[member], old[member], "\(path).\(member)")
    }
    return errors + common(metadata, path, withFinalizers: false)
  }

  /// What the reference tells of the metadata of a changed object: it looks at them as at new ones and as at changed
  /// ones, before the rules of the kind do the latter again, and many of them the former too. The causes of its answer
  /// count them all.
  public static func updateAsToldOf(
    _ metadata: JSONValue, old: JSONValue, isCheckedByKind: Bool, knowsFinalizers: Bool = true,
    path: String = "metadata"
  ) -> [FieldError] {
    let (asNew, asChanged) = (common(metadata, path), update(metadata, old: old, path: path))
    let short = knowsFinalizers ? shortFinalizers(metadata, path) : []
    return asNew + asChanged + asChanged + short + (isCheckedByKind ? asNew + short : [])
  }

  /// Groups of which the reference looks at the metadata as at that of any object.
  private static let groupsOfAnyFinalizers: Set<String> = [
    "apiextensions.k8s.io", "admissionregistration.k8s.io", "apiregistration.k8s.io", "coordination.k8s.io", "policy",
  ]

  /// Whether finalizers of this kind without a domain must be those that Kubernetes knows.
  public static func knowsFinalizers(_ kind: GroupVersionKind, isCustom: Bool) -> Bool {
    !isCustom && !groupsOfAnyFinalizers.contains(kind.group) && kind.kind != "Event"
  }

  /// Finalizers that are to be set where objects of any kind have others: those of a namespace's spec.
  public static func finalizerNames(_ names: JSONValue, _ path: String) -> [FieldError] {
    names.elements.enumerated().flatMap { index, name in
      Validate.qualifiedName(name.string ?? "").map { .invalid("\(path)[\(index)]", name, $0) }
        + (shortFinalizer(name.string ?? "", "\(path)[\(index)]").map { [$0] } ?? [])
    }
  }

  /// What a client is warned of who gives custom objects finalizers that anybody else may give them too.
  public static func finalizerWarnings(_ finalizers: JSONValue, old: JSONValue) -> [String] {
    let added = Set(finalizers.elements.compactMap(\.string)).subtracting(old.elements.compactMap(\.string))
    return added.sorted().flatMap { name in
      let place = "metadata.finalizers: \(JSONValue.string(name))"
      let wrong = Validate.qualifiedName(name).map { "\(place): \($0)" }
      guard shortFinalizer(name, "") != nil else { return wrong }
      return wrong + [
        "\(place): prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other "
          + "finalizer writers"
      ]
    }
  }

  /// PUT without a resource version, to a kind that must have one.
  public static let missingResourceVersion = FieldError(
    .invalid, field: "metadata.resourceVersion", message: "Invalid value: 0x0: must be specified for an update")

  private static func common(_ metadata: JSONValue, _ path: String, withFinalizers: Bool = true) -> [FieldError] {
    labels(metadata["labels"], "\(path).labels") + annotations(metadata["annotations"], "\(path).annotations")
      + ownerReferences(metadata["ownerReferences"], "\(path).ownerReferences")
      + (withFinalizers ? finalizers(metadata["finalizers"], "\(path).finalizers") : [])
      + managedFields(metadata["managedFields"], "\(path).managedFields")
  }

  /// Keys and values of labels, wherever they stand (metadata, selectors, templates).
  public static func labels(_ labels: JSONValue, _ path: String) -> [FieldError] {
    guard case .object(let object) = labels else { return [] }
    var errors: [FieldError] = []
    for (key, value) in object {
      let text = value.string ?? ""
      errors += Validate.qualifiedName(key).map { .invalid(path, .string(key), $0) }
      errors += Validate.labelValue(text).map { .invalid(path, .string(text), $0) }
    }
    return errors
  }

  public static func annotations(_ annotations: JSONValue, _ path: String) -> [FieldError] {
    guard case .object(let object) = annotations else { return [] }
    var errors: [FieldError] = []
    var size = 0
    for (key, value) in object {
      // Like labels' keys, but case does not matter.
      errors += Validate.qualifiedName(key.lowercased()).map { .invalid(path, .string(key), $0) }
      size += key.utf8.count + (value.string?.utf8.count ?? 0)
    }
    if size > Validate.annotationsMaximum {
      errors.append(.tooLong(path, maximumBytes: Validate.annotationsMaximum))
    }
    return errors
  }

  private static func ownerReferences(_ references: JSONValue, _ path: String) -> [FieldError] {
    var errors: [FieldError] = []
    var controller: String?
    for reference in references.elements {
      let apiVersion = reference["apiVersion"].string ?? ""
      if (apiVersion.split(separator: "/", omittingEmptySubsequences: false).last ?? "").isEmpty {
        errors.append(.invalid("\(path).apiVersion", .string(apiVersion), "version must not be empty"))
      }
      for member in ["kind", "name", "uid"] where reference[member].isZero {
        errors.append(.invalid("\(path).\(member)", "", "must not be empty"))
      }
      let kind = reference["kind"].string ?? ""
      if apiVersion == "v1", kind == "Event" {
        errors.append(shown(path, printed(reference), "/v1, Kind=Event is disallowed from being an owner"))
      }
      guard reference["controller"].bool == true else { continue }
      let name = "\(kind)/\(reference["name"].string ?? "")"
      if let controller {
        errors.append(
          shown(
            path, "[]v1.OwnerReference{\(references.elements.map(printed).joined(separator: ", "))}",
            "Only one reference can have Controller set to true. Found \"true\" in references for \(controller) and \(name)"
          ))
      } else {
        controller = name
      }
    }
    return errors
  }

  private static func shown(_ field: String, _ value: String, _ detail: String) -> FieldError {
    FieldError(.invalid, field: field, message: "Invalid value: \(value): \(detail)")
  }

  /// As Go prints it; of what may be absent one sees an address.
  private static func printed(_ reference: JSONValue) -> String {
    let texts = [("APIVersion", "apiVersion"), ("Kind", "kind"), ("Name", "name"), ("UID", "uid")]
      .map { "\($0.0):\(JSONValue.string(reference[$0.1].string ?? ""))" }
    let flags = [("Controller", "controller"), ("BlockOwnerDeletion", "blockOwnerDeletion")]
      .map { "\($0.0):(*bool)(\(reference[$0.1].isNull ? "nil" : "0xc000000000"))" }
    return "v1.OwnerReference{\((texts + flags).joined(separator: ", "))}"
  }

  private static let standardFinalizers: Set<String> = ["kubernetes", "orphan", "foregroundDeletion"]

  private static func finalizers(_ finalizers: JSONValue, _ path: String) -> [FieldError] {
    var errors: [FieldError] = []
    let names = finalizers.elements.map { $0.string ?? "" }
    for name in names { errors += Validate.qualifiedName(name).map { .invalid(path, .string(name), $0) } }
    if names.contains("orphan"), names.contains("foregroundDeletion") {
      errors.append(
        .invalid(path, finalizers, "finalizer orphan and foregroundDeletion cannot be both set"))
    }
    return errors
  }

  /// Finalizers without a domain that are not Kubernetes' own.
  private static func shortFinalizers(_ metadata: JSONValue, _ path: String) -> [FieldError] {
    metadata["finalizers"].elements.enumerated().compactMap { index, name in
      shortFinalizer(name.string ?? "", "\(path).finalizers[\(index)]")
    }
  }

  private static func shortFinalizer(_ name: String, _ place: String) -> FieldError? {
    name.contains("/") || standardFinalizers.contains(name)
      ? nil
      : .invalid(place, .string(name), "name is neither a standard finalizer name nor is it fully qualified")
  }

  private static func newFinalizers(_ finalizers: JSONValue, old: JSONValue, _ path: String) -> [FieldError] {
    let before = Set(old.elements.compactMap(\.string))
    let added = Set(finalizers.elements.compactMap(\.string)).subtracting(before).sorted()
    guard !added.isEmpty else { return [] }
    let list = added.map { "\"\($0)\"" }.joined(separator: ", ")
    return [
      .forbidden(
        path,
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{\(list)}")
    ]
  }

  private static func managedFields(_ entries: JSONValue, _ path: String) -> [FieldError] {
    var errors: [FieldError] = []
    for (index, entry) in entries.elements.enumerated() {
      let place = "\(path)[\(index)]"
      if let operation = entry["operation"].string, operation != "Apply", operation != "Update" {
        errors.append(.invalid("\(place).operation", entry["operation"], "must be `Apply` or `Update`"))
      } else if entry["operation"].isNull {
        errors.append(.invalid("\(place).operation", "", "must be `Apply` or `Update`"))
      }
      if let type = entry["fieldsType"].string, !type.isEmpty, type != "FieldsV1" {
        errors.append(.invalid("\(place).fieldsType", entry["fieldsType"], "must be `FieldsV1`"))
      }
      errors += fieldManager(entry["manager"].string ?? "", "\(place).manager")
    }
    return errors
  }

  /// Also the `fieldManager` of a request.
  public static func fieldManager(_ manager: String, _ path: String) -> [FieldError] {
    if manager.utf8.count > 128 { return [.tooLong(path, maximumBytes: 128)] }
    let isPrintable = manager.unicodeScalars.allSatisfy {
      $0.value >= 0x20 && $0.value != 0x7f && !(0x80..<0xa0).contains($0.value)
    }
    return isPrintable ? [] : [.invalid(path, .string(manager), "should only contain printable characters")]
  }
}
