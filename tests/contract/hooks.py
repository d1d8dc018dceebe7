"""Puts real contacts, supervisors and names into most valid generated requests, because schemathesis cannot guess them,
so that they reach the code behind the first look-up. Requests that are meant to be invalid are not changed.

Also counts what every operation answered, so that run.py can check the coverage."""

import atexit
import base64
import collections
import json
import os
import zlib

import schemathesis

with open(os.environ["CONTRACT_PEOPLE"], encoding="utf-8") as file:
    PEOPLE = json.load(file)
# How many of 8 valid requests get real names; the rest keep generated ones, so that "not found" is tested too.
REAL = 7
ANSWERS = collections.Counter()


def bearer(name):
    """Authentication by the key in an environment variable: each sender of events has a key of its own."""

    class Key:
        def get(self, case, context):
            return os.environ[name]

        def set(self, case, data, context):
            case.headers = case.headers or {}
            case.headers["Authorization"] = f"Bearer {data}"

    return Key


schemathesis.auth().apply_to(path_regex="^/v1/events/connect")(bearer("CONTRACT_EVENTS_KEY"))
schemathesis.auth().apply_to(path_regex="^/v1/events/partners/")(bearer("CONTRACT_CARRIER_KEY"))
schemathesis.auth().skip_for(path_regex="^/v1/events/")(bearer("CONTRACT_KEY"))


def pick(choices, seed):
    # Chosen by content and not at random, so that a seeded run is repeatable and a failing case can be shrunk.
    return choices[seed % len(choices)]


def seed_of(case):
    text = json.dumps([case.operation.label, case.body, case.path_parameters, case.query], default=str, sort_keys=True)
    return zlib.crc32(text.encode())


