"""boto3 against the fake Connect. botocore signs the requests, and checks requests and answers against its model of the service."""

import datetime
import time

import pytest
import requests
from botocore import xform_name
from botocore.exceptions import ClientError
from conftest import INSTANCE, connect_client


def monitor(connect, contact_id, user="supervisor-1", token=None, **more):
    if token:
        more["ClientToken"] = token
    return connect.monitor_contact(InstanceId=INSTANCE, ContactId=contact_id, UserId=user, **more)


def describe(connect, contact_id):
    return connect.describe_contact(InstanceId=INSTANCE, ContactId=contact_id)["Contact"]


def stop(connect, contact_id):
    # By the operation's name, because a test allows the call itself in one file of this repository only: the one with the interlock.
    return getattr(connect, xform_name("StopContact"))(InstanceId=INSTANCE, ContactId=contact_id)


def error_of(call):
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value
    assert error.response["Error"]["Message"]
    assert error.response["ResponseMetadata"]["RequestId"]
    return type(error).__name__, error.response["ResponseMetadata"]["HTTPStatusCode"]


def test_monitor_contact_creates_a_contact_for_the_leg(connect, contact):
    call = contact()
    answer = monitor(connect, call, AllowedMonitorCapabilities=["SILENT_MONITOR", "BARGE"])
    leg = answer["ContactId"]
    assert leg != call and answer["ContactArn"].endswith(leg)
    time.sleep(0.2)
    seen = describe(connect, leg)
    assert (seen["InitiationMethod"], seen["Channel"], seen["RelatedContactId"]) == ("MONITOR", "VOICE", call)
    assert isinstance(seen["InitiationTimestamp"], datetime.datetime)
    assert seen["AgentInfo"]["Id"] == "supervisor-1"
    assert seen["AgentInfo"]["StateTransitions"][0]["State"] == "SILENT_MONITOR"
    assert "DisconnectTimestamp" not in seen
    assert describe(connect, call)["InitiationMethod"] == "INBOUND"


def test_monitor_contact_returns_the_same_leg_for_a_client_token(connect, contact):
    call = contact()
    first = monitor(connect, call, token="token-1")["ContactId"]
    assert monitor(connect, call, token="token-1")["ContactId"] == first
    assert error_of(lambda: monitor(connect, call, user="supervisor-2", token="token-1")) == ("IdempotencyException", 409)


def test_monitor_contact_rejects_exceeded_limits_and_unknown_ids(connect, contact):
    call = contact()
    monitor(connect, call, user="supervisor-1")
    monitor(connect, call, user="supervisor-2")
    assert error_of(lambda: monitor(connect, call, user="supervisor-3")) == ("ServiceQuotaExceededException", 402)
    other = contact()
    assert error_of(lambda: monitor(connect, other, user="supervisor-1")) == ("InvalidRequestException", 400)
    assert error_of(lambda: monitor(connect, "no-such-contact", user="supervisor-3")) == ("ResourceNotFoundException", 404)
    assert error_of(lambda: monitor(connect, other, user="unknown")) == ("ResourceNotFoundException", 404)
    assert error_of(lambda: describe(connect, "no-such-contact")) == ("ResourceNotFoundException", 404)


def test_stop_contact_answers_for_a_voice_leg_as_configured(connect, connect_url, contact):
    call = contact()
    leg = monitor(connect, call)["ContactId"]
    try:
        assert error_of(lambda: stop(connect, leg)) == ("InvalidRequestException", 400)
        requests.patch(f"{connect_url}/_fake/settings", json={"stopVoiceLeg": "gone410"}, timeout=5)
        assert error_of(lambda: stop(connect, leg)) == ("ContactNotFoundException", 410)
        requests.patch(f"{connect_url}/_fake/settings", json={"stopVoiceLeg": "acceptAndIgnore"}, timeout=5)
        assert stop(connect, leg)["ResponseMetadata"]["HTTPStatusCode"] == 200
    finally:
        requests.patch(f"{connect_url}/_fake/settings", json={"stopVoiceLeg": "refuse400"}, timeout=5)
    assert "DisconnectTimestamp" not in describe(connect, leg), "the leg continues in spite of the 200"


def test_stop_contact_ends_a_chat_leg_but_not_the_chat(connect, contact):
    chat = contact("CHAT")
    leg = monitor(connect, chat)["ContactId"]
    stop(connect, leg)
    assert "DisconnectTimestamp" in describe(connect, leg)
    assert "DisconnectTimestamp" not in describe(connect, chat)
    assert error_of(lambda: stop(connect, leg)) == ("ContactNotFoundException", 410)


