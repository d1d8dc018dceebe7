"""`sidedoor fakes` and `sidedoor serve` on free ports, as processes of their own, with customers to listen to."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import requests

KEY = "key-of-the-contract-test"
# A separate key, because the configuration refuses a key with `events` and other scopes.
EVENTS_KEY = "key-of-its-events-bus-1"
CARRIER_KEY = "key-of-its-carrier-0001"
INSTANCE = "11111111-2222-4333-8444-555555555555"
CARRIER = "acme"
JURISDICTION = "us-ca"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def settings(port, folder, vendors):
    return {
        "HTTP__LISTEN": f"127.0.0.1:{port}",
        "STORE__URL": f"sqlite://{folder}/journal.db",
        "CONNECT__INSTANCES__MAIN__INSTANCE_ID": INSTANCE,
        "CONNECT__INSTANCES__MAIN__REGION": "us-west-2",
        "CONNECT__INSTANCES__MAIN__ACCOUNT_ID": "111122223333",
        "CONNECT__INSTANCES__MAIN__ENDPOINT_URL": vendors["connectUrl"],
        # Higher than any real quota, so that requests reach the service's rules and do not wait for rate limits.
        "CONNECT__QUOTAS__DEFAULT__DEFAULT__PER_SECOND": "2000",
        "CONNECT__QUOTAS__DEFAULT__DEFAULT__BURST": "500",
        "SALESFORCE__LOGIN_URL": vendors["salesforceUrl"],
        "SALESFORCE__CLIENT_ID": "fake-client-id",
        "SALESFORCE__CLIENT_SECRET": "fake-client-secret",
        f"TIMING__VENDORS__{CARRIER.upper()}__MAX_DRIFT_PPM": "200",
        f"COMPLIANCE__JURISDICTIONS__{JURISDICTION.upper()}__REJOIN": "allowed",
        f"COMPLIANCE__JURISDICTIONS__{JURISDICTION.upper()}__ANNOUNCEMENT": "required",
        "AUTH__API_KEYS__0__NAME": "contract",
        "AUTH__API_KEYS__0__SECRET": KEY,
        "AUTH__API_KEYS__0__SCOPES": "supervise:any,read,operate,audit",
        "AUTH__API_KEYS__1__NAME": "events",
        "AUTH__API_KEYS__1__SECRET": EVENTS_KEY,
        "AUTH__API_KEYS__1__SCOPES": "events",
        "AUTH__API_KEYS__1__VENDOR": "amazon-connect",
        "AUTH__API_KEYS__1__INSTANCES": "main",
        "AUTH__API_KEYS__2__NAME": "carrier",
        "AUTH__API_KEYS__2__SECRET": CARRIER_KEY,
        "AUTH__API_KEYS__2__SCOPES": "events",
        "AUTH__API_KEYS__2__VENDOR": CARRIER,
        "AUTH__API_KEYS__2__INSTANCES": "main",
        "TELEMETRY__LOG_FILTER": "warn",
    }


def end(process):
    """Sends SIGTERM and expects a clean exit within 30 s; otherwise kills the process and raises an error."""
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise RuntimeError(f"{process.args} did not stop within 30 s of SIGTERM") from None
    if code != 0:
        raise RuntimeError(f"{process.args} ended with {code}")


@contextlib.contextmanager
def started(folder):
    """Starts both processes; yields the URLs of the service and of the fake Connect."""
    binary, port = os.environ["SIDEDOOR_BIN"], free_port()
    url = f"http://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        fakes = subprocess.Popen(
            [binary, "fakes", "--connect-listen", "127.0.0.1:0", "--salesforce-listen", "127.0.0.1:0"]
            + ["--events-to", f"{url}/v1/events/connect"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "SIDEDOOR_FAKES_EVENTS_KEY": EVENTS_KEY},
        )
        stack.callback(end, fakes)
        vendors = json.loads(fakes.stdout.readline())
        environment = {f"SIDEDOOR__{name}": value for name, value in settings(port, folder, vendors).items()}
        environment |= {"AWS_ACCESS_KEY_ID": "fake-access-key", "AWS_SECRET_ACCESS_KEY": "fake-secret-key"}
        with open(pathlib.Path(folder, "service.log"), "wb") as log:
            # Started in the temporary folder, so that it does not read a sidedoor.toml of the developer.
            service = subprocess.Popen(
                [binary, "serve"], env={**os.environ, **environment}, stdout=log, stderr=log, cwd=folder
            )
        stack.callback(end, service)
        for _ in range(300):
            with contextlib.suppress(requests.ConnectionError):
                if requests.get(f"{url}/readyz", timeout=5).status_code == 200:
                    break
            if service.poll() is not None:
                raise RuntimeError(pathlib.Path(folder, "service.log").read_text())
            time.sleep(0.1)
        else:
            raise RuntimeError("the service is not ready after 30 s")
        yield url, vendors["connectUrl"]


def people(connect, url, supervisors, contacts):
    """Creates supervisors with an open CCP and customers on calls; hooks.py puts their ids into generated requests."""

    def fake(path, body):
        answer = requests.post(f"{connect}/_fake/{path}", json=body, timeout=5)
        answer.raise_for_status()
        return answer

    requests.patch(f"{connect}/_fake/settings", json={"supervisorsPerCall": 50}, timeout=5).raise_for_status()
    names = [f"listener-{n}" for n in range(supervisors)]
    for n, name in enumerate(names):
        fake("users", {"userId": name, "username": f"{name}@example"})
        # Every second supervisor has a page open that carries out directives, so that leaves and mode changes really happen.
        if n % 2 == 0:
            fake(f"browser/{name}/tabs", {"sidedoorUrl": url, "bearer": KEY})
    channels = ["VOICE", "CHAT", "VOICE", "TASK"]
    ids = [
        fake("contacts", {"channel": channels[n % len(channels)]}).json()["contactId"] for n in range(contacts)
    ]
    return {
        "instanceId": INSTANCE,
        "supervisors": names,
        "contacts": ids,
        "carrier": CARRIER,
        "jurisdiction": JURISDICTION,
        **busy(fake, url),
    }


def busy(fake, url):
    """Supervisors who are on a call and may speak, and others who have an open directive to leave."""

    def ask(path, body, status):
        answer = requests.post(url + path, json=body, headers={"Authorization": f"Bearer {KEY}"}, timeout=10)
        if answer.status_code != status:
            raise RuntimeError(f"{path} was answered {answer.status_code}: {answer.text}")
        return answer.json()

    speakers = []
    for n in range(20):
        name, call = f"speaker-{n}", fake("contacts", {"channel": "VOICE"}).json()["contactId"]
        fake("users", {"userId": name, "username": f"{name}@example"})
        started_one = ask("/v1/supervisions", {"contactId": call, "supervisor": {"connectUserId": name}, "mode": "BARGE"}, 201)
        speakers.append({"supervisionId": started_one["id"]})
    directed = speakers[12:]
    for one in directed:
        left = ask(f"/v1/supervisions/{one['supervisionId']}/disconnect", {}, 202)
        one["directiveId"] = left["nextAction"]["directiveId"]
    return {"speakers": speakers[:12], "directed": directed}
