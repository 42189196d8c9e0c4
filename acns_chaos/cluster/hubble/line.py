"""The line to a relay: opened, diagnosed when it fails, opened anew; and what is asked over it.

grpc reports every fault on the way as UNAVAILABLE, in texts that differ between versions. So what
is wrong is found out by looking: at the Service and its pods, at the certificates, and at last by
a TLS handshake of our own.
"""

import os
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any

from acns_chaos.cluster.hubble.credentials import Certificates, read_certificates
from acns_chaos.cluster.hubble.errors import HubbleError
from acns_chaos.cluster.hubble.finding import NAMESPACE, find_relay
from acns_chaos.cluster.hubble.query import Query
from acns_chaos.cluster.hubble.seen import ERROR, RESTARTED, WRAPPED, Event, NodeNotice
from acns_chaos.cluster.hubble.tunnel import Tunnel
from acns_chaos.cluster.kube import Api

__all__ = ["VARIABLE", "Line"]

VARIABLE = "ACNS_CHAOS_HUBBLE_RELAY"
# Any name below the relay's own will do; its certificate is for *.hubble-relay.cilium.io.
SERVER_NAME = "instance.hubble-relay.cilium.io"
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")
_FILTER = re.compile(r"filter|InvalidArgument|fieldmask|invalid timestamp", re.IGNORECASE)
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED


