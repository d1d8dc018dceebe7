//! `sidedoor check` about the org: it says the same as `lastError`, and the remedy names the setting.

use sidedoor_fakes::Fault;

use super::check::{Scene, result};

#[tokio::test(flavor = "multi_thread")]
async fn check_keeps_salesforces_sentence_and_names_the_setting() {
    for (error, sentence, remedy) in [
        ("invalid_grant", "no client credentials user enabled", "run-as user"),
        (
            "invalid_grant",
            "request not supported on this domain",
            "salesforce.login_url",
        ),
        (
            "invalid_client",
            "invalid client credentials",
            "salesforce.client_secret",
        ),
    ] {
        let scene = Scene::new().await;
        let fault = Fault::error("token", 400, error).saying(sentence).times(100);
        scene.fakes.salesforce().fault(fault);
        let (lines, success) = scene.lines(&[], &[]).await;
        let login = result(&lines, "salesforce-login");
        assert!(!success && login.0 == "failed", "{login:?}");
        assert!(login.1.contains(sentence) && login.2.contains(remedy), "{login:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_api_version_of_an_older_org() {
    let scene = Scene::new().await;
    scene.fakes.salesforce().change(|s| s.newest_api_version = 66);
    let (lines, success) = scene.lines(&[], &[]).await;
    let object = result(&lines, "salesforce-object");
    assert!(!success && object.1.contains("its newest is v66.0"), "{object:?}");
    assert_eq!(object.2, "Set salesforce.api_version to v66.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_token_without_api_scope_and_web_page() {
    let scene = Scene::new().await;
    scene.fakes.salesforce().change(|s| s.token_scopes = "web".into());
    let (lines, success) = scene.lines(&[], &[]).await;
    let object = result(&lines, "salesforce-object");
    assert!(
        !success && object.1.contains("not valid for use with the REST API"),
        "{object:?}"
    );
    assert!(object.2.contains("(api)"), "{object:?}");

    let scene = Scene::new().await;
    let page = Fault {
        times: 100,
        ..Fault::html_page("describe")
    };
    scene.fakes.salesforce().fault(page);
    let (lines, success) = scene.lines(&[], &[]).await;
    let object = result(&lines, "salesforce-object");
    assert!(!success && object.1.contains("titled \"Maintenance\""), "{object:?}");
    assert!(object.2.contains("proxy"), "{object:?}");
}
