import HTTP
import Testing

@Suite struct RequestTargetTests {
  @Test func aTargetIsTakenApartAndDecoded() throws {
    let target = try #require(
      RequestTarget(parsing: "/api/v1/namespaces/my%20space/pods?labelSelector=app%3Dweb%2Cx&limit=5&watch&a=1+2"))
    #expect(target.segments == ["api", "v1", "namespaces", "my space", "pods"])
    #expect(target[query: "labelSelector"] == "app=web,x")
    #expect(target[query: "limit"] == "5")
    #expect(target[query: "watch"] == "")
    #expect(target[query: "a"] == "1 2")
    #expect(target[query: "nothing"] == nil)
  }

  @Test func rootTrailingSlashAndEncodedSlashAreToldApart() {
    #expect(RequestTarget(parsing: "/")?.segments == [])
    #expect(RequestTarget(parsing: "/a/")?.segments == ["a", ""])
    #expect(RequestTarget(parsing: "/a%2Fb/c")?.segments == ["a/b", "c"])
    #expect(RequestTarget(parsing: "/?x=1")?[query: "x"] == "1")
    #expect(RequestTarget(parsing: "/a+b")?.segments == ["a+b"])
  }

  @Test(arguments: ["", "a", "*", "/%", "/%2", "/%zz", "/%ff", "/?%g", "/?a=%f0%28"])
  func whatCannotBeDecodedIsRefused(text: String) { #expect(RequestTarget(parsing: text) == nil) }

  @Test func encodingAndParsingAreInverse() {
    let target = RequestTarget(
      segments: ["api", "v1", "a/b c%", "ü:x"],
      query: [("labelSelector", "a in (b,c),d!=e"), ("x", ""), ("continue", "a+b/c=="), ("ns", "kube-system")])
    #expect(RequestTarget(parsing: target.encoded) == target)
    #expect(RequestTarget(segments: []).encoded == "/")
  }

  @Test func repeatedItemsKeepTheirOrder() {
    #expect(RequestTarget(parsing: "/?command=sh&command=-c&command=ls")?.values("command") == ["sh", "-c", "ls"])
  }
}
