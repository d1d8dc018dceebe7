//! The main job, a leg started by hand, and a forged end, under every switch of the fake Connect: for each thing that AWS does not
//! document, any of the answers must lead to the same result.

use futures::future::join_all;
use serde_json::json;
use sidedoor_fakes::ConnectSettings;
use sidedoor_fakes::connect::DetailType;

use crate::support::app::TestApp;
use crate::support::claims::{forged_end, text};

/// One way in which the vendor may behave.
struct Row {
    name: &'static str,
    switch: fn(&mut ConnectSettings),
    settings: &'static [(&'static str, &'static str)],
}

const fn row(name: &'static str, switch: fn(&mut ConnectSettings)) -> Row {
    Row {
        name,
        switch,
        settings: &[],
    }
}

const STALE_5_S: (&str, &str) = ("SUPERVISION__POLL_STALENESS_MS", "5000");

/// So few calls of DescribeContact that GetCurrentUserData must answer most questions.
const FEW_DESCRIBES: [(&str, &str); 2] = [
    ("CONNECT__QUOTAS__DEFAULT__DESCRIBECONTACT__PER_SECOND", "1"),
    ("CONNECT__QUOTAS__DEFAULT__DESCRIBECONTACT__BURST", "1"),
];

/// Runs the rows side by side, because they mostly wait.
async fn check(rows: &[Row]) {
    join_all(rows.iter().map(check_row)).await;
}

async fn check_row(row: &Row) {
    let mut build = TestApp::build()
        .set("SUPERVISION__IDLE_POLL_S", "5")
        .fakes(|f| (row.switch)(&mut f.connect));
    for (setting, value) in row.settings {
        build = build.set(setting, value);
    }
    let app = build.start().await;
    // A row without a second line has failed.
    println!("{}: begun", row.name);
    let honest = async {
        main_job(&app, "supervisor-1").await;
        // Without an event, a leg started by hand is found only of a supervisor who listened before.
        observed_leg(&app, "supervisor-1").await;
    };
    tokio::join!(honest, forged_end_is_refuted(&app, "supervisor-2"));
    assert_eq!(
        app.claims_refuted().await,
        1,
        "{}: only the forged end is refuted",
        row.name
    );
    for end in app.connect().ledger().ended {
        assert_eq!(end.kind, "LEG", "{}: a customer's contact ended", row.name);
    }
    app.finish().await;
    println!("{}: passed", row.name);
}

async fn main_job(app: &TestApp, supervisor: &str) {
    let call = app.connect().create_call();
    let id = app.listen(&call, supervisor).await.id();
    app.until_connected(&id).await;
    let left = app.leave(&id, supervisor).await;
    let confirmation = text(&left, "confirmation");
    assert!(
        ["TWO_SENDERS", "VENDOR_ASKED"].contains(&confirmation.as_str()),
        "{left:#}"
    );
    app.assert_contains_truth(&left);
    let left = app.until_confirmed(&id).await;
    app.assert_contains_truth(&left);
    assert_eq!(
        (
            &left["departure"]["reason"],
            &left["departure"]["customerCallContinued"]
        ),
        (&json!("SUPERVISOR"), &json!(true)),
        "{left:#}"
    );
    assert_eq!(app.connect().legs(&call).len(), 1);
}

async fn observed_leg(app: &TestApp, supervisor: &str) {
    let call = app.connect().create_call();
    let leg = app.connect().begin_leg_by_hand(&call, supervisor).expect("a leg");
    let found = app.found(&format!("origin=OBSERVED&connectUserId={supervisor}")).await;
    let id = text(&found, "id");
    let found = app.until_connected(&id).await;
    assert_eq!(
        (&found["contactId"], &found["legContactId"]),
        (&json!(call), &json!(leg))
    );
    app.connect().end_leg_in_ccp(supervisor, &leg).expect("ended");
    let left = app.until_confirmed(&id).await;
    app.assert_contains_truth(&left);
    assert_eq!(left["departure"]["customerCallContinued"], true, "{left:#}");
    assert_eq!(app.record(&leg)["Origin__c"], "OBSERVED");
}

async fn forged_end_is_refuted(app: &TestApp, supervisor: &str) {
    let call = app.connect().create_call();
    let id = app.listen(&call, supervisor).await.id();
    let leg = text(&app.until_connected(&id).await, "legContactId");
    app.connect().send_forged_event(&forged_end(&leg));
    app.until_refuted(&id, 1).await;
    let left = app.leave(&id, supervisor).await;
    app.assert_contains_truth(&left);
    let left = app.until_confirmed(&id).await;
    app.assert_contains_truth(&left);
    assert_eq!(left["departure"]["customerCallContinued"], true, "{left:#}");
}

