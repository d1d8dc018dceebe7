//! The names of the record's fields.

use super::{GOOD, load_with};
use crate::config::FieldNames;

#[test]
fn record_fields_have_the_shipped_names() {
    let salesforce = |env: &[(&str, &str)]| load_with(GOOD, env).expect("good").salesforce.expect("on");
    let without_sessions = FieldNames {
        messaging_session: String::new(),
        ..FieldNames::default()
    };
    assert_eq!(salesforce(&[]).fields, without_sessions);
    let key = ("SIDEDOOR__SALESFORCE__MESSAGING_SESSION_KEY", "Connect_Contact_Id__c");
    assert_eq!(salesforce(&[key]).fields, FieldNames::default());
}

#[test]
fn messaging_sessions_are_looked_for_only_if_key_and_field_are_named() {
    let finds = |env: &[(&str, &str)]| {
        load_with(GOOD, env)
            .expect("good")
            .usecases
            .delivery
            .find_messaging_sessions
    };
    let key = ("SIDEDOOR__SALESFORCE__MESSAGING_SESSION_KEY", "Connect_Contact_Id__c");
    let no_field = ("SIDEDOOR__SALESFORCE__FIELDS__MESSAGING_SESSION", "");
    assert!(finds(&[key]) && !finds(&[]) && !finds(&[key, no_field]));
    let wrong = [("SIDEDOOR__SALESFORCE__MESSAGING_SESSION_KEY", "Connect Contact' OR '")];
    let problems = load_with(GOOD, &wrong).expect_err("no API name").0;
    assert!(
        problems[0].setting.starts_with("salesforce.messaging_session_key"),
        "{problems:?}"
    );
}
