"""A local HTTP server with the faults of real ones."""

import http.server
import threading
import time

import pytest


class Faulty(http.server.BaseHTTPRequestHandler):
    """Serves `server.files`; `server.faults[path]` holds what goes wrong at each request in turn, then nothing."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.lstrip("/")
        self.server.asked.append((path, self.headers.get("Range")))
        queue = self.server.faults.get(path, [])
        fault = queue.pop(0) if queue else None
        if path not in self.server.files or fault in (404, 503):
            self.send_error(fault or 404)
            return
        content, start = self.server.files[path], 0
        if fault == "wrong bytes":
            content = bytes(reversed(content))
        asked = self.headers.get("Range")
        if asked and fault != "no ranges":
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        body = content[start:]
        self.send_header("Content-Length", str(len(body) + (1000 if fault == "lies" else 0)))
        self.end_headers()
        if fault == "slow":
            self.wfile.write(body[:10])
            self.wfile.flush()
            time.sleep(1.5)
            return
        self.wfile.write(body[:len(body) // 2] if fault == "breaks off" else body)
        if fault in ("breaks off", "lies"):
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """The server; `url(path)` is the address of one of its files."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    server.files, server.faults, server.asked = {}, {}, []
    server.url = lambda path: f"http://127.0.0.1:{server.server_port}/{path}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
