"""Text as JSON values: what Kubernetes takes is read, everything else is one sentence, soon."""

import json
import random
import resource
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
import yaml

from acns_chaos.cluster.documents import parse
from acns_chaos.cluster.documents_bounds import MAX_BYTES
from acns_chaos.errors import DocumentError

LAUGHS = "a: &a [" + "x, " * 9 + "x]\n"
LAUGHS += "".join(
    f"{name}: &{name} [{', '.join([f'*{past}'] * 10)}]\n" for past, name in pairwise("abcdefghi")
)


def values(text: str | bytes, name: str = "f.yaml", **how: bool) -> list[object]:
    """The documents of a text."""
    data = text.encode() if isinstance(text, str) else text
    return [document.value for document in parse(data, name, **how)]


def refusal(text: str | bytes, name: str = "f.yaml", **how: bool) -> str:
    """The sentence about a text that cannot be used."""
    with pytest.raises(DocumentError) as caught:
        values(text, name, **how)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [x, '1', \"2\"]", {"a": 1, "b": ["x", "1", "2"]}),
        ("a:\nb: ~\nc: null\nd: ''", {"a": None, "b": None, "c": None, "d": ""}),
        ("[yes, No, on, OFF, true, y]", [True, False, True, False, True, "y"]),
        ("[0, 010, 0o10, 0x1F, -7, 1_000, '010']", [0, 8, 8, 31, -7, 1000, "010"]),
        ("[1.5, 1e3, .5, 08, 1:30, 1.2.3.4]", [1.5, 1000.0, 0.5, 8.0, "1:30", "1.2.3.4"]),
        ("2026-11-22", "2026-11-22"),
        ("99999999999999999999999", 1e23),
        ("fromEndpoints: []", {"fromEndpoints": []}),
        ("a: &x {k: [1]}\nb: *x", {"a": {"k": [1]}, "b": {"k": [1]}}),
        ("a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}", {"a": {"k": 1, "l": 2}, "b": {"k": 1, "l": 3}}),
        ("a: !!str 1\nb: !!int '2'", {"a": "1", "b": 2}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ('{"a": [1, 2.5, null, "\\u00e9"]}', {"a": [1, 2.5, None, "é"]}),
    ],
)
def test_what_kubernetes_takes_is_read_as_kubernetes_reads_it(text: str, value: object) -> None:
    """Plain values, the booleans of YAML 1.1, octal numbers, dates as texts, anchors and merges."""
    assert values(text) == [value]


def test_several_documents_are_told_apart_and_empty_ones_left_out() -> None:
    """The origin has the document's number when there are several."""
    found = parse(b"---\na: 1\n---\n---\n# nothing\n---\nb: 2\n", "x.yaml")
    assert [(one.value, one.origin) for one in found] == [
        ({"a": 1}, "x.yaml, document 1"),
        ({"b": 2}, "x.yaml, document 4"),
    ]
    assert parse(b"", "x.yaml") == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1", "f.yaml, line 2, at a[1]: is not YAML (did not find expected ',' or ']')."),
        (
            "a:\n\t- b",
            "f.yaml, line 2, at a: is not YAML (found character that cannot start any token).",
        ),
        ("a: \0", "f.yaml, line 1: is not YAML (control characters are not allowed)."),
        (b"a: \xff", "f.yaml is not text: byte 3 is not UTF-8; write it as UTF-8."),
        (
            "metadata:\n  name: x\n  name: y",
            "f.yaml, line 3, at metadata: the key name is there twice; keep one.",
        ),
        (
            '{"spec": {"ingress": [{"a": 1, "a": 2}]}}',
            "f.yaml, at spec.ingress[0].a: the key is there twice; keep one.",
        ),
        (
            "labels: {on: x}",
            (
                "f.yaml, line 1, at labels: the key 'on' is read as true, not as a text; put it in "
                "quotes."
            ),
        ),
        (
            "[{1: x}]",
            "f.yaml, line 1, at [0]: the key '1' is read as 1, not as a text; put it in quotes.",
        ),
        ("? [a]\n: b", "f.yaml, line 1: a key is an object or a list; keys are texts."),
        ("a: *b", "f.yaml, line 1, at a: the alias *b has no anchor before it."),
        (
            "spec: &s\n  ingress:\n  - *s",
            (
                "f.yaml, line 3, at spec.ingress[0]: the anchor &s holds itself, so it would never "
                "end."
            ),
        ),
        (
            LAUGHS,
            "f.yaml, line 6, at f[3]: more than 500,000 values, aliases followed; split the file.",
        ),
        ("a: .nan", "f.yaml, line 1, at a: .nan is no number in JSON; put it in quotes."),
        ("a: 1e999", "f.yaml, line 1, at a: 1e999 is beyond every number."),
        (
            "a: !!python/object/apply:os.system [ls]",
            (
                "f.yaml, line 1, at a: the tag tag:yaml.org,2002:python/object/apply:os.system is "
                "not for Kubernetes."
            ),
        ),
        ("<<: 1", "f.yaml, line 1, at <<: the merge key << takes objects only."),
        (
            "--- a\n--- {x: 1, x: 2}",
            "f.yaml, document 2, line 2: the key x is there twice; keep one.",
        ),
        (
            "name: {{ .Values.name }}",
            (
                "f.yaml, line 1, at name: a key is an object or a list; keys are texts; it looks "
                "like a template: render it first."
            ),
        ),
        ('{"a": "\\ud800"}', "f.yaml: a text holds half of a surrogate pair (\\ud…)."),
    ],
)
def test_what_cannot_be_used_is_one_sentence_with_its_place(
    text: str | bytes, sentence: str
) -> None:
    """The file, the document, the line and the path inside it."""
    assert refusal(text) == sentence


