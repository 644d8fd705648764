"""Hears alerts by webhook, refuses what is not signed, and prints one line for each.

HOOK_SECRET=s3cret python examples/hear_alerts.py 8099
HOOK_SECRET=s3cret trajectory demo --alerts alerts.toml     # with this in alerts.toml:

[channels.hook]
type = "webhook"
url = "http://127.0.0.1:8099/"
secret = "env:HOOK_SECRET"
"""

import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

SECRET = os.environ["HOOK_SECRET"].encode()
MAX_BYTES, MAX_AGE_S = 1_000_000, 300


def is_ours(header: str, body: bytes) -> bool:
    """Whether a body is signed with our secret, and not long ago."""
    said = dict(part.partition("=")[::2] for part in header.split(","))
    signed = hmac.new(SECRET, said.get("t", "").encode() + b"." + body, hashlib.sha256).hexdigest()
    is_fresh = said.get("t", "").isdecimal() and abs(time.time() - int(said["t"])) <= MAX_AGE_S
    return is_fresh and hmac.compare_digest(signed, said.get("v1", ""))


class Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MAX_BYTES))
        is_good = is_ours(self.headers.get("X-Trajectory-Signature", ""), body)
        if is_good:
            alert = json.loads(body)
            print(f"{alert['action']:11} {alert['severity']:8} {alert['title']}  {alert['link']}", flush=True)
        self.send_response(204 if is_good else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Only alerts are printed."""


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Hook)
    print(f"hearing at http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
