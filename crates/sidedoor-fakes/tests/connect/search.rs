//! SearchContacts: its criteria, pages, bounds and lag.

use serde_json::{Value, json};
use sidedoor_fakes::ConnectFake;
use sidedoor_fakes::connect::INSTANCE;

use super::support::{Aws, chat, connected_leg, start, wait_ms};

/// A request for everything from 2020 to 2100.
fn request(kind: &str, more: Value) -> Value {
    let mut body = json!({"InstanceId": INSTANCE,
        "TimeRange": {"Type": kind, "StartTime": 1_577_836_800, "EndTime": 4_102_444_800_u64}});
    let members = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(members);
    body
}

async fn search(aws: &Aws, kind: &str, more: Value) -> Value {
    let (status, answer) = aws.call("POST", "/search-contacts", Some(request(kind, more))).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn ids(answer: &Value) -> Vec<&str> {
    let contacts = answer["Contacts"].as_array().expect("a list").iter();
    contacts.map(|c| c["Id"].as_str().expect("an id")).collect()
}

async fn ended_leg(connect: &ConnectFake) -> (String, String) {
    let call = connect.create_call();
    let leg = connected_leg(connect, &call, "supervisor-1").await;
    connect.end_leg_in_ccp("supervisor-1", &leg).expect("the leg ends");
    (call, leg)
}

#[tokio::test]
async fn search_contacts_finds_ended_legs() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let (call, leg) = ended_leg(connect).await;
    let live = connected_leg(connect, &call, "supervisor-2").await;
    let monitor = json!({"SearchCriteria": {"InitiationMethods": ["MONITOR"]}});
    let found = search(&aws, "DISCONNECT_TIMESTAMP", monitor.clone()).await;
    assert_eq!((ids(&found), &found["TotalCount"]), (vec![leg.as_str()], &json!(1)));
    let described = aws.describe(&leg).await.1;
    let summary = &found["Contacts"][0];
    for field in [
        "Arn",
        "Channel",
        "InitiationMethod",
        "InitiationTimestamp",
        "DisconnectTimestamp",
    ] {
        assert_eq!(summary[field], described[field], "{field}");
    }
    assert_eq!(summary["AgentInfo"]["Id"], "supervisor-1");
    assert_eq!(
        summary["AgentInfo"]["ConnectedToAgentTimestamp"],
        described["AgentInfo"]["ConnectedToAgentTimestamp"]
    );
    let began = search(&aws, "INITIATION_TIMESTAMP", monitor).await;
    assert_eq!(ids(&began), [live.as_str(), leg.as_str()], "the newest first");
    let of_agent = json!({"SearchCriteria": {"AgentIds": ["supervisor-2", "supervisor-3"]}});
    assert_eq!(
        ids(&search(&aws, "CONNECTED_TO_AGENT_TIMESTAMP", of_agent).await),
        [live.as_str()]
    );
    let next = connect.transfer(&call, "agent-2").expect("transferred");
    let transfers = json!({"SearchCriteria": {"InitiationMethods": ["TRANSFER"]}});
    let found = search(&aws, "INITIATION_TIMESTAMP", transfers).await;
    assert_eq!(ids(&found), [next.as_str()]);
    assert_eq!(found["Contacts"][0]["PreviousContactId"], json!(call));
    assert_eq!(found["Contacts"][0]["InitialContactId"], json!(call));
    for none in ["SCHEDULED_TIMESTAMP", "ENQUEUE_TIMESTAMP"] {
        assert!(ids(&search(&aws, none, json!({})).await).is_empty(), "{none}");
    }
}

#[tokio::test]
async fn search_contacts_is_sorted_and_in_pages() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let (first, second, third) = (connect.create_call(), chat(connect), connect.create_call());
    let by_channel = |order: &str, token: Option<&Value>| {
        let mut more = json!({"MaxResults": 2, "Sort": {"FieldName": "CHANNEL", "Order": order}});
        if let Some(token) = token {
            more["NextToken"] = token.clone();
        }
        more
    };
    let page = search(&aws, "INITIATION_TIMESTAMP", by_channel("ASCENDING", None)).await;
    assert_eq!(
        (ids(&page), &page["TotalCount"]),
        (vec![second.as_str(), third.as_str()], &json!(3))
    );
    let token = Some(&page["NextToken"]);
    let page = search(&aws, "INITIATION_TIMESTAMP", by_channel("ASCENDING", token)).await;
    assert_eq!(ids(&page), [first.as_str()]);
    assert!(page.get("NextToken").is_none());
    let page = search(&aws, "INITIATION_TIMESTAMP", by_channel("DESCENDING", None)).await;
    assert_eq!(ids(&page), [third.as_str(), first.as_str()]);
}

