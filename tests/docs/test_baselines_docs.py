"""docs/baselines.md shows what `acns-chaos diff` prints, and the set it is about is the lab's."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from acns_chaos.cli import main
from acns_chaos.cluster.sources import collect
from acns_chaos.faults.baseline import comparable
from tests.journeys.hosts import ROOT

PAGE = (ROOT / "docs/baselines.md").read_text("utf-8")
SHOWN = re.search(
    r"^```sh\nacns-chaos (.*?)  # exits (\d)\n```\n\n```text\n(.*?)^```$",
    PAGE,
    re.MULTILINE | re.DOTALL,
)


def test_the_difference_on_the_page_is_what_the_command_prints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The workshop's faulty set against the corrected one, to the letter."""
    assert SHOWN
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(main, shlex.split(SHOWN[1]))
    assert (done.exit_code, done.output.strip()) == (int(SHOWN[2]), SHOWN[3].strip())


def test_the_corrected_set_is_that_of_the_labs_world() -> None:
    """What `baseline verify` compares is equal, policy by policy."""
    world = yaml.safe_load(Path(ROOT / "acns_chaos/lab/world/pets.yaml").read_text("utf-8"))
    shipped = {
        one["metadata"]["name"]: comparable(one)
        for one in collect(f"{ROOT}/baselines/pets").objects
    }
    assert shipped == {one["metadata"]["name"]: comparable(one) for one in world["objects"]}
    assert len(shipped) == 4