def test_stop_contact_with_the_customers_contact_ends_the_call(connect, connect_url, contact):
    call = contact()
    leg = monitor(connect, call)["ContactId"]
    stop(connect, call)
    assert "DisconnectTimestamp" in describe(connect, call)
    assert "DisconnectTimestamp" in describe(connect, leg)
    ledger = requests.get(f"{connect_url}/_fake/ledger", timeout=5).json()
    ours = [e for e in ledger["customerContactsWeEnded"] if e["contactId"] == call]
    assert [e["by"] for e in ours] == ["StopContact"]


def test_current_user_data_lists_live_contacts_in_pages(connect, contact):
    call = contact()
    leg = monitor(connect, call)["ContactId"]
    time.sleep(0.2)
    pages = [connect.get_current_user_data(InstanceId=INSTANCE, Filters={"Agents": ["supervisor-1", "supervisor-2"]}, MaxResults=1)]
    pages.append(
        connect.get_current_user_data(
            InstanceId=INSTANCE, Filters={"Agents": ["supervisor-1", "supervisor-2"]}, MaxResults=1, NextToken=pages[0]["NextToken"]
        )
    )
    users = {d["User"]["Id"]: d["Contacts"] for page in pages for d in page["UserDataList"]}
    assert users["supervisor-2"] == []
    (mine,) = users["supervisor-1"]
    assert (mine["ContactId"], mine["InitiationMethod"], mine["AgentContactState"]) == (leg, "MONITOR", "CONNECTED")
    many = [f"user-{i}" for i in range(101)]
    kind, status = error_of(lambda: connect.get_current_user_data(InstanceId=INSTANCE, Filters={"Agents": many}))
    assert (kind, status) == ("InvalidParameterException", 400)


def test_agents_of_a_routing_profile_are_those_signed_in(connect, connect_url):
    def change(user, **changes):
        requests.post(f"{connect_url}/_fake/users", json={"userId": user, **changes}, timeout=5).raise_for_status()

    change("board-1", username="ana.diaz", routingProfileId="board", hierarchyGroupIds=["all", "north"], status="Lunch")
    change("board-2", routingProfileId="board", status="")
    (profile,) = {u["RoutingProfileId"] for u in users(connect) if u["Username"] == "ana.diaz"}
    assert profile == "board"
    answer = connect.get_current_user_data(InstanceId=INSTANCE, Filters={"RoutingProfiles": [profile]})
    (ana,) = answer["UserDataList"]
    assert (ana["User"]["Id"], ana["RoutingProfile"]["Id"], ana["Status"]["StatusName"]) == ("board-1", "board", "Lunch")
    assert (ana["HierarchyPath"]["LevelOne"]["Id"], ana["HierarchyPath"]["LevelTwo"]["Id"]) == ("all", "north")
    assert ana["Status"]["StatusStartTimestamp"].year >= 2020
    by_group = connect.get_current_user_data(InstanceId=INSTANCE, Filters={"UserHierarchyGroups": ["north"]})
    assert [d["User"]["Id"] for d in by_group["UserDataList"]] == ["board-1"]
    both = {"RoutingProfiles": [profile], "Agents": ["board-1"]}
    kind, status = error_of(lambda: connect.get_current_user_data(InstanceId=INSTANCE, Filters=both))
    assert (kind, status) == ("InvalidParameterException", 400)


def users(connect):
    """All users, page by page."""
    pages = connect.get_paginator("search_users").paginate(InstanceId=INSTANCE, PaginationConfig={"PageSize": 2})
    return [user for page in pages for user in page["Users"]]


@pytest.fixture
def settings(connect_url):
    """Changes settings of the fake, and restores them after the test."""
    before = requests.get(f"{connect_url}/_fake/settings", timeout=5).json()

    def change(**changes):
        requests.patch(f"{connect_url}/_fake/settings", json=changes, timeout=5).raise_for_status()

    yield change
    change(**before)


def test_current_user_data_can_go_back_to_an_older_state(connect, connect_url, contact, settings):
    leg = monitor(connect, contact())["ContactId"]
    time.sleep(0.5)
    end = requests.post(f"{connect_url}/_fake/ccp/supervisor-1/end-leg", json={"legContactId": leg}, timeout=5)
    assert end.status_code == 204
    settings(pollStalenessMs=1000)

    def listed():
        answer = connect.get_current_user_data(InstanceId=INSTANCE, Filters={"Agents": ["supervisor-1"]})
        return any(c["ContactId"] == leg for c in answer["UserDataList"][0]["Contacts"])

    seen = [listed() for _ in range(40)]
    assert (False, True) in zip(seen, seen[1:]), "a later answer shows an older state"
    time.sleep(1)
    assert not listed()


