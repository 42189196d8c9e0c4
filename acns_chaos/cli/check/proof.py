"""What a run must show: that it restores, that the fault bites, and that somebody notices."""

from collections.abc import Iterator

from acns_chaos.cli.check.finding import ERROR, WARNING, Finding, Subject

__all__ = ["RULES"]

ROLES = ("witnesses", "detectors", "explanations")


def restoring(subject: Subject) -> Iterator[Finding]:
    """An action without a rollback."""
    if not subject.injects:
        return
    if not any(one.does("restore_policies") for one in subject.of("rollbacks")):
        yield Finding(
            *(ERROR, "no-rollback", "rollbacks"),
            "A fault is injected and no rollback restores it: after a failure in the method only "
            "the guard's last net would.",
            "Add acns_chaos.actions.restore_policies to `rollbacks`.",
        )
    observed = all(one.arguments.get("gitops") == "observe" for one in subject.injects)
    restored = any(one.does("restore_policies") for one in subject.of("method"))
    if not observed and not restored:
        yield Finding(
            *(ERROR, "not-restored-in-method", "method"),
            "The method ends with the fault still there, so the hypothesis after it can only be "
            "missed.",
            "End the method with acns_chaos.actions.restore_policies.",
        )
    for one in subject.injects:
        if one.phase != "method":
            yield Finding(
                *(ERROR, "inject-elsewhere", one.where),
                "A fault is injected outside of the method.",
                "Move it to the method.",
            )
        if not one.arguments.get("limit"):
            yield Finding(
                *(ERROR, "no-limit", f"{one.where}.provider.arguments.limit"),
                "The fault has no blast-radius limit: whatever it reaches, it is injected.",
                "Name the workloads that it may reach: `limit`.",
            )


def restarting(subject: Subject) -> Iterator[Finding]:
    """Pods that were restarted start again when the policies are back, and take their time."""
    for one in subject.activities:
        if one.does("restart_pods") and one.phase != "method":
            yield Finding(
                *(ERROR, "restart-elsewhere", one.where),
                "Pods are restarted outside of the method.",
                "Move it to the method, before the restore.",
            )
    method = subject.of("method")
    last = max((n for n, one in enumerate(method) if one.does("restart_pods")), default=-1)
    waits = any(
        one.function == "read_readiness"
        and one.arguments.get("expect", "READY") == "READY"
        and one.arguments.get("deadline")
        for one in method[last + 1 :]
    )
    if last >= 0 and not waits:
        yield Finding(
            *(WARNING, "restart-not-awaited", method[last].where),
            "Nothing waits for the restarted pods, so the hypothesis after the method may ask "
            "before they are Ready.",
            "End the method with acns_chaos.probes.read_readiness and its `deadline`.",
        )


def claims(subject: Subject) -> Iterator[Finding]:
    """A policy that fails open makes no drops at all: only a closed claim finds it."""
    probes = subject.of("hypothesis")
    if not subject.injects:
        if not probes:
            yield Finding(
                *(ERROR, "asks-nothing", "steady-state-hypothesis"),
                "Nothing is claimed and nothing is injected.",
                "Add a steady-state hypothesis.",
            )
        return
    for word, why in (
        ("OPEN", "what must work is asked by nobody"),
        ("DENIED", "a policy that fails open is found by nobody"),
    ):
        if not any(one.arguments.get("expect") == word for one in probes):
            kind = {"OPEN": "open", "DENIED": "closed"}[word]
            yield Finding(
                *(ERROR, f"no-{kind}-claim", "steady-state-hypothesis.probes"),
                f"The hypothesis has no {kind} claim: {why}.",
                f'Add a probe with "expect": "{word}".',
            )
    if not any(one.function == "policies_are_as_recorded" for one in probes):
        yield Finding(
            *(WARNING, "policies-not-compared", "steady-state-hypothesis.probes"),
            "Nothing compares the policies with what they were at the start.",
            "Add acns_chaos.probes.policies_are_as_recorded.",
        )


def roles(subject: Subject) -> Iterator[Finding]:
    """Who is witness and who is detector; without two witnesses no run is HELD."""
    if not subject.injects:
        return
    if not subject.extension:
        yield Finding(
            *(ERROR, "roles-missing", "extensions"),
            "Nothing says which probes are witnesses and which are detectors: the run can only "
            "end INCONCLUSIVE.",
            'Add {"name": "acns-chaos", "witnesses": […], "detectors": […]}.',
        )
        return
    names = {one.name for one in subject.of("method")}
    for role in ROLES:
        named = subject.extension.get(role)
        for name in named if isinstance(named, list) else ():
            if str(name) not in names:
                yield Finding(
                    *(ERROR, "role-unknown", f"extensions.{role}"),
                    f"{name!r} is no activity of the method.",
                    "Spell it as the activity's name.",
                )
    witnesses = subject.extension.get("witnesses")
    if len(set(map(str, witnesses)) if isinstance(witnesses, list) else ()) < 2:
        yield Finding(
            *(ERROR, "one-witness", "extensions.witnesses"),
            "A fault needs two witnesses: a client that met it, and a dropped flow or a counter "
            "(or a second client, for a fault that opens something).",
            "Name two.",
        )
    if not subject.extension.get("detectors"):
        yield Finding(
            *(ERROR, "no-detector", "extensions.detectors"),
            "No detector is named: a run cannot tell whether anybody would have noticed.",
            "Name a probe of what notices without this run: an alert, a metric, a scheduled claim.",
        )


RULES = (restoring, restarting, claims, roles)