#[tokio::test]
async fn uncertain_age_of_polls_changes_no_result() {
    check(&[
        row("polls up to 2 s old", |c| c.poll_staleness_ms = 2000),
        Row {
            settings: &[STALE_5_S],
            ..row("polls up to 5 s old", |c| c.poll_staleness_ms = 5000)
        },
        row("polls list ended legs for 5 s", |c| c.ended_lingers_ms = 5000),
        Row {
            settings: &[STALE_5_S],
            ..row("polls up to 5 s old that list ended legs", |c| {
                (c.poll_staleness_ms, c.ended_lingers_ms) = (5000, 5000);
            })
        },
    ])
    .await;
}

#[tokio::test]
async fn uncertain_listing_of_legs_changes_no_result() {
    check(&[
        row("polls do not list legs", |c| c.list_monitor_legs = false),
        row("polls leave out idle users", |c| c.omit_idle_users = true),
        row("legs without initiation method", |c| c.initiation_method_null = true),
        row("legs without initiation method, idle users left out", |c| {
            (c.initiation_method_null, c.omit_idle_users) = (true, true);
        }),
    ])
    .await;
}

#[tokio::test]
async fn uncertain_lag_of_descriptions_changes_no_result() {
    check(&[
        row("descriptions 1.5 s late", |c| c.describe_lag_ms = 1500),
        row("successors named 2 s late", |c| c.next_contacts_lag_ms = 2000),
        row("descriptions 1.5 s late, polls up to 2 s old", |c| {
            (c.describe_lag_ms, c.poll_staleness_ms) = (1500, 2000);
        }),
        row("descriptions 1.5 s late, legs not listed", |c| {
            (c.describe_lag_ms, c.list_monitor_legs) = (1500, false);
        }),
    ])
    .await;
}

#[tokio::test]
async fn uncertain_evidence_of_connection_changes_no_result() {
    check(&[
        row("nothing says when a leg was connected", |c| {
            c.connected_evidence = false
        }),
        row("no source but events knows of legs", |c| {
            (c.connected_evidence, c.list_monitor_legs) = (false, false);
        }),
        row("tokens remembered for 1 s", |c| c.token_ttl_s = 1),
        row("tokens not remembered", |c| c.token_ttl_s = 0),
    ])
    .await;
}

fn granularity(c: &mut ConnectSettings, events_ms: u64, descriptions_ms: u64) {
    (c.event_granularity_ms, c.describe_granularity_ms) = (Some(events_ms), Some(descriptions_ms));
}

#[tokio::test]
async fn uncertain_granularity_of_stamps_changes_no_result() {
    check(&[
        row("events in seconds", |c| granularity(c, 1000, 1)),
        row("all in milliseconds", |c| granularity(c, 1, 1)),
        row("descriptions in seconds", |c| granularity(c, 1, 1000)),
        row("descriptions in seconds, a clock 1.37 s ahead", |c| {
            granularity(c, 1, 1000);
            c.clock.skew_ms = 1370;
        }),
    ])
    .await;
}

#[tokio::test]
async fn uncertain_form_of_events_changes_no_result() {
    check(&[
        row("COMPLETED after DISCONNECTED", |c| c.completed_events = true),
        row("a longer detail-type", |c| {
            c.detail_type = DetailType::AmazonConnectCustomer;
        }),
        row("a shorter detail-type, with COMPLETED", |c| {
            (c.detail_type, c.completed_events) = (DetailType::ConnectCustomer, true);
        }),
    ])
    .await;
}

#[tokio::test]
async fn uncertain_polls_answer_when_descriptions_are_scarce() {
    check(&[
        Row {
            settings: &FEW_DESCRIBES,
            ..row("fresh polls", |_| ())
        },
        Row {
            settings: &FEW_DESCRIBES,
            ..row("scarce, polls up to 2 s old", |c| c.poll_staleness_ms = 2000)
        },
        Row {
            settings: &[FEW_DESCRIBES[0], FEW_DESCRIBES[1], STALE_5_S],
            ..row("scarce, polls up to 5 s old that list ended legs", |c| {
                (c.poll_staleness_ms, c.ended_lingers_ms) = (5000, 5000);
            })
        },
        Row {
            settings: &FEW_DESCRIBES,
            ..row("scarce, idle users left out, legs without initiation method", |c| {
                (c.omit_idle_users, c.initiation_method_null) = (true, true);
            })
        },
        Row {
            settings: &FEW_DESCRIBES,
            ..row("scarce, legs not listed", |c| c.list_monitor_legs = false)
        },
    ])
    .await;
}
