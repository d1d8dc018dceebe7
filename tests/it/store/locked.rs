//! Another program locks the database for longer than the store waits for it.

use std::time::Duration;

use rusqlite::Connection;
use sidedoor_fakes::Fault;

use crate::support::app::{TestApp, start};

/// A start is stored, then nothing can be written while Connect gives the leg. The request gets its answer, but its key cannot.
#[tokio::test]
async fn locked_store_answers_503_and_neither_leg_nor_key_is_lost() {
    let app = TestApp::build()
        .set("HTTP__ANSWER_WITHIN_MS", "1000")
        .set("SUPERVISION__JOIN_TTL_S", "5")
        .start()
        .await;
    let (call, other) = (app.connect().create_call(), app.connect().create_call());
    app.connect().fault(Fault::late("MonitorContact", 700));
    let ask = || {
        app.call("POST", "/v1/supervisions")
            .json(&start(&call, "supervisor-1"))
            .idempotency("k")
            .send()
    };
    let (first, refused) = tokio::join!(ask(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let program = Connection::open(app.store_path()).expect("opens");
        program.execute_batch("BEGIN IMMEDIATE").expect("locked");
        let refused = app.listen(&other, "supervisor-2").await;
        // The leg and the answer of the first request wait for as long, together, and are not stored either.
        tokio::time::sleep(Duration::from_millis(5500)).await;
        program.execute_batch("ROLLBACK").expect("unlocked");
        refused
    });
    assert_eq!(first.status, 202, "{}", first.text);
    assert_eq!(
        (refused.status, refused.code()),
        (503, "service_unavailable"),
        "{}",
        refused.text
    );
    assert_eq!(refused.headers["retry-after"], "1");

    let again = ask().await;
    assert!(matches!(again.status, 200..=202), "{}", again.text);
    assert_eq!(again.id(), first.id());
    assert_eq!(again.headers["idempotent-replayed"], "true");
    app.until_connected(&first.id()).await;
    assert_eq!(app.connect().legs(&call).len(), 1);
    // The refused request has changed nothing.
    assert_eq!(app.connect().legs(&other), Vec::<String>::new());
    assert_eq!(app.listen(&other, "supervisor-2").await.status, 201);
    app.leave(&first.id(), "supervisor-1").await;
    app.until_confirmed(&first.id()).await;
}
