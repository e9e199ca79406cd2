#!/usr/bin/env python3
"""A kubelet's streams, for clients to be tested with: commands, a process to attach to, ports, logs.

Everything is real but the isolation: commands are processes of this machine in a folder, ports are this machine's. What
it speaks is what kubelets speak (SPDY/3.1 with v4.channel.k8s.io and portforward.k8s.io), written against the protocol and
the standard library's zlib, not against Trireme's code.

  kubelet.py CERTIFICATE KEY CLIENT-AUTHORITY FOLDER     prints the port that it listens at, on 127.0.0.1
"""
import json
import os
import pty
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import zlib
from fcntl import ioctl
from termios import TIOCSWINSZ

WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
).split() + ["200 OK"] + "version HTTP/1.1 url public set-cookie keep-alive origin".split()
REST = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
    "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 "
    "Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec "
    "00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset="
    "iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(word)) + word.encode() for word in WORDS) + REST.encode()
assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FINAL = 1


class Session:
    """The server's side of a SPDY/3.1 connection."""

    def __init__(self, connection, leftover, opened):
        self.connection, self.opened = connection, opened
        self.buffer = leftover
        self.inflater = zlib.decompressobj(zdict=DICTIONARY)
        self.deflater = zlib.compressobj(zdict=DICTIONARY)
        self.lock = threading.Lock()
        self.streams = {}

    def read(self, count):
        while len(self.buffer) < count:
            more = self.connection.recv(1 << 16)
            if not more:
                raise EOFError
            self.buffer += more
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def write(self, frame):
        with self.lock:
            self.connection.sendall(frame)

    def control(self, kind, payload, flags=0):
        self.write(struct.pack(">HHI", 0x8003, kind, flags << 24 | len(payload)) + payload)

    def serve(self):
        """Until the client has gone."""
        try:
            while True:
                first, second = struct.unpack(">II", self.read(8))
                flags, payload = second >> 24, self.read(second & 0xFFFFFF)
                if first >> 31 == 0:
                    stream = self.streams.get(first)
                    if stream and payload:
                        stream.received(payload)
                    if stream and flags & FINAL:
                        stream.received(None)
                elif first & 0xFFFF == SYN_STREAM:
                    (number,) = struct.unpack(">I", payload[:4])
                    stream = self.streams[number] = Stream(self, number, self.headers(payload[10:]))
                    reply = self.deflater.compress(struct.pack(">I", 0)) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
                    self.control(SYN_REPLY, struct.pack(">I", number) + reply)
                    self.opened(stream)
                    if flags & FINAL:
                        stream.received(None)
                elif first & 0xFFFF == RST_STREAM:
                    stream = self.streams.pop(struct.unpack(">I", payload[:4])[0], None)
                    if stream:
                        stream.received(None)
                elif first & 0xFFFF == PING:
                    self.control(PING, payload)
        except (EOFError, OSError):
            for stream in list(self.streams.values()):
                stream.received(None)

    def headers(self, block):
        plain = self.inflater.decompress(block)
        (count,), at, found = struct.unpack(">I", plain[:4]), 4, {}
        for _ in range(count):
            pair = []
            for _ in range(2):
                (length,) = struct.unpack(">I", plain[at:at + 4])
                pair.append(plain[at + 4:at + 4 + length].decode())
                at += 4 + length
            found[pair[0]] = pair[1]
        return found


class Stream:
    """Bytes both ways; what comes goes to `sink`, which hears None at the end."""

    def __init__(self, session, number, headers):
        self.session, self.number, self.headers = session, number, headers
        self.kind = headers["streamtype"]
        self.early, self.sink, self.ended = [], None, False
        # What came early is passed on before anything that comes meanwhile.
        self.order = threading.Lock()

    def received(self, data):
        with self.order:
            if self.ended:
                return
            self.ended = data is None
            if self.sink:
                self.sink(data)
            else:
                self.early.append(data)

    def listen(self, sink):
        with self.order:
            for data in self.early:
                sink(data)
            self.sink = sink

    def send(self, data, final=False):
        for at in range(0, max(len(data), 1), 32 << 10):
            part = data[at:at + (32 << 10)]
            last = final and at + (32 << 10) >= len(data)
            try:
                self.session.write(struct.pack(">II", self.number, (FINAL if last else 0) << 24 | len(part)) + part)
            except OSError:
                return

    def carry(self, read):
        """Everything that `read` gives, then the end."""
        while True:
            try:
                data = read()
            except OSError:
                data = b""
            if not data:
                return self.send(b"", final=True)
            self.send(data)


def thread(body, *arguments):
    started = threading.Thread(target=body, args=arguments, daemon=True)
    started.start()
    return started


