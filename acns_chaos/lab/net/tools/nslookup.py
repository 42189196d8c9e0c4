"""Busybox `nslookup`: a DNS client of its own, unlike the resolver that other tools use.

It takes REFUSED for an answer, and walks the search list only for names without a dot.
"""

from acns_chaos.lab.net.names.dns import NO_SUCH_NAME, REFUSED, Answer, Resolver, is_address
from acns_chaos.lab.net.names.zone import Zone
from acns_chaos.lab.net.tools.commands import NotModelled, parse_options
from acns_chaos.lab.net.tools.process import Process

_CLUSTER_DOMAIN = ".cluster.local"
_REASONS = {NO_SUCH_NAME: "NXDOMAIN", REFUSED: "REFUSED"}


class Nslookup:
    """Runs it.

    Args:
        zone: for the search list and the usual server.
        resolver: that asks.
    """

    def __init__(self, zone: Zone, resolver: Resolver) -> None:
        self._zone = zone
        self._resolver = resolver

    async def run(self, process: Process, argv: list[str]) -> int:
        """Run `nslookup NAME [SERVER]`.

        Args:
            process: where it runs.
            argv: with "nslookup" first.

        Returns:
            0 when an address was found, else 1.

        Raises:
            NotModelled: other questions than for the addresses of a name.
        """
        options = parse_options(argv, plain="", valued="")
        if not 1 <= len(options.operands) <= 2:
            raise NotModelled("`nslookup` other than as `nslookup NAME [SERVER]`")
        name, *rest = options.operands
        if is_address(name):
            raise NotModelled("`nslookup` of an address")
        server = rest[0] if rest else self._zone.nameserver()
        found = await self._resolver.lookup(process.pod, server, libc=process.libc)
        if not found:
            await process.err(f"nslookup: bad address '{server}'")
            return 1
        candidates = [name.rstrip(".")]
        if "." not in name:
            domains = self._zone.search_list(process.pod.namespace)
            candidates = [f"{name}.{domain}" for domain in domains]
        header = f"Server:\t\t{server}\nAddress:\t{found[0]}:53\n\n"
        return await self._ask(process, candidates, found[0], header)

    async def _ask(self, process: Process, candidates: list[str], server: str, header: str) -> int:
        failures: list[str] = []
        for candidate in candidates:
            answer = await self._resolver.ask(
                process.pod, candidate, retry_refused=False, server=server
            )
            if answer.rcode is None:
                await process.out(";; connection timed out; no servers could be reached\n\n")
                return 1
            if answer.rcode in _REASONS:
                failures.append(f"** server can't find {candidate}: {_REASONS[answer.rcode]}\n\n")
            elif answer.addresses or len(candidates) == 1:
                await process.out(header + _found(answer, searched=len(candidates) > 1))
                return 0
        # One line for the A and one for the AAAA question.
        await process.out(header + "".join(line * 2 for line in failures))
        return 1


def _found(answer: Answer, *, searched: bool) -> str:
    """What is printed below the header: the answer to A, and the empty one to AAAA."""
    lines = "".join(f"Name:\t{answer.name}\nAddress: {ip}\n" for ip in answer.addresses)
    if searched:
        # As captured with busybox on musl. The same version on glibc also tells of every domain of
        # the list that does not have the name.
        return f"\n{lines}"
    origin = "" if answer.name.endswith(_CLUSTER_DOMAIN) else "Non-authoritative answer:\n"
    return f"{origin}{lines}\n{origin}\n"