def test_transfer_is_named_by_the_first_contact(connect, connect_url, contact):
    call = contact()
    answer = requests.post(f"{connect_url}/_fake/contacts/{call}/transfer", json={"agentId": "agent-2"}, timeout=5)
    successor = answer.json()["contactId"]
    try:
        (entry,) = describe(connect, call)["NextContacts"]
        data = entry["NextContactMetadata"]["QuickConnectContactData"]
        assert (entry["Type"], data["ContactId"], data["QuickConnectType"]) == ("QUICK_CONNECT", successor, "USER")
        assert isinstance(data["InitiationTimestamp"], datetime.datetime)
        assert "DisconnectTimestamp" in describe(connect, call)
        seen = describe(connect, successor)
        assert (seen["InitiationMethod"], seen["PreviousContactId"], seen["InitialContactId"]) == ("TRANSFER", call, call)
        assert "DisconnectTimestamp" not in seen
        ledger = requests.get(f"{connect_url}/_fake/ledger", timeout=5).json()
        assert call not in [e["contactId"] for e in ledger["customerContactsWeEnded"]]
    finally:
        requests.post(f"{connect_url}/_fake/contacts/{successor}/hang-up", json={"by": "AGENT"}, timeout=5)


def test_search_contacts_finds_ended_legs_in_pages(connect, connect_url, contact):
    chats = [contact("CHAT") for _ in range(3)]
    legs = [monitor(connect, chat, user="supervisor-4")["ContactId"] for chat in chats]
    for leg in legs:
        stop(connect, leg)
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    question = {
        "InstanceId": INSTANCE,
        "TimeRange": {"Type": "DISCONNECT_TIMESTAMP", "StartTime": now - hour, "EndTime": now + hour},
        "SearchCriteria": {"InitiationMethods": ["MONITOR"], "AgentIds": ["supervisor-4"], "Channels": ["CHAT"]},
        "Sort": {"FieldName": "INITIATION_TIMESTAMP", "Order": "DESCENDING"},
    }
    pages = list(connect.get_paginator("search_contacts").paginate(**question, PaginationConfig={"PageSize": 2}))
    assert [len(page["Contacts"]) for page in pages] == [2, 1]
    assert [page["TotalCount"] for page in pages] == [3, 3]
    found = [c for page in pages for c in page["Contacts"]]
    assert {c["Id"] for c in found} == set(legs)
    for summary in found:
        assert (summary["InitiationMethod"], summary["AgentInfo"]["Id"]) == ("MONITOR", "supervisor-4")
        assert isinstance(summary["DisconnectTimestamp"], datetime.datetime)
    backwards = {"Type": "DISCONNECT_TIMESTAMP", "StartTime": now, "EndTime": now - hour}
    kind, status = error_of(lambda: connect.search_contacts(InstanceId=INSTANCE, TimeRange=backwards))
    assert (kind, status) == ("InvalidParameterException", 400)


def test_old_signature_is_rejected(connect, contact, settings):
    call = contact()
    clock = requests.get(f"{connect.meta.endpoint_url}/_fake/settings", timeout=5).json()["clock"]
    for skew, words in ((600_000, "Signature expired"), (-600_000, "Signature not yet current")):
        settings(clock={**clock, "skewMs": skew}, signatureAgeS=300)
        with pytest.raises(ClientError, match=words) as caught:
            monitor(connect, call)
        assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"
    settings(clock={**clock, "skewMs": 200_000})
    monitor(connect, call)


def test_closed_ccp_may_be_a_quota(connect, connect_url, contact, settings):
    call = contact()
    settings(refuseClosedCcp=True)
    user = {"userId": "supervisor-4"}
    requests.post(f"{connect_url}/_fake/users", json={**user, "ccpOpen": False}, timeout=5).raise_for_status()
    assert error_of(lambda: monitor(connect, call, user="supervisor-4")) == ("ServiceQuotaExceededException", 402)
    requests.post(f"{connect_url}/_fake/users", json=user, timeout=5).raise_for_status()
    monitor(connect, call, user="supervisor-4")


def test_proxy_page_is_no_error_of_connect(connect, connect_url, contact):
    call = contact()
    page = {"operation": "DescribeContact", "htmlPage": True, "status": 407}
    requests.post(f"{connect_url}/_fake/faults", json=page, timeout=5).raise_for_status()
    with pytest.raises(ClientError) as caught:
        describe(connect, call)
    assert caught.value.response["Error"]["Code"] in ("", "407"), caught.value.response
    assert describe(connect, call)["Id"] == call


