"""What of Grafana a control of ours meets, on loopback: its API for annotations, and its moods.

Real HTTP. It holds requests against the documented API as Grafana 9 to 13 implement it: who may,
the types of fields, PATCH that changes only what it is given, 500 characters of tags; an unknown
dashboard's UID makes an annotation of the organization, as Grafana's own code does. What is not
listed here is answered 404. No Grafana can be had from Debian, so no test of ours meets a real one.
"""

import base64
import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "glsa_CANARYcanaryCANARYcanary12345678_0a1b2c3d"
USER, PASSWORD = "canary-user", "canary-password-of-grafana"
MAY = frozenset(("annotations:create", "annotations:write", "annotations:read"))
MAXIMUM_TAGS = 500


@dataclass
class StandIn:
    """The stand-in.

    Attributes:
        url: its base.
        kept: annotations by number, as GET shows them.
        heard: (method, path, body, Authorization) of every request.
        may: permissions of who signs in.
        moods: what happens to the next requests, in order: a status, "hang", "reset", "garbage",
            "drip"; the last one stays when `for_ever`.
        retry_after: header of an answer 429 or 503.
        location: header of a redirect.
        dashboards: the UIDs there are.
        tokens: accepted besides TOKEN.
    """

    url: str = ""
    kept: dict[int, dict[str, Any]] = field(default_factory=dict)
    heard: list[tuple[str, str, Any, str]] = field(default_factory=list)
    may: frozenset[str] = MAY
    moods: list[int | str] = field(default_factory=list)
    for_ever: bool = False
    retry_after: str = ""
    location: str = ""
    dashboards: frozenset[str] = frozenset(("acns-chaos",))
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    released: threading.Event = field(default_factory=threading.Event)

    def mood(self) -> int | str:
        """What happens to this request."""
        if not self.moods:
            return 0
        return self.moods[0] if self.for_ever and len(self.moods) == 1 else self.moods.pop(0)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The annotations that carry a tag, oldest first."""
        found = [one for one in self.kept.values() if kind in one["tags"]]
        return sorted(found, key=lambda one: one["time"])

    def let_in(self, sent: str) -> bool:
        """Whether this header signs somebody in."""
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return sent.removeprefix("Bearer ") in self.tokens or sent == f"Basic {pair}"

    def answer(
        self, method: str, path: str, query: dict[str, list[str]], body: Any, sent: str
    ) -> tuple[int, Any]:
        """Answer a request as Grafana does."""
        if path == "/api/health":
            return 200, {"database": "ok", "version": "11.6.0"}
        if not self.let_in(sent):
            return 401, {"message": "Unauthorized", "messageId": "auth.unauthorized"}
        where = path.removeprefix("/api/annotations").strip("/")
        if not path.startswith("/api/annotations") or (where and not where.isdigit()):
            return 404, {"message": "Not found"}
        needs = {
            ("GET", False): "annotations:read",
            ("POST", False): "annotations:create",
            ("PATCH", True): "annotations:write",
        }.get((method, bool(where)))
        if needs is None:
            return 404, {"message": "Not found"}
        if needs not in self.may:
            text = "You'll need additional permissions to perform this action."
            return 403, {"message": f"{text} Permissions needed: {needs}", "title": "Access denied"}
        if method == "GET":
            asked = query.get("tags", [])
            return 200, [one for one in self.kept.values() if set(asked) <= set(one["tags"])]
        if wrong := _wrong(body):
            return 400, {"message": "bad request data", "error": wrong}
        return self._add(body) if method == "POST" else self._change(int(where), body)

    def _add(self, body: dict[str, Any]) -> tuple[int, Any]:
        if not body.get("text"):
            return 400, {"message": "Failed to save annotation"}
        number = len(self.kept) + 1
        known = body.get("dashboardUID", "") in self.dashboards
        self.kept[number] = {
            "id": number,
            "dashboardUID": body["dashboardUID"] if known else "",
            "panelId": body.get("panelId", 0),
            "time": body["time"],
            # A moment is a region without a length.
            "timeEnd": body.get("timeEnd") or body["time"],
            "tags": body.get("tags", []),
            "text": body["text"],
        }
        return 200, {"message": "Annotation added", "id": number}

    def _change(self, number: int, body: dict[str, Any]) -> tuple[int, Any]:
        if number not in self.kept:
            return 404, {"message": "Annotation not found"}
        given = {name: body[name] for name in ("time", "timeEnd", "tags", "text") if body.get(name)}
        self.kept[number].update(given)
        return 200, {"message": "Annotation patched"}


def _wrong(body: Any) -> str:
    """Say which field has another type than Grafana's own command, "" when none has."""
    if not isinstance(body, dict):
        return "no object"
    types = {"dashboardUID": str, "panelId": int, "time": int, "timeEnd": int, "text": str}
    for name, value in body.items():
        if name == "tags":
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                return "tags"
            if len(json.dumps(value)) > MAXIMUM_TAGS:
                return "tags length exceeds the maximum allowed"
        elif name not in types or not isinstance(value, types[name]) or isinstance(value, bool):
            return name
    # Seconds or microseconds where milliseconds are meant.
    times = [body[name] for name in ("time", "timeEnd") if name in body]
    if any(not 1.6e12 < one < 4e12 for one in times) or times != sorted(times):
        return "time"
    return ""


@contextlib.contextmanager
def grafana_stand_in() -> Iterator[StandIn]:
    """Serve until the context ends."""
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def do_PATCH(self) -> None:
            self._serve()

        def _serve(self) -> None:
            where = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw else None
            sent = self.headers.get("Authorization", "")
            stand_in.heard.append((self.command, where.path, body, sent))
            mood = stand_in.mood()
            if mood == "hang":
                stand_in.released.wait()
                self.close_connection = True
                return
            if mood == "reset":
                # An answer to data that is not read any more: the client sees a reset.
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                self.connection.close()
                self.close_connection = True
                return
            if isinstance(mood, int) and mood:
                # As a careless gateway would: it quotes what it got.
                status, told = mood, {"message": f"mood, and you sent {sent}"}
            else:
                query = parse_qs(where.query)
                status, told = stand_in.answer(self.command, where.path, query, body, sent)
            written = b"<html>login</html>" if mood == "garbage" else json.dumps(told).encode()
            self.send_response(status)
            if status in (429, 503) and stand_in.retry_after:
                self.send_header("Retry-After", stand_in.retry_after)
            if 300 <= status < 400:
                self.send_header("Location", stand_in.location)
            self.send_header("Content-Length", str(len(written)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            if mood == "drip":
                self.wfile.write(written[:1])
                stand_in.released.wait()
                self.close_connection = True
                return
            self.wfile.write(written)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that went away is no failure of a test."""

    server = Server(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield stand_in
    finally:
        stand_in.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
