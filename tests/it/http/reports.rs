//! `GET /v1/reports/supervision`: rows as JSON and CSV, and a download that is continued.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::app::{BACK_END, OPERATOR, READER, SUPERVISOR_1, TestApp};

async fn csv(app: &TestApp, query: &str) -> Vec<Vec<String>> {
    let url = format!("{}/v1/reports/supervision{query}", app.url);
    let request = app.http.get(url).bearer_auth(READER).header("accept", "text/csv");
    let answer = request.send().await.expect("answered");
    assert_eq!(answer.headers()["content-type"], "text/csv");
    let text = answer.text().await.expect("whole");
    // No value of these tests has a comma or a quotation mark but the reason, which is the last to be compared.
    text.lines()
        .map(|line| line.split(',').map(str::to_owned).collect())
        .collect()
}

#[tokio::test]
async fn report_has_a_row_for_each_supervision() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let body = json!({"contactId": call, "supervisor": {"username": "supervisor-1@example"}, "reason": "=1+1"});
    let id = app.call("POST", "/v1/supervisions").json(&body).send().await.id();
    app.until(&id, "joined", |s| !s["joinedAt"].is_null()).await;
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    app.leave(&id, "supervisor-1").await;
    app.until(&id, "names", |s| !s["agentUsername"].is_null()).await;
    let left = app.get(&id).await.body;
    let page = app.call("GET", "/v1/reports/supervision").key(READER).send().await.body;
    let row = &page["items"][0];
    for (column, value) in [
        ("supervisionId", json!(id)),
        ("agentUserId", json!("agent-1")),
        ("agentUsername", json!("agent-1@example")),
        ("username", json!("supervisor-1@example")),
        ("mode", json!("SILENT")),
        ("requestReason", json!("=1+1")),
        ("leftOverdue", json!(false)),
        ("disconnectedAt", left["departure"]["disconnectedAt"].clone()),
        ("uncertaintyMs", left["departure"]["uncertaintyMs"].clone()),
    ] {
        assert_eq!(row[column], value, "{column} of {row:#}");
    }
    let at = |value: &Value| {
        value
            .as_str()
            .expect("a time")
            .parse::<jiff::Timestamp>()
            .expect("a time")
    };
    let listened = at(&row["disconnectedAt"])
        .duration_since(at(&row["joinedAt"]))
        .as_millis();
    assert!(listened >= 1000 && row["listenedMs"] == json!(listened), "{row:#}");

    let table = csv(&app, "").await;
    let column = |name: &str| table[0].iter().position(|c| c == name).expect("a column");
    assert_eq!(table.len(), 2);
    assert_eq!(table[1][column("supervisionId")], id);
    assert_eq!(table[1][column("listenedMs")], listened.to_string());
    assert_eq!(
        table[1][column("requestReason")],
        "'=1+1",
        "a spreadsheet must not evaluate it"
    );
    for key in [BACK_END, SUPERVISOR_1] {
        let refused = app.call("GET", "/v1/reports/supervision").key(key).send().await;
        assert_eq!((refused.status, refused.code()), (403, "action_forbidden"));
    }
    app.finish().await;
}

#[tokio::test]
async fn report_download_is_continued_at_its_last_row() {
    let app = TestApp::start().await;
    let mut ids = BTreeSet::new();
    // More than one chunk of the download. A start on a contact that does not exist fails at once and has a row, too.
    for i in 0..230 {
        let failed = app.listen(&format!("no-such-contact-{i}"), "supervisor-1").await;
        ids.insert(failed.body["supervisionId"].as_str().expect("an id").to_owned());
    }
    let whole = csv(&app, "").await;
    let id_of = |row: &Vec<String>| row[0].clone();
    assert_eq!(whole[1..].iter().map(id_of).collect::<BTreeSet<_>>(), ids);
    let cut = id_of(&whole[100]);
    let rest = csv(&app, &format!("?cursor={cut}")).await;
    assert_eq!(rest[1..], whole[101..], "nothing twice and nothing lost");
    let page = app
        .call("GET", "/v1/reports/supervision?pageSize=200&state=FAILED")
        .key(OPERATOR)
        .send()
        .await
        .body;
    assert_eq!(page["nextCursor"], json!(id_of(&whole[200])));
    let none = app
        .call("GET", "/v1/reports/supervision?state=LEFT")
        .key(OPERATOR)
        .send()
        .await
        .body;
    assert_eq!(none["items"], json!([]));
    app.finish().await;
}