class Command:
    """exec and attach: a process, once the client has opened all the streams that it asked for."""

    def __init__(self, query, command, folder):
        self.command, self.folder = command, folder
        self.terminal = query.get("tty") == ["1"]
        wanted = {"error"}
        for name, kind in (("input", "stdin"), ("output", "stdout"), ("error", "stderr")):
            if query.get(name) == ["1"]:
                wanted.add(kind)
        if self.terminal:
            wanted.discard("stderr")
            wanted.add("resize")
        self.wanted, self.streams = wanted, {}

    def opened(self, stream):
        self.streams[stream.kind] = stream
        if set(self.streams) == self.wanted:
            thread(self.run)

    def run(self):
        streams, master = self.streams, None
        environment = dict(os.environ, LC_ALL="C")
        try:
            if self.terminal:
                master, slave = pty.openpty()
                process = subprocess.Popen(
                    self.command, stdin=slave, stdout=slave, stderr=slave, cwd=self.folder, env=environment,
                    start_new_session=True)
                os.close(slave)
            else:
                process = subprocess.Popen(
                    self.command, stdin=subprocess.PIPE if "stdin" in streams else subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder, env=environment)
        except OSError as error:
            for kind in ("stdout", "stderr"):
                if kind in streams:
                    streams[kind].send(b"", final=True)
            return self.end({"status": "Failure", "reason": "InternalError", "code": 500, "message":
                             f'error executing command in container: "{self.command[0]}": {error.strerror}'})
        if self.terminal:
            streams["resize"].listen(lambda data: data and self.resize(master, data))
            outputs = [thread(streams["stdout"].carry, lambda: os.read(master, 1 << 16))]
        else:
            outputs = [thread(streams["stdout"].carry, lambda: process.stdout.read1(1 << 16)),
                       thread(streams["stderr"].carry, lambda: process.stderr.read1(1 << 16))]
        if "stdin" in streams:
            streams["stdin"].listen(lambda data: self.feed(process, master, data))
        code = process.wait()
        for output in outputs:
            output.join()
        if code == 0:
            return self.end({"status": "Success"})
        self.end({
            "status": "Failure", "reason": "NonZeroExitCode",
            "message": f"command terminated with non-zero exit code: exit status {code}",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]}})

    @staticmethod
    def resize(master, data):
        for line in data.decode().replace("}{", "}\n{").splitlines():
            size = json.loads(line)
            ioctl(master, TIOCSWINSZ, struct.pack("HHHH", size["Height"], size["Width"], 0, 0))

    @staticmethod
    def feed(process, master, data):
        try:
            if master is not None:
                os.write(master, data if data is not None else b"\x04")
            elif data is None:
                process.stdin.close()
            else:
                process.stdin.write(data)
                process.stdin.flush()
        except (OSError, ValueError):
            pass

    def end(self, status):
        self.streams["error"].send(json.dumps(dict(metadata={}, **status)).encode(), final=True)


class Forwarding:
    """Ports: for every pair of streams a connection."""

    def __init__(self):
        self.errors = {}

    def opened(self, stream):
        number = stream.headers["requestid"]
        if stream.kind == "error":
            self.errors[number] = stream
            return
        thread(self.connect, stream, self.errors[number])

    @staticmethod
    def connect(stream, errors):
        port = int(stream.headers["port"])
        try:
            connection = socket.create_connection(("127.0.0.1", port))
        except OSError as error:
            errors.send(f"error forwarding port {port} to pod: {error.strerror}".encode(), final=True)
            return stream.send(b"", final=True)

        def pass_on(data):
            try:
                if data is None:
                    connection.shutdown(socket.SHUT_WR)
                else:
                    connection.sendall(data)
            except OSError:
                pass

        stream.listen(pass_on)
        stream.carry(lambda: connection.recv(1 << 16))
        errors.send(b"", final=True)


def answer(connection, status, body):
    connection.sendall(
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        .encode() + body)


def log(connection, query, folder):
    """The file "log" of the folder; a follower gets what is added until the file "log.end" is there."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
    with open(f"{folder}/log", "rb") as file:
        if "tailLines" in query:
            lines = file.read().splitlines(keepends=True)[-int(query["tailLines"][0]):]
        else:
            lines = [file.read()]
        while True:
            for line in lines:
                if line:
                    connection.sendall(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            if query.get("follow") != ["true"] or os.path.exists(f"{folder}/log.end"):
                break
            time.sleep(0.05)
            lines = [file.read()]
    connection.sendall(b"0\r\n\r\n")


def serve(connection, context, folder):
    connection = context.wrap_socket(connection, server_side=True)
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(1 << 16)
        if not more:
            return
        head += more
    head, rest = head.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, value = line.split(":", 1)
        headers.setdefault(name.strip().lower(), []).append(value.strip())
    path, _, text = lines[0].split(" ")[1].partition("?")
    query = urllib.parse.parse_qs(text)
    parts = path.split("/")[1:]
    print(lines[0], headers.get("upgrade"), headers.get("x-stream-protocol-version"), file=sys.stderr, flush=True)
    if parts[0] == "containerLogs":
        return log(connection, query, folder)
    offered = [name for value in headers.get("x-stream-protocol-version", []) for name in value.split(",")]
    if parts[0] == "portForward":
        service, protocol = Forwarding(), "portforward.k8s.io"
    elif not any(query.get(name) == ["1"] for name in ("input", "output", "error")):
        return answer(connection, "400 Bad Request", b"you must specify at least 1 of stdin, stdout, stderr")
    else:
        command = query.get("command", ["cat"]) if parts[0] == "exec" else ["sed", "-u", "s/^/attached: /"]
        service, protocol = Command(query, command, folder), "v4.channel.k8s.io"
    if headers.get("upgrade") != ["SPDY/3.1"] or protocol not in [name.strip() for name in offered]:
        return answer(connection, "403 Forbidden", f"unable to upgrade: want {protocol}, not {offered}".encode())
    connection.sendall(
        f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
        f"X-Stream-Protocol-Version: {protocol}\r\n\r\n".encode())
    Session(connection, rest, service.opened).serve()


def main():
    certificate, key, authority, folder = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    # Nobody but the API server: it shows the certificate that kubelets know it by.
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        thread(serve, connection, context, folder)


main()
