"""simple-salesforce against the fake Salesforce."""

import time
import uuid
from urllib.parse import urlparse

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce, SalesforceLogin
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

OBJECT = "VoiceCallParticipant__c"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def token(url, **form):
    return requests.post(f"{url}/services/oauth2/token", timeout=5, **form)


def by_client_credentials(url):
    answer = token(url, data={"grant_type": "client_credentials"}, auth=("fake-client-id", "fake-client-secret"))
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def org(salesforce_url):
    granted = by_client_credentials(salesforce_url)
    assert "expires_in" not in granted and "refresh_token" not in granted
    client = Salesforce(instance_url=granted["instance_url"], session_id=granted["access_token"], version="68.0")
    # The library supports https only, but the fake has http on loopback.
    host = urlparse(granted["instance_url"]).netloc
    client.base_url = f"http://{host}/services/data/v68.0/"
    return client


def participant(org):
    objects = org.VoiceCallParticipant__c
    objects.base_url = f"{org.base_url}sobjects/{OBJECT}/"
    return objects


def test_login_accepts_both_grants_and_rejects_wrong_ones(salesforce_url):
    assert by_client_credentials(salesforce_url)["token_type"] == "Bearer"
    wrong = token(salesforce_url, data={"grant_type": "client_credentials"}, auth=("fake-client-id", "wrong"))
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_client")

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    requests.patch(f"{salesforce_url}/_fake/settings", json={"jwtPublicKey": public.decode()}, timeout=5)
    claims = {"iss": "fake-client-id", "sub": "integration@example", "aud": "https://login.salesforce.com"}

    def ask(signer=key, **changed):
        exp = int(time.time()) + 120
        assertion = jwt.encode({**claims, "exp": exp, **changed}, signer, algorithm="RS256")
        return token(salesforce_url, data={"grant_type": JWT_BEARER, "assertion": assertion})

    assert ask().status_code == 200
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert ask(signer=other).json()["error"] == "invalid_grant"
    assert ask(exp=int(time.time()) + 600).json()["error"] == "invalid_grant"
    assert ask(aud="https://elsewhere.example").json()["error"] == "invalid_grant"
    assert ask(iss="another").json()["error"] == "invalid_client_id"


def test_describe_shows_the_external_id(org):
    described = participant(org).describe()
    fields = {f["name"]: f for f in described["fields"]}
    assert described["createable"] and described["updateable"]
    assert fields["Leg_Key__c"]["externalId"] and fields["Leg_Key__c"]["unique"]
    assert OBJECT in {o["name"] for o in org.describe()["sobjects"]}


def test_upsert_creates_then_updates_and_keeps_whole_seconds(org):
    key = str(uuid.uuid4())
    rows = participant(org)
    assert rows.upsert(f"Leg_Key__c/{key}", {"Mode__c": "SILENT", "Disconnected_At__c": "2026-08-04T17:43:47.900Z"}) == 201
    assert rows.upsert(f"Leg_Key__c/{key}", {"Mode__c": "BARGE"}) == 200
    row = rows.get_by_custom_id("Leg_Key__c", key)
    assert row["Mode__c"] == "BARGE"
    assert row["Disconnected_At__c"] == "2026-08-04T17:43:47.000+0000", "milliseconds are lost"
    found = org.query(f"SELECT Id, Mode__c FROM {OBJECT} WHERE Leg_Key__c = '{key}'")
    assert (found["totalSize"], found["records"][0]["Id"]) == (1, row["Id"])


def test_upsert_rejects_invalid_fields_and_ids(org):
    rows = participant(org)
    key = str(uuid.uuid4())
    for body, code in [
        ({"No_Such__c": 1}, "INVALID_FIELD"),
        ({"Leg_Key__c": key}, "INVALID_FIELD"),
        ({"Joined_At__c": "yesterday"}, "JSON_PARSER_ERROR"),
        ({"Mode__c": "x" * 256}, "STRING_TOO_LONG"),
        ({"Supervisor__c": "no-id"}, "MALFORMED_ID"),
    ]:
        with pytest.raises(SalesforceMalformedRequest) as caught:
            rows.upsert(f"Leg_Key__c/{key}", body)
        assert caught.value.content[0]["errorCode"] == code
    with pytest.raises(SalesforceResourceNotFound):
        rows.upsert("Leg_Key__c/looks.like.a.txt", {})
    with pytest.raises(SalesforceResourceNotFound):
        rows.get_by_custom_id("Leg_Key__c", "unknown")


