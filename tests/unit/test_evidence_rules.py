"""Each rule of the outcome, and each way the host can say "completed" when it was not.

Every test spoils one thing in a journal whose outcome is HELD.
"""

import enum

import pytest

from acns_chaos.evidence.outcome import Outcome
from acns_chaos.evidence.rules import derive
from tests.unit.evidence_journals import (
    ALERT,
    CLIENT,
    CLOSED,
    DROPS,
    INJECT,
    POLICY,
    RESTORE,
    UNKNOWN,
    WHY,
    at,
    claim,
    failed,
    held,
    reading,
    roles,
    run_of,
    unmet,
)

FAILED = "chaoslib.exceptions.ActivityFailed: "


def test_the_base_journal_is_held():
    """A run with nothing against it is HELD, and says that no cluster was touched."""
    told = derive(held())

    assert told.outcome is Outcome.HELD
    assert told.sentence == (
        "The fault in pets/allow-store-front-traffic bit, was noticed and was put back, "
        "in the lab: no cluster was touched."
    )
    assert told.reasons[0] == 'witness "customers are turned away": GET / met silence for 2 s'


def test_held_on_a_cluster_names_the_context():
    """HELD on a real cluster says which, and claims nothing about the lab."""
    journal = held()
    journal["acns_chaos"]["target"].update(kind="cluster", context="aks-prod")
    told = derive(journal)

    assert told.outcome is Outcome.HELD
    assert told.sentence.endswith("in cluster aks-prod.")
    assert "lab" not in told.sentence + told.next


def test_codes_are_the_contract():
    """Each outcome has its own exit code and leaves 1 and 2 alone."""
    assert {outcome.value: outcome.code for outcome in Outcome} == {
        "HELD": 0,
        "DEVIATED": 3,
        "NOT_STARTED": 4,
        "NOT_INJECTED": 5,
        "NOT_NOTICED": 6,
        "NOT_RESTORED": 7,
        "INCONCLUSIVE": 8,
    }


class TestRule1NotOurs:
    """The journal must be one that our guard wrote."""

    def test_no_section(self):
        """A run without the guard proves nothing."""
        journal = held()
        del journal["acns_chaos"]
        told = derive(journal)

        assert told.outcome is Outcome.INCONCLUSIVE
        assert told.next == "Run the experiment with the guard control."

    @pytest.mark.parametrize("schema", [None, True, "1", 0, 3, 1.0])
    def test_other_schema(self, schema):
        """A schema that this version does not know is not guessed at."""
        journal = held()
        journal["acns_chaos"]["schema"] = schema

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    @pytest.mark.parametrize("target", [None, {}, {"kind": "lab"}, {"kind": "x", "context": "y"}])
    def test_no_target(self, target):
        """A run that does not say where it ran is no evidence about any place."""
        journal = held()
        journal["acns_chaos"]["target"] = target
        told = derive(journal)

        assert told.outcome is Outcome.INCONCLUSIVE
        assert told.sentence.endswith(": the journal does not say what it ran against.")

    def test_open_debt_is_not_hidden(self):
        """INCONCLUSIVE still sends a person to a policy that may be broken."""
        journal = held()
        journal["acns_chaos"].update(target=None)
        journal["acns_chaos"]["faults"][0]["restored"] = None

        assert derive(journal).next.startswith(f"Look at {POLICY} first")


