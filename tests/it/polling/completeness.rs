//! Legs whose events and polls were all missed: a search of the ended legs finds them, and they are recorded with their departure.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use sidedoor::usecases::UseCaseIntervals;
use sidedoor_fakes::connect::NewContact;

use crate::support::app::{READER, TestApp, TestAppBuilder};
use crate::support::sql;
use crate::support::supervision_steps::fast_intervals;

/// A service without news: no event is delivered, and no supervisor has listened before, so that no poll asks about them.
fn deaf() -> TestAppBuilder {
    TestApp::build()
        .fakes(|f| f.events.loss = 1.0)
        .set("SUPERVISION__COMPLETENESS_EVERY_S", "1")
        .intervals(UseCaseIntervals {
            // The fake's timestamps are of whole seconds, so that a leg seems to have ended up to a second earlier.
            legs_settle: SignedDuration::from_millis(1500),
            ..fast_intervals()
        })
}

async fn first_check_done(app: &TestApp) {
    for _ in 0..500 {
        let rows = sql(&app.store_path(), "SELECT 1 FROM completeness")
            .await
            .expect("read");
        if !rows.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no check was made");
}

/// Begins a leg by hand and ends it again.
async fn leg_by_hand(app: &TestApp, supervisor: &str) -> String {
    app.connect().set_ccp_open(supervisor, true);
    let call = app.connect().create_contact(NewContact::default());
    let leg = app.connect().begin_leg_by_hand(&call, supervisor).expect("a leg");
    tokio::time::sleep(Duration::from_millis(30)).await;
    app.connect().end_leg_in_ccp(supervisor, &leg).expect("ended");
    leg
}

async fn supervisions(app: &TestApp) -> Vec<Value> {
    let all = app.call("GET", "/v1/supervisions").send().await.body;
    all["items"].as_array().expect("items").clone()
}

async fn until_recorded(app: &TestApp, leg: &str) -> Value {
    for _ in 0..500 {
        let found = supervisions(app).await.into_iter().find(|s| s["legContactId"] == leg);
        if let Some(found) = found
            && found["salesforceRecord"]["state"] == "WRITTEN"
            && found["state"] == "LEFT"
        {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{leg} is missing: {:#?}", supervisions(app).await);
}

async fn counted(app: &TestApp) -> (String, String) {
    let rows = sql(&app.store_path(), "SELECT legs, missed FROM completeness")
        .await
        .expect("read");
    (rows[0][0].clone(), rows[0][1].clone())
}

#[tokio::test]
async fn missed_leg_is_recorded_with_its_departure() {
    let app = deaf().start().await;
    first_check_done(&app).await;
    let leg = leg_by_hand(&app, "supervisor-1").await;
    let found = until_recorded(&app, &leg).await;
    assert_eq!(found["origin"], "OBSERVED");
    assert_eq!(found["confirmation"], "VENDOR_ASKED");
    assert_eq!(app.record(&leg)["Origin__c"], "OBSERVED");
    assert_eq!(counted(&app).await, ("1".into(), "1".into()));
    let metrics = app.call("GET", "/metrics").key(READER).send().await.text;
    assert!(metrics.contains("sidedoor_legs_missed_total 1"), "{metrics}");
    assert!(metrics.contains("sidedoor_legs_checked_total 1"), "{metrics}");
    app.finish().await;
}

#[tokio::test]
async fn leg_that_events_named_is_not_missed() {
    let app = deaf().fakes(|f| f.events.loss = 0.0).start().await;
    first_check_done(&app).await;
    let leg = leg_by_hand(&app, "supervisor-1").await;
    until_recorded(&app, &leg).await;
    for _ in 0..200 {
        if counted(&app).await.0 == "1" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(counted(&app).await, ("1".into(), "0".into()));
    app.finish().await;
}

#[tokio::test]
async fn legs_that_ended_while_the_service_was_down_are_found() {
    let mut app = deaf().start().await;
    first_check_done(&app).await;
    app.crash();
    let mut legs = Vec::new();
    for n in 0..3 {
        legs.push(leg_by_hand(&app, &format!("supervisor-{n}")).await);
    }
    app.restart().await;
    for leg in &legs {
        until_recorded(&app, leg).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn leg_from_before_the_first_check_is_not_recorded() {
    let app = deaf()
        .start_with(|fakes| {
            fakes.connect().set_ccp_open("earlier", true);
            let call = fakes.connect().create_call();
            let leg = fakes.connect().begin_leg_by_hand(&call, "earlier").expect("a leg");
            fakes.connect().end_leg_in_ccp("earlier", &leg).expect("ended");
            std::thread::sleep(Duration::from_millis(2600));
        })
        .await;
    first_check_done(&app).await;
    let leg = leg_by_hand(&app, "later").await;
    until_recorded(&app, &leg).await;
    assert_eq!(supervisions(&app).await.len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn more_legs_than_one_check_reads_are_found() {
    /// More than the five pages that one search reads.
    const LEGS: usize = 520;
    let mut app = deaf().set("SALESFORCE__ENABLED", "false").start().await;
    first_check_done(&app).await;
    app.crash();
    for n in 0..LEGS {
        let user = format!("supervisor-{n}");
        app.connect().set_ccp_open(&user, true);
        let call = app.connect().create_contact(NewContact::default());
        let leg = app.connect().begin_leg_by_hand(&call, &user).expect("a leg");
        app.connect().end_leg_in_ccp(&user, &leg).expect("ended");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    app.restart().await;
    let all = (LEGS.to_string(), LEGS.to_string());
    for _ in 0..500 {
        if counted(&app).await == all {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(counted(&app).await, all);
}