def test_collections_answer_200_even_if_records_fail(org):
    records = [
        {"attributes": {"type": OBJECT}, "Leg_Key__c": str(uuid.uuid4()), "Mode__c": "SILENT"},
        {"attributes": {"type": OBJECT}, "Leg_Key__c": str(uuid.uuid4()), "No_Such__c": 1},
    ]
    done = org._call_salesforce(
        "PATCH", f"{org.base_url}composite/sobjects/{OBJECT}/Leg_Key__c", json={"allOrNone": False, "records": records}
    )
    assert done.headers["Sforce-Limit-Info"].startswith("api-usage=")
    # simple-salesforce parses the header itself, which has further figures after a semicolon.
    assert org.api_usage["api-usage"].total == 100000 and org.api_usage["api-usage"].used > 0
    first, second = done.json()
    assert first["success"] and first["created"]
    assert not second["success"] and second["errors"][0]["statusCode"] == "INVALID_FIELD"


def test_revoked_session_and_daily_limit_are_rejected(org, salesforce_url):
    used = requests.get(f"{salesforce_url}/_fake/usage", timeout=5).json()["apiCalls"]
    requests.patch(f"{salesforce_url}/_fake/settings", json={"dailyLimit": used}, timeout=5)
    with pytest.raises(Exception) as caught:
        org.query("SELECT Id FROM User")
    assert "REQUEST_LIMIT_EXCEEDED" in str(caught.value)
    requests.patch(f"{salesforce_url}/_fake/settings", json={"dailyLimit": 100000}, timeout=5)
    requests.post(f"{salesforce_url}/_fake/revoke-tokens", timeout=5)
    with pytest.raises(SalesforceExpiredSession):
        org.query("SELECT Id FROM User")


class ToTheFake(HTTPAdapter):
    """Sends to the fake what simple-salesforce sends to Salesforce's own hosts by https."""

    def __init__(self, url):
        super().__init__()
        self.url = url

    def send(self, request, **arguments):
        request.url = self.url + urlparse(request.url).path
        return super().send(request, **arguments)


@pytest.fixture
def carried(salesforce_url):
    session = requests.Session()
    session.mount("https://", ToTheFake(salesforce_url))
    return session


def test_simple_salesforce_logs_in_with_its_own_code_for_both_grants(carried, salesforce_url):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    requests.patch(f"{salesforce_url}/_fake/settings", json={"jwtPublicKey": public.decode()}, timeout=5)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    session_id, instance = SalesforceLogin(
        username="integration@example", consumer_key="fake-client-id", privatekey=pem, domain="login", session=carried
    )
    assert instance == urlparse(salesforce_url).netloc
    headers = {"Authorization": f"Bearer {session_id}"}
    assert requests.get(f"{salesforce_url}/services/data/v68.0/limits", headers=headers, timeout=5).status_code == 200
    with pytest.raises(SalesforceAuthenticationFailed):
        SalesforceLogin(
            username="integration@example", consumer_key="another", privatekey=pem, domain="login", session=carried
        )

    session_id, _ = SalesforceLogin(
        consumer_key="fake-client-id", consumer_secret="fake-client-secret", domain="acme.my", session=carried
    )
    assert session_id
    with pytest.raises(SalesforceAuthenticationFailed):
        SalesforceLogin(consumer_key="fake-client-id", consumer_secret="wrong", domain="acme.my", session=carried)


def change(url, **settings):
    requests.patch(f"{url}/_fake/settings", json=settings, timeout=5).raise_for_status()


