//! Tests of the verdict, the text and the remedy of each error.

use super::*;

fn of(status: u16, body: &str) -> CrmVerdict {
    let status = StatusCode::from_u16(status).expect("a status");
    let lookups = LookupFields {
        voice_call: Some("Voice_Call__c"),
        messaging_session: Some("Messaging_Session__c"),
        supervisor: Some("Supervisor__c"),
        agent: Some("Agent__c"),
    };
    answered(status, body, lookups).verdict
}

#[test]
fn errors_documentation_lists_every_salesforce_code() {
    let documented = include_str!("../../../docs/errors.md");
    for fault in CrmFault::ALL {
        assert!(
            documented.contains(&format!("`{fault}`")),
            "{fault} is not in docs/errors.md"
        );
    }
}

#[test]
fn salesforce_errors_have_the_verdicts_of_the_table() {
    let error = |code: &str| format!(r#"[{{"message":"m","errorCode":"{code}"}}]"#);
    let table = [
        (400, "UNABLE_TO_LOCK_ROW", CrmVerdict::Retry),
        (503, "SERVER_UNAVAILABLE", CrmVerdict::Retry),
        (500, "UNKNOWN_EXCEPTION", CrmVerdict::Retry),
        (400, "DUPLICATE_VALUE", CrmVerdict::RetryNow),
        (403, "REQUEST_LIMIT_EXCEEDED", CrmVerdict::Park(LIMIT)),
        (400, "INVALID_FIELD", CrmVerdict::OrgFault(PARK)),
        (403, "INSUFFICIENT_ACCESS", CrmVerdict::OrgFault(PARK)),
        (404, "NOT_FOUND", CrmVerdict::OrgFault(PARK)),
        (400, "REQUIRED_FIELD_MISSING", CrmVerdict::DeadLetter),
        (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", CrmVerdict::DeadLetter),
        (
            400,
            "INVALID_CROSS_REFERENCE_KEY",
            CrmVerdict::WithoutLookups(Lookups::ALL),
        ),
        (
            400,
            "FIELD_FILTER_VALIDATION_EXCEPTION",
            CrmVerdict::WithoutLookups(Lookups::ALL),
        ),
        (404, "ENTITY_IS_DELETED", CrmVerdict::RetryThenWithout(Lookups::ALL)),
        (400, "STORAGE_LIMIT_EXCEEDED", CrmVerdict::Park(LIMIT)),
        (400, "EXCEEDED_QUOTA", CrmVerdict::Park(LIMIT)),
    ];
    for (status, code, verdict) in table {
        assert_eq!(of(status, &error(code)), verdict, "{code}");
    }
    assert_eq!(of(429, ""), CrmVerdict::Park(LIMIT));
    assert_eq!(of(300, r#"["/a","/b"]"#), CrmVerdict::DeadLetter);
    assert_eq!(of(502, "<html>bad gateway</html>"), CrmVerdict::Retry);
    assert_eq!(
        of(404, r#"{"message":"m","errorCode":"NOT_FOUND"}"#),
        CrmVerdict::OrgFault(PARK),
        "a bare object"
    );
    let item = r#"{"success":false,"errors":[],"statusCode":"REQUIRED_FIELD_MISSING","message":"m"}"#;
    assert_eq!(of(200, item), CrmVerdict::DeadLetter, "a collection's item");
}

#[test]
fn unlisted_code_is_not_shown_to_be_the_records_fault() {
    for code in [
        "SOME_CODE_OF_NEXT_YEAR",
        "CANNOT_EXECUTE_FLOW_TRIGGER",
        "APEX_ERROR",
        "LIMIT_EXCEEDED",
        "FUNCTIONALITY_NOT_ENABLED",
    ] {
        let body = format!(r#"[{{"message":"m","errorCode":"{code}"}}]"#);
        assert_eq!(of(400, &body), CrmVerdict::Unproven, "{code}");
    }
}

#[test]
fn code_about_the_org_or_its_user_pauses_deliveries() {
    for code in [
        "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
        "ORG_LOCKED",
        "TRIAL_EXPIRED",
        "INVALID_OPERATION_WITH_EXPIRED_PASSWORD",
        "CLIENT_NOT_ACCESSIBLE_FOR_USER",
        "URL_NOT_RESET",
    ] {
        let e = answered(
            StatusCode::FORBIDDEN,
            &format!(r#"[{{"message":"Salesforce's sentence","errorCode":"{code}"}}]"#),
            LookupFields::default(),
        );
        assert_eq!(e.verdict, CrmVerdict::Park(PARK), "{code}");
        assert!(
            e.remedy.is_some() && e.to_string().contains("Salesforce's sentence"),
            "{e}"
        );
    }
}

#[test]
fn limit_of_concurrent_requests_passes_in_seconds() {
    let says = |message: &str| {
        of(
            403,
            &format!(r#"[{{"message":"{message}","errorCode":"REQUEST_LIMIT_EXCEEDED"}}]"#),
        )
    };
    assert_eq!(says("TotalRequests Limit exceeded."), CrmVerdict::Park(LIMIT));
    for message in [
        "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
        "ConcurrentPerOrgLongTxn Limit exceeded.",
    ] {
        assert_eq!(says(message), CrmVerdict::Park(CONCURRENCY), "{message}");
    }
    let apex = r#"[{"message":"m","errorCode":"TOO_MANY_APEX_REQUESTS"}]"#;
    assert_eq!(of(400, apex), CrmVerdict::Park(CONCURRENCY));
}

#[test]
fn flow_or_trigger_that_lost_a_lock_is_retried() {
    for code in ["CANNOT_EXECUTE_FLOW_TRIGGER", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"] {
        let body = format!(
            r#"[{{"message":"Audit: System.DmlException: first error: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access","errorCode":"{code}"}}]"#
        );
        let e = answered(StatusCode::BAD_REQUEST, &body, LookupFields::default());
        assert_eq!(e.verdict, CrmVerdict::Retry, "{code}");
        assert!(concerns_record(&e), "other records need not wait");
    }
}

#[test]
fn deleted_record_is_retried_before_lookups_are_left_out() {
    let deleted = r#"[{"message":"entity is deleted","errorCode":"ENTITY_IS_DELETED","fields":[]}]"#;
    assert_eq!(of(404, deleted), CrmVerdict::RetryThenWithout(Lookups::ALL));
    let without = answered(StatusCode::NOT_FOUND, deleted, LookupFields::default());
    assert_eq!(without.verdict, CrmVerdict::RetryNow);
    let named = r#"[{"message":"m","errorCode":"ENTITY_IS_DELETED","fields":["Voice_Call__c"]}]"#;
    let voice_call = Lookups {
        voice_call: true,
        messaging_session: false,
        supervisor: false,
        agent: false,
    };
    assert_eq!(of(400, named), CrmVerdict::WithoutLookups(voice_call));
}

#[test]
fn web_page_is_named_with_its_title_and_a_remedy() {
    let page = "<!DOCTYPE html><html><head><title>\n Login | Salesforce </title></head><body>…</body></html>";
    let e = answered(StatusCode::FORBIDDEN, page, LookupFields::default());
    assert_eq!((e.code.as_str(), e.verdict), ("HTTP_403", CrmVerdict::Retry));
    let text = e.to_string();
    assert!(
        text.contains("titled \"Login | Salesforce\"") && text.contains("salesforce.login_url"),
        "{text}"
    );
    let e = unreadable("<html><h1>Blocked by proxy</h1></html>");
    assert!(e.to_string().contains("proxy"), "{e}");
    assert_eq!(unreadable("[{").remedy, None);
    for odd in ["<title", "<title>", "<TITLE>é</title", "<"] {
        assert!(page_title(odd).is_some(), "{odd}");
    }
}

#[test]
fn gateways_error_may_be_followed_by_a_late_commit() {
    let late = |status, body| {
        let status = StatusCode::from_u16(status).expect("a status");
        answered(status, body, LookupFields::default()).may_commit_late
    };
    assert!(late(504, "<html>Gateway Timeout</html>"));
    assert!(!late(503, r#"[{"message":"m","errorCode":"SERVER_UNAVAILABLE"}]"#));
}

#[test]
fn newer_version_kept_is_recognized_by_the_shipped_rule() {
    let rule = include_str!(
        "../../../infra/salesforce/force-app/main/default/objects/VoiceCallParticipant__c/validationRules/Newer_Version_Is_Kept.validationRule-meta.xml"
    );
    assert!(rule.contains(NEWER_KEPT), "the rule's message is recognized");
    let said = |message: &str| {
        let body = format!(r#"[{{"message":"{message}","errorCode":"FIELD_CUSTOM_VALIDATION_EXCEPTION"}}]"#);
        is_newer_kept(&answered(StatusCode::BAD_REQUEST, &body, LookupFields::default()))
    };
    assert!(said("Salesforce has a newer version of this record (Row_Version__c)."));
    assert!(!said("Mode is required."));
}

#[test]
fn reference_error_without_lookup_is_dead_letter() {
    let body = r#"[{"message":"m","errorCode":"MALFORMED_ID","fields":["Other__c"]}]"#;
    assert_eq!(of(400, body), CrmVerdict::DeadLetter);
    let bare = r#"[{"message":"m","errorCode":"MALFORMED_ID"}]"#;
    assert_eq!(
        answered(StatusCode::BAD_REQUEST, bare, LookupFields::default()).verdict,
        CrmVerdict::DeadLetter
    );
}

#[test]
fn reference_error_refuses_only_named_lookup_in_any_case() {
    let body = |field: &str| format!(r#"[{{"message":"m","errorCode":"MALFORMED_ID","fields":["{field}"]}}]"#);
    let refused = |voice_call, messaging_session, supervisor, agent| {
        CrmVerdict::WithoutLookups(Lookups {
            voice_call,
            messaging_session,
            supervisor,
            agent,
        })
    };
    assert_eq!(of(400, &body("voice_call__c")), refused(true, false, false, false));
    assert_eq!(
        of(400, &body("messaging_session__c")),
        refused(false, true, false, false)
    );
    assert_eq!(of(400, &body("Supervisor__c")), refused(false, false, true, false));
    assert_eq!(of(400, &body("agent__C")), refused(false, false, false, true));
}

#[test]
fn kept_answer_is_bounded() {
    let long = "é".repeat(5000);
    assert!(
        answered(StatusCode::BAD_REQUEST, &long, LookupFields::default())
            .answer
            .expect("kept")
            .len()
            <= MAX_KEPT_ANSWER
    );
}
