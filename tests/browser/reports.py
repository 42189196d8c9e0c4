"""Reports to look at, made by the real command from journals of real runs."""

import copy
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

from acns_chaos.evidence.signature import sign
from tests.bench.report import varied
from tests.docs.runs import JOURNALS, KEPT
from tests.journeys.hosts import own

EVIL = (
    '<script>window.hacked=1;alert("a")</script>',
    '"><img src=http://192.0.2.7/x.png onerror=alert(1)>',
    "'-alert(1)-'\" onmouseover=alert(1) autofocus onfocus=alert(1) x=\"",
    "</style></script></title></svg><svg onload=alert(1)>",
    "javascript:alert(1)//http://192.0.2.7/y",
    "{{7*7}}${7*7}{% raw %}<!-- -->]]>&lt;b&gt;&#60;i&#62;",
    "url(http://192.0.2.7/z.css);}*{background:url(//192.0.2.7/w)}",
    "\u202eright to left\u0000\u0007\ufeff\U0001f4a5 and on" + "w" * 300,
)
"""What must be shown and do nothing."""
CLUSTER = "aks-of-the-shop"
"""The context of the cluster that a journal is made to tell of."""
# Words that the report decides by; spoiling them would only make a broken journal.
DECIDES = (
    *("algorithm", "apiVersion", "change", "chain", "func", "hash", "id", "kind", "module", "prev"),
    *("proof", "salt", "schema", "state", "status", "tier", "type", "verb", "what"),
)


class Reports:
    """Makes reports, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, *journals: Path, name: str = "") -> Path:
        """The page of some journals."""
        page = self.folder / f"{name or '+'.join(one.stem for one in journals)}.html"
        if not page.exists():
            done = subprocess.run(
                [str(own().acns_chaos), "report", *map(str, journals), "-o", str(page)],
                check=False,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
        return page

    def kept(self, *names: str) -> Path:
        """The page of stored journals."""
        return self.of(*(JOURNALS / f"{name}.json" for name in names))

    def all_kept(self) -> Path:
        """One page of all stored journals."""
        return self.of(*(JOURNALS / f"{name}.json" for name in KEPT), name="all")

    def many(self, count: int) -> Path:
        """One page of so many runs."""
        return self._made(f"many-{count}", varied(count))

    def two_places(self) -> Path:
        """One page of a run in the lab and of the same one, made to tell of a cluster."""
        real = json.loads((JOURNALS / f"{KEPT[0]}.json").read_text("utf-8"))
        moved = copy.deepcopy(real)
        section = moved["acns_chaos"]
        section["target"] |= {"kind": "cluster", "context": CLUSTER, "uid": "1b4e28ba-2fa1"}
        section["run"] += "-moved"
        section.pop("chain", None)
        sign(moved)
        return self._made("two-places", [real, moved])

    def hostile(self) -> Path:
        """The page of journals whose every free text tries something."""
        kept = (JOURNALS / f"{name}.json" for name in KEPT)
        return self._made("hostile", [spoiled(json.loads(one.read_text())) for one in kept])

    def hostile_one(self) -> Path:
        """The whole page of one of them."""
        one = JOURNALS / f"{KEPT[0]}.json"
        return self._made("hostile-one", [spoiled(json.loads(one.read_text()))])

    def _made(self, name: str, journals: Any) -> Path:
        folder = self.folder / name
        if not folder.exists():
            folder.mkdir()
            for number, one in enumerate(journals):
                (folder / f"{number:04}.json").write_text(json.dumps(one), "utf-8")
        return self.of(*sorted(folder.glob("*.json")), name=name)


def spoiled(journal: Mapping[str, Any]) -> dict[str, Any]:
    """A journal in which free texts hold what tries to get out, signed as if it were honest.

    Args:
        journal: a real one.
    """

    def spoil(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: spoil(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [spoil(one, key) for one in value]
        # Times are nobody's text; by its name the extension is known.
        if not isinstance(value, str) or key in DECIDES or value[:4].isdigit():
            return value
        # The same text to the same: an activity is known by its name, too.
        return (
            value if value == "acns-chaos" else f"{value} {EVIL[crc32(value.encode()) % len(EVIL)]}"
        )

    found = copy.deepcopy(dict(journal))
    for key in ("experiment", "run", "rollbacks"):
        found[key] = spoil(found[key])
    section = found["acns_chaos"]
    for key in ("faults", "events", "target", "version"):
        section[key] = spoil(section[key])
    sign(found)
    return found
