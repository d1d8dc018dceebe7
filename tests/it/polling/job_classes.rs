//! Urgent work comes first: beside hundreds of departures, with the default quotas of Amazon Connect, a leave whose event was lost is
//! noticed soon, and a leave is overdue at its deadline.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use sidedoor::usecases::UseCaseIntervals;
use sidedoor_fakes::connect::NewContact;

use crate::support::app::TestApp;

/// How many supervisors leave at the same time.
const DEPARTURES: usize = 400;
/// How soon a leave without an event must be noticed.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);
/// How soon after its deadline a leave must be overdue.
const OVERDUE_WITHIN: Duration = Duration::from_secs(1);
const LEAVE_DEADLINE: Duration = Duration::from_secs(15);

struct Listener {
    id: String,
    user: String,
    leg: String,
}

async fn listeners(app: &TestApp, name: &str, count: usize) -> Vec<Listener> {
    let starts = stream::iter(0..count).map(|i| async move {
        let user = format!("{name}-{i}");
        app.connect().set_ccp_open(&user, true);
        let call = app.connect().create_contact(NewContact::default());
        let joined = app.joined(&call, &user).await;
        Listener {
            id: joined["id"].as_str().expect("an id").to_owned(),
            leg: joined["legContactId"].as_str().expect("a leg").to_owned(),
            user,
        }
    });
    starts.buffer_unordered(16).collect().await
}

/// A service with the default quotas, in which these supervisors listen.
async fn with_default_quotas() -> (TestApp, Vec<Listener>, Listener, Listener) {
    let mut app = TestApp::build()
        .intervals(UseCaseIntervals::default())
        .set("SALESFORCE__ENABLED", "false")
        .set("SUPERVISION__LEAVE_DEADLINE_S", "15")
        .start()
        .await;
    let many = listeners(&app, "many", DEPARTURES).await;
    let one = listeners(&app, "one", 1).await.remove(0);
    let stuck = listeners(&app, "stuck", 1).await.remove(0);
    app.events_delivered().await;
    app.crash();
    app.change_setting("CONNECT__QUOTAS__DEFAULT__DEFAULT__PER_SECOND", "2");
    app.change_setting("CONNECT__QUOTAS__DEFAULT__DEFAULT__BURST", "5");
    app.restart().await;
    (app, many, one, stuck)
}

#[tokio::test]
async fn leave_without_event_is_noticed_beside_400_departures() {
    let (app, many, one, stuck) = with_default_quotas().await;
    for leg in &many {
        app.connect().end_leg_in_ccp(&leg.user, &leg.leg).expect("ended");
    }
    app.events_delivered().await;
    let asked = Instant::now();
    assert_eq!(app.disconnect(&stuck.id).await.status, 202);
    assert_eq!(app.disconnect(&one.id).await.status, 202);
    app.connect().change_events(|e| e.loss = 1.0);
    app.connect().end_leg_in_ccp(&one.user, &one.leg).expect("ended");
    let ended = Instant::now();

    let mut noticed = None;
    let mut overdue = None;
    while noticed.is_none() || overdue.is_none() {
        if noticed.is_none() && app.get(&one.id).await.body["state"] == "LEFT" {
            noticed = Some(ended.elapsed());
        }
        if overdue.is_none() && app.get(&stuck.id).await.body["overdue"] == true {
            overdue = Some(asked.elapsed());
        }
        assert!(asked.elapsed() < Duration::from_secs(600), "{noticed:?}, {overdue:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (noticed, overdue) = (noticed.expect("noticed"), overdue.expect("overdue"));
    println!("noticed after {noticed:?}, overdue after {overdue:?}");
    assert!(noticed <= NOTICED_WITHIN, "noticed after {noticed:?}");
    assert!(overdue >= LEAVE_DEADLINE, "overdue after {overdue:?}");
    assert!(overdue <= LEAVE_DEADLINE + OVERDUE_WITHIN, "overdue after {overdue:?}");
}
