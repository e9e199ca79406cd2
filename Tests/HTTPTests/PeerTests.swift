// The server spoken to by clients that others wrote: curl, Python, Node.
import EventLoop
import LoopSupport
import Testing
import World

@testable import HTTP

@Suite struct PeerTests {
  private static func run(_ program: String, _ arguments: [String], on loop: EventLoop) async throws -> String? {
    var options = ChildProcessOptions(executable: program, arguments: arguments)
    options.standardOutput = .capture(limit: 1 << 20)
    options.standardError = .capture(limit: 1 << 20)
    let result: ChildProcessResult
    do {
      result = try await ChildProcess.run(options, on: loop, deadline: .seconds(60))
    } catch {
      // Not every machine has every client.
      return nil
    }
    let output = String(decoding: result.standardOutput, as: UTF8.self)
    #expect(result.isSuccess, "\(program): \(output) \(String(decoding: result.standardError, as: UTF8.self))")
    return output
  }

  private static func start(tls: Bool = true) async throws -> TestServer {
    try await TestServer.start(tls: tls ? ["h2", "http/1.1"] : nil) { request in
      let body = (try? await request.body.collect()) ?? []
      switch request.target {
      case "/large": return HTTPResponse(status: 200, body: .bytes([UInt8](repeating: 65, count: 5 << 20)))
      case "/watch":
        let pipe = BytePipe()
        for number in 1...3 { _ = try? pipe.offer(Array("event \(number)\n".utf8)) }
        pipe.finish()
        return HTTPResponse(status: 200, body: .stream(pipe))
      default: return .text("\(request.method) \(request.target) \(request.version) \(body.count)")
      }
    }
  }

  @Test(arguments: ["--http1.1", "--http2"])
  func curl(version: String) async throws {
    let server = try await Self.start()
    let name = version == "--http2" ? "http2" : "http1"
    let common = ["-sS", "-k", version, "--max-time", "10"]
    let get = try await Self.run("curl", common + ["\(server.url)/x", "\(server.url)/y"], on: server.loop)
    guard let get else { return await server.stop() }
    #expect(get == "GET /x \(name) 0GET /y \(name) 0")
    let post = try await Self.run(
      "curl", common + ["-d", String(repeating: "x", count: 2000), "\(server.url)/p"], on: server.loop)
    #expect(post == "POST /p \(name) 2000")
    let head = try await Self.run("curl", common + ["-I", "\(server.url)/h"], on: server.loop)
    #expect(head?.contains("content-length: 15") == true)
    let watch = try await Self.run("curl", common + ["-N", "\(server.url)/watch"], on: server.loop)
    #expect(watch == "event 1\nevent 2\nevent 3\n")
    let large = try await Self.run(
      "curl", common + ["-o", "/dev/null", "-w", "%{size_download} %{http_code}", "\(server.url)/large"],
      on: server.loop)
    #expect(large == "\(5 << 20) 200")
    // An upload that is refused half way, with and without asking first.
    for expect in ["Expect:", "Expect: 100-continue"] {
      let refused = try await Self.run(
        "sh",
        [
          "-c",
          "head -c 4000000 /dev/zero | curl -sS -k \(version) -H '\(expect)' --max-time 10 -T - -o /dev/null "
            + "-w '%{http_code}' \(server.url)/u",
        ], on: server.loop)
      #expect(refused == "413")
    }
    await server.stop()
  }

