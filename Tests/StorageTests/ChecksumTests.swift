import Storage
import Testing

@Suite struct ChecksumTests {
  @Test func agreesWithTheSpecificationsVectors() {
    #expect(xxh64([]) == 0xEF46_DB37_51D8_E999)
    #expect(xxh64(Array("a".utf8)) == 0xD24E_C4F1_A98C_6E5B)
    #expect(xxh64(Array("abc".utf8)) == 0x44BC_2CF5_AD77_0999)
    #expect(xxh64(Array("Nobody inspects the spammish repetition".utf8)) == 0xFBCE_A83C_8A37_8BF1)
  }
}