class Line:
    """A line to a relay; it is opened by the first question, and again after it broke.

    Args:
        api: the cluster.
        environ: may name the relay's address.
        timeout: seconds for each answer.
    """

    def __init__(self, api: Api, environ: Mapping[str, str], timeout: float) -> None:
        self._api = api
        self._direct = environ.get(VARIABLE, "").strip()
        self._timeout = timeout
        self._tunnel: Tunnel | None = None
        self._certificates: Certificates | None = None
        self._channel: Any = None
        self._stub: Any = None

    def close(self) -> None:
        """Leave nothing open and nothing running."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        tunnel, self._tunnel = self._tunnel, None
        if tunnel is not None:
            tunnel.close()
        self._certificates = self._stub = None

    # ------------------------------------------------------------------ questions

    def status(self) -> Any:
        """Ask for the relay's ServerStatusResponse.

        Raises:
            HubbleError: it does not answer.
        """
        from acns_chaos.wire import observer_pb2

        return self._once("ServerStatus", observer_pb2.ServerStatusRequest())

    def ask(self, query: Query, deadline: float) -> Iterator[Event]:
        """Ask for the flows that the nodes hold now.

        Args:
            query: which; the relay's filters are coarser, so each flow is to be tested.
            deadline: seconds.

        Raises:
            HubbleError: likewise; "bad-filter": it cannot use the question.
        """
        for response in self.responses(query, deadline):
            yield from self.events(response)

    def responses(self, query: Query, deadline: float) -> Iterator[Any]:
        """Ask likewise, for the messages as they came."""
        import grpc

        from acns_chaos.cluster.hubble.messages import request_of

        try:
            request = request_of(query)
        except ValueError as error:
            raise HubbleError(
                f"Hubble knows no reason {query.reason!r} of a drop: write POLICY_DENIED, "
                "POLICY_DENY or another of its words.",
                "bad-filter",
            ) from error
        self._open()
        stream = self._stub.GetFlows(request, timeout=deadline)
        try:
            yield from stream
        except grpc.RpcError as error:
            raise self._failed(error) from None
        finally:
            stream.cancel()

    def events(self, response: Any) -> Iterator[Event]:
        """Turn a message into a flow or notices.

        Raises:
            HubbleError: "bad-filter": a node says that it cannot use the filter.
        """
        from acns_chaos.cluster.hubble.messages import flow_of, lost_of, notices_of

        kind = response.WhichOneof("response_types")
        if kind == "flow":
            yield flow_of(response.flow, time.time())
        elif kind == "lost_events":
            yield lost_of(response)
        elif kind == "node_status":
            for notice in notices_of(response):
                if notice.state == ERROR and _FILTER.search(notice.message):
                    raise HubbleError(
                        f"Hubble cannot use this question: {notice.message[:200]}.", "bad-filter"
                    )
                yield notice

    def nodes(self) -> list[Any]:
        """Ask for the state of every node, as messages `observer.Node`."""
        from acns_chaos.wire import observer_pb2

        return list(self._once("GetNodes", observer_pb2.GetNodesRequest()).nodes)

    def gaps(self, since: float, now: float) -> list[NodeNotice]:
        """Say which nodes no longer hold all flows since a moment.

        Hubble itself does not: it hands out what is left (reference captures, "Relay and
        observing").

        Args:
            since: seconds since 1970, by the nodes' clocks.
            now: this moment, likewise.

        Raises:
            HubbleError: the relay does not answer.
        """
        found: list[NodeNotice] = []
        for node in self.nodes():
            if not node.max_flows:
                continue  # not connected: the stream itself says so
            age = node.uptime_ns / 1e9
            if now - age > since:
                found.append(NodeNotice(node.name, RESTARTED, f"{age:.0f} s ago", now))
            elif node.num_flows >= node.max_flows:
                oldest = self._oldest(node.name)
                if oldest is None or oldest > since:
                    held = "nothing" if oldest is None else f"the last {now - oldest:.0f} s"
                    text = f"its ring of {node.max_flows} flows holds {held}"
                    found.append(NodeNotice(node.name, WRAPPED, text, now))
        return found

    def _oldest(self, node: str) -> float | None:
        """Return when the oldest flow was that a node still holds."""
        import grpc

        from acns_chaos.cluster.hubble.messages import seconds
        from acns_chaos.wire import observer_pb2

        request = observer_pb2.GetFlowsRequest(
            first=True, number=1, whitelist=[{"node_name": [node]}]
        )
        self._open()
        try:
            for response in self._stub.GetFlows(request, timeout=self._timeout):
                if response.WhichOneof("response_types") == "flow":
                    return seconds(response.flow.time)
        except grpc.RpcError as error:
            raise self._failed(error) from None
        return None

    def _once(self, method: str, request: Any) -> Any:
        import grpc

        self._open()
        try:
            return getattr(self._stub, method)(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise self._failed(error) from None

    # ------------------------------------------------------------------ the way

    def _open(self) -> None:
        if self._channel is not None:
            return
        try:
            address = self._way()
            certificates = self._certificates = read_certificates(self._api, NAMESPACE)
            # By a handshake of our own first: it says what is wrong, and grpc writes about a
            # failed one to standard error, whatever it is told.
            self._require_tls(address, certificates.authority)
            os.environ.setdefault("GRPC_VERBOSITY", "NONE")
            import grpc

            from acns_chaos.wire.observer_pb2_grpc import ObserverStub

            credentials = grpc.ssl_channel_credentials(
                certificates.authority, certificates.key, certificates.chain
            )
            self._channel = grpc.secure_channel(address, credentials, options=_OPTIONS)
            self._stub = ObserverStub(self._channel)  # type: ignore[no-untyped-call]
        except BaseException:
            self.close()
            raise

    def _way(self) -> str:
        """Return the address to dial: the relay's own, or that of a tunnel to it."""
        if self._direct:
            if not _ADDRESS.fullmatch(self._direct):
                raise HubbleError(
                    f"{VARIABLE}={self._direct!r} is no address: write host:port.", "unreachable"
                )
            return self._direct
        place = find_relay(self._api)
        self._tunnel = Tunnel(self._api, place.namespace, place.pod, place.port, self._timeout)
        return self._tunnel.address

    def _failed(self, error: Any) -> HubbleError:
        """Say what is wrong after a call has failed; the line is closed."""
        import grpc

        code, text = error.code(), str(error.details() or "")
        try:
            if code == grpc.StatusCode.INVALID_ARGUMENT:
                return HubbleError(f"Hubble cannot use this question: {text[:200]}.", "bad-filter")
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                return HubbleError(
                    "Hubble relay does not answer in time: see its log and the load of its nodes.",
                    "unreachable",
                )
            if code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED):
                return HubbleError(f"Hubble relay refuses us: {text[:200]}.", "untrusted")
            if code == grpc.StatusCode.UNAVAILABLE:
                return self._broken()
            return HubbleError(f"Hubble relay answered {code.name}: {text[:200]}.", "unreachable")
        finally:
            self.close()

    def _require_tls(self, address: str, authority: bytes) -> None:
        problem = self._handshake(address, authority)
        if problem is not None:
            raise self._diagnosed(problem)

    def _broken(self) -> HubbleError:
        """Say what is wrong with a line that was good: look at it as it is now."""
        if self._certificates is not None:
            address = self._tunnel.address if self._tunnel else self._direct
            problem = self._handshake(address, self._certificates.authority)
            if problem is not None:
                return self._diagnosed(problem)
        return HubbleError(
            "Hubble relay ended the connection, though it accepts a new one: it may have started "
            f"anew, or not trust our certificate (Secret {NAMESPACE}/hubble-relay-client-certs).",
            "unreachable",
        )

    def _diagnosed(self, problem: OSError) -> HubbleError:
        """Say what a handshake without a certificate of ours failed with."""
        address, said = self._direct, self._tunnel.problem if self._tunnel else ""
        if "refused" in said or isinstance(problem, ConnectionRefusedError):
            where = f"at {address}" if self._direct else "in its pod"
            return HubbleError(
                f"Hubble relay does not listen {where} (connection refused): see `kubectl -n "
                f"{NAMESPACE} logs deploy/hubble-relay`.",
                "relay-down",
            )
        if isinstance(problem, ssl.SSLCertVerificationError):
            if problem.verify_code == _EXPIRED:
                return HubbleError(
                    "The certificate of Hubble relay has expired: renew it (delete the Secret "
                    f"{NAMESPACE}/hubble-relay-server-certs and let Cilium make it anew).",
                    "certificate-expired",
                )
            return HubbleError(
                f"The certificate of Hubble relay is not to be trusted "
                f"({problem.verify_message}): see that both its Secrets come from one authority.",
                "untrusted",
            )
        if isinstance(problem, ssl.SSLError) and problem.reason in _PLAIN:
            return HubbleError(
                "Hubble relay does not speak TLS, and flows are not asked for in the clear: switch "
                "TLS on (Helm value hubble.relay.tls.server.enabled).",
                "tls-off",
            )
        why = said[-200:].strip() or problem.strerror or type(problem).__name__
        where = f"at {self._direct}" if self._direct else "in its pod"
        return HubbleError(
            f"Hubble relay cannot be reached {where} ({why}): see `kubectl -n {NAMESPACE} logs "
            "deploy/hubble-relay`.",
            "unreachable",
        )

    def _handshake(self, address: str, authority: bytes) -> OSError | None:
        """Try TLS as a client would that has no certificate; returns what went wrong before that.

        A relay asks for ours only after its own part is done (TLS 1.3).
        """
        host, _, port = address.rpartition(":")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_alpn_protocols(["h2"])
        try:
            context.load_verify_locations(cadata=authority.decode("ascii"))
            with (
                socket.create_connection((host.strip("[]"), int(port)), self._timeout) as plain,
                context.wrap_socket(plain, server_hostname=SERVER_NAME),
            ):
                return None
        except OSError as error:
            return error


# What a server says that answers TLS with HTTP/2 in the clear.
_PLAIN = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
_OPTIONS = (
    ("grpc.ssl_target_name_override", SERVER_NAME),
    # A line that broke is opened anew by us.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_retries", 0),
    # A proxy of the environment has no business on loopback or inside the cluster.
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 16 << 20),
    # Reads a stream in the caller's thread: twice as fast.
    ("SingleThreadedUnaryStream", 1),
)