def is_valid(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


def agent_event(seed):
    """An event in the form of AWS's guide, about an existing supervisor on a leg that the service does not know."""
    arn = f"arn:aws:connect:us-west-2:111122223333:instance/{PEOPLE['instanceId']}"
    states = ["CONNECTED", "CONNECTED_ONHOLD", "ENDED", "ERROR"]
    leg = {"ContactId": f"leg-{seed:x}", "InitiationMethod": "MONITOR", "Channel": "VOICE", "State": pick(states, seed)}
    leg["StateStartTimestamp"] = "2026-08-04T17:43:47.120Z"
    return {
        "AgentARN": f"{arn}/agent/{pick(PEOPLE['supervisors'], seed // 4)}",
        "InstanceARN": arn,
        "EventId": f"event-{seed:x}",
        "EventType": "STATE_CHANGE",
        "CurrentAgentSnapshot": {"Contacts": [leg]},
    }


def real_event(body, seed):
    """Adds what a schema cannot express: base64 data that contains an event, and at least one event in a list."""
    if isinstance(body, list):
        return [agent_event(seed), *body[1:]]
    if isinstance(body, dict) and "partitionKey" in body and "AgentARN" not in body and "detail-type" not in body:
        return {**body, "data": base64.b64encode(json.dumps(agent_event(seed)).encode()).decode()}
    if isinstance(body, dict) and isinstance(body.get("detail"), dict) and seed % 8 < REAL:
        methods = [("INBOUND", pick(PEOPLE["contacts"], seed // 8)), ("MONITOR", f"leg-{seed:x}")]
        method, contact = pick(methods, seed // 512)
        arn = f"arn:aws:connect:us-west-2:111122223333:instance/{PEOPLE['instanceId']}"
        detail = {"contactId": contact, "instanceArn": arn, "initiationMethod": method, "channel": "VOICE"}
        detail["eventType"] = pick(["INITIATED", "CONNECTED_TO_AGENT", "DISCONNECTED"], seed // 1024)
        detail["disconnectTimestamp"] = "2026-08-04T17:43:47.000Z"
        origin = {"source": "aws.connect", "account": "111122223333", "region": "us-west-2"}
        return {**body, **origin, "detail": {**body["detail"], **detail}}
    return body


@schemathesis.hook
def map_case(context, case):
    if not is_valid(case):
        return case
    seed, operation = seed_of(case), context.operation.definition.raw.get("operationId")
    if operation == "receiveConnectEvent":
        case.body = real_event(case.body, seed)
        return case
    if isinstance(case.body, dict) and isinstance(case.body.get("samples"), list):
        case.body = {**case.body, "samples": [in_order(sample) for sample in case.body["samples"]]}
    if seed % 8 >= REAL:
        return case
    seed //= 8
    contact, supervisor = pick(PEOPLE["contacts"], seed), pick(PEOPLE["supervisors"], seed // 64)
    body = case.body if isinstance(case.body, dict) else None
    if body is not None:
        body = dict(body)
        if "contactId" in body:
            body["contactId"] = contact
        if operation == "receivePartnerEvent" and body.get("connectUserId") is not None:
            body["connectUserId"] = supervisor
        if isinstance(body.get("supervisor"), dict):
            body["supervisor"] = real_supervisor(body["supervisor"], supervisor)
        for name, real in [("instance", "main"), ("jurisdiction", PEOPLE["jurisdiction"])]:
            if body.get(name) is not None:
                body[name] = real
        if seed % 2 and ("mode" in body or "supervisor" in body):
            # BARGE must be granted at the start, because otherwise almost every later mode change would be refused.
            body["mode"] = "BARGE"
        case.body = body
    path = dict(case.path_parameters or {})
    # The other requests keep the ids from links and earlier answers, mostly of supervisions that have ended.
    if operation == "changeMode" and seed % 3 == 0:
        path["supervisionId"] = pick(PEOPLE["speakers"], seed // 8)["supervisionId"]
    if operation == "acknowledgeDirective" and seed % 3 == 0 and body is not None:
        directed = pick(PEOPLE["directed"], seed // 8)
        path["supervisionId"] = directed["supervisionId"]
        case.body = {**body, "directiveId": directed["directiveId"]}
    # A supervisor from a link is kept, because their supervision was just started.
    if "connectUserId" in path and path["connectUserId"] not in PEOPLE["supervisors"]:
        path["connectUserId"] = supervisor
    if "vendor" in path:
        is_carrier = operation == "receivePartnerEvent" or seed % 2
        path["vendor"] = PEOPLE["carrier"] if is_carrier else "amazon-connect"
    if path:
        case.path_parameters = path
    if case.headers and "Idempotency-Key" in case.headers:
        # Derived from the content, so that another request has another key and the same request is a replay.
        case.headers["Idempotency-Key"] = f"contract-{seed:x}"
    if case.query and "instance" in case.query:
        case.query = {**case.query, "instance": "main"}
    return case


def in_order(sample):
    """Puts sentAt before receivedAt, which a schema cannot express."""
    sent, received = "2026-08-04T17:43:47.000Z", "2026-08-04T17:43:47.080Z"
    return {**sample, "sentAt": sent, "receivedAt": received} if isinstance(sample, dict) else sample


def real_supervisor(named, supervisor):
    if named.get("connectUserId") is not None:
        return {**named, "connectUserId": supervisor}
    if named.get("username") is not None:
        return {**named, "username": f"{supervisor}@example"}
    return named


@schemathesis.hook
def after_call(context, case, response):
    kind = "valid" if is_valid(case) else "bad"
    code = ""
    if response.status_code >= 400:
        try:
            problem = response.json()
            code = problem.get("code", "")
            if kind == "valid" and response.status_code == 400:
                code += " " + " ".join(sorted(e["pointer"] for e in problem.get("errors", [])))
        except (ValueError, AttributeError):
            code = "(no JSON)"
    operation = case.operation.definition.raw.get("operationId", case.operation.label)
    ANSWERS[(operation, kind, response.status_code, code)] += 1


@atexit.register
def write_answers():
    with open(os.environ["CONTRACT_ANSWERS"], "w", encoding="utf-8") as out:
        json.dump([[*key, count] for key, count in sorted(ANSWERS.items())], out)