class TestRule2NotPutBack:
    """A fault is a debt until its restore was verified."""

    @pytest.mark.parametrize(
        "restored",
        [
            None,
            {},
            "yes",
            {"verified": None},
            {"verified": "soon"},
            {"problem": "409 Conflict"},
            {"problem": 0},
            {"sha256": "cd" * 32},
            {"sha256": ""},
        ],
    )
    def test_not_shown_to_be_restored(self, restored):
        """Restored means: verified, no problem, and equal to what was there."""
        journal = held()
        fault = journal["acns_chaos"]["faults"][0]
        usable = isinstance(restored, dict) and restored
        fault["restored"] = {**fault["restored"], **restored} if usable else restored
        told = derive(journal)

        assert told.outcome is Outcome.NOT_RESTORED
        assert told.sentence.startswith(f"In the lab: {POLICY} may still be broken: ")
        assert told.next == (
            f"Put {POLICY} back now: the original is in this journal under acns_chaos.faults."
        )

    def test_comes_before_everything_else(self):
        """A policy left broken is worse news than an interruption or a refusal."""
        journal = held()
        journal["acns_chaos"]["faults"][0]["restored"] = None
        journal["acns_chaos"].update(refused="no", host={"status": "interrupted"})
        journal["steady_states"] = None

        assert derive(journal).outcome is Outcome.NOT_RESTORED

    def test_one_of_two(self):
        """Every fault has to be put back."""
        journal = held()
        journal["acns_chaos"]["faults"].append("not even an object")

        assert derive(journal).outcome is Outcome.NOT_RESTORED


class TestRule3RollbackFailed:
    """The host exits 0 when a rollback fails."""

    def test_failed(self):
        """Somebody else's rollback that raised is NOT_RESTORED, in the words of the exception."""
        journal = self.foreign()
        failed(journal["rollbacks"][0], f"{FAILED}builtins.RuntimeError: 503.")
        told = derive(journal)

        assert told.outcome is Outcome.NOT_RESTORED
        assert told.sentence == (
            'In the lab: the rollback "restore, always" failed: RuntimeError: 503.'
        )

    def test_cut_off(self):
        """A rollback without an end was cut off by a second signal."""
        journal = self.foreign()
        del journal["rollbacks"][0]["status"]

        assert derive(journal).outcome is Outcome.NOT_RESTORED

    def test_ours_failed_and_everything_is_back(self):
        """Every fault is verified all the same, by the guard: no false alarm, and no pass."""
        journal = held()
        failed(journal["rollbacks"][0], f"{FAILED}acns_chaos.errors.RestoreFailed: 503.")
        told = derive(journal)

        assert told.outcome is Outcome.INCONCLUSIVE
        assert told.sentence == (
            'In the lab: the rollback "restore, always" failed: RestoreFailed: 503; '
            "no policy is left changed."
        )

    def test_ours_failed_and_a_fault_is_left(self):
        """What is not verified is NOT_RESTORED, whatever the rollback says."""
        journal = held()
        failed(journal["rollbacks"][0], f"{FAILED}acns_chaos.errors.RestoreFailed: 503.")
        journal["acns_chaos"]["faults"][0]["restored"]["verified"] = None

        assert derive(journal).outcome is Outcome.NOT_RESTORED

    @staticmethod
    def foreign():
        """Return a journal whose rollback undoes something that is not ours."""
        journal = held()
        rollback = journal["rollbacks"][0]["activity"]
        journal["rollbacks"][0]["activity"] = {
            **rollback,
            "provider": {**rollback["provider"], "module": "chaosk8s.crd.actions"},
        }
        return journal


class TestRule4DryRun:
    """A dry run marks what it skips as succeeded."""

    class Dry(enum.Enum):
        """The host's type, in memory."""

        ACTIONS = "actions"
        PAUSE = "pause"

    @pytest.mark.parametrize("dry", ["probes", "actions", Dry.ACTIONS, "Dry.ACTIVITIES", True])
    def test_is_inconclusive(self, dry):
        """Nothing was done or nothing was asked, whatever the host calls it."""
        journal = held()
        journal["experiment"]["dry"] = dry
        told = derive(journal)

        assert told.outcome is Outcome.INCONCLUSIVE
        assert "dry run" in told.sentence

    @pytest.mark.parametrize("dry", [None, "", "pause", Dry.PAUSE, "Dry.PAUSE"])
    def test_skipped_pauses_change_nothing(self, dry):
        """Skipping pauses skips neither actions nor probes."""
        journal = held()
        journal["experiment"]["dry"] = dry

        assert derive(journal).outcome is Outcome.HELD


