"""The public surface of the policy library, and what its import costs."""

import inspect
import json
import subprocess
import sys
from typing import Any

import pytest

import acns_chaos.policy as surface
from tests.policy.policy_cases import cnp

FORBIDDEN = ("kubernetes", "requests", "grpc", "pandas", "yaml", "chaoslib", "aiohttp", "click")
FUNCTIONS = ("diff", "explain", "findings", "mutants", "verdict")


def run(code: str) -> Any:
    """What a fresh interpreter prints, as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_all_is_what_is_exposed() -> None:
    """Each name of __all__ is there, is documented, and is listed by dir()."""
    assert list(surface.__all__) == sorted(surface.__all__)
    for name in surface.__all__:
        assert inspect.getdoc(getattr(surface, name)), name
    assert set(surface.__all__) <= set(dir(surface))
    namespace: dict[str, Any] = {}
    exec("from acns_chaos.policy import *", namespace)
    assert sorted(set(namespace) - {"__builtins__"}) == list(surface.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_stay_functions_whatever_was_imported(name: str) -> None:
    """A module of the same name does not hide one."""
    code = "import json\n"
    code += "".join(f"import acns_chaos.policy.{m}\n" for m in ("diff", "mutants", "verdict"))
    code += f"from acns_chaos.policy import {name}\nprint(json.dumps(type({name}).__name__))"
    assert run(code) == "function"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_document_arguments_errors_and_have_types(name: str) -> None:
    """A reader needs no source."""
    function = getattr(surface, name)
    document = inspect.getdoc(function) or ""
    assert "Args:" in document
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert f"{parameter.name}:" in document


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match=r"acns_chaos\.policy.*has no attribute 'nothing'"):
        surface.nothing  # noqa: B018


def test_importing_the_library_imports_no_client() -> None:
    """Nor does using all of it."""
    used = """
import json, sys
from acns_chaos.policy import World, diff, explain, findings, mutants, verdict
policy = json.loads(sys.argv[1]) if len(sys.argv) > 1 else %s
world = World.of([policy])
verdict(world, "world", "shop/web", 80), explain(world, "world", "shop/web", 80)
findings(policy), diff(world, World.of([])), mutants(world)
print(json.dumps(sorted(sys.modules)))
""" % repr(cnp({"endpointSelector": {"matchLabels": {"app": "web"}}, "ingress": [{}]}))  # noqa: UP031
    loaded = run(used)
    assert [name for name in loaded if name.split(".")[0] in FORBIDDEN] == []
