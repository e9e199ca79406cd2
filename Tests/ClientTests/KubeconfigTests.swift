import Schema
import Testing

@testable import Client

@Suite struct KubeconfigTests {
  @Test func whatIsWrittenIsRead() throws {
    let config = Kubeconfig(
      server: "https://127.0.0.1:6443", certificateAuthorityPEM: "CA\n", clientCertificatePEM: "CERT\n",
      clientKeyPEM: "KEY\n")
    let text = config.yaml { Base64.encode(Array($0.utf8)) }
    let read = try Kubeconfig(
      parsing: Array(text.utf8), base64Decode: { try? Base64.decode($0) }, readFile: { _ in [] })
    #expect(read == config)
  }

  @Test func whatIsWrongIsSaid() {
    for text in ["current-context: x", "apiVersion: v1\ncurrent-context: a\ncontexts: []"] {
      #expect(throws: Kubeconfig.Malformed.self) {
        try Kubeconfig(parsing: Array(text.utf8), base64Decode: { _ in nil }, readFile: { _ in [] })
      }
    }
  }
}
