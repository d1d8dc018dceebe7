//! How much a finished supervision adds to the database.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};

use sidedoor::usecases::UseCaseIntervals;

use crate::support::app::TestApp;
use crate::support::sql;
use crate::support::supervision_steps::fast_intervals;

/// The most that a finished supervision may add, bytes.
const MOST: u64 = 8 * 1024;
const PAIRS: usize = 200;

/// The bytes of the pages of each table and index.
async fn sizes(app: &TestApp) -> BTreeMap<String, u64> {
    let used = "SELECT name, SUM(pgsize) FROM dbstat GROUP BY name";
    let rows = sql(&app.store_path(), used).await.expect("read");
    let number = |text: &String| text.parse().expect("a number");
    rows.iter().map(|row| (row[0].clone(), number(&row[1]))).collect()
}

#[tokio::test]
async fn finished_supervision_adds_at_most_8_kb() {
    // Seals come as often as in production, because each is a row.
    let intervals = UseCaseIntervals {
        seal: UseCaseIntervals::default().seal,
        ..fast_intervals()
    };
    let app = TestApp::build().intervals(intervals).start().await;
    let pair = async |i: usize| {
        let user = format!("supervisor-{i}");
        app.connect().set_ccp_open(&user, true);
        let call = app.connect().create_call();
        let joined = app.joined(&call, &user).await;
        let id = joined["id"].as_str().expect("an id");
        app.leave(id, &user).await;
        app.until_written(id).await;
    };
    pair(0).await;
    let before = sizes(&app).await;
    stream::iter(1..=PAIRS)
        .map(&pair)
        .buffer_unordered(12)
        .collect::<Vec<()>>()
        .await;
    let after = sizes(&app).await;
    let mut grown: Vec<(u64, &String)> = after
        .iter()
        .map(|(name, bytes)| {
            (
                bytes.saturating_sub(*before.get(name).unwrap_or(&0)) / PAIRS as u64,
                name,
            )
        })
        .collect();
    grown.sort_unstable_by(|a, b| b.cmp(a));
    let each: u64 = grown.iter().map(|(bytes, _)| bytes).sum();
    println!("{each} bytes a finished supervision");
    for (bytes, name) in grown.iter().filter(|(bytes, _)| *bytes > 0) {
        println!("{bytes:>6} {name}");
    }
    assert!(each <= MOST, "a finished supervision adds {each} bytes: {grown:?}");
    app.finish().await;
}
