//! What `sidedoor check` shows of a running service's measurements.

use std::time::Duration;

use super::check::{Scene, result};
use crate::support::app::TestApp;
use crate::support::claims::text;
use crate::support::{sql, sql_with};

/// A running service finds that GetCurrentUserData lists a leg long after its end; the remedy names a value that suffices.
#[tokio::test(flavor = "multi_thread")]
async fn check_warns_about_answers_older_than_configured() {
    let stale = TestApp::build().fakes(|f| f.connect.poll_staleness_ms = 5000);
    let app = stale.set("SUPERVISION__IDLE_POLL_S", "5").start().await;
    app.listen(&app.connect().create_call(), "supervisor-4").await;
    // A poll happens at each multiple of 5 s and shows a random moment, so legs end 2.5 s before one until an old one was measured.
    for _ in 0..15 {
        let id = app.listen(&app.connect().create_call(), "supervisor-1").await.id();
        let leg = text(&app.until_connected(&id).await, "legContactId");
        let past = u64::try_from(jiff::Timestamp::now().as_millisecond()).expect("now") % 5000;
        tokio::time::sleep(Duration::from_millis((7500 - past) % 5000)).await;
        app.connect().end_leg_in_ccp("supervisor-1", &leg).expect("ended");
        tokio::time::sleep(Duration::from_secs(3)).await;
        let measured = sql(&app.store_path(), "SELECT instance FROM poll_staleness").await;
        if !measured.expect("read").is_empty() {
            break;
        }
    }
    let scene = Scene::new().await;
    let store = format!("sqlite://{}", app.store_path().display());
    let (lines, _) = scene.lines(&[], &[("STORE__URL", store.as_str())]).await;
    let (mark, detail, remedy) = result(&lines, "connect-staleness");
    let least = remedy.rsplit(' ').next().and_then(|ms| ms.parse().ok());
    assert_eq!(mark, "warning", "{detail}");
    assert!(least.is_some_and(|ms| (2001..=5000).contains(&ms)), "{detail} {remedy}");
}

#[tokio::test]
async fn check_shows_the_share_of_missed_legs() {
    let scene = Scene::new().await;
    let (lines, _) = scene.lines(&[], &[("SUPERVISION__COMPLETENESS_EVERY_S", "0")]).await;
    assert_eq!(result(&lines, "connect-completeness").0, "warning");
    let mut app = TestApp::build().fakes(|f| f.events.loss = 1.0).start().await;
    for _ in 0..200 {
        let covered = sql(&app.store_path(), "SELECT 1 FROM completeness").await;
        if !covered.expect("read").is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    app.crash();
    let store = format!("sqlite://{}", app.store_path().display());
    let (lines, _) = scene.lines(&[], &[("STORE__URL", store.as_str())]).await;
    let (mark, detail, _) = result(&lines, "connect-completeness");
    assert_eq!(mark, "ok", "{detail}");
    let some = "UPDATE completeness SET legs = 40, missed = CAST(? AS INTEGER)";
    sql_with(&app.store_path(), some, "3").await.expect("written");
    let (lines, _) = scene.lines(&[], &[("STORE__URL", store.as_str())]).await;
    let (mark, detail, remedy) = result(&lines, "connect-completeness");
    assert_eq!(mark, "warning", "{detail}");
    assert!(
        detail.starts_with("3 of 40 legs") && detail.ends_with("(7.5 %)"),
        "{detail}"
    );
    assert!(remedy.contains("event rule"), "{remedy}");
}
