"""Configuration, secrets and `${names}`: what is read when, and where it ends up."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from acns_chaos.cli.check.finding import ERROR, WARNING, Finding, Subject, mapping

__all__ = ["RULES"]

NAME = re.compile(r"\$\{([^}]+)\}")
TYPES = ("str", "string", "int", "integer", "float", "number", "bool", "bytes", "json")
# Words for people: the host puts nothing in there.
PROSE = ("description", "tags", "contributions", "extensions")
SECRETIVE = re.compile(r"passw|secret|token|api.?key|credential", re.IGNORECASE)


def dynamic(subject: Subject) -> Iterator[Finding]:
    """A configuration value that asks a probe is asked before any control, on any cluster."""
    for name, value in subject.configuration.items():
        if mapping(value).get("type") != "probe":
            continue
        where = f"configuration.{name}"
        yield Finding(
            *(ERROR, "configuration-asks", where),
            "It asks a probe, which the host does before any control, also in a dry run, on "
            "whatever cluster is current.",
            "Write the value, or read it from the environment.",
        )
        if subject.secrets:
            yield Finding(
                *(ERROR, "secrets-beside-dynamic", where),
                "Beside a configuration value that asks a probe, the host writes every resolved "
                "secret into the journal.",
                "Take the probe out of the configuration.",
            )


def environment(subject: Subject) -> Iterator[Finding]:
    """A variable without a default stops whoever has not set it."""
    for name, value in subject.configuration.items():
        given = mapping(value)
        if given.get("type") == "env" and "default" not in given:
            yield Finding(
                *(ERROR, "no-default", f"configuration.{name}"),
                f"{given.get('key')} has no default: `chaos validate` and `chaos run` fail where "
                "it is not set, also with --var.",
                "Give it a default.",
            )
        kind = given.get("env_var_type")
        if given.get("type") == "env" and kind is not None and kind not in TYPES:
            yield Finding(
                *(ERROR, "env-type", f"configuration.{name}.env_var_type"),
                f"The host knows no type {kind!r} of a variable.",
                f"Write one of {', '.join(TYPES)}.",
            )


def secrets(subject: Subject) -> Iterator[Finding]:
    """The journal holds the experiment as it is written."""
    for group, values in subject.secrets.items():
        # Without a group the host passes it on just the same.
        alone = not isinstance(values, Mapping) or isinstance(values.get("type"), str)
        inner = {"": values} if alone else mapping(values)
        for name, value in inner.items():
            where = f"secrets.{group}.{name}".rstrip(".")
            kind = mapping(value).get("type")
            if not isinstance(value, Mapping):
                yield _written_out(where)
            elif kind not in ("env", "vault"):
                yield Finding(
                    *(ERROR, "secret-type", where),
                    f"The host reads no secret of type {kind!r}, and passes on what is written.",
                    'Read it: {"type": "env", "key": "…"}.',
                )
    for one in subject.activities:
        for part in ("headers", "arguments"):
            for name, value in mapping(one.provider.get(part)).items():
                text = value if isinstance(value, str) else ""
                if _is_secret(str(name)) and text and not NAME.search(text):
                    yield _written_out(f"{one.where}.provider.{part}.{name}")
    for name, value in subject.configuration.items():
        if SECRETIVE.search(str(name)) and value not in ("", None):
            yield Finding(
                *(ERROR, "secret-in-configuration", f"configuration.{name}"),
                "Configuration stands in the log and in the journal, and this looks like a secret.",
                "Move it to `secrets`, read from the environment.",
            )


def _written_out(where: str) -> Finding:
    return Finding(
        *(ERROR, "secret-literal", where),
        "A secret that is written out stands in the file, in every journal and in every report.",
        'Read it: {"type": "env", "key": "…"}.',
    )


def _is_secret(name: str) -> bool:
    return bool(SECRETIVE.search(name)) or name.lower() == "authorization"


def names(subject: Subject) -> Iterator[Finding]:
    """A name that is not declared is left as it stands; so is what `--var` sets besides."""
    declared = {str(name) for name in subject.configuration}
    declared |= {str(name) for group in subject.secrets.values() for name in mapping(group)}
    read = {key: value for key, value in subject.document.items() if key not in PROSE}
    for where, text in _texts(read, ""):
        for name in NAME.findall(text):
            if name not in declared:
                yield Finding(
                    *(ERROR, "name-undeclared", where),
                    f"${{{name}}} is declared nowhere: the host passes it on as it stands.",
                    f"Declare {name} under `configuration`.",
                )
    for name in subject.given:
        if name not in declared:
            yield Finding(
                *(ERROR, "var-unknown", "--var"),
                f"--var {name} sets nothing: the host takes only names that the experiment "
                "declares, and says nothing about others.",
                f"Use one of {', '.join(sorted(declared)) or 'none: it declares no name'}.",
            )


def unused(subject: Subject) -> Iterator[Finding]:
    """What nobody reads only looks as if it had an effect."""
    used = {name for _, text in _texts(subject.document, "") for name in NAME.findall(text)}
    for name in subject.configuration:
        if name not in used and name not in READ_BY_CONTROLS and not _for_chaosk8s(str(name)):
            yield Finding(
                *(WARNING, "configuration-unused", f"configuration.{name}"),
                "Nothing in this experiment reads it.",
                "Use it as ${" + str(name) + "}, or take it out.",
            )


# What the guard and the timeline read by themselves.
READ_BY_CONTROLS = frozenset(
    ("namespace", "storefront_service", "fault_deadline", "require_janitor")
)


def _for_chaosk8s(name: str) -> bool:
    return name.isupper() or name.startswith("timeline_")


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every text of a document and its place."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{where}[{number}]")


RULES = (dynamic, environment, secrets, names, unused)
