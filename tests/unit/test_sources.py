"""Where objects come from: files, folders, git revisions; and what is refused on the way."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from acns_chaos.cluster.sources import Collection, collect
from acns_chaos.errors import DocumentError


def policy(name: str = "web", **spec: Any) -> dict[str, Any]:
    """A policy without a namespace."""
    rules = spec or {"ingress": [{"fromEntities": ["world"]}]}
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name},
        "spec": {"endpointSelector": {"matchLabels": {"app": name}}, **rules},
    }


def names(collection: Collection) -> list[str]:
    """What was found, as namespace/name."""
    return [f"{o['metadata'].get('namespace')}/{o['metadata']['name']}" for o in collection.objects]


def write(path: Path, *objects: Any) -> Path:
    """Write documents into a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump_all(objects), "utf-8")
    return path


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    """With sub-folders, YAML and JSON; hidden folders and other files are left out."""
    write(tmp_path / "b.yaml", policy("b"))
    write(tmp_path / "a.yml", policy("a1"), policy("a2"))
    write(tmp_path / "deep" / "er" / "c.yaml", policy("c"))
    write(tmp_path / ".git" / "hidden.yaml", policy("hidden"))
    (tmp_path / "d.json").write_text(json.dumps(policy("d")))
    (tmp_path / "notes.txt").write_text("not: [yaml")
    found = collect(str(tmp_path), namespace="pets")
    assert names(found) == ["pets/a1", "pets/a2", "pets/b", "pets/d", "pets/c"]
    assert found.origins[1] == f"{tmp_path}/a.yml, document 2"
    assert found.notes == (f"5 objects in {tmp_path} without a namespace: taken to be in pets.",)


def test_lists_are_taken_apart(tmp_path: Path) -> None:
    """A List of anything, and a typed list whose items have no kind."""
    bare = {k: v for k, v in policy("b").items() if k not in ("apiVersion", "kind")}
    path = write(
        tmp_path / "lists.yaml",
        {"apiVersion": "v1", "kind": "List", "items": [policy("a")]},
        {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicyList", "items": [bare]},
    )
    found = collect(str(path))
    assert names(found) == ["default/a", "default/b"]
    assert found.objects[1]["kind"] == "CiliumNetworkPolicy"
    assert found.origins[1] == f"{path}, document 2, at items[0]"


def test_a_name_that_is_used_twice_is_pointed_out_and_the_later_one_counts(tmp_path: Path) -> None:
    """The workshop's accident: applying both files leaves the second."""
    write(tmp_path / "1.yaml", policy("web"))
    write(tmp_path / "2.yaml", policy("web", egress=[{"toEntities": ["world"]}]))
    found = collect(str(tmp_path))
    assert [list(o["spec"]) for o in found.objects] == [["egress", "endpointSelector"]]
    assert found.notes[0] == (
        f"CiliumNetworkPolicy default/web is there twice, in {tmp_path}/1.yaml and in "
        f"{tmp_path}/2.yaml: the later one counts, as when they are applied in this order."
    )


def test_a_folder_may_hold_other_documents_and_says_so(tmp_path: Path) -> None:
    """Values of a chart and a Kustomization are passed over, by name."""
    write(tmp_path / "a.yaml", policy("a"))
    write(tmp_path / "values.yaml", {"image": "x"})
    write(tmp_path / "kustomization.yaml", {"apiVersion": "k/v1", "kind": "Kustomization"})
    write(tmp_path / "list.yaml", [1, 2])
    found = collect(str(tmp_path))
    assert names(found) == ["default/a"]
    assert found.notes[1].startswith(
        f"3 documents in {tmp_path} passed over, no Kubernetes object:"
    )


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([1], ": is a list, not a Kubernetes object."),
        ("text", ": is a text, not a Kubernetes object."),
        ({"a": 1}, ": is not a Kubernetes object, it has neither apiVersion nor kind."),
        ({"kind": "Pod"}, ", at apiVersion: is missing; it must be a text."),
        ({"apiVersion": "v1", "kind": 3}, ", at kind: is a number; it must be a text."),
        ({"apiVersion": "v1", "kind": "Pod"}, ", at metadata.name: the Pod has no name."),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": 1}},
            ", at metadata.namespace: is a number, not a text.",
        ),
        (
            {**policy(), "apiVersion": "cilium.io/v1"},
            ", at apiVersion: a CiliumNetworkPolicy is cilium.io/v2, not cilium.io/v1.",
        ),
        (
            {**policy(), "kind": "CiliumNetworkPolciy"},
            ", at kind: there is no kind CiliumNetworkPolciy; is it a CiliumNetworkPolicy?",
        ),
        ({**policy(), "metadata": {}}, ", at metadata.name: the CiliumNetworkPolicy has no name."),
        (
            {"apiVersion": "v1", "kind": "List", "items": {}},
            ", at items: is no list, as a List has it.",
        ),
    ],
)
def test_a_named_file_must_hold_objects(tmp_path: Path, document: Any, sentence: str) -> None:
    """What is not one is refused with its place."""
    path = write(tmp_path / "x.yaml", document)
    with pytest.raises(DocumentError) as caught:
        collect(str(path))
    assert str(caught.value) == f"{path}{sentence}"


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"ingress": [{"fromEndpoint": [{}]}]}, "spec.ingress[0].fromEndpoint"),
        ({"ingress": [{"fromEntities": ["word"]}]}, "spec.ingress[0].fromEntities[0]"),
        (
            {"ingress": [{"toPorts": [{"ports": [{"port": 80}]}]}]},
            "spec.ingress[0].toPorts[0].ports[0].port",
        ),
        ({"ingress": [{}], "ingresDeny": []}, "spec.ingresDeny"),
    ],
)
def test_a_policy_that_no_api_server_takes_is_refused_or_noted(
    tmp_path: Path, spec: dict[str, Any], place: str
) -> None:
    """Unknown fields and wrong values, with the path; lenient reading says the same as a note."""
    path = write(tmp_path / "x.yaml", policy(**spec))
    with pytest.raises(DocumentError) as caught:
        collect(str(path))
    assert str(caught.value).startswith(f"{path}, at {place}: ")
    notes = collect(str(path), strict=False).notes
    assert any(note.startswith(f"{path}, at {place}: ") for note in notes)


