"""Independent clients (simple-salesforce and jsforce) read the record that the service wrote."""

import json
import os
import pathlib
import socket
import subprocess
import time
from datetime import datetime, timezone
from urllib.parse import urlparse

import pytest
import requests
from simple_salesforce import Salesforce

from conftest import INSTANCE

OBJECT = "VoiceCallParticipant__c"
KEY = "a-key-for-this-test-only"
NODE = pathlib.Path(__file__).parent / "node"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(question, timeout=30):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        answer = question()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"timeout after {timeout} s")


@pytest.fixture(scope="module")
def service(connect_url, salesforce_url, tmp_path_factory):
    port = free_port()
    settings = {
        "HTTP__LISTEN": f"127.0.0.1:{port}",
        "STORE__URL": f"sqlite://{tmp_path_factory.mktemp('store')}/store.db",
        "CONNECT__INSTANCES__MAIN__INSTANCE_ID": INSTANCE,
        "CONNECT__INSTANCES__MAIN__REGION": "us-west-2",
        "CONNECT__INSTANCES__MAIN__ENDPOINT_URL": connect_url,
        "SALESFORCE__LOGIN_URL": salesforce_url,
        "SALESFORCE__CLIENT_ID": "fake-client-id",
        "SALESFORCE__CLIENT_SECRET": "fake-client-secret",
        "AUTH__API_KEYS__0__NAME": "test",
        "AUTH__API_KEYS__0__SECRET": KEY,
        "AUTH__API_KEYS__0__SCOPES": "supervise:any",
        "TELEMETRY__LOG_FILTER": "warn",
    }
    environment = os.environ | {f"SIDEDOOR__{name}": value for name, value in settings.items()}
    environment |= {"AWS_ACCESS_KEY_ID": "fake-access-key", "AWS_SECRET_ACCESS_KEY": "fake-secret-key"}
    process = subprocess.Popen([os.environ["SIDEDOOR_BIN"], "serve"], env=environment)
    url = f"http://127.0.0.1:{port}"

    def ready():
        try:
            return requests.get(f"{url}/readyz", timeout=1).status_code == 200
        except requests.ConnectionError:
            return False

    try:
        until(ready)
        yield url
    finally:
        process.terminate()
        assert process.wait(timeout=40) == 0


@pytest.fixture(scope="module")
def departed(service, connect_url):
    """A supervisor has listened to a call and left, and the record is written."""
    http = requests.Session()
    http.headers["Authorization"] = f"Bearer {KEY}"
    contact = requests.post(f"{connect_url}/_fake/contacts", json={}, timeout=5).json()["contactId"]
    body = {"contactId": contact, "supervisor": {"connectUserId": "supervisor-3"}}
    started = http.post(f"{service}/v1/supervisions", json=body, timeout=10)
    assert started.status_code in (201, 202), started.text
    one = f"{service}/v1/supervisions/{started.json()['id']}"
    until(lambda: http.get(one, timeout=5).json()["joinedAt"])
    directive = http.post(f"{one}/disconnect", timeout=10).json()["nextAction"]
    browser = {"sidedoorUrl": service, "bearer": KEY, "directive": directive}
    requests.post(f"{connect_url}/_fake/browser/supervisor-3/directives", json=browser, timeout=10).raise_for_status()

    def written():
        supervision = http.get(one, timeout=5).json()
        done = supervision["state"] == "LEFT" and supervision["salesforceRecord"]["state"] == "WRITTEN"
        return supervision if done and supervision["departure"]["customerCallContinued"] is not None else None

    yield until(written)
    requests.post(f"{connect_url}/_fake/contacts/{contact}/hang-up", json={"by": "AGENT"}, timeout=5)


def epoch_ms(text):
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def assert_same(record, supervision):
    departure = supervision["departure"]
    assert record["Leg_Key__c"] == supervision["legContactId"]
    # A date-time field keeps whole seconds only, so the milliseconds are in the number field.
    assert record["Disconnected_Epoch_Ms__c"] == epoch_ms(departure["disconnectedAt"])
    whole = datetime.fromtimestamp(record["Disconnected_Epoch_Ms__c"] // 1000, timezone.utc)
    assert record["Disconnected_At__c"] == whole.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    assert record["Disconnect_Uncertainty_Ms__c"] == departure["uncertaintyMs"]
    assert record["Rejoin__c"] is False


def test_simple_salesforce_reads_the_record_of_the_service(departed, salesforce_url):
    form = {"grant_type": "client_credentials"}
    login = f"{salesforce_url}/services/oauth2/token"
    granted = requests.post(login, data=form, auth=("fake-client-id", "fake-client-secret"), timeout=5).json()
    org = Salesforce(instance_url=granted["instance_url"], session_id=granted["access_token"], version="68.0")
    # The library supports https only, but the fake has http on loopback.
    org.base_url = f"http://{urlparse(granted['instance_url']).netloc}/services/data/v68.0/"
    fields = "Id, Leg_Key__c, Disconnected_At__c, Disconnected_Epoch_Ms__c, Disconnect_Uncertainty_Ms__c, Rejoin__c"
    found = org.query(f"SELECT {fields} FROM {OBJECT} WHERE Contact_Id__c = '{departed['contactId']}'")
    assert found["totalSize"] == 1
    assert_same(found["records"][0], departed)
    objects = org.VoiceCallParticipant__c
    objects.base_url = f"{org.base_url}sobjects/{OBJECT}/"
    record = objects.get_by_custom_id("Leg_Key__c", departed["legContactId"])
    assert_same(record, departed)
    assert (record["Id"], record["Customer_Call_Continued__c"]) == (departed["salesforceRecord"]["recordId"], "YES")


def test_jsforce_reads_the_record_of_the_service(departed, salesforce_url):
    command = ["node", "read_back.mjs", salesforce_url, departed["contactId"], departed["legContactId"]]
    run = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert (seen["total"], seen["externalId"]) == (1, "Leg_Key__c")
    assert_same(seen["row"], departed)
    assert seen["row"]["Id"] == departed["salesforceRecord"]["recordId"]
    assert (seen["again"]["success"], seen["again"]["created"], seen["again"]["id"]) == (True, False, seen["row"]["Id"])
    assert (seen["refused"]["success"], seen["refused"]["errors"][0]["statusCode"]) == (False, "FIELD_CUSTOM_VALIDATION_EXCEPTION")
    assert seen["usage"]["used"] > 0 and seen["usage"]["limit"] == 100000