class TestRule5Refused:
    """The guard did not let the run begin."""

    def test_with_a_fault_in_the_method(self):
        """A refused fault on a known target is NOT_INJECTED."""
        journal = held()
        journal["acns_chaos"].update(refused="It is a real cluster.", faults=[])
        journal.update(run=[], steady_states={"before": None, "after": None, "during": []})

        assert derive(journal).outcome is Outcome.NOT_INJECTED

    def test_before_the_target_was_known(self):
        """Without a target nothing can be said about any cluster; the refusal is the sentence."""
        journal = held()
        journal["acns_chaos"].update(refused="No context is named.", target=None, faults=[])
        journal.update(run=[], steady_states={"before": None, "after": None, "during": []})
        told = derive(journal)

        assert told.outcome is Outcome.INCONCLUSIVE
        assert told.sentence == ("At an unknown target: the run was refused: No context is named.")

    @pytest.mark.parametrize("status", [None, "failed"])
    def test_rollbacks_of_a_refused_run(self, status):
        """With strategy always the rollbacks play unarmed and are refused too: no news."""
        journal = held()
        journal["acns_chaos"].update(refused="No context is named.", faults=[])
        journal.update(run=[], steady_states={"before": None, "after": None, "during": []})
        journal["rollbacks"][0]["status"] = status

        assert derive(journal).outcome is Outcome.NOT_INJECTED

    def test_rollbacks_after_something_was_played(self):
        """A refusal excuses a failed rollback only when nothing was played at all."""
        journal = held()
        journal["acns_chaos"].update(refused="No context is named.", faults=[])
        journal["rollbacks"][0]["status"] = "failed"

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_of_a_claim(self):
        """A refused claim was simply not asked."""
        journal = claim()
        journal["acns_chaos"]["refused"] = "No context is named."

        assert derive(journal).outcome is Outcome.INCONCLUSIVE


class TestRule6NotStarted:
    """The host calls a failed first hypothesis completed, with exit code 0."""

    def test_contrary(self):
        """The system was not as claimed to begin with."""
        journal = held()
        journal["acns_chaos"]["faults"] = []
        journal.update(run=[], steady_states={"before": unmet(CLOSED), "after": None})
        told = derive(journal)

        assert told.outcome is Outcome.NOT_STARTED
        assert told.sentence == (
            'In the lab: the hypothesis before the method was not met ("customers reach the '
            'shop": GET / met silence for 2 s), so no fault was injected.'
        )

    @pytest.mark.parametrize("state", [unmet(UNKNOWN), unmet(error=f"{FAILED}timeout"), {}])
    def test_unknown(self, state):
        """Not being able to tell is said as such."""
        journal = held()
        journal["acns_chaos"]["faults"] = []
        journal.update(run=[], steady_states={"before": state, "after": None})
        told = derive(journal)

        assert told.outcome is Outcome.NOT_STARTED
        assert "could not be told" in told.sentence


class TestRule7NotInjected:
    """The host plays on after a failed action and exits 0."""

    def test_the_action_failed(self):
        """A fault that raised was not injected, however well the rest went."""
        journal = held()
        journal["acns_chaos"]["faults"] = []
        failed(run_of(journal, INJECT), f"{FAILED}acns_chaos.errors.FaultRefused: Too wide.")
        told = derive(journal)

        assert told.outcome is Outcome.NOT_INJECTED
        assert told.sentence == "In the lab: no fault was injected: FaultRefused: Too wide."

    def test_the_action_failed_and_the_guard_stopped_the_run(self):
        """The guard's own interruption does not turn a refusal into an interruption."""
        journal = held()
        journal["acns_chaos"].update(faults=[])
        journal["acns_chaos"]["host"]["status"] = "interrupted"
        journal["run"] = journal["run"][:1]
        failed(journal["run"][0], f"{FAILED}acns_chaos.errors.FaultRefused: Too wide.")

        assert derive(journal).outcome is Outcome.NOT_INJECTED

    def test_nothing_was_recorded(self):
        """An action that succeeded without leaving a record did nothing we can prove."""
        journal = held()
        journal["acns_chaos"]["faults"] = []

        assert derive(journal).outcome is Outcome.NOT_INJECTED

    def test_fewer_than_declared(self):
        """Two faults in the method and one on record is one too few."""
        journal = held()
        again = {**journal["experiment"]["method"][0], "name": "break it again"}
        journal["experiment"]["method"].insert(1, again)
        journal["run"].insert(1, {**journal["run"][0], "activity": again})

        assert derive(journal).outcome is Outcome.NOT_INJECTED

    @pytest.mark.parametrize("status", ["interrupted", "aborted", None])
    def test_a_signal_came_before_it(self, status):
        """A run cut short before the fault says nothing about the fault."""
        journal = held()
        journal["acns_chaos"].update(faults=[], host={"status": status, "deviated": False})
        journal["run"] = []

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_sigterm_swallowed_by_the_host(self):
        """Lib 1.44 turns SIGTERM into a failed activity of a completed run."""
        journal = held()
        journal["acns_chaos"]["faults"] = []
        trace = f"{FAILED}chaoslib.exceptions.InterruptExecution: SIGTERM signal received"
        failed(run_of(journal, INJECT), trace)
        told = derive(journal)

        assert told.outcome is Outcome.INCONCLUSIVE
        assert told.sentence == 'In the lab: a signal ended "break the policy".'


