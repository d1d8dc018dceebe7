//! A client that signs requests as AWS requires, and a receiver of events.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sidedoor_fakes::connect::{ACCESS_KEY, INSTANCE, NewContact, REGION, SECRET_KEY};
use sidedoor_fakes::{ConnectFake, Fakes, FakesConfig};

/// Longest wait for something that happens in the background.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// The fake does not compare the date of a signature with its clock.
const SIGNED_AT: &str = "20260804T174347Z";

pub(crate) async fn start() -> Fakes {
    let fakes = sidedoor_fakes::start(FakesConfig::default())
        .await
        .expect("the fakes start");
    fakes.connect().change(|settings| settings.connect_delay_ms = 0);
    fakes
}

/// Waits until `done` is true.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    let poll = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, poll)
        .await
        .unwrap_or_else(|_| panic!("timeout: {what}"));
}

pub(crate) async fn wait_ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Begins a leg of `user` and waits until it is connected.
pub(crate) async fn connected_leg(connect: &ConnectFake, call: &str, user: &str) -> String {
    let leg = connect.begin_leg_by_hand(call, user).expect("the leg begins");
    until("the leg connects", || {
        connect.contact(&leg).is_some_and(|l| l.connected)
    })
    .await;
    leg
}

pub(crate) fn chat(connect: &ConnectFake) -> String {
    connect.create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    })
}

/// Calls Connect's API with signed requests.
pub(crate) struct Aws {
    http: reqwest::Client,
    url: String,
}

impl Aws {
    pub(crate) fn new(fakes: &Fakes) -> Self {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build();
        Self {
            http: http.expect("a client"),
            url: fakes.connect_url().to_owned(),
        }
    }

    /// The request, signed.
    pub(crate) fn request(&self, method: &str, path: &str, body: Option<&Value>) -> reqwest::RequestBuilder {
        let body = body.map(Value::to_string).unwrap_or_default();
        let host = self.url.trim_start_matches("http://");
        let date = &SIGNED_AT[..8];
        let canonical = format!(
            "{method}\n{path}\n\nhost:{host}\nx-amz-date:{SIGNED_AT}\n\nhost;x-amz-date\n{}",
            hex::encode(Sha256::digest(body.as_bytes()))
        );
        let scope = format!("{date}/{REGION}/connect/aws4_request");
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{SIGNED_AT}\n{scope}\n{}",
            hex::encode(Sha256::digest(canonical))
        );
        let mut key = hmac(format!("AWS4{SECRET_KEY}").as_bytes(), date);
        for step in [REGION, "connect", "aws4_request", &to_sign] {
            key = hmac(&key, step);
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders=host;x-amz-date, Signature={}",
            hex::encode(key)
        );
        self.http
            .request(method.parse().expect("a method"), format!("{}{path}", self.url))
            .header("authorization", authorization)
            .header("x-amz-date", SIGNED_AT)
            .body(body)
    }

    /// Status and body; null if the body is not JSON.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let answer = self.request(method, path, body.as_ref()).send().await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn describe(&self, contact: &str) -> (u16, Value) {
        let (status, answer) = self.call("GET", &format!("/contacts/{INSTANCE}/{contact}"), None).await;
        (status, answer["Contact"].clone())
    }

    pub(crate) async fn monitor(&self, contact: &str, user: &str, token: &str) -> (u16, Value) {
        let body = json!({"InstanceId": INSTANCE, "ContactId": contact, "UserId": user, "ClientToken": token});
        self.call("POST", "/contact/monitor", Some(body)).await
    }

    /// `UserDataList` of GetCurrentUserData.
    pub(crate) async fn users(&self, users: &[&str]) -> Value {
        let body = json!({"Filters": {"Agents": users}});
        let path = format!("/metrics/userdata/{INSTANCE}");
        let (status, answer) = self.call("POST", &path, Some(body)).await;
        assert_eq!(status, 200, "{answer}");
        answer["UserDataList"].clone()
    }

    /// `Contacts` of one user in GetCurrentUserData.
    pub(crate) async fn contacts_of(&self, user: &str) -> Value {
        self.users(&[user]).await[0]["Contacts"].clone()
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Receives the fake's events.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<Value>>>);

impl Events {
    /// Lets the fake send contact events and agent events here, without delay.
    pub(crate) async fn receive(connect: &ConnectFake) -> Self {
        let events = Self::default();
        let keep = |State(events): State<Events>, Json(event): Json<Value>| async move {
            events.0.lock().expect("not poisoned").push(event);
        };
        let router = Router::new().route("/", post(keep)).with_state(events.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        connect.change_events(|settings| {
            settings.target = Some(format!("http://{address}/"));
            (settings.delay_min_ms, settings.delay_max_ms) = (0, 0);
            settings.agent_events = true;
        });
        events
    }

    pub(crate) fn all(&self) -> Vec<Value> {
        self.0.lock().expect("not poisoned").clone()
    }

    /// The contact events of one type about one contact.
    pub(crate) fn of(&self, contact: &str, event_type: &str) -> Vec<Value> {
        let detail =
            |event: &Value| event["detail"]["contactId"] == contact && event["detail"]["eventType"] == event_type;
        self.all().into_iter().filter(detail).collect()
    }

    /// Waits for a contact event.
    pub(crate) async fn wait_for(&self, contact: &str, event_type: &str) -> Value {
        until(&format!("a {event_type} event"), || {
            !self.of(contact, event_type).is_empty()
        })
        .await;
        self.of(contact, event_type).remove(0)
    }

    /// The contacts in all agent events' snapshots.
    pub(crate) fn snapshot_contacts(&self) -> Vec<Value> {
        use base64::Engine;
        let decode = |record: &Value| -> Value {
            let data = record["data"].as_str().expect("base64");
            let data = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
            serde_json::from_slice(&data).expect("JSON")
        };
        let all = self.all();
        let snapshots = all
            .iter()
            .filter(|event| event.is_array())
            .map(|batch| decode(&batch[0]));
        let contacts = snapshots.map(|event| event["CurrentAgentSnapshot"]["Contacts"].clone());
        contacts
            .flat_map(|list| list.as_array().cloned().unwrap_or_default())
            .collect()
    }
}