def test_lenient_reading_leaves_out_what_the_server_refuses(tmp_path: Path) -> None:
    """An unknown field alone is dropped, as by a raw write; a wrong value keeps the object out."""
    dropped = write(tmp_path / "a.yaml", policy("a", ingress=[{}], oops=1))
    refused = write(tmp_path / "b.yaml", policy("b", ingress=[{"fromEntities": ["word"]}]))
    assert names(collect(str(dropped), strict=False)) == ["default/a"]
    assert names(collect(str(refused), strict=False)) == []


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("none.yaml", "There is no file or folder none.yaml; name one that exists."),
        ("a\0b", "There is no file or folder a?b; name one that exists."),
        ("git:main", "'git:main' is no git:REVISION:PATH; write git:main:policies."),
        (
            "git:--output=x:p",
            "'git:--output=x:p' is no git:REVISION:PATH; write git:main:policies.",
        ),
        ("empty", "There is no file with .yaml, .yml, .json under empty."),
    ],
)
def test_a_place_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, sentence: str
) -> None:
    """One sentence with what was written."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DocumentError) as caught:
        collect(place)
    assert str(caught.value) == sentence


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two revisions of a folder, and the second checked out."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *arguments], check=True, capture_output=True)

    git("init", "-b", "main")
    write(tmp_path / "policies" / "a.yaml", policy("old"))
    write(tmp_path / "other" / "ö ü.json")
    (tmp_path / "other" / "ö ü.json").write_text(json.dumps(policy("umlaut")))
    git("add", ".")
    git("commit", "-m", "one")
    git("tag", "first")
    write(tmp_path / "policies" / "a.yaml", policy("new"))
    write(tmp_path / "policies" / "b.yaml", policy("more"))
    git("add", ".")
    git("commit", "-m", "two")
    return tmp_path


def test_a_folder_is_read_as_it_was_at_a_revision(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By tag, branch and hash expression; a folder, a file, all; nothing is checked out."""
    assert names(collect("git:first:policies")) == ["default/old"]
    assert names(collect("git:main:policies")) == ["default/new", "default/more"]
    assert names(collect("git:HEAD~1:policies/a.yaml")) == ["default/old"]
    assert names(collect("git:first:")) == ["default/umlaut", "default/old"]
    assert names(collect(f"git:first:{repository}/policies")) == ["default/old"]
    assert collect("git:first:policies").origins == ("policies/a.yaml at first",)
    monkeypatch.chdir(repository / "policies")
    assert names(collect("git:first:a.yaml")) == ["default/old"]
    assert names(collect("git:first:../other")) == ["default/umlaut"]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("git:nothing:policies", "There is no git revision 'nothing' here (git:nothing:policies)."),
        ("git:main:nowhere", "There is no file to read under nowhere at main."),
        ("git:main:$(touch x)", "There is no file to read under $(touch x) at main."),
    ],
)
def test_a_revision_or_path_that_is_not_there_is_named(
    repository: Path, place: str, sentence: str
) -> None:
    """And no shell reads what was written."""
    with pytest.raises(DocumentError) as caught:
        collect(place)
    assert str(caught.value) == sentence
    assert not (repository / "x").exists()


def test_outside_a_repository_git_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git's own first line, in one sentence."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DocumentError, match=r"^git rev-parse failed: fatal: not a git repository"):
        collect("git:main:x")