class TestRule8CutShort:
    """Interrupted is not completed."""

    @pytest.mark.parametrize("status", ["interrupted", "aborted"])
    def test_by_the_hosts_word(self, status):
        """An interrupted or aborted run is INCONCLUSIVE."""
        journal = held()
        journal["acns_chaos"]["host"]["status"] = status

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_names_the_failure_behind_it(self):
        """When the guard stopped the run after a failure, the failure is the fact."""
        journal = held()
        journal["acns_chaos"]["host"]["status"] = "interrupted"
        failed(run_of(journal, RESTORE), f"{FAILED}acns_chaos.errors.ApiError: 500")

        assert derive(journal).sentence == (
            'In the lab: the run was interrupted: "restore the policy" failed: ApiError: 500.'
        )

    def test_run_without_status(self):
        """An activity without a status was cut off, whatever the host says."""
        journal = held()
        del run_of(journal, ALERT)["status"]

        assert derive(journal).sentence == (
            'In the lab: "Prometheus notices" did not come to an end.'
        )


@pytest.mark.parametrize("realised", [None, "", "yes", 1])
def test_rule_9_not_realised(realised):
    """Stored by the API server and never enforced is NOT_INJECTED."""
    journal = held()
    journal["acns_chaos"]["faults"][0]["realised"] = realised

    assert derive(journal).outcome is Outcome.NOT_INJECTED


class TestRule10ActivityFailed:
    """The host exits 0 when an action of the method fails."""

    def test_failed(self):
        """A failed activity leaves a hole in the evidence."""
        journal = held()
        failed(run_of(journal, RESTORE), f"{FAILED}builtins.OSError: gone")

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_never_played(self):
        """A method that broke off is not a method that was played."""
        journal = held()
        journal["run"].pop()

        assert derive(journal).sentence == (
            'In the lab: "restore the policy" of the method was never played.'
        )


