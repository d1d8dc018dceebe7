//! The org as it is: how Sidedoor logs in, whether object and fields fit, and the VoiceCall a row belongs to.

use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sidedoor_fakes::Fault;
use sidedoor_fakes::salesforce::Object;

use crate::support::house::{House, READER};
use crate::support::sql;

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|c| std::str::from_utf8(c).expect("text"))
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A new RSA key: private and public, in PEM.
fn key_pair() -> (String, String) {
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
    let private = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).expect("der");
    let public = aws_lc_rs::signature::KeyPair::public_key(&pair);
    let public = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(public).expect("der");
    (pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", public.as_ref()))
}

#[tokio::test]
async fn a_signed_assertion_logs_in_and_its_key_may_be_rotated() {
    let ((private, public), folder) = (key_pair(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("key.pem");
    std::fs::write(&file, &private).expect("written");
    let house = House::build()
        .unset("SALESFORCE__CLIENT_SECRET")
        .set("SALESFORCE__GRANT", "jwt_bearer")
        .set("SALESFORCE__USERNAME", "integration@acme.example")
        .set("SALESFORCE__PRIVATE_KEY_FILE", file.to_str().expect("text"))
        .fakes(move |f| f.salesforce.jwt_public_key = Some(public))
        .start()
        .await;
    let call = house.connect().create_call();
    let first = house.joined(&call, "supervisor-1").await;
    let first = first["id"].as_str().expect("an id");
    house.until_recorded(first).await;
    assert_eq!(house.salesforce().logins(), 1);
    // The key is rotated on both sides, and the session ends.
    let (private, public) = key_pair();
    std::fs::write(&file, &private).expect("written");
    house.salesforce().change(|s| s.jwt_public_key = Some(public));
    house.salesforce().revoke_tokens();
    house.leave(first, "supervisor-1").await;
    house.until_recorded(first).await;
    assert_eq!(house.salesforce().logins(), 2);
    house.finish().await;
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_told_and_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key.pem");
    std::fs::write(&file, "not-a-key-but-a-secret-all-the-same").expect("written");
    let house = House::build()
        .unset("SALESFORCE__CLIENT_SECRET")
        .set("SALESFORCE__GRANT", "jwt_bearer")
        .set("SALESFORCE__USERNAME", "integration@acme.example")
        .set("SALESFORCE__PRIVATE_KEY_FILE", file.to_str().expect("text"))
        .start()
        .await;
    let call = house.connect().create_call();
    let s = house.joined(&call, "supervisor-1").await;
    let paused = house.call("GET", "/v1/deliveries").key(READER).send().await;
    let id = s["id"].as_str().expect("an id");
    let told = house
        .until(id, "an error", |s| !s["recording"]["lastError"].is_null())
        .await;
    let told = format!("{} {}", told["recording"]["lastError"], paused.text);
    assert!(
        told.contains("salesforce_key_unusable") && !told.contains("not-a-key-but"),
        "{told}"
    );
    house.rules_hold().await;
}

fn field<'o>(object: &'o mut Object, name: &str) -> &'o mut sidedoor_fakes::salesforce::Field {
    object.fields.iter_mut().find(|f| f.name == name).expect("there")
}