def test_older_version_is_refused_as_by_the_shipped_rule(org, salesforce_url):
    rows, key = participant(org), str(uuid.uuid4())
    assert rows.upsert(f"Leg_Key__c/{key}", {"Row_Version__c": 2, "Mode__c": "BARGE"}) == 201
    assert rows.upsert(f"Leg_Key__c/{key}", {"Row_Version__c": 2, "Mode__c": "BARGE"}) == 200, "the same version passes"
    with pytest.raises(SalesforceMalformedRequest) as caught:
        rows.upsert(f"Leg_Key__c/{key}", {"Row_Version__c": 1, "Mode__c": "SILENT"})
    refused = caught.value.content[0]
    assert refused["errorCode"] == "FIELD_CUSTOM_VALIDATION_EXCEPTION" and refused["fields"] == ["Row_Version__c"]
    assert rows.get_by_custom_id("Leg_Key__c", key)["Mode__c"] == "BARGE"
    change(salesforce_url, keepNewerVersions=False)
    assert rows.upsert(f"Leg_Key__c/{key}", {"Row_Version__c": 1, "Mode__c": "SILENT"}) == 200
    change(salesforce_url, keepNewerVersions=True)


def test_write_without_an_answer_is_committed_late(org, salesforce_url):
    rows, key = participant(org), str(uuid.uuid4())
    fault = {"operation": "upsert", "hang": True, "delayMs": 200, "commitAfterMs": 800}
    requests.post(f"{salesforce_url}/_fake/faults", json=fault, timeout=5).raise_for_status()
    with pytest.raises(requests.exceptions.RequestException):
        rows.upsert(f"Leg_Key__c/{key}", {"Mode__c": "SILENT"})
    with pytest.raises(SalesforceResourceNotFound):
        rows.get_by_custom_id("Leg_Key__c", key)
    time.sleep(1.5)
    assert rows.get_by_custom_id("Leg_Key__c", key)["Mode__c"] == "SILENT"


def test_moved_org_redirects_and_a_new_login_names_the_new_host(salesforce_url):
    old = by_client_credentials(salesforce_url)
    path = "/services/data/v68.0/limits"
    headers = {"Authorization": f"Bearer {old['access_token']}"}
    try:
        for moved, status in [("permanently", 301), ("temporarily", 307), ("urlNotReset", 404)]:
            change(salesforce_url, moved=moved)
            answer = requests.get(old["instance_url"] + path, headers=headers, allow_redirects=False, timeout=5)
            assert answer.status_code == status
        assert answer.json()[0]["errorCode"] == "URL_NOT_RESET"
        change(salesforce_url, moved="reset")
        with pytest.raises(requests.exceptions.RequestException):
            requests.get(old["instance_url"] + path, headers=headers, timeout=5)
        new = by_client_credentials(salesforce_url)
        assert new["instance_url"] != old["instance_url"]
        headers = {"Authorization": f"Bearer {new['access_token']}"}
        assert requests.get(new["instance_url"] + path, headers=headers, timeout=5).status_code == 200
    finally:
        change(salesforce_url, moved="no")


def test_newer_api_version_and_missing_scope_are_refused(salesforce_url):
    granted = by_client_credentials(salesforce_url)
    headers = {"Authorization": f"Bearer {granted['access_token']}"}
    newest = requests.get(f"{granted['instance_url']}/services/data/", timeout=5).json()[-1]["version"]
    assert newest == "68.0"
    answer = requests.get(f"{granted['instance_url']}/services/data/v69.0/limits", headers=headers, timeout=5)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (404, "NOT_FOUND")
    change(salesforce_url, tokenScopes="web id")
    try:
        granted = by_client_credentials(salesforce_url)
        assert granted["scope"] == "web id"
        headers = {"Authorization": f"Bearer {granted['access_token']}"}
        answer = requests.get(f"{granted['instance_url']}/services/data/v68.0/limits", headers=headers, timeout=5)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")
    finally:
        change(salesforce_url, tokenScopes="api")
