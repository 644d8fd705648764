"""Two agents in two processes, joined by the baton that travels in HTTP headers.

Run it with a collector up (`trajectory serve`): it starts its own second process and asks it over HTTP.
"""

import subprocess
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import trajectory


class Booker(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        task = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with trajectory.accept(self.headers, agent="booker", task=task) as work:
            with trajectory.tool("quote_hotel", arguments={"hotel": "H7", "nights": 2}) as call:
                call.result({"hotel": "H7", "total_eur": 840})
            work.returned("H7 costs 840 EUR for two nights.")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"H7 costs 840 EUR for two nights.")

    def log_message(self, *_: object) -> None:
        pass


def serve() -> None:
    trajectory.init(service="booking")
    server = HTTPServer(("127.0.0.1", 0), Booker)
    print(server.server_port, flush=True)
    server.handle_request()
    trajectory.flush(timeout_s=2)


def ask(port: int) -> str:
    task = "Quote hotel H7, 2 nights, at most 900 EUR."
    with trajectory.agent("coordinator"), trajectory.delegate("booker", task=task) as work:
        request = urllib.request.Request(f"http://127.0.0.1:{port}", task.encode(), work.headers)
        with urllib.request.urlopen(request) as response:
            answer = response.read().decode()
        work.returned(answer)
    return answer


if __name__ == "__main__":
    if "serve" in sys.argv:
        serve()
    else:
        trajectory.init(service="trip")
        with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True) as booker:
            print(ask(int(booker.stdout.readline())))
        trajectory.flush(timeout_s=2)
