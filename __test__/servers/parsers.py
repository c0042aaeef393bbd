"""Parses the multipart/form-data that is POSTed to it with two parsers of Python's and answers with what each found.

Listens on a free loopback port, which is the one line that it prints, and ends when its standard input does.
`/?piece=N` has the first parser, python-multipart, fed with N bytes at a time. The second is the standard library's for
e-mail, which shares no code with it. `/echo` answers with what came, under its type.
"""

import email.parser
import email.policy
import hashlib
import http.server
import json
import logging
import sys
import threading
import urllib.parse

try:
    from python_multipart.multipart import MultipartParser, parse_options_header
except ImportError:
    # What it was called until 2024.
    from multipart.multipart import MultipartParser, parse_options_header

# It warns of the line end after the last boundary, which RFC 2046 section 5.1.1 allows.
logging.disable(logging.WARNING)


def text(value):
    return None if value is None else value.decode("utf-8", "surrogateescape")


def part(headers, name, filename, data):
    return {
        "headers": headers,
        "name": name,
        "filename": filename,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


class Streaming:
    """python-multipart: what it calls, put together to parts."""

    def __init__(self, boundary):
        self.parts = []
        self.ended = False
        names = ["part_begin", "part_data", "part_end", "header_field", "header_value", "header_end", "end"]
        self.parser = MultipartParser(boundary, {f"on_{name}": getattr(self, name) for name in names})

    def part_begin(self):
        self.headers = []
        self.data = bytearray()
        self.header = [bytearray(), bytearray()]

    def header_field(self, data, start, end):
        self.header[0] += data[start:end]

    def header_value(self, data, start, end):
        self.header[1] += data[start:end]

    def header_end(self):
        self.headers.append([bytes(piece) for piece in self.header])
        self.header = [bytearray(), bytearray()]

    def part_data(self, data, start, end):
        self.data += data[start:end]

    def part_end(self):
        headers = [[text(name), text(value)] for name, value in self.headers]
        dispositions = [value for name, value in self.headers if name.lower() == b"content-disposition"]
        options = parse_options_header(dispositions[0])[1] if dispositions else {}
        self.parts.append(part(headers, text(options.get(b"name")), text(options.get(b"filename")), bytes(self.data)))

    def end(self):
        self.ended = True


def streamed(content_type, body, size):
    boundary = parse_options_header(content_type)[1][b"boundary"]
    streaming = Streaming(boundary)
    for start in range(0, len(body), size):
        streaming.parser.write(body[start : start + size])
    streaming.parser.finalize()
    if not streaming.ended:
        raise ValueError("the last boundary is missing")
    return streaming.parts


def mailed(content_type, body):
    message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(
        b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body
    )
    if message.defects or not message.is_multipart():
        raise ValueError(f"no multipart message: {message.defects}")
    return [mail_part(one) for one in message.get_payload()]


def mail_part(one):
    # Undecoded bytes stand as surrogates in a message.
    headers = [[name, text(value.encode("ascii", "surrogateescape"))] for name, value in one.raw_items()]
    data = one.get_payload(decode=True)
    name = one.get_param("name", header="content-disposition")
    return part(headers, name, one.get_filename(), data)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.chunks() if self.headers["Transfer-Encoding"] else self.rfile.read(int(self.headers["Content-Length"]))
        content_type = self.headers["Content-Type"]
        if self.path == "/echo":
            self.answer(200, content_type, body)
            return
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        try:
            status = 200
            found = {
                "streamed": streamed(content_type, body, int(query.get("piece", ["65536"])[0])),
                "mailed": mailed(content_type, body),
            }
        except Exception as error:
            status, found = 422, {"error": repr(error)}
        self.answer(status, "application/json", json.dumps(found).encode())

    def answer(self, status, content_type, body):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def chunks(self):
        body = bytearray()
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
