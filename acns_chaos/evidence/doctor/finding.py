"""What a check is given, and what it answers: a level, a sentence, and what mends it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.target import Target
from acns_chaos.errors import ApiError, TargetError

__all__ = ["LEVELS", "MISSING", "OK", "UNKNOWN", "WARN", "Check", "Context", "Finding"]

# "missing": without it a run would be refused, or prove nothing. "unknown": it cannot be told.
OK, WARN, MISSING, UNKNOWN = LEVELS = ("ok", "warn", "missing", "unknown")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor.

    Attributes:
        level: one of LEVELS.
        what: what was looked at, a few words.
        sentence: what was found.
        mend: the command or the YAML that mends it, "" when nothing needs to be.
    """

    level: str
    what: str
    sentence: str
    mend: str = ""

    def as_json(self) -> dict[str, str]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Context:
    """What the checks look at.

    Attributes:
        name: of the kube context, "in-cluster" or "lab".
        environ: the environment, with what a lab hands over.
        namespace: the experiments'.
        experiments: files of those whose permissions are asked for; empty asks tier by tier.
        target: the cluster as it describes itself; None when it cannot be reached.
        unreachable: why it cannot.
    """

    name: str
    environ: Mapping[str, str]
    namespace: str
    experiments: tuple[Path, ...] = ()
    connection: Api | None = None
    target: Target | None = None
    unreachable: str = ""
    _read: dict[str, dict[str, Any] | ApiError] = field(default_factory=dict, repr=False)

    @property
    def api(self) -> Api:
        """The connection.

        Raises:
            TargetError: there is none.
        """
        if self.connection is None or self.target is None:
            raise TargetError("The cluster cannot be asked, see above.")
        return self.connection

    @property
    def in_lab(self) -> bool:
        """Whether the server says that it is a lab."""
        return self.target is not None and self.target.kind == "lab"

    def read(self, path: str) -> dict[str, Any]:
        """GET a path once, however many checks ask for it; errors as `Api.get`."""
        if path not in self._read:
            try:
                self._read[path] = self.api.get(path)
            except ApiError as error:
                self._read[path] = error
        found = self._read[path]
        if isinstance(found, ApiError):
            raise found
        return found

    def items(self, path: str) -> list[dict[str, Any]]:
        """GET a list once; errors as `Api.get`."""
        return list(self.read(path).get("items") or ())


# A check answers with one line or several; what it raises becomes a line of its own.
Check = Callable[[Context], Iterable[Finding]]
