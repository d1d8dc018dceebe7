"""Starts `sidedoor fakes` on free ports, once for all tests. It runs `sidedoor-fakes` from the folder of SIDEDOOR_BIN."""

import json
import os
import subprocess

import boto3
import pytest
import requests
from botocore.config import Config

INSTANCE = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(scope="session")
def fakes():
    command = [os.environ["SIDEDOOR_BIN"], "fakes", "--connect-listen", "127.0.0.1:0", "--salesforce-listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line, f"{command} printed nothing; its error message is above"
        yield json.loads(line)
    finally:
        process.terminate()
        status = process.wait(timeout=10)
    assert status == 0, f"{command} ended with status {status}"


@pytest.fixture(scope="session")
def connect_url(fakes):
    return fakes["connectUrl"]


@pytest.fixture(scope="session")
def salesforce_url(fakes):
    return fakes["salesforceUrl"]


def connect_client(url, secret="fake-secret-key", region="us-west-2"):
    return boto3.client(
        "connect",
        region_name=region,
        endpoint_url=url,
        aws_access_key_id="fake-access-key",
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 0, "mode": "standard"}),
    )


@pytest.fixture
def connect(connect_url):
    return connect_client(connect_url)


@pytest.fixture
def contact(connect_url):
    """Creates customers' contacts, and ends them after the test so that the supervisors are free again."""
    made = []

    def make(channel="VOICE"):
        answer = requests.post(f"{connect_url}/_fake/contacts", json={"channel": channel}, timeout=5)
        made.append(answer.json()["contactId"])
        return made[-1]

    yield make
    for contact_id in made:
        requests.post(f"{connect_url}/_fake/contacts/{contact_id}/hang-up", json={"by": "AGENT"}, timeout=5)