  @Test func pythonKeepsItsConnection() async throws {
    let server = try await Self.start(tls: false)
    let script = """
      import http.client
      c = http.client.HTTPConnection("127.0.0.1", \(server.address.port), timeout=10)
      for n in range(3):
          c.request("POST", "/%d" % n, body=b"x" * n)
          r = c.getresponse()
          print(r.status, r.read().decode())
      c.request("GET", "/watch")
      r = c.getresponse()
      print(r.getheader("transfer-encoding"), r.read())
      c.request("PUT", "/chunked", body=iter([b"abc", b"defg"]), encode_chunked=True,
                headers={"Transfer-Encoding": "chunked"})
      print(c.getresponse().read().decode())
      """
    let output = try await Self.run("python3", ["-c", script], on: server.loop)
    if let output {
      #expect(
        output == """
          200 POST /0 http1 0
          200 POST /1 http1 1
          200 POST /2 http1 2
          chunked b'event 1\\nevent 2\\nevent 3\\n'
          PUT /chunked http1 7

          """)
    }
    await server.stop()
  }

  @Test func nodeMultiplexesOverHTTP2() async throws {
    let server = try await Self.start()
    let script = """
      const http2 = require('http2');
      const c = http2.connect('\(server.url)', { rejectUnauthorized: false });
      let left = 200, total = 0;
      for (let n = 0; n < 200; n++) {
        const r = c.request({ ':path': n % 10 ? '/' + n : '/large', ':method': 'GET' });
        r.on('data', d => total += d.length);
        r.on('end', () => { if (--left == 0) { console.log(total > 20 * 5242880); c.close(); } });
        r.end();
      }
      """
    let output = try await Self.run("node", ["-e", script], on: server.loop)
    if let output { #expect(output == "true\n") }
    await server.stop()
  }

  @Test func nodeUpgradesAndTalks() async throws {
    let server = try await TestServer.start { request in
      guard request.headers["upgrade"] == "echo" else { return .text("no", status: 400) }
      let tunnel = HTTPTunnel(inbound: BytePipe(), outbound: BytePipe())
      Task {
        while let bytes = try await tunnel.inbound.next() { try await tunnel.outbound.write(bytes) }
        tunnel.outbound.finish()
      }
      return HTTPResponse(status: 101, headers: ["upgrade": "echo"], tunnel: tunnel)
    }
    let script = """
      const http = require('http');
      const r = http.request({ port: \(server.address.port), headers: { Connection: 'Upgrade', Upgrade: 'echo' } });
      r.on('upgrade', (res, socket) => {
        socket.on('data', d => { console.log(res.statusCode, d.toString()); socket.end(); });
        socket.write('hello');
      });
      r.end();
      """
    let output = try await Self.run("node", ["-e", script], on: server.loop)
    if let output { #expect(output == "101 hello\n") }
    await server.stop()
  }

  @Test func ourClientReadsNodesResponses() async throws {
    let loop = EventLoop.start(name: "test-client")
    let script = """
      const http = require('http');
      const s = http.createServer((q, r) => {
        if (q.url == '/stream') { r.write('one,'); setTimeout(() => r.end('two'), 20); return; }
        if (q.url == '/cut') { r.writeHead(200, { 'Content-Length': 10 }); r.write('cut'); setTimeout(() => r.destroy(), 20); return; }
        let n = 0; q.on('data', d => n += d.length); q.on('end', () => r.end(q.method + ' ' + n));
      });
      s.listen(0, '127.0.0.1', () => require('fs').writeFileSync(process.argv[1], s.address().port + '\\n'));
      """
    let port = Shared<UInt16>(0)
    // It says its port in a file: its output is seen only at its end.
    let path = "/tmp/trireme-http-test-\(loop.randomBits()).port"
    let child = Task { try await Self.runQuietly("node", ["-e", script, path], on: loop) }
    try await eventually("node did not start") {
      let found = try await Self.run("sh", ["-c", "cat \(path) 2>/dev/null; true"], on: loop) ?? ""
      guard found.hasSuffix("\n"), let number = UInt16(found.dropLast()) else { return false }
      port.update { $0 = number }
      return true
    }
    let client = HTTPClient(loop: loop, endpoint: .ip("127.0.0.1", port: port.value), tls: nil, serverName: "127.0.0.1")
    let post = try await client.send(HTTPRequest(method: "POST", target: "/", body: .bytes([1, 2, 3])))
    #expect(try await post.body.collect() == Array("POST 3".utf8))
    let stream = try await client.send(HTTPRequest(method: "GET", target: "/stream"))
    #expect(try await stream.body.collect() == Array("one,two".utf8))
    await #expect(throws: HTTPError.self) { try await client.send(HTTPRequest(method: "GET", target: "/cut")) }
    client.close()
    child.cancel()
    _ = await child.result
    _ = try await Self.run("rm", ["-f", path], on: loop)
    loop.stop()
    loop.join()
  }

  private static func runQuietly(_ program: String, _ arguments: [String], on loop: EventLoop) async throws {
    _ = try await ChildProcess.run(
      ChildProcessOptions(executable: program, arguments: arguments), on: loop, deadline: .seconds(60))
  }
}
