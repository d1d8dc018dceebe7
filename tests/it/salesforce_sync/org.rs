//! The Salesforce org: the login, the object and its fields, and the VoiceCall of a record.

use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sidedoor_fakes::Fault;
use sidedoor_fakes::connect::NewContact;
use sidedoor_fakes::salesforce::Object;

use crate::support::app::{READER, TestApp};
use crate::support::stored_states::make_voice_call_searches_due;
use crate::support::write_secret;

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|c| std::str::from_utf8(c).expect("text"))
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A new RSA key pair in PEM: private and public.
fn key_pair() -> (String, String) {
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
    let private = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).expect("der");
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair);
    let public = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(public).expect("der");
    (pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", public.as_ref()))
}

#[tokio::test]
async fn jwt_login_works_and_key_can_be_rotated() {
    let ((private, public), folder) = (key_pair(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("key.pem");
    write_secret(&file, &private);
    let app = TestApp::build()
        .unset("SALESFORCE__CLIENT_SECRET")
        .set("SALESFORCE__GRANT", "jwt_bearer")
        .set("SALESFORCE__USERNAME", "integration@acme.example")
        .set("SALESFORCE__PRIVATE_KEY_FILE", file.to_str().expect("text"))
        .fakes(move |f| f.salesforce.jwt_public_key = Some(public))
        .start()
        .await;
    let call = app.connect().create_call();
    let first = app.joined(&call, "supervisor-1").await;
    let first = first["id"].as_str().expect("an id");
    app.until_written(first).await;
    assert_eq!(app.salesforce().logins(), 1);
    // Rotate the key on both sides and end the session.
    let (private, public) = key_pair();
    write_secret(&file, &private);
    app.salesforce().change(|s| s.jwt_public_key = Some(public));
    app.salesforce().revoke_tokens();
    app.leave(first, "supervisor-1").await;
    app.until_written(first).await;
    assert_eq!(app.salesforce().logins(), 2);
    app.finish().await;
}

#[tokio::test]
async fn jwt_login_unusable_key_is_reported_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key.pem");
    write_secret(&file, "not-a-key-but-a-secret");
    let app = TestApp::build()
        .unset("SALESFORCE__CLIENT_SECRET")
        .set("SALESFORCE__GRANT", "jwt_bearer")
        .set("SALESFORCE__USERNAME", "integration@acme.example")
        .set("SALESFORCE__PRIVATE_KEY_FILE", file.to_str().expect("text"))
        .start()
        .await;
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let paused = app.call("GET", "/v1/deliveries").key(READER).send().await;
    let id = s["id"].as_str().expect("an id");
    let failed = app
        .until(id, "an error", |s| !s["salesforceRecord"]["lastError"].is_null())
        .await;
    let errors = format!("{} {}", failed["salesforceRecord"]["lastError"], paused.text);
    assert!(
        errors.contains("salesforce_key_invalid") && !errors.contains("not-a-key-but"),
        "{errors}"
    );
    app.assert_invariants().await;
}

fn field<'o>(object: &'o mut Object, name: &str) -> &'o mut sidedoor_fakes::salesforce::Field {
    object.fields.iter_mut().find(|f| f.name == name).expect("there")
}

