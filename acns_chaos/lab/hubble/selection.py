"""Where reading a node's ring begins and ends, and which of its entries a client gets.

As an agent does it: `number` without a filter also counts entries that are no flows, `since` comes
before `number`, losses are always told. Source: Cilium 1.19, its observer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from acns_chaos.lab.hubble.agent import Agent, lost_event
from acns_chaos.lab.hubble.fields import FilterError, Test
from acns_chaos.lab.hubble.filters import matcher
from acns_chaos.lab.hubble.ring import FLOW, LOST, Entry
from acns_chaos.wire import flow_pb2, observer_pb2

Response = observer_pb2.GetFlowsResponse
_FIRST_AND_FOLLOW = "rpc error: code = InvalidArgument desc = first cannot be specified with follow"
_EOF = "rpc error: code = Unavailable desc = error reading from server: EOF"
# A reader lets others run after so many entries.
_AT_A_TIME = 256


class StreamError(Exception):
    """An agent ended the stream; the text is what a relay reports."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A request, understood.

    Attributes:
        number: of flows at most, 0 without a limit.
        first: count from the oldest.
        follow: go on with what comes.
        since, until: nanoseconds since 1970, None without.
        test: which flows.
        filtered: entries that are no flows do not count towards `number`.
        mask: the fields that are wanted; empty for all.
    """

    number: int
    first: bool
    follow: bool
    since: int | None
    until: int | None
    test: Test
    filtered: bool
    mask: FieldMask = field(default_factory=FieldMask)

    @classmethod
    def of(cls, request: observer_pb2.GetFlowsRequest) -> "Selection":
        """Understand a request.

        Raises:
            StreamError: an agent would refuse it.
        """
        if request.first and request.follow:
            raise StreamError(_FIRST_AND_FOLLOW)
        try:
            test = matcher(request.whitelist, request.blacklist)
        except FilterError as error:
            raise StreamError(str(error)) from None
        mask = FieldMask(paths=request.field_mask.paths)
        if mask.paths and not mask.IsValidForDescriptor(flow_pb2.Flow.DESCRIPTOR):
            raise StreamError("invalid fieldmask")
        return cls(
            number=request.number,
            first=request.first,
            follow=request.follow,
            since=_nanoseconds(request.since) if request.HasField("since") else None,
            until=_nanoseconds(request.until) if request.HasField("until") else None,
            test=test,
            filtered=bool(request.whitelist),
            mask=mask,
        )


def _nanoseconds(moment: Timestamp) -> int:
    """A moment as nanoseconds since 1970.

    Raises:
        StreamError: it is no moment of the years 1 to 9999.
    """
    if not (-62_135_596_800 <= moment.seconds < 253_402_300_800 and 0 <= moment.nanos < 10**9):
        raise StreamError(f"invalid timestamp: seconds:{moment.seconds} nanos:{moment.nanos}")
    return int(moment.seconds) * 10**9 + int(moment.nanos)


class Reader:
    """Reads one agent's ring for one request.

    Args:
        agent: whose.
        selection: what.
        now: nanoseconds since 1970.
    """

    def __init__(self, agent: Agent, selection: Selection, now: Callable[[], int]) -> None:
        self._agent = agent
        self._selection = selection
        self._now = now
        self._starts = agent.starts
        self._ended = False
        self._flows = 0
        self._position = self._start()

    def present(self) -> Iterator[Response]:
        """What the ring holds now and the request asks for, oldest first."""
        ring = self._agent.ring
        limit = 0 if self._selection.follow else self._selection.number
        while self._position < ring.end and not self._ended:
            if limit and self._flows >= limit:
                return
            if self._position < ring.oldest:
                yield self._overtaken(ring.oldest)
                continue
            entry = ring.read(self._position)
            self._position += 1
            response = self._response(entry)
            if response is not None:
                yield response

    async def following(self) -> AsyncIterator[Response]:
        """The same, and then what comes.

        Raises:
            StreamError: the agent stopped or started anew.
        """
        while not self._ended:
            for count, response in enumerate(self.present()):
                yield response
                self._still_there()
                if count % _AT_A_TIME == _AT_A_TIME - 1:
                    await asyncio.sleep(0)
            if not self._ended:
                await self._agent.changed()
                self._still_there()

    def _still_there(self) -> None:
        if self._agent.starts != self._starts:
            raise StreamError(_EOF)

    def _start(self) -> int:
        ring, wanted = self._agent.ring, self._selection
        if wanted.first and wanted.since is None:
            return ring.oldest
        if wanted.follow and not wanted.number and wanted.since is None:
            # An agent begins with the newest event that can be read, although it is an old one.
            return max(ring.oldest, ring.end - 1)
        found = 0
        for position in range(ring.end - 1, ring.oldest - 1, -1):
            entry = ring.read(position)
            if wanted.since is not None:
                if entry.at < wanted.since:
                    return position + 1
                continue
            found += self._counts(entry)
            if found and found == wanted.number:
                return position
        return ring.oldest

    def _counts(self, entry: Entry) -> bool:
        if entry.kind == FLOW:
            return self._selection.test(flow_pb2.Flow.FromString(entry.data))
        return entry.kind != LOST and not self._selection.filtered

    def _response(self, entry: Entry) -> Response | None:
        if entry.kind == LOST:
            lost = flow_pb2.LostEvent.FromString(entry.data)
            return self._lost(lost, entry.at)
        until, since = self._selection.until, self._selection.since
        if until is not None and entry.at > until:
            self._ended = True
            return None
        if entry.kind != FLOW or (since is not None and entry.at < since):
            return None
        flow = flow_pb2.Flow.FromString(entry.data)
        if not self._selection.test(flow):
            return None
        self._flows += 1
        if self._selection.mask.paths:
            masked = flow_pb2.Flow()
            self._selection.mask.MergeMessage(flow, masked)
            flow = masked
        # A mask without them takes the time and the node from the response too.
        response = Response(flow=flow, node_name=flow.node_name)
        if flow.HasField("time"):
            response.time.CopyFrom(flow.time)
        return response

    def _overtaken(self, oldest: int) -> Response:
        count, now = oldest - self._position, self._now()
        self._position = oldest
        return self._lost(lost_event(count, now, now), now)

    def _lost(self, lost: flow_pb2.LostEvent, at: int) -> Response:
        response = Response(lost_events=lost, node_name=self._agent.name)
        response.time.FromNanoseconds(at)
        return response