def test_a_json_file_must_be_json() -> None:
    """YAML in a .json file is refused with its line."""
    assert (
        refusal("a: 1", "f.json", as_json=True) == "f.json, line 1: is not JSON (Expecting value)."
    )
    assert refusal('{"a": NaN}', "f.json", as_json=True) == (
        "f.json: is not JSON (NaN is no number in JSON)."
    )


BIG = MAX_BYTES - 10


def huge() -> Iterator[tuple[str, bytes, str]]:
    """Hostile files of full size, each with what the sentence must say."""
    yield "brackets", b"[" * BIG, "nested deeper than 100 levels"
    yield "objects", b'{"a":' * (BIG // 5), "nested deeper than 100 levels"
    yield "lists", b"- " * (BIG // 2), "nested deeper than 100 levels"
    yield "values", b"- 1\n" * (BIG // 4), "more than 500,000 values"
    yield "json values", b"[" + b"1," * (BIG // 2 - 2) + b"1]", "more than 500,000 values"
    yield "documents", b"---\n" * (BIG // 4), "more than 10,000 documents"
    yield "a long text, repeated", b"a: &a " + b"x" * 9_000_000 + b"\nb: [*a, *a]", "20 MB of text"
    yield "keys", b"? " * (BIG // 2), "a key is an object or a list"
    yield "a number", b"a: " + b"9" * (BIG - 3), "is beyond every number"
    yield "too large", b"a" * (MAX_BYTES + 1), "has more than 10 MB"


@pytest.mark.slow
@pytest.mark.parametrize(("data", "finding"), [pytest.param(d, f, id=i) for i, d, f in huge()])
def test_a_hostile_file_of_full_size_is_refused_soon(data: bytes, finding: str) -> None:
    """Within seconds of CPU, and in memory of the order of the file."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    sentence = refusal(data)
    assert time.process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB
    assert finding in sentence
    assert len(sentence) < 300


def test_depth_counts_through_aliases() -> None:
    """An alias to something deep, deep inside: together too deep."""
    deep = "a: &a " + "[" * 60 + "]" * 60
    assert values(deep)
    assert "nested deeper than 100 levels, aliases followed" in refusal(
        deep + "\nb: " + "[" * 60 + "*a" + "]" * 60
    )


GOOD = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {"name": "web", "labels": {"a": "b"}},
    "spec": {
        "endpointSelector": {"matchLabels": {"app": "web"}},
        "ingress": [{"fromEndpoints": [], "toPorts": [{"ports": [{"port": "80"}]}]}],
    },
}


@pytest.mark.slow
def test_thousands_of_damaged_texts_are_read_or_refused_in_one_sentence() -> None:
    """Seeded damage of YAML and JSON: never another error, never two lines, never slow."""
    rng = random.Random(20261122)
    texts = [yaml.safe_dump(GOOD), json.dumps(GOOD, indent=1), yaml.safe_dump_all([GOOD, GOOD])]
    pieces = ["{", "}", "[", "]", ":", "- ", "\n", "&a ", "*a", "<<: ", "!!int ", "!x ", "? ", "|"]
    pieces += [">", "'", '"', "\t", "\0", "\x85", "\ufeff", "%YAML 1.3\n", "--- ", "...\n", "# "]
    pieces += ["@", "`", "{{ x }}", ": : :", "0x", "1e999", "\\ud800", "é", "\U0001f600", "null: "]
    started, refused = time.process_time(), 0
    for _ in range(6000):
        text = rng.choice(texts)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(text) + 1)
            match rng.randrange(4):
                case 0:
                    text = text[:at] + rng.choice(pieces) * rng.choice([1, 1, 2, 150]) + text[at:]
                case 1:
                    text = text[:at] + text[at + rng.randint(1, 20) :]
                case 2:
                    end = rng.randrange(at, len(text) + 1)
                    text = text + text[at:end] * rng.randint(1, 5)
                case _:
                    text = text[:at] + chr(rng.randrange(1, 300)) + text[at + 1 :]
        data = text.encode("utf-8", "surrogatepass")
        if rng.random() < 0.1:
            cut = rng.randrange(len(data) + 1)
            data = data[:cut] + bytes([rng.randrange(256)]) + data[cut:]
        try:
            for document in parse(data, "damaged.yaml", as_json=rng.random() < 0.2):
                json.dumps(document.value, allow_nan=False)
        except DocumentError as error:
            refused += 1
            sentence = str(error)
            assert sentence.startswith("damaged.yaml"), sentence
            assert sentence.endswith("."), sentence
            assert sentence.isprintable(), sentence
            assert len(sentence) < 400, sentence
    assert refused > 3000
    assert time.process_time() - started < 15