def test_replicated_instance_is_active_in_one_region_for_a_contact(connect, connect_url, contact, settings):
    east = connect_client(connect_url, region="us-east-1")
    settings(replicated=True, activeRegion="us-east-1")
    call = contact()
    assert error_of(lambda: monitor(connect, call, user="supervisor-3")) == ("InvalidActiveRegionException", 400)
    leg = monitor(east, call, user="supervisor-3")["ContactId"]
    assert error_of(lambda: stop(connect, leg)) == ("InvalidActiveRegionException", 400)
    assert error_of(lambda: describe(connect, leg)) == ("InvalidActiveRegionException", 400)
    assert describe(east, leg)["Id"] == leg

    def listed(client):
        answer = client.get_current_user_data(InstanceId=INSTANCE, Filters={"Agents": ["supervisor-3"]})
        return [c["ContactId"] for c in answer["UserDataList"][0]["Contacts"]]

    assert (listed(connect), listed(east)) == ([], [leg])
    settings(otherRegion="notFound")
    assert error_of(lambda: describe(connect, leg)) == ("ResourceNotFoundException", 404)
    move = requests.post(f"{connect_url}/_fake/contacts/{call}/region", json={"region": "us-west-2"}, timeout=5)
    assert move.status_code == 204
    assert describe(connect, leg)["Id"] == leg
    assert error_of(lambda: describe(east, leg)) == ("ResourceNotFoundException", 404)
    settings(inactiveRegions=["us-east-1"])
    assert error_of(lambda: listed(east)) == ("InvalidActiveRegionException", 400)
    elsewhere = connect_client(connect_url, region="eu-west-2")
    assert error_of(lambda: describe(elsewhere, leg)) == ("ResourceNotFoundException", 404)


def test_wrong_signature_is_rejected(connect_url, contact):
    kind, status = error_of(lambda: monitor(connect_client(connect_url, secret="wrong"), contact()))
    assert status == 403


def test_associated_contacts_are_one_tree(connect, connect_url, contact, settings):
    call = contact()
    leg = monitor(connect, call, user="supervisor-2")["ContactId"]

    # botocore has no paginator for it.
    def tree(of, page=100):
        found, more = [], {}
        while True:
            answer = connect.list_associated_contacts(InstanceId=INSTANCE, ContactId=of, MaxResults=page, **more)
            found.extend(answer["ContactSummaryList"])
            if "NextToken" not in answer:
                return found
            more = {"NextToken": answer["NextToken"]}

    assert [(c["ContactId"], c["InitiationMethod"]) for c in tree(leg)] == [(call, "INBOUND"), (leg, "MONITOR")]
    assert [c["ContactId"] for c in tree(call, page=1)] == [call, leg]
    assert all(isinstance(c["InitiationTimestamp"], datetime.datetime) for c in tree(leg))
    settings(legsInTree=False)
    assert [c["ContactId"] for c in tree(leg)] == [leg]
    assert error_of(lambda: tree("no-such-contact")) == ("ResourceNotFoundException", 404)
    requests.post(f"{connect_url}/_fake/ccp/supervisor-2/end-leg", json={"legContactId": leg}, timeout=5)


def test_instance_attribute_and_user_can_be_described(connect):
    assert connect.describe_instance(InstanceId=INSTANCE)["Instance"]["Id"] == INSTANCE
    attribute = connect.describe_instance_attribute(InstanceId=INSTANCE, AttributeType="ENHANCED_CONTACT_MONITORING")
    assert attribute["Attribute"]["Value"] == "true"
    assert connect.describe_user(InstanceId=INSTANCE, UserId="agent-1")["User"]["Username"] == "agent-1@example"


def test_search_users_finds_an_exact_user_name(connect):
    def search(name, comparison="EXACT"):
        condition = {"FieldName": "Username", "Value": name, "ComparisonType": comparison}
        return connect.search_users(InstanceId=INSTANCE, SearchCriteria={"StringCondition": condition})["Users"]

    assert [user["Id"] for user in search("Supervisor-1@example")] == ["supervisor-1"]
    assert search("unknown@example") == []
    assert error_of(lambda: search("super", "STARTS_WITH"))[1] == 400


def test_scripted_faults_are_errors_of_botocores_model(connect, connect_url, contact):
    call = contact()
    fault = {"operation": "MonitorContact", "status": 429, "code": "ThrottlingException", "message": "Rate exceeded"}
    requests.post(f"{connect_url}/_fake/faults", json=fault, timeout=5)
    assert error_of(lambda: monitor(connect, call)) == ("ThrottlingException", 429)
    assert monitor(connect, call)["ContactId"]
