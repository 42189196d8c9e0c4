"""pods/log: what containers have written, kept in memory and given out as a kubelet gives it.

Who writes what is ``lab.net``'s business. A container keeps its last lines only, as one whose log
file has been rotated away.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.failures import Json, Problem
from acns_chaos.lab.api.options import Query, is_true, read_query
from acns_chaos.lab.api.pods.exec import container_of

LINES_KEPT = 2000
_LONGEST = 16 * 1024  # bytes of one line, as containerd splits them
_OPTIONS = frozenset(
    {
        "container",
        "follow",
        "limitBytes",
        "previous",
        "sinceSeconds",
        "sinceTime",
        "tailLines",
        "timestamps",
    }
)
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}")
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a container.

    Attributes:
        at: seconds since 1970.
        text: without the line end.
    """

    at: float
    text: str


class Logs:
    """The last lines of every container.

    Args:
        now: seconds since 1970.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._lines: dict[_Key, deque[Line]] = {}
        self._written: dict[_Key, int] = {}
        self._news: dict[_Key, asyncio.Event] = {}
        self._closed = False

    def write(self, namespace: str, pod: str, container: str, line: str) -> None:
        """A container writes a line.

        Args:
            namespace: of the pod.
            pod: its name.
            container: which of its containers.
            line: without the line end.
        """
        key = (namespace, pod, container)
        lines = self._lines.setdefault(key, deque(maxlen=LINES_KEPT))
        lines.append(Line(self.now(), line[:_LONGEST]))
        self._written[key] = self._written.get(key, 0) + 1
        if news := self._news.pop(key, None):
            news.set()

    def lines(self, namespace: str, pod: str, container: str) -> list[Line]:
        """What a container has written, as far as it is kept, the oldest first."""
        return list(self._lines.get((namespace, pod, container), ()))

    async def follow(self, namespace: str, pod: str, container: str) -> AsyncIterator[Line]:
        """Each line that a container writes from now on, until `close`.

        A reader that is slower than the container misses what is no longer kept.
        """
        key = (namespace, pod, container)
        seen = self._written.get(key, 0)
        while not self._closed:
            fresh = self._written.get(key, 0) - seen
            if not fresh:
                await self._news.setdefault(key, asyncio.Event()).wait()
                continue
            seen += fresh
            for line in list(self._lines[key])[-fresh:]:
                yield line

    def close(self) -> None:
        """End everybody who follows."""
        self._closed = True
        for news in self._news.values():
            news.set()


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which lines are wanted.

    Attributes:
        container: "" for the only one.
        follow: go on with what comes.
        previous: of the container before its last restart.
        timestamps: in front of each line.
        tail: how many lines from the end; None for all.
        since: seconds since 1970 before which no line is wanted.
        limit: bytes after which the answer is cut; None for no limit.
    """

    container: str
    follow: bool
    previous: bool
    timestamps: bool
    tail: int | None
    since: float
    limit: int | None

    @classmethod
    def read(cls, query: Query, pod: str, now: float) -> "LogOptions":
        """From the parameters of a request.

        Args:
            query: the parameters.
            pod: its name, for messages.
            now: seconds since 1970.

        Raises:
            Failure: 400 or 422 as a server words it, 501 for an unknown parameter.
        """
        found = read_query(query, _OPTIONS, "pods/log")
        tail = _number(found, "tailLines")
        limit = _number(found, "limitBytes")
        seconds = _number(found, "sinceSeconds")
        moment = found.get("sinceTime")
        problems = []
        if tail is not None and tail < 0:
            problems.append(_invalid("tailLines", tail, "must be greater than or equal to 0"))
        if limit is not None and limit < 1:
            problems.append(_invalid("limitBytes", limit, "must be greater than 0"))
        if seconds is not None and moment:
            why = "at most one of `sinceTime` or `sinceSeconds` may be specified"
            problems.append(Problem("", "Forbidden", why))
        elif seconds is not None and seconds < 1:
            problems.append(_invalid("sinceSeconds", seconds, "must be greater than 0"))
        if problems:
            raise failures.invalid("PodLogOptions", "", pod, problems)
        since = now - seconds if seconds else _moment(moment) if moment else 0.0
        return cls(
            found.get("container", ""),
            is_true(found.get("follow")),
            is_true(found.get("previous")),
            is_true(found.get("timestamps")),
            tail,
            since,
            limit,
        )


async def read_log(request: web.Request, pod: Json, logs: Logs) -> web.StreamResponse:
    """Answer GET of /api/v1/namespaces/N/pods/P/log.

    Args:
        request: with the options as parameters.
        pod: the stored pod.
        logs: what its containers wrote.

    Raises:
        Failure: the options are refused, or there is no such container.
    """
    if request.method != "GET":
        raise failures.not_allowed()
    metadata = pod["metadata"]
    name = metadata["name"]
    options = LogOptions.read(request.query.items(), name, logs.now())
    container = container_of(options.container, pod)
    if options.previous:
        # Nothing in the lab ever restarts.
        raise failures.bad_request(
            f'previous terminated container "{container}" in pod "{name}" not found'
        )
    where = (metadata["namespace"], name, container)
    # A kubelet counts the tail first, then drops what is too old.
    lines = logs.lines(*where)
    if options.tail is not None:
        lines = lines[max(0, len(lines) - options.tail) :]
    text = b"".join(_shown(line, options) for line in lines if line.at >= options.since)
    if not options.follow:
        return web.Response(body=text[: options.limit], content_type="text/plain")
    coming = logs.follow(*where)
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return await _stream(response, text, coming, options)


async def _stream(
    response: web.StreamResponse, text: bytes, coming: AsyncIterator[Line], options: LogOptions
) -> web.StreamResponse:
    """Send what there is, then what comes, up to the limit."""
    left = options.limit
    try:
        while True:
            if text:
                await response.write(text[:left])
            if left is not None:
                left -= len(text)
                if left <= 0:
                    break
            line = await anext(coming, None)
            if line is None:
                break
            text = _shown(line, options)
        await response.write_eof()
    except ConnectionResetError:
        pass  # the client has seen enough
    return response


def _shown(line: Line, options: LogOptions) -> bytes:
    if not options.timestamps:
        return f"{line.text}\n".encode()
    seconds, fraction = divmod(round(line.at * 1e6), 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{fraction:06}000Z {line.text}\n".encode()


def _number(found: dict[str, str], name: str) -> int | None:
    text = found.get(name)
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise failures.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def _moment(text: str) -> float:
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None and "T" in text:
            return moment.timestamp()
    raise failures.bad_request(
        f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}" as "2006"'
    )


def _invalid(field: str, value: int, why: str) -> Problem:
    return Problem(field, "Invalid value", f"{value}: {why}")