/// Wrong fields are reported with a remedy, and supervisors can still listen.
#[tokio::test]
async fn record_wrong_fields_are_reported_with_remedy() {
    type Spoil = (fn(&mut Object), &'static str);
    let spoils: [Spoil; 4] = [
        (|o| o.fields.retain(|f| f.name != "Mode__c"), "Mode__c does not exist"),
        (
            |o| field(o, "Origin__c").updateable = false,
            "Origin__c cannot be written by the integration user",
        ),
        (
            |o| field(o, "Rejoin__c").kind = "double".into(),
            "Rejoin__c has the type double, but must be boolean",
        ),
        (|o| field(o, "Leg_Key__c").unique = false, "not Unique"),
    ];
    for (spoil, expected) in spoils {
        let mut app = TestApp::start().await;
        app.crash();
        let mut object = Object::participant("VoiceCallParticipant__c");
        spoil(&mut object);
        app.salesforce().put_object(object);
        app.restart().await;
        let call = app.connect().create_call();
        let s = app.joined(&call, "supervisor-1").await;
        assert_eq!(s["state"], "MONITORING", "listening does not depend on Salesforce");
        let id = s["id"].as_str().expect("an id");
        let parked = app
            .until(id, "an error", |s| !s["salesforceRecord"]["lastError"].is_null())
            .await;
        let error = parked["salesforceRecord"]["lastError"].as_str().expect("an error");
        assert!(
            error.contains("salesforce_mapping_invalid") && error.contains(expected),
            "{error}"
        );
        assert_eq!(parked["salesforceRecord"]["state"], "PENDING", "no record is at fault");
        app.assert_invariants().await;
    }
}

fn voice_call(app: &TestApp, contact: &str) -> String {
    let mut row = Map::new();
    row.insert("VendorCallKey".into(), json!(contact));
    app.salesforce().put_row("VoiceCall", row)
}

#[tokio::test]
async fn voice_call_is_found_by_contact_id() {
    let app = TestApp::start().await;
    let call = app.connect().create_call();
    let record = voice_call(&app, &call);
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id");
    app.until_written(id).await;
    let leg = s["legContactId"].as_str().expect("a leg");
    assert_eq!(app.record(leg)["Voice_Call__c"], record.as_str());
    assert_eq!(app.get(id).await.body["voiceCallId"], record.as_str());
    app.leave(id, "supervisor-1").await;
    app.finish().await;
}

#[tokio::test]
async fn voice_call_found_later_is_added_unless_ambiguous() {
    let app = TestApp::start().await;
    let (early, twice) = (app.connect().create_call(), app.connect().create_call());
    voice_call(&app, &twice);
    voice_call(&app, &twice);
    let first = app.joined(&early, "supervisor-1").await;
    let second = app.joined(&twice, "supervisor-2").await;
    let text = |s: &Value, name: &str| s[name].as_str().expect("a text").to_owned();
    for (s, mark) in [
        (&first, "none has this contact"),
        (&second, "several have this contact"),
    ] {
        let recorded = app.until_written(&text(s, "id")).await;
        assert!(
            recorded["salesforceRecord"]["lastError"]
                .as_str()
                .expect("marked")
                .contains(mark),
            "{recorded:#}"
        );
        assert_eq!(app.record(&text(s, "legContactId")).get("Voice_Call__c"), None);
    }
    // Create the VoiceCall and let the next search be due now instead of in five minutes. The restart drops the search result
    // that is cached for a minute.
    let record = voice_call(&app, &early);
    let mut app = app;
    app.crash();
    make_voice_call_searches_due(&app.store_path()).await;
    app.restart().await;
    for _ in 0..500 {
        if app.record(&text(&first, "legContactId")).contains_key("Voice_Call__c") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        app.record(&text(&first, "legContactId"))["Voice_Call__c"],
        record.as_str()
    );
    assert_eq!(app.record(&text(&second, "legContactId")).get("Voice_Call__c"), None);
    for (s, who) in [(&first, "supervisor-1"), (&second, "supervisor-2")] {
        app.leave(&text(s, "id"), who).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn voice_call_refused_search_delays_no_record() {
    // The question who the people are is a query, too.
    let app = TestApp::build().set("SALESFORCE__USER_LOOKUP", "off").start().await;
    app.salesforce()
        .fault(Fault::error("query", 400, "INVALID_TYPE").times(100));
    let call = app.connect().create_call();
    let s = app.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id");
    app.until_written(id).await;
    app.leave(id, "supervisor-1").await;
    app.until_written(id).await;
    let searches = app.salesforce().calls("query");
    assert_eq!(searches, 1, "the search is not repeated for each record");
    app.finish().await;
}

fn chat(app: &TestApp) -> String {
    app.connect().create_contact(NewContact {
        channel: "CHAT".into(),
        ..NewContact::default()
    })
}

fn messaging_session(app: &TestApp, contact: &str) -> String {
    let row = json!({"Connect_Contact_Id__c": contact}).as_object().cloned();
    app.salesforce().put_row("MessagingSession", row.expect("an object"))
}

#[tokio::test]
async fn messaging_session_of_a_chat_is_found_by_the_field_that_the_org_fills() {
    let key = "connect_contact_id__c";
    let app = TestApp::build()
        .set("SALESFORCE__MESSAGING_SESSION_KEY", key)
        .start()
        .await;
    let (early, later, call) = (chat(&app), chat(&app), app.connect().create_call());
    let record = messaging_session(&app, &early);
    let text = |s: &Value, name: &str| s[name].as_str().expect("a text").to_owned();
    let mut supervisions = Vec::new();
    for (contact, who) in [
        (&early, "supervisor-1"),
        (&later, "supervisor-2"),
        (&call, "supervisor-3"),
    ] {
        let s = app.joined(contact, who).await;
        app.until(&text(&s, "id"), "a channel", |s| !s["channel"].is_null())
            .await;
        supervisions.push(app.until_written(&text(&s, "id")).await);
    }
    let lookup =
        |app: &TestApp, n: usize, field: &str| app.record(&text(&supervisions[n], "legContactId")).get(field).cloned();
    assert_eq!(lookup(&app, 0, "Messaging_Session__c"), Some(json!(record)));
    assert_eq!(
        (
            lookup(&app, 1, "Messaging_Session__c"),
            lookup(&app, 2, "Messaging_Session__c")
        ),
        (None, None)
    );
    let note = text(&supervisions[1]["salesforceRecord"], "lastError");
    assert!(
        note.contains("without a MessagingSession: none has this contact"),
        "{note}"
    );
    assert!(text(&supervisions[2]["salesforceRecord"], "lastError").contains("without a VoiceCall"));
    let record = messaging_session(&app, &later);
    let mut app = app;
    app.crash();
    make_voice_call_searches_due(&app.store_path()).await;
    app.restart().await;
    for _ in 0..500 {
        if lookup(&app, 1, "Messaging_Session__c").is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(lookup(&app, 1, "Messaging_Session__c"), Some(json!(record)));
    for (s, who) in supervisions
        .iter()
        .zip(["supervisor-1", "supervisor-2", "supervisor-3"])
    {
        app.leave(&text(s, "id"), who).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn messaging_session_that_is_not_readable_leaves_voice_calls_alone() {
    let key = "Connect_Contact_Id__c";
    let app = TestApp::build()
        .set("SALESFORCE__MESSAGING_SESSION_KEY", key)
        .start()
        .await;
    app.salesforce().remove_object("MessagingSession");
    let (chat, call) = (chat(&app), app.connect().create_call());
    let record = voice_call(&app, &call);
    let text = |s: &Value, name: &str| s[name].as_str().expect("a text").to_owned();
    let chatting = app.joined(&chat, "supervisor-1").await;
    let written = app.until_written(&text(&chatting, "id")).await;
    let note = text(&written["salesforceRecord"], "lastError");
    assert!(note.contains("MessagingSession: the org could not be asked"), "{note}");
    let calling = app.joined(&call, "supervisor-2").await;
    app.until_written(&text(&calling, "id")).await;
    assert_eq!(
        app.record(&text(&calling, "legContactId"))["Voice_Call__c"],
        record.as_str()
    );
    for (s, who) in [(&chatting, "supervisor-1"), (&calling, "supervisor-2")] {
        app.leave(&text(s, "id"), who).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn chat_is_not_searched_for_without_the_setting() {
    let app = TestApp::build().set("SALESFORCE__USER_LOOKUP", "off").start().await;
    let contact = chat(&app);
    messaging_session(&app, &contact);
    let s = app.joined(&contact, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id");
    let is_clean =
        |s: &Value| s["salesforceRecord"]["lastError"].is_null() && s["salesforceRecord"]["state"] == "WRITTEN";
    app.until(id, "a record without a note", |s| s["channel"] == "CHAT" && is_clean(s))
        .await;
    // The first version may be written before it is known that the contact is a chat.
    assert!(app.salesforce().calls("query") <= 1, "a chat has no VoiceCall");
    app.leave(id, "supervisor-1").await;
    app.finish().await;
}
