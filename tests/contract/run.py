"""Starts the service, runs schemathesis against it, and fails if the run did not reach the expected answers.

CONTRACT_RUN=long runs for many minutes instead of one; CONTRACT_SEED and CONTRACT_EXAMPLES set the seed and the number of examples.
Further arguments are passed to schemathesis, such as `--include-operation-id changeMode`; then the coverage is not checked."""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import requests
import service

HERE = pathlib.Path(__file__).resolve().parent
CONTRACT = HERE.parent.parent / "openapi.yaml"

# Statuses that valid requests must get at least once, because otherwise the run did not test what lies behind the validation.
DEPTH = {
    "acknowledgeDirective": {200, 404},
    "changeMode": {202, 409},
    "closeSupervision": {409},
    "disconnectSupervision": {200, 202},
    "disconnectSupervisor": {202, 404},
    "getAuditHead": {200},
    "getCalibration": {200},
    "getContract": {200},
    "getDirectives": {200},
    "discardDelivery": {404, 409},
    "getHealth": {200},
    "getMetrics": {200},
    "getReadiness": {200},
    "getSupervision": {200},
    "getTimeline": {200},
    "issueTicket": {201},
    "listAgents": {200},
    "listAudit": {200},
    "listDeliveries": {200},
    "listSupervisions": {200},
    "listVendors": {200},
    "probeVendor": {200},
    "reportCoverage": {200},
    "reportSupervision": {200},
    "receiveConnectEvent": {200},
    "receivePartnerEvent": {200},
    "replayDeliveries": {200},
    "replayDelivery": {200},
    "startSupervision": {200, 201, 404, 409},
}


def main():
    long = os.environ.get("CONTRACT_RUN") == "long"
    options = {
        "seed": os.environ.get("CONTRACT_SEED", "20260804"),
        "max-examples": os.environ.get("CONTRACT_EXAMPLES", "500" if long else "50"),
    }
    folder = tempfile.TemporaryDirectory(prefix="sidedoor-contract-")
    with folder as here, service.started(here) as (url, connect):
        people, answers, log = (pathlib.Path(here, name) for name in ["people.json", "answers.json", "service.log"])
        people.write_text(json.dumps(service.people(connect, url, supervisors=60, contacts=40)))
        environment = {
            **os.environ,
            "CONTRACT_PEOPLE": str(people),
            "CONTRACT_ANSWERS": str(answers),
            "CONTRACT_KEY": service.KEY,
            "CONTRACT_EVENTS_KEY": service.EVENTS_KEY,
            "CONTRACT_CARRIER_KEY": service.CARRIER_KEY,
            "PYTHONPATH": str(HERE),
        }
        command = [str(pathlib.Path(sys.executable).with_name("schemathesis"))]
        command += ["--config-file", str(HERE / "schemathesis.toml"), "run", str(CONTRACT), "--url", url]
        command += [f"--{name}={value}" for name, value in options.items()]
        ran = subprocess.run(command + sys.argv[1:], env=environment, cwd=here, check=False).returncode
        answers_seen = [tuple(row) for row in json.loads(answers.read_text())] if answers.exists() else []
        report(answers_seen)
        faults = [f"schemathesis ended with {ran}"] if ran else []
        faults += [] if sys.argv[1:] else shallow(answers_seen)
        faults += broken_promises(url, connect, log)
    for fault in faults:
        print(f"FAULT: {fault}")
    print(f"contract: {len(DEPTH)} operations, {sum(row[-1] for row in answers_seen)} requests, {len(faults)} faults")
    sys.exit(1 if faults else 0)


def report(answers_seen):
    """Prints what every operation answered, valid requests first."""
    lines = collections.defaultdict(list)
    for operation, kind, status, code, count in sorted(answers_seen, key=lambda row: (row[1] != "valid", row[2])):
        lines[operation].append(f"{kind} {status}{' ' + code if code else ''} x{count}")
    for operation in sorted(lines):
        print(f"  {operation}: " + ", ".join(lines[operation]))


def shallow(answers_seen):
    reached = collections.defaultdict(set)
    for operation, kind, status, _, _ in answers_seen:
        if kind == "valid":
            reached[operation].add(status)
    missing = {operation: sorted(want - reached[operation]) for operation, want in DEPTH.items()}
    return [f"no valid {operation} got the status {statuses}" for operation, statuses in missing.items() if statuses]


def broken_promises(url, connect, log):
    """What must hold after every run: no customer's call ended, the service is ready, no error or panic in the log."""
    faults = []
    ended = requests.get(f"{connect}/_fake/ledger", timeout=5).json()["customerContactsWeEnded"]
    if ended:
        faults.append(f"the service ended customers' calls: {ended}")
    ready = requests.get(f"{url}/readyz", timeout=5)
    if ready.status_code != 200:
        faults.append(f"not ready afterwards: {ready.text}")
    # The generated events claim ends that Connect refutes, so this alarm about their credential is right, and the only one expected.
    expected = "claims of contract were refuted within an hour"
    lines = [line for line in log.read_text().splitlines() if expected not in line]
    faults += [f"in the log: {line[:300]}" for line in lines if "ERROR" in line or "panicked" in line]
    return faults


if __name__ == "__main__":
    main()
