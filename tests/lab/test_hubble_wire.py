"""The committed messages: as their .proto files say, as Hubble's JSON is, cheap to leave alone."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import json_format
from hubble_support import CASES

import acns_chaos.wire
from acns_chaos.wire import flow_pb2, health_pb2, observer_pb2, relay_pb2

WIRE = Path(acns_chaos.wire.__file__).parent
# sha256 of each .proto at the last `make wire`; make both anew together.
MADE_FROM = {
    "flow": "00841ffd8fc363946660ae726b430b6a8b3d9ed623eb65c4c92b1ed5f0ced1fe",
    "health": "f796a78b9819e7a0524f3a7469a9ec7b6f712834deae6c97309adcf43a6089bb",
    "observer": "8ad64a57e0e122cb255db9dd4531c421c7ac93a554f67869fa460e282e148db2",
    "relay": "9feeb4f0c18f59bd7b1106bf89427b1301d9662f47f18bc95c53fc98a001eff7",
}
MODULES = {
    "flow": flow_pb2,
    "health": health_pb2,
    "observer": observer_pb2,
    "relay": relay_pb2,
}


@pytest.mark.parametrize("name", MADE_FROM)
def test_the_modules_were_made_from_these_files(name: str) -> None:
    """Whoever changes a .proto runs `make wire`, and writes the new hash here."""
    digest = hashlib.sha256((WIRE / f"{name}.proto").read_bytes()).hexdigest()
    assert digest == MADE_FROM[name]


@pytest.mark.parametrize("name", MADE_FROM)
def test_the_modules_hold_what_the_files_say(name: str) -> None:
    """Every field of a .proto is in the committed module, with its number."""
    file = MODULES[name].DESCRIPTOR
    source = (WIRE / f"{name}.proto").read_text()
    for message in file.message_types_by_name.values():
        assert f"message {message.name} {{" in source
        for field in message.fields:
            assert f" {field.name} = {field.number};" in source
    assert file.package in ("flow", "grpc.health.v1", "observer", "relay")


def test_recorded_flows_are_understood_without_a_rest() -> None:
    """Every field of every recorded flow has its place; nothing is dropped."""
    for flow in (flow for flows in CASES.values() for flow in flows):
        kept = {
            key: value
            for key, value in flow.items()
            if key in ("verdict", "IP", "event_type", "drop_reason_desc", "l7", "is_reply", "file")
        }
        parsed = json_format.ParseDict(kept, flow_pb2.Flow())
        assert json_format.MessageToDict(parsed, preserving_proto_field_name=True) == kept


def test_importing_the_package_imports_neither_protobuf_nor_grpc() -> None:
    """Start-up is a budget of those who need no flows."""
    code = "import sys, acns_chaos.wire; print(any(m in sys.modules for m in ('google', 'grpc')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