/// What does not fit is named, with the remedy, and listening goes on.
#[tokio::test]
async fn fields_that_do_not_fit_are_named_with_the_remedy() {
    type Spoil = (fn(&mut Object), &'static str);
    let spoils: [Spoil; 4] = [
        (|o| o.fields.retain(|f| f.name != "Mode__c"), "Mode__c is not there"),
        (
            |o| field(o, "Origin__c").updateable = false,
            "Origin__c cannot be written by this user",
        ),
        (
            |o| field(o, "Rejoin__c").kind = "double".into(),
            "Rejoin__c is of type double, and must be boolean",
        ),
        (|o| field(o, "Leg_Key__c").unique = false, "not Unique"),
    ];
    for (spoil, told) in spoils {
        let mut house = House::start().await;
        house.crash();
        let mut object = Object::participant("VoiceCallParticipant__c");
        spoil(&mut object);
        house.salesforce().put_object(object);
        house.restart().await;
        let call = house.connect().create_call();
        let s = house.joined(&call, "supervisor-1").await;
        assert_eq!(s["state"], "MONITORING", "listening does not depend on Salesforce");
        let id = s["id"].as_str().expect("an id");
        let parked = house
            .until(id, "an error", |s| !s["recording"]["lastError"].is_null())
            .await;
        let said = parked["recording"]["lastError"].as_str().expect("told");
        assert!(said.contains("salesforce_mapping") && said.contains(told), "{said}");
        assert_eq!(parked["recording"]["state"], "PENDING", "no row is at fault");
        house.rules_hold().await;
    }
}

fn voice_call(house: &House, contact: &str) -> String {
    let mut row = Map::new();
    row.insert("VendorCallKey".into(), json!(contact));
    house.salesforce().put_row("VoiceCall", row)
}

#[tokio::test]
async fn the_voice_call_of_a_row_is_found_by_its_contact() {
    let house = House::start().await;
    let call = house.connect().create_call();
    let record = voice_call(&house, &call);
    let s = house.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id");
    house.until_recorded(id).await;
    let leg = s["legContactId"].as_str().expect("a leg");
    assert_eq!(house.row(leg)["Voice_Call__c"], record.as_str());
    assert_eq!(house.get(id).await.body["voiceCallId"], record.as_str());
    house.leave(id, "supervisor-1").await;
    house.finish().await;
}

#[tokio::test]
async fn a_voice_call_that_comes_later_is_added_and_an_ambiguous_one_is_not() {
    let house = House::start().await;
    let (early, twice) = (house.connect().create_call(), house.connect().create_call());
    voice_call(&house, &twice);
    voice_call(&house, &twice);
    let first = house.joined(&early, "supervisor-1").await;
    let second = house.joined(&twice, "supervisor-2").await;
    let text = |s: &Value, name: &str| s[name].as_str().expect("a text").to_owned();
    for (s, mark) in [
        (&first, "none has this contact"),
        (&second, "several have this contact"),
    ] {
        let recorded = house.until_recorded(&text(s, "id")).await;
        assert!(
            recorded["recording"]["lastError"]
                .as_str()
                .expect("marked")
                .contains(mark),
            "{recorded:#}"
        );
        assert_eq!(house.row(&text(s, "legContactId")).get("Voice_Call__c"), None);
    }
    // It is made, and looked for again: not in five minutes, but now. What was remembered for a minute is forgotten by a restart.
    let record = voice_call(&house, &early);
    let mut house = house;
    house.crash();
    let now = "UPDATE deliveries SET look_again_at = 1 WHERE look_again_at IS NOT NULL";
    sql(&house.journal_path(), now).await.expect("changed");
    house.restart().await;
    for _ in 0..500 {
        if house.row(&text(&first, "legContactId")).contains_key("Voice_Call__c") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        house.row(&text(&first, "legContactId"))["Voice_Call__c"],
        record.as_str()
    );
    assert_eq!(house.row(&text(&second, "legContactId")).get("Voice_Call__c"), None);
    for (s, who) in [(&first, "supervisor-1"), (&second, "supervisor-2")] {
        house.leave(&text(s, "id"), who).await;
    }
    house.finish().await;
}

#[tokio::test]
async fn a_refused_search_holds_no_row_up() {
    let house = House::start().await;
    house
        .salesforce()
        .fault(Fault::error("query", 400, "INVALID_TYPE").times(100));
    let call = house.connect().create_call();
    let s = house.joined(&call, "supervisor-1").await;
    let id = s["id"].as_str().expect("an id");
    house.until_recorded(id).await;
    house.leave(id, "supervisor-1").await;
    house.until_recorded(id).await;
    let searches = house.salesforce().api_calls();
    assert!(searches < 8, "and is not made again for every row: {searches} calls");
    house.finish().await;
}