class TestRule11Witnesses:
    """Two witnesses before a statement that the fault bit."""

    @pytest.mark.parametrize("declared", [[], [CLIENT], [CLIENT, CLIENT], None, CLIENT])
    def test_fewer_than_two(self, declared):
        """One witness, or one named twice, is not enough."""
        journal = held()
        roles(journal)["witnesses"] = declared

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_no_roles_at_all(self):
        """An experiment that declares no roles cannot be HELD."""
        journal = held()
        del journal["experiment"]["extensions"]

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_never_asked(self):
        """A witness that was declared and not played is missing."""
        journal = held()
        roles(journal)["witnesses"].append("somebody else")

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    @pytest.mark.parametrize(
        "output",
        [
            UNKNOWN,
            None,
            True,
            "DENIED",
            {},
            reading("DENIED", None, "DENIED", "met is missing"),
            reading("OPEN", True, "DENIED", "says met and contradicts itself"),
            reading("UNKNOWN", True, "DENIED", "met without knowing"),
            reading("COUNTED", True, {"at_least": 1.0}, "NaN drops", count=float("nan")),
            reading("COUNTED", True, {"at_least": 1.0}, "0 drops", count=0.0),
            reading("COUNTED", True, {"at_least": 0.0, "at_most": None}, "3 drops", count=3.0),
        ],
    )
    def test_could_not_tell(self, output):
        """UNKNOWN, no reading, a contradiction or a question without content is no testimony."""
        journal = held()
        run_of(journal, CLIENT)["output"] = output
        told = derive(journal)

        assert told.outcome is Outcome.INCONCLUSIVE
        assert told.sentence.startswith(f'In the lab: the witness "{CLIENT}" could not tell: ')

    def test_before_the_fault(self):
        """What was read before the fault says nothing about it."""
        journal = held()
        run_of(journal, DROPS)["end"] = at(0.9)

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_no_effect(self):
        """A witness that saw the system unharmed means the fault had no effect."""
        journal = held()
        run_of(journal, CLIENT)["output"] = reading("OPEN", False, "DENIED", "GET / answered 200")
        told = derive(journal)

        assert told.outcome is Outcome.NOT_INJECTED
        assert told.sentence == (
            'In the lab: the fault had no effect, says the witness "customers are turned away": '
            "GET / answered 200."
        )


class TestRule12Hypothesis:
    """The claims, before and after the method."""

    @pytest.mark.parametrize("hypothesis", [None, {}, {"title": "x", "probes": []}])
    def test_none(self, hypothesis):
        """Nothing claimed is nothing held."""
        journal = held()
        journal["experiment"]["steady-state-hypothesis"] = hypothesis

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    @pytest.mark.parametrize("phase", ["before", "after"])
    def test_skipped_by_the_strategy(self, phase):
        """A hypothesis strategy that skips one pass leaves half of the question open."""
        journal = held()
        journal["steady_states"][phase] = None

        assert derive(journal).sentence == (
            f"In the lab: the hypothesis was not played {phase} the method."
        )

    def test_deviated(self):
        """A claim that no longer holds afterwards is the finding."""
        journal = held()
        journal["steady_states"]["after"] = unmet(CLOSED)
        told = derive(journal)

        assert told.outcome is Outcome.DEVIATED
        assert told.sentence == (
            "In the lab: the hypothesis does not hold after the method, says "
            '"customers reach the shop": GET / met silence for 2 s.'
        )

    @pytest.mark.parametrize(
        "state", [unmet(UNKNOWN), unmet(error="boom"), unmet(None), {"steady_state_met": None}]
    )
    def test_could_not_tell_afterwards(self, state):
        """An errored or UNKNOWN probe is not a deviation and not a pass."""
        journal = held()
        journal["steady_states"]["after"] = state

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    @pytest.mark.parametrize("phase", ["before", "after"])
    @pytest.mark.parametrize("output", [UNKNOWN, None])
    def test_met_without_knowing(self, phase, output):
        """A tolerance that accepts UNKNOWN, or a probe that was skipped, proves nothing."""
        journal = held()
        journal["steady_states"][phase]["probes"][0]["output"] = output

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_probe_not_asked(self):
        """Every declared probe must have been asked."""
        journal = held()
        journal["steady_states"]["after"]["probes"].pop()

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_deviated_only_during_the_method(self):
        """A hypothesis played continuously must hold throughout; the host forgets this."""
        journal = held()
        journal["steady_states"]["during"] = [unmet(CLOSED)]

        assert derive(journal).outcome is Outcome.DEVIATED


class TestRule12Claims:
    """With an empty method the hypothesis is the question."""

    def test_met(self):
        """A true claim is HELD."""
        told = derive(claim())

        assert told.outcome is Outcome.HELD
        assert told.sentence == (
            "The hypothesis holds, no fault was injected, in the lab: no cluster was touched."
        )

    def test_contrary(self):
        """A false claim is DEVIATED."""
        assert derive(claim(passed=False)).outcome is Outcome.DEVIATED

    def test_contrary_with_the_default_strategy(self):
        """The default strategy plays a claim once, before: it counts then, as a deviation."""
        journal = claim()
        journal["steady_states"] = {"before": unmet(CLOSED), "after": None}

        assert derive(journal).outcome is Outcome.DEVIATED

    def test_unknown(self):
        """A claim that could not be told is INCONCLUSIVE."""
        journal = claim()
        journal["steady_states"]["after"] = unmet(UNKNOWN)

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_not_played(self):
        """A claim nobody asked is INCONCLUSIVE."""
        journal = claim()
        journal["steady_states"] = {"before": None, "after": None}

        assert derive(journal).outcome is Outcome.INCONCLUSIVE


