//! The machine's wall clock is set to another time while the service runs: work goes on, and nothing is deleted.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::jumping_clock::JumpingClock;
use crate::support::sql;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const YEAR: SignedDuration = SignedDuration::from_hours(401 * 24);
/// By then the service must have gone on with its work.
const WITHIN: Duration = Duration::from_secs(5);

/// A call with a supervisor who can join it.
fn call_for(app: &TestApp, user: &str) -> String {
    app.connect().set_ccp_open(user, true);
    app.connect().create_call()
}

/// What waits while the clock jumps goes on within five seconds: a leave without an event, a record, and a new pair.
async fn work_goes_on_after(jumps: &[SignedDuration]) {
    let clock = JumpingClock::new();
    let app = TestApp::build().clock(clock.clone()).start().await;
    for (i, by) in jumps.iter().enumerate() {
        let user = format!("supervisor-{i}");
        let call = call_for(&app, &user);
        let joined = app.joined(&call, &user).await;
        let id = joined["id"].as_str().expect("an id");
        let leg = joined["legContactId"].as_str().expect("a leg");
        app.events_delivered().await;
        app.connect().change_events(|e| e.loss = 1.0);
        let asked = app.disconnect(id).await;
        assert_eq!(asked.status, 202, "{}", asked.text);
        app.connect().end_leg_in_ccp(&user, leg).expect("ended");
        clock.jump(*by);
        let jumped = Instant::now();
        app.until_left(id).await;
        assert!(jumped.elapsed() <= WITHIN, "{by}: LEFT after {:?}", jumped.elapsed());
        app.connect().change_events(|e| e.loss = 0.0);
        app.until_written(id).await;
        assert!(
            jumped.elapsed() <= 2 * WITHIN,
            "{by}: written after {:?}",
            jumped.elapsed()
        );

        let begun = Instant::now();
        let user = format!("after-{i}");
        let call = call_for(&app, &user);
        let joined = app.joined(&call, &user).await;
        let id = joined["id"].as_str().expect("an id");
        app.leave(id, &user).await;
        app.until_written(id).await;
        assert!(begun.elapsed() <= 2 * WITHIN, "{by}: a pair took {:?}", begun.elapsed());
    }
    app.finish().await;
}

#[tokio::test]
async fn work_goes_on_when_clock_is_set_back_an_hour() {
    work_goes_on_after(&[-HOUR, -HOUR]).await;
}

#[tokio::test]
async fn work_goes_on_when_clock_is_set_forward_an_hour() {
    work_goes_on_after(&[HOUR, HOUR]).await;
}

#[tokio::test]
async fn nothing_is_deleted_when_clock_is_401_days_ahead_for_a_while() {
    let clock = JumpingClock::new();
    let app = TestApp::build().clock(clock.clone()).start().await;
    for i in 0..20 {
        let user = format!("supervisor-{i}");
        let call = call_for(&app, &user);
        let joined = app.joined(&call, &user).await;
        app.leave(joined["id"].as_str().expect("an id"), &user).await;
    }
    let call = call_for(&app, "stays");
    let listening = app.joined(&call, "stays").await;
    let id = listening["id"].as_str().expect("an id");
    let count =
        "SELECT COUNT(*), (SELECT MIN(seq) FROM evidence), (SELECT COUNT(*) FROM seen_events) FROM supervisions";
    let rows = async || sql(&app.store_path(), count).await.expect("read");
    app.events_delivered().await;
    let before = rows().await;
    let sweeps = Duration::from_secs(3);
    clock.jump(YEAR);
    tokio::time::sleep(sweeps).await;
    let ahead = rows().await;
    clock.jump(-YEAR);
    tokio::time::sleep(sweeps).await;
    assert_eq!([&ahead, &rows().await], [&before, &before]);
    assert_eq!(app.get(id).await.body["state"], json!("MONITORING"));
    app.leave(id, "stays").await;
    app.finish().await;
}

/// The clock may also be wrong when the process starts.
#[tokio::test]
async fn nothing_is_deleted_when_service_starts_with_clock_401_days_ahead() {
    let clock = JumpingClock::new();
    let mut app = TestApp::build().clock(clock.clone()).start().await;
    let call = call_for(&app, "supervisor");
    let joined = app.joined(&call, "supervisor").await;
    let id = joined["id"].as_str().expect("an id");
    app.leave(id, "supervisor").await;
    app.until_written(id).await;
    app.crash();
    clock.jump(YEAR);
    assert!(sidedoor_domain::ports::Clock::follow_step(&*clock, HOUR).is_some());
    app.restart().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(app.get(id).await.status, 200);
    app.finish().await;
}