#[tokio::test]
async fn search_contacts_compares_the_time_range() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let (_, leg) = ended_leg(connect).await;
    let at = aws.describe(&leg).await.1["DisconnectTimestamp"]
        .as_i64()
        .expect("a whole second");
    for (from, to, found) in [(at, at, 1), (at - 10, at - 1, 0), (at + 1, at + 10, 0)] {
        let range = json!({"TimeRange": {"Type": "DISCONNECT_TIMESTAMP", "StartTime": from, "EndTime": to}});
        let answer = search(&aws, "", range).await;
        assert_eq!(answer["TotalCount"], json!(found), "{from} to {to}");
    }
}

#[tokio::test]
async fn search_contacts_finds_changes_late() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let call = connect.create_call();
    wait_ms(400).await;
    connect.change(|s| s.search_lag_ms = 300);
    connect.hang_up(&call, "CUSTOMER").expect("hung up");
    assert!(ids(&search(&aws, "DISCONNECT_TIMESTAMP", json!({})).await).is_empty());
    let found = search(&aws, "INITIATION_TIMESTAMP", json!({})).await;
    assert_eq!(ids(&found), [call.as_str()]);
    assert!(found["Contacts"][0].get("DisconnectTimestamp").is_none());
    wait_ms(320).await;
    assert_eq!(
        ids(&search(&aws, "DISCONNECT_TIMESTAMP", json!({})).await),
        [call.as_str()]
    );
}

#[tokio::test]
async fn search_contacts_finds_no_connection_without_evidence() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    connect.change(|s| s.connected_evidence = false);
    let call = connect.create_call();
    connected_leg(connect, &call, "supervisor-1").await;
    let found = search(&aws, "CONNECTED_TO_AGENT_TIMESTAMP", json!({})).await;
    assert_eq!(ids(&found), [call.as_str()], "the customer's contact only");
}

#[tokio::test]
async fn search_contacts_rejects_what_the_model_does_not_allow() {
    let fakes = start().await;
    let aws = Aws::new(&fakes);
    let many = vec!["agent-1"; 101];
    let range = |from: i64, to: i64| json!({"Type": "DISCONNECT_TIMESTAMP", "StartTime": from, "EndTime": to});
    for (more, status, code) in [
        (json!({"InstanceId": "other"}), 404, "ResourceNotFoundException"),
        (json!({"InstanceId": ""}), 400, "InvalidParameterException"),
        (json!({"TimeRange": null}), 400, "InvalidParameterException"),
        (
            json!({"TimeRange": {"Type": "DISCONNECT_TIMESTAMP"}}),
            400,
            "InvalidParameterException",
        ),
        (json!({"TimeRange": range(2, 1)}), 400, "InvalidParameterException"),
        (json!({"MaxResults": 101}), 400, "InvalidParameterException"),
        (json!({"MaxResults": 0}), 400, "InvalidParameterException"),
        (json!({"NextToken": "unknown"}), 400, "InvalidParameterException"),
        (
            json!({"SearchCriteria": {"AgentIds": many}}),
            400,
            "InvalidParameterException",
        ),
        (
            json!({"SearchCriteria": {"Channels": ["FAX"]}}),
            400,
            "InvalidParameterException",
        ),
        (
            json!({"SearchCriteria": {"InitiationMethods": ["BY_HAND"]}}),
            400,
            "InvalidParameterException",
        ),
        (
            json!({"SearchCriteria": {"ContactAnalysis": {}}}),
            400,
            "InvalidParameterException",
        ),
        (
            json!({"Sort": {"FieldName": "CHANNEL"}}),
            400,
            "InvalidParameterException",
        ),
        (
            json!({"Sort": {"FieldName": "NAME", "Order": "ASCENDING"}}),
            400,
            "InvalidParameterException",
        ),
    ] {
        let body = request("DISCONNECT_TIMESTAMP", more.clone());
        let answer = aws
            .request("POST", "/search-contacts", Some(&body))
            .send()
            .await
            .expect("an answer");
        let kind = answer.headers()["x-amzn-errortype"].to_str().expect("text");
        let kind = kind.split(':').next().unwrap_or_default().to_owned();
        assert_eq!((answer.status().as_u16(), kind.as_str()), (status, code), "{more}");
    }
}
