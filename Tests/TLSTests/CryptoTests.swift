import TLS
import Testing

@Suite struct CryptoTests {
  @Test func digestsMatchTheirStandards() {
    #expect(
      Crypto.hexadecimal(Crypto.sha256("abc".utf8))
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      Crypto.hexadecimal(Crypto.sha256([]))
        == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(Crypto.hexadecimal(Crypto.sha512("abc".utf8)).hasPrefix("ddaf35a193617abacc417349ae204131"))
    // RFC 4231, test case 2.
    #expect(
      Crypto.hexadecimal(Crypto.hmacSHA256(key: Array("Jefe".utf8), "what do ya want for nothing?".utf8))
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
  }

  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
    ("foobar", "Zm9vYmFy"),
  ])
  func base64FollowsItsStandard(plain: String, encoded: String) {
    #expect(Crypto.base64(plain.utf8) == encoded)
    #expect(Crypto.decodeBase64(encoded) == Array(plain.utf8))
    let url = encoded.filter { $0 != "=" }
    #expect(Crypto.base64URL(plain.utf8) == url)
    #expect(Crypto.decodeBase64URL(url) == Array(plain.utf8))
  }

  @Test func bytesOfEveryLengthSurviveBase64() {
    for length in 0..<300 {
      let bytes = Crypto.random(length)
      #expect(Crypto.decodeBase64(Crypto.base64(bytes)) == bytes)
      #expect(Crypto.decodeBase64URL(Crypto.base64URL(bytes)) == bytes)
    }
    #expect(Crypto.base64([0xfb, 0xff]) == "+/8=")
    #expect(Crypto.base64URL([0xfb, 0xff]) == "-_8")
    #expect(Crypto.decodeBase64("Zm9v\nYmFy\r\n") == Array("foobar".utf8))
  }

  @Test(arguments: ["Z", "Zg", "Zg=", "Zg===", "Zm9v=", "Zm9v====", "Zg==Zg==", "Zm 9v", "=", "Zm9-", "Z=g="])
  func brokenBase64IsRefused(text: String) { #expect(Crypto.decodeBase64(text) == nil) }

  @Test(arguments: ["Z", "Zg==", "Zm+v", "Zm9v\n"])
  func brokenURLBase64IsRefused(text: String) { #expect(Crypto.decodeBase64URL(text) == nil) }

  @Test func sealedBytesOpenOnlyWithKeyAndContext() {
    let key = Crypto.random(32)
    for length in [0, 1, 15, 16, 1000] {
      let message = Crypto.random(length)
      let sealed = Crypto.seal(message, key: key, context: [1, 2])
      #expect(Crypto.open(sealed, key: key, context: [1, 2]) == message)
      #expect(Crypto.open(sealed, key: key, context: [1, 3]) == nil)
      #expect(Crypto.open(sealed, key: Crypto.random(32), context: [1, 2]) == nil)
      var torn = sealed
      torn[torn.count - 1] ^= 1
      #expect(Crypto.open(torn, key: key, context: [1, 2]) == nil)
    }
    #expect(Crypto.open([], key: key, context: []) == nil)
  }

  @Test func aSealerNeverUsesANonceTwice() {
    let key = Crypto.random(32)
    let sealer = Crypto.Sealer(key: key)
    var nonces: Set<[UInt8]> = []
    for length in [0, 1, 15, 16, 1000, 1000] {
      let message = Crypto.random(length)
      let sealed = sealer.seal(message, context: [1, 2], prefix: [7, 8, 9])
      #expect(Array(sealed.prefix(3)) == [7, 8, 9])
      let body = Array(sealed.dropFirst(3))
      #expect(Crypto.open(body, key: key, context: [1, 2]) == message)
      #expect(Crypto.open(body, key: key, context: [1, 3]) == nil)
      #expect(nonces.insert(Array(body.prefix(12))).inserted)
    }
    #expect(sealer.seals == 6)
  }

  @Test func secretsAreComparedWhole() {
    #expect(Crypto.isEqual([1, 2, 3], [1, 2, 3]))
    #expect(!Crypto.isEqual([1, 2, 3], [1, 2, 4]))
    #expect(!Crypto.isEqual([1, 2, 3], [1, 2]))
  }
}

@Suite struct KeyTests {
  /// A key that can sign so.
  private func key(for algorithm: SignatureAlgorithm) throws -> PrivateKey {
    switch algorithm {
    case .es256: try .generateP256()
    case .es384: try .generate(on: .p384)
    case .es512: try .generate(on: .p521)
    default: try .generateRSA()
    }
  }

  @Test(arguments: SignatureAlgorithm.allCases)
  func aTokenIsSignedAndVerified(algorithm: SignatureAlgorithm) throws {
    let key = try key(for: algorithm)
    let stranger = try self.key(for: algorithm)
    let message = Array("header.payload".utf8)
    for _ in 0..<10 {
      let signature = try key.sign(message, algorithm: algorithm)
      #expect(key.publicKey.verify(signature, of: message, algorithm: algorithm))
      #expect(!key.publicKey.verify(signature, of: message + [0], algorithm: algorithm))
      #expect(!key.publicKey.verify(signature.dropLast(), of: message, algorithm: algorithm))
      #expect(!stranger.publicKey.verify(signature, of: message, algorithm: algorithm))
      for other in SignatureAlgorithm.allCases where other != algorithm {
        #expect(!key.publicKey.verify(signature, of: message, algorithm: other))
      }
    }
  }

  @Test(arguments: [
    (SignatureAlgorithm.es256, 64), (.es384, 96), (.es512, 132), (.rs256, 256), (.ps512, 256),
  ])
  func signaturesAreAsWideAsTheirStandardSays(algorithm: SignatureAlgorithm, bytes: Int) throws {
    #expect(try key(for: algorithm).sign([1, 2, 3], algorithm: algorithm).count == bytes)
  }

  @Test func aKeySignsByAnAlgorithmOfItsFamily() throws {
    #expect(try key(for: .ps384).algorithm == .rs256)
    for algorithm in [SignatureAlgorithm.es256, .es384, .es512] {
      let key = try key(for: algorithm)
      #expect(key.algorithm == algorithm)
      #expect(key.publicKey.algorithm == algorithm)
      #expect(throws: TLSError.self) { _ = try key.sign([1], algorithm: .rs256) }
    }
  }

  @Test(arguments: [SignatureAlgorithm.es256, .es384, .es512, .rs256])
  func keysSurviveTheirTextsAndNumbers(algorithm: SignatureAlgorithm) throws {
    let key = try key(for: algorithm)
    let again = try PrivateKey(pem: key.pem)
    #expect(key.pem.hasPrefix("-----BEGIN PRIVATE KEY-----"))
    #expect(again.publicKey.der == key.publicKey.der)
    #expect(try PublicKey(pem: key.publicKey.pem).der == key.publicKey.der)
    #expect(try PublicKey(pem: key.pem).der == key.publicKey.der)
    let parameters = try #require(key.publicKey.parameters)
    let rebuilt = try PublicKey(parameters: parameters)
    #expect(rebuilt.parameters == parameters)
    #expect(rebuilt.verify(try key.sign([1, 2, 3]), of: [1, 2, 3], algorithm: algorithm))
  }

  @Test(arguments: EllipticCurve.allCases)
  func numbersThatAreNoKeyAreRefused(curve: EllipticCurve) {
    let ones = [UInt8](repeating: 1, count: curve == .p256 ? 32 : curve == .p384 ? 48 : 66)
    #expect(throws: TLSError.self) { _ = try PublicKey(parameters: .ellipticCurve(curve, x: ones, y: ones)) }
    #expect(throws: TLSError.self) { _ = try PublicKey(parameters: .ellipticCurve(curve, x: [1], y: [2])) }
  }

  @Test(arguments: ["", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n", "hello"])
  func otherTextsAreNoKeys(text: String) {
    #expect(throws: TLSError.self) { _ = try PrivateKey(pem: text) }
    #expect(throws: TLSError.self) { _ = try PublicKey(pem: text) }
  }
}
