"""What a user would write instead of Sidedoor: FastAPI, boto3, simple-salesforce and SQLite, kept minimal.

It stores what it accepts before it answers (synchronous=FULL), and takes up unfinished supervisions when it starts. A departure is
written to Salesforce when the vendor's event or one DescribeContact after the acknowledgement shows it.
"""

import json
import os
import queue
import sqlite3
import threading
import time
import uuid
from datetime import UTC, datetime

import boto3
import requests
import uvicorn
from botocore.config import Config
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceExpiredSession

KEY, EVENTS_KEY = os.environ["KEY"], os.environ["EVENTS_KEY"]
INSTANCE = "11111111-2222-4333-8444-555555555555"
SALESFORCE = os.environ["SALESFORCE_URL"]

connect = boto3.client(
    "connect",
    endpoint_url=os.environ["CONNECT_URL"],
    region_name="us-west-2",
    aws_access_key_id="fake-access-key",
    aws_secret_access_key="fake-secret-key",
    config=Config(max_pool_connections=50),
)

db = sqlite3.connect(os.environ["STORE"], check_same_thread=False, isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA synchronous = FULL")
db.execute(
    """CREATE TABLE IF NOT EXISTS supervisions (
    id TEXT PRIMARY KEY, contact_id TEXT NOT NULL, user_id TEXT NOT NULL, state TEXT NOT NULL, leg_id TEXT UNIQUE,
    directive_id TEXT, joined_at TEXT, left_at TEXT) STRICT"""
)
lock = threading.Lock()


def store(sql, *values):
    """Runs one statement, which is one transaction."""
    with lock:
        return db.execute(sql, values).fetchall()


def log_in():
    form = {"grant_type": "client_credentials", "client_id": "fake-client-id", "client_secret": "fake-client-secret"}
    granted = requests.post(f"{SALESFORCE}/services/oauth2/token", data=form, timeout=10).json()
    client = Salesforce(instance_url=granted["instance_url"], session_id=granted["access_token"], version="68.0")
    # The library supports https only, but the fake has http on loopback.
    objects = client.VoiceCallParticipant__c
    objects.base_url = f"{SALESFORCE}/services/data/v68.0/sobjects/VoiceCallParticipant__c/"
    return objects


participants = log_in()
records = queue.Queue()


def write_records():
    """Writes departures to Salesforce, one at a time, until each is written."""
    global participants
    while True:
        leg = records.get()
        row = store("SELECT contact_id, joined_at, left_at FROM supervisions WHERE leg_id = ?", leg)[0]
        at = datetime.fromisoformat(row[2])
        record = {
            "Contact_Id__c": row[0],
            "Mode__c": "SILENT",
            "Joined_At__c": row[1],
            "Disconnected_At__c": row[2],
            "Disconnected_Epoch_Ms__c": int(at.timestamp() * 1000),
        }
        while True:
            try:
                participants.upsert(f"Leg_Key__c/{leg}", record)
                break
            except SalesforceExpiredSession:
                participants = log_in()
            except Exception as error:
                print("upsert failed, retrying in 1 s:", error, flush=True)
                time.sleep(1)
        store("UPDATE supervisions SET state = 'WRITTEN' WHERE leg_id = ?", leg)


def left(leg, at):
    """Stores a departure, once. Whoever hears of it first, the event or DescribeContact, has it written."""
    sql = "UPDATE supervisions SET state = 'LEFT', left_at = ? WHERE leg_id = ? AND left_at IS NULL RETURNING id"
    if store(sql, at, leg):
        records.put(leg)


def describe(leg):
    contact = connect.describe_contact(InstanceId=INSTANCE, ContactId=leg)["Contact"]
    if "DisconnectTimestamp" in contact:
        left(leg, contact["DisconnectTimestamp"].astimezone(UTC).isoformat())


def join(id, contact, user):
    leg = connect.monitor_contact(
        InstanceId=INSTANCE, ContactId=contact, UserId=user, AllowedMonitorCapabilities=["SILENT_MONITOR"], ClientToken=id
    )["ContactId"]
    now = datetime.now(UTC).isoformat()
    store("UPDATE supervisions SET state = 'MONITORING', leg_id = ?, joined_at = ? WHERE id = ?", leg, now, id)
    return leg


def recover():
    """Takes up what an earlier process left unfinished."""
    for id, contact, user, leg, at in store(
        "SELECT id, contact_id, user_id, leg_id, left_at FROM supervisions WHERE state NOT IN ('WRITTEN', 'FAILED')"
    ):
        try:
            if leg is None:
                leg = join(id, contact, user)
            if at is None:
                describe(leg)
            else:
                records.put(leg)
        except Exception as error:
            print("recovery of", id, "failed:", error, flush=True)


app = FastAPI()


def caller(authorization: str = Header()):
    if authorization != f"Bearer {KEY}":
        raise HTTPException(401)


def event_source(x_api_key: str = Header()):
    if x_api_key != EVENTS_KEY:
        raise HTTPException(401)


class Supervisor(BaseModel):
    connectUserId: str


class Start(BaseModel):
    contactId: str
    supervisor: Supervisor


class Acknowledgement(BaseModel):
    directiveId: str
    outcome: str


@app.post("/v1/supervisions", status_code=201, dependencies=[Depends(caller)])
def start(body: Start):
    id, user = str(uuid.uuid4()), body.supervisor.connectUserId
    sql = "INSERT INTO supervisions (id, contact_id, user_id, state) VALUES (?, ?, ?, 'JOINING')"
    store(sql, id, body.contactId, user)
    try:
        leg = join(id, body.contactId, user)
    except connect.exceptions.ClientError as error:
        store("UPDATE supervisions SET state = 'FAILED' WHERE id = ?", id)
        raise HTTPException(502, str(error)) from error
    return {"id": id, "state": "MONITORING", "legContactId": leg}


@app.post("/v1/supervisions/{id}/disconnect", dependencies=[Depends(caller)])
def disconnect(id: str):
    directive = str(uuid.uuid4())
    sql = """UPDATE supervisions SET state = CASE state WHEN 'MONITORING' THEN 'LEAVING' ELSE state END, directive_id = ?
        WHERE id = ? RETURNING leg_id"""
    found = store(sql, directive, id)
    if not found:
        raise HTTPException(404)
    return {"id": id, "nextAction": {"type": "END_LEG_IN_CCP", "directiveId": directive, "legContactId": found[0][0]}}


@app.post("/v1/supervisions/{id}/acknowledgements", status_code=204, dependencies=[Depends(caller)])
def acknowledge(id: str, body: Acknowledgement):
    found = store("UPDATE supervisions SET directive_id = NULL WHERE id = ? RETURNING leg_id", id)
    if not found:
        raise HTTPException(404)
    describe(found[0][0])


@app.post("/v1/events/connect", status_code=204, dependencies=[Depends(event_source)])
async def event(request: Request):
    detail = json.loads(await request.body())["detail"]
    if detail["eventType"] == "DISCONNECTED" and "disconnectTimestamp" in detail:
        left(detail["contactId"], detail["disconnectTimestamp"])


@app.get("/readyz")
def ready():
    return {"ready": True}


if __name__ == "__main__":
    threading.Thread(target=write_records, daemon=True).start()
    recover()
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=False, log_level="warning")
