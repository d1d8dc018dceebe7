"""The fake Connect refuses what botocore's service model says, in requests that boto3 sends without its own checks."""

import importlib.util
import pathlib

import boto3
import botocore.loaders
import pytest
import requests
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import INSTANCE

FAKES = pathlib.Path(__file__).parents[2] / "crates" / "sidedoor-fakes"


def script():
    spec = importlib.util.spec_from_file_location("constraints", FAKES / "constraints.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLE = script().table()
OPERATIONS = sorted(name for name in TABLE["operations"] if name != "GetCallerIdentity")


def test_committed_table_is_what_the_script_gives():
    committed = (FAKES / "src" / "connect" / "constraints.json").read_text()
    assert committed == script().text(), "run crates/sidedoor-fakes/constraints.py again; its first lines say how"


def good(shape, seen=()):
    """The smallest value that a shape allows."""
    rules = TABLE["shapes"][shape]
    kind = rules["type"]
    if kind == "structure":
        required = rules.get("required", [])
        return {name: good(rules["members"][name]["shape"], (*seen, shape)) for name in required}
    if kind == "list":
        return [good(rules["member"], (*seen, shape))] * max(rules.get("min", 0), 0)
    if kind == "string":
        return rules.get("enum", ["us-west-2" if "pattern" in rules else "x" * max(rules.get("min", 1), 1)])[0]
    return {"boolean": True}.get(kind, max(rules.get("min", 1), 1))


def bad(shape):
    """Values of a shape that break one rule each, with the rule."""
    rules = TABLE["shapes"][shape]
    kind = rules["type"]
    if kind == "string":
        if rules.get("min", 0) > 0:
            yield "min", ""
        if "max" in rules:
            yield "max", "x" * (rules["max"] + 1)
        if "enum" in rules:
            yield "enum", "NO_SUCH_WORD"
        if "pattern" in rules:
            yield "pattern", "NO MATCH"
    elif kind == "integer":
        for rule, step in (("min", -1), ("max", 1)):
            if rule in rules:
                yield rule, rules[rule] + step
    elif kind == "list":
        if rules.get("min", 0) > 0:
            yield "min", []
        if "max" in rules:
            yield "max", [good(rules["member"])] * (rules["max"] + 1)


def violations(shape, seen=()):
    """Values of a shape that break one rule somewhere inside, each with its path and the rule."""
    rules = TABLE["shapes"][shape]
    for rule, value in bad(shape):
        yield "", rule, value
    if shape in seen:
        return
    seen = (*seen, shape)
    if rules["type"] == "list":
        for path, rule, value in violations(rules["member"], seen):
            yield f"[]{path}", rule, [value]
    for name, member in rules.get("members", {}).items():
        base = good(shape)
        if name in rules.get("required", []) and member.get("in") != "uri":
            yield f".{name}", "required", {key: value for key, value in base.items() if key != name}
        for path, rule, value in violations(member["shape"], seen):
            # An empty part of a path is another path.
            if member.get("in") != "uri" or rule != "min":
                yield f".{name}{path}", rule, {**base, name: value}


CASES = [
    (operation, path, rule, request)
    for operation in OPERATIONS
    for path, rule, request in violations(TABLE["operations"][operation]["input"])
]


@pytest.fixture(scope="module")
def unchecked(connect_url):
    """A client that sends whatever it is given, and may call every operation."""
    settings = f"{connect_url}/_fake/settings"
    before = requests.get(settings, timeout=5).json()["deniedOperations"]
    requests.patch(settings, json={"deniedOperations": []}, timeout=5).raise_for_status()
    yield boto3.client(
        "connect",
        region_name="us-west-2",
        endpoint_url=connect_url,
        aws_access_key_id="fake-access-key",
        aws_secret_access_key="fake-secret-key",
        config=Config(retries={"max_attempts": 0, "mode": "standard"}, parameter_validation=False),
    )
    requests.patch(settings, json={"deniedOperations": before}, timeout=5).raise_for_status()


def call(client, operation, request):
    # By the operation's name, as in test_connect.py.
    return getattr(client, xform_name(operation))(**request)


def refused(client, operation, request):
    with pytest.raises(ClientError) as caught:
        call(client, operation, request)
    return caught.value.response


def test_every_kind_of_rule_has_a_case():
    assert {rule for _, _, rule, _ in CASES} == {"required", "min", "max", "enum", "pattern"}
    assert {operation for operation, *_ in CASES} == set(OPERATIONS)


@pytest.mark.parametrize(("operation", "path", "rule", "request_"), CASES, ids=[f"{o}{p}-{r}" for o, p, r, _ in CASES])
def test_broken_rule_is_refused(unchecked, operation, path, rule, request_):
    answer = refused(unchecked, operation, request_)
    code = answer["Error"]["Code"]
    assert code in TABLE["operations"][operation]["errors"], answer
    assert code == ("InvalidRequestException" if operation in ("MonitorContact", "DescribeInstance") else "InvalidParameterException")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert "validation error" in answer["Error"]["Message"]


def test_wrong_type_is_refused_too(unchecked):
    answer = refused(unchecked, "MonitorContact", {"InstanceId": INSTANCE, "ContactId": {"a": 1}, "UserId": "supervisor-1"})
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("SerializationException", 400)