def test_rule_13_rollbacks_not_played():
    """Declared rollbacks that a strategy or a signal skipped leave the undo unproven."""
    journal = held()
    journal["rollbacks"] = []

    assert derive(journal).sentence == (
        'In the lab: the rollback "restore, always" was not played.'
    )


class TestRule14Detectors:
    """What would have told the team without us."""

    @pytest.mark.parametrize("declared", [[], None, ["somebody else"]])
    def test_none_asked(self, declared):
        """Without a detector nobody was asked to notice."""
        journal = held()
        roles(journal)["detectors"] = declared

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_could_not_tell(self):
        """A detector that cannot be read is neither silent nor awake."""
        journal = held()
        run_of(journal, ALERT)["output"] = UNKNOWN

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_stayed_silent(self):
        """The fault bit and the detector stayed silent."""
        journal = held()
        run_of(journal, ALERT)["output"] = reading(
            "COUNTED", False, {"at_least": 1.0}, "counted 0 drops", count=0.0
        )
        told = derive(journal)

        assert told.outcome is Outcome.NOT_NOTICED
        assert told.sentence == (
            f'In the lab: {POLICY} was broken and "Prometheus notices" stayed silent: '
            "counted 0 drops."
        )


class TestRule15Explanations:
    """An explanation must name a policy that this run changed."""

    @pytest.mark.parametrize(
        "output",
        [
            UNKNOWN,
            reading("UNNAMED", False, "NAMED", "policy allows it", culprits=[]),
            reading("NAMED", True, "NAMED", "another denies it", culprits=["pets/other"]),
            reading("NAMED", True, "NAMED", "nobody denies it", culprits=[]),
        ],
    )
    def test_does_not_name_it(self, output):
        """UNKNOWN, nobody or another policy is no explanation of this fault."""
        journal = held()
        run_of(journal, WHY)["output"] = output

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_none_declared(self):
        """Explanations are optional."""
        journal = held()
        roles(journal)["explanations"] = []

        assert derive(journal).outcome is Outcome.HELD


class TestRule16Host:
    """The host's own word, where it is worse than the evidence."""

    def test_deviated(self):
        """The host saw a deviation that the hypothesis does not show."""
        journal = held()
        journal["acns_chaos"]["host"]["deviated"] = True

        assert derive(journal).outcome is Outcome.DEVIATED

    @pytest.mark.parametrize("host", [{}, None, {"status": "failed", "deviated": False}])
    def test_not_completed(self, host):
        """Anything but completed is not a pass."""
        journal = held()
        journal["acns_chaos"]["host"] = host

        assert derive(journal).outcome is Outcome.INCONCLUSIVE


class TestIncomplete:
    """A record with gaps is not what a guard that finished writes."""

    @pytest.mark.parametrize("key", ["operator", "before", "fault", "submitted", "accepted"])
    def test_fault(self, key):
        """A fault says what was changed, by what, and when."""
        journal = held()
        journal["acns_chaos"]["faults"][0][key] = None

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_restored_before_it_was_broken(self):
        """A restore from before the fault is somebody else's."""
        journal = held()
        journal["acns_chaos"]["faults"][0]["restored"]["verified"] = at(0.5)

        assert derive(journal).outcome is Outcome.INCONCLUSIVE

    def test_restored_by_nobody_known(self):
        """Who restored is one of four."""
        journal = held()
        journal["acns_chaos"]["faults"][0]["restored"]["by"] = "magic"

        assert derive(journal).outcome is Outcome.INCONCLUSIVE
