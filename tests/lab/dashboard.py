"""The dashboard of deploy/grafana, as tests read it: its panels, and its queries with values in."""

import json
import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "deploy/grafana/acns-chaos.json").read_text("utf-8")
BOARD = json.loads(TEXT)
PANELS = [one for one in BOARD["panels"] if one["type"] != "row"]
VARIABLES = {one["name"]: one for one in BOARD["templating"]["list"]}


def queries() -> list[tuple[str, str]]:
    """Every query of every panel, with the panel's title."""
    return [(one["title"], target["expr"]) for one in PANELS for target in one["targets"]]


def chosen(expression: str, **more: str) -> str:
    """Put values in place of variables, as Grafana does: those of "All" unless others are named."""
    values = {
        "__rate_interval": "1m",
        **{name: one["allValue"] for name, one in VARIABLES.items() if one.get("allValue")},
        "suffix": VARIABLES["suffix"]["query"],
        **more,
    }
    # Grafana leaves alone what is no variable, such as the $1 of label_replace.
    return re.sub(r"\$(\w+)", lambda found: values.get(found[1], found[0]), expression)
