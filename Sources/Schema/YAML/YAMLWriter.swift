// Trees of JSON as YAML, as kubectl prints it: keys sorted, block style, two blanks.
import CYaml
import JSON

extension YAML {
  /// The document's text, with a line end.
  public static func text(_ value: JSONValue) -> String { String(decoding: bytes(value), as: UTF8.self) }

  /// As `text`, in UTF-8.
  public static func bytes(_ value: JSONValue) -> [UInt8] {
    var writer = YAMLWriter()
    return writer.run(value)
  }
}

/// Drives libyaml's emitter.
private struct YAMLWriter {
  private final class Output {
    var bytes: [UInt8] = []
  }
  private var emitter = yaml_emitter_t()

  mutating func run(_ value: JSONValue) -> [UInt8] {
    let output = Output()
    precondition(yaml_emitter_initialize(&emitter) == 1, "out of memory")
    defer { yaml_emitter_delete(&emitter) }
    yaml_emitter_set_output(
      &emitter,
      { context, bytes, count in
        guard let context, let bytes else { return 1 }
        let output = Unmanaged<Output>.fromOpaque(context).takeUnretainedValue()
        output.bytes += UnsafeBufferPointer(start: bytes, count: count)
        return 1
      }, Unmanaged.passUnretained(output).toOpaque())
    yaml_emitter_set_unicode(&emitter, 1)
    // Long texts stay on their line: differences stay readable.
    yaml_emitter_set_width(&emitter, -1)
    emit { yaml_stream_start_event_initialize(&$0, YAML_UTF8_ENCODING) }
    emit { yaml_document_start_event_initialize(&$0, nil, nil, nil, 1) }
    put(value)
    emit { yaml_document_end_event_initialize(&$0, 1) }
    emit { yaml_stream_end_event_initialize(&$0) }
    yaml_emitter_flush(&emitter)
    withExtendedLifetime(output) {}
    return output.bytes
  }

  private mutating func emit(_ initialize: (inout yaml_event_t) -> Int32) {
    var event = yaml_event_t()
    precondition(initialize(&event) == 1, "a YAML event could not be made")
    // The emitter takes the event over. It can only fail for lack of memory.
    precondition(yaml_emitter_emit(&emitter, &event) == 1, "a YAML event could not be written")
  }

  private mutating func put(_ value: JSONValue) {
    switch value {
    case .null, .bool, .integer, .double: put(value.description, YAML_PLAIN_SCALAR_STYLE)
    case .string(let text): put(text: text)
    case .array(let elements):
      emit { yaml_sequence_start_event_initialize(&$0, nil, nil, 1, YAML_BLOCK_SEQUENCE_STYLE) }
      for element in elements { put(element) }
      emit { yaml_sequence_end_event_initialize(&$0) }
    case .object(var object):
      emit { yaml_mapping_start_event_initialize(&$0, nil, nil, 1, YAML_BLOCK_MAPPING_STYLE) }
      object.sortKeys()
      for (key, member) in object {
        put(text: key)
        put(member)
      }
      emit { yaml_mapping_end_event_initialize(&$0) }
    }
  }

  private mutating func put(text: String) {
    if text.utf8.contains(0x0a) {
      put(text, YAML_LITERAL_SCALAR_STYLE)
    } else {
      put(text, YAMLScalar.needsQuotes(text) ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE)
    }
  }

  private mutating func put(_ text: String, _ style: yaml_scalar_style_t) {
    var text = text
    emit { event in
      text.withUTF8 { utf8 in
        var empty: UInt8 = 0
        return withUnsafePointer(to: &empty) { empty in
          yaml_scalar_event_initialize(
            &event, nil, nil, utf8.baseAddress ?? empty, Int32(utf8.count), 1, 1, style)
        }
      }
    }
  }
}
