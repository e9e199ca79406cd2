// The file that says what is encrypted on disk.
import APIServer
import Testing

@Suite struct EncryptionConfigurationTests {
  private func read(_ rest: String) throws -> EncryptionConfiguration {
    try EncryptionConfiguration(
      parsing: Array("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n\(rest)\n".utf8))
  }

  @Test func theFirstEntryAndItsFirstProviderDecide() throws {
    let file = try read(
      """
      resources:
      - resources: [secrets, widgets.example.com]
        providers:
        - aesgcm: {keys: [{name: k, secret: c2VjcmV0}]}
        - identity: {}
      - resources: [configmaps, secrets]
        providers:
        - identity: {}
        - aescbc: {keys: [{name: k, secret: c2VjcmV0}]}
      """)
    #expect(file.resources == ["secrets", "widgets.example.com"])
    #expect(file.remarks.count == 1)
    #expect(try read("resources: [{resources: [secrets], providers: [{identity: {}}]}]").resources.isEmpty)
  }

  @Test(arguments: [
    ("", "resources: Required value"),
    ("resources: [{resources: [secrets], providers: [{kms: {name: k}}]}]", "resources[0].providers[0]: kms is not"),
    ("resources: [{resources: ['*.*'], providers: [{identity: {}}]}]", "resources[0].resources: Invalid value"),
    ("resources: [{resources: [secrets], providers: [{rot13: {}}]}]", "resources[0].providers[0]: Unsupported value"),
    ("resources: [{resources: [secrets], providers: []}]", "resources[0].providers: Required value"),
    ("resources: [{resources: [secrets], providers: [{aesgcm: {}}]}]", "resources[0].providers[0].aesgcm.keys: Req"),
  ])
  func whatCannotBeFollowedIsRefused(_ rest: String, _ problem: String) {
    #expect {
      _ = try read(rest)
    } throws: { error in
      "\(error)".hasPrefix(problem)
    }
  }
}
