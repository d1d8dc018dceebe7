//! Answers that are not the vendor's: cut, replaced by a page, missing, or a 404 for some time.

use std::time::Duration;

use serde_json::json;
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::INSTANCE;
use tokio::time::Instant;

use super::support::{Aws, connected_leg, start, until, wait_ms};

#[tokio::test]
async fn cut_answer_is_half_of_the_json_after_the_effect() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let call = connect.create_call();
    connect.fault(Fault::cut_answer("MonitorContact"));
    let body = json!({"InstanceId": INSTANCE, "ContactId": call, "UserId": "supervisor-1"});
    let request = aws.request("POST", "/contact/monitor", Some(&body));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let text = answer.text().await.expect("a complete HTTP response");
    assert!(
        text.starts_with('{') && serde_json::from_str::<serde_json::Value>(&text).is_err(),
        "{text}"
    );
    assert_eq!(connect.live_legs(&call).len(), 1, "the leg exists");
    assert!(connect.faults().is_empty());
}

#[tokio::test]
async fn html_page_comes_before_or_after_the_effect() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let call = connect.create_call();
    let body = json!({"InstanceId": INSTANCE, "ContactId": call, "UserId": "supervisor-1"});
    let page = Fault::html_page("MonitorContact");
    for (fault, legs) in [(page.clone(), 0), (page.after_effect(), 1)] {
        connect.fault(fault);
        let request = aws.request("POST", "/contact/monitor", Some(&body));
        let answer = request.send().await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"text/html".parse().expect("a value"))
        );
        assert!(answer.text().await.expect("a body").starts_with("<!DOCTYPE html>"));
        assert_eq!(connect.live_legs(&call).len(), legs);
    }
}

#[tokio::test]
async fn hanging_call_gets_no_answer_before_or_after_the_effect() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let call = connect.create_call();
    let body = json!({"InstanceId": INSTANCE, "ContactId": call, "UserId": "supervisor-1"});
    let begun = Instant::now();
    connect.fault(Fault::hang("MonitorContact", 300));
    let request = aws.request("POST", "/contact/monitor", Some(&body));
    assert!(request.send().await.is_err(), "the connection closes without an answer");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(connect.live_legs(&call).len(), 0);
    connect.fault(Fault::hang("MonitorContact", 0).after_effect());
    let request = aws.request("POST", "/contact/monitor", Some(&body));
    let error = request.timeout(Duration::from_millis(200)).send().await;
    assert!(
        error.is_err_and(|e| e.is_timeout()),
        "it hangs longer than the client waits"
    );
    assert_eq!(connect.live_legs(&call).len(), 1);
    assert_eq!(connect.ledger().calls.back().map(|c| c.status), Some(0));
}

#[tokio::test]
async fn hanging_call_does_not_delay_the_end_of_the_fakes() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect().clone(), Aws::new(&fakes));
    let call = connect.create_call();
    connect.fault(Fault::hang("DescribeContact", 0));
    let pending = tokio::spawn(async move {
        aws.request("GET", &format!("/contacts/{INSTANCE}/{call}"), None)
            .send()
            .await
    });
    until("the call arrives", || connect.calls("DescribeContact") == 1).await;
    drop(fakes);
    assert_eq!(pending.await.expect("no panic").expect("an answer").status(), 503);
}

#[tokio::test]
async fn contact_is_not_found_for_some_time() {
    let fakes = start().await;
    let (connect, aws) = (fakes.connect(), Aws::new(&fakes));
    let call = connect.create_call();
    let leg = connected_leg(connect, &call, "supervisor-1").await;
    connect.fault(Fault::not_found_for("DescribeContact", &leg, 200));
    for _ in 0..3 {
        assert_eq!(aws.describe(&leg).await.0, 404);
    }
    assert_eq!(aws.describe(&call).await.0, 200, "only this contact");
    wait_ms(220).await;
    assert_eq!(aws.describe(&leg).await.0, 200);
    assert!(connect.faults().is_empty(), "the fault is over");
}

#[tokio::test]
async fn salesforce_has_the_same_faults() {
    let fakes = start().await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "fake-client-id"),
        ("client_secret", "fake-client-secret"),
    ];
    let http = reqwest::Client::builder().build().expect("a client");
    let log_in = || {
        http.post(format!("{}/services/oauth2/token", fakes.salesforce_url()))
            .form(&form)
            .send()
    };
    fakes.salesforce().fault(Fault::html_page("token"));
    let page = log_in().await.expect("an answer");
    assert_eq!(page.headers()["content-type"], "text/html");
    fakes.salesforce().fault(Fault::hang("token", 20));
    assert!(log_in().await.is_err());
    let token: serde_json::Value = log_in().await.expect("an answer").json().await.expect("JSON");
    let token = token["access_token"].as_str().expect("a token");
    fakes.salesforce().fault(Fault::cut_answer("upsert"));
    let url = format!(
        "{}/services/data/v68.0/sobjects/VoiceCallParticipant__c/Leg_Key__c/leg-1",
        fakes.salesforce_url()
    );
    let answer = http
        .patch(url)
        .bearer_auth(token)
        .json(&json!({}))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 201);
    assert!(answer.json::<serde_json::Value>().await.is_err());
    assert_eq!(fakes.salesforce().written().len(), 1, "the record was written");
}
