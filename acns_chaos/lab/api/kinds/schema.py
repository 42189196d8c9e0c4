"""The API server's wording of what a schema forbids.

The schemas and the checker are ``acns_chaos.policy``'s; here is only how a real server
(kube-openapi) says it to its clients.
"""

from collections.abc import Iterator

from acns_chaos.lab.api.failures import Problem
from acns_chaos.policy.schema import Breach, Field, breaches, joined, json_type


def validate(value: object, schema: Field) -> list[Problem]:
    """Everything about a pruned object that its schema forbids, as the server lists it.

    Args:
        value: the whole object.
        schema: its schema.

    Returns:
        the problems in the order in which a real server lists them; [] when there are none.
    """
    return [problem for breach in breaches(value, schema) for problem in _worded(breach)]


def quoted(text: str) -> str:
    """Text in double quotes, as messages of the server show it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _invalid(path: str, shown: str, why: str) -> Problem:
    return Problem(path, "Invalid value", f"{shown}: {why}")


def _worded(breach: Breach) -> Iterator[Problem]:
    path, value, limit = joined(breach.path), breach.value, breach.limit
    match breach.rule:
        case "type":
            kind = quoted(json_type(value))
            yield _invalid(path, kind, f"{path} in body must be of type {limit}: {kind}")
        case "any_of":
            yield _invalid("<nil>", '""', f'"{path}" must validate at least one schema (anyOf)')
            yield Problem(f"{path}.{limit[0]}", "Required value")
        case "one_of":
            found = f"Found {value} valid alternatives" if value else "Found none valid"
            yield _invalid(
                "<nil>", '""', f'"{path}" must validate one and only one schema (oneOf). {found}'
            )
            if not value:
                yield Problem(f"{path}.{limit[0]}", "Required value")
        case "required":
            yield Problem(path, "Required value")
        case "minimum":
            why = f"{path} in body should be greater than or equal to {limit}"
            yield _invalid(path, str(value), why)
        case "maximum":
            why = f"{path} in body should be less than or equal to {limit}"
            yield _invalid(path, str(value), why)
        case "min_items":
            why = f"{path} in body should have at least {limit} items"
            yield _invalid(path, str(len(value)), why)
        case "max_items":
            yield Problem(path, "Too many", f"{len(value)}: must have at most {limit} items")
        case _:
            yield from _about_text(breach, path)


def _about_text(breach: Breach, path: str) -> Iterator[Problem]:
    limit = breach.limit
    shown = quoted(str(breach.value))
    match breach.rule:
        case "max_length":
            yield Problem(path, "Too long", f"may not be more than {limit} bytes")
        case "min_length":
            why = f"{path} in body should be at least {limit} chars long"
            yield _invalid(path, shown, why)
        case "pattern":
            yield _invalid(path, shown, f"{path} in body should match '{limit}'")
        case "format":
            yield _invalid(path, shown, f"{path} in body must be of type {limit}: {shown}")
        case "enum":
            supported = ", ".join(map(quoted, limit))
            yield Problem(path, "Unsupported value", f"{shown}: supported values: {supported}")
