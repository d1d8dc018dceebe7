//! Checks of Salesforce: the login, the object and its fields, the permissions, the limits.

use std::time::Duration;

use sidedoor_domain::authority::ClaimKind;
use sidedoor_domain::ids::ContactId;
use sidedoor_domain::participant::ContactRecordKind;
use sidedoor_domain::ports::{Crm, CrmError, CrmErrorCode, CrmFault, CrmVerdict};

use super::Parts;
use super::report::{self, Report};
use super::skew::Ahead;
use crate::salesforce::{NOTICE_FIELDS, Salesforce};

/// Exchanges for the clock check, and the pause between two, so that they fall on different parts of a second.
const EXCHANGES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(270);
const CALLS_USED_UP: &str = "Find what uses up the org's daily API calls (Setup, API usage); records wait and are written \
                             when calls are available again";

pub(super) async fn check(report: &mut Report, parts: &Parts) {
    let Some(org) = &parts.salesforce else {
        return report.warn(
            report::SALESFORCE_LOGIN,
            None,
            "salesforce.enabled is false, so no record is written",
            "Set salesforce.enabled = true, unless you are trying Sidedoor without Salesforce",
        );
    };
    date(report, parts, org).await;
    match org.log_in().await {
        Ok(url) => report.ok(report::SALESFORCE_LOGIN, None, url),
        Err(e) => {
            let remedy = "Check salesforce.login_url, the consumer key and secret, and the External Client App's policies \
                          (run-as user for client credentials; certificate and pre-authorised profile for JWT bearer)";
            return report.fail(report::SALESFORCE_LOGIN, None, said(&e), remedy_of(&e, remedy));
        }
    }
    limits(report, parts, org).await;
    match org.describe_object().await {
        Ok(name) => {
            report.ok(report::SALESFORCE_OBJECT, None, name.clone());
            match org.may_delete(&name).await {
                Ok(false) => report.ok(report::SALESFORCE_EXCESS, None, name),
                Ok(true) => {
                    let detail = format!("the integration user may delete {name} records, which Sidedoor never does");
                    let remedy = "Remove Delete and Modify All from its permission set";
                    report.warn(report::SALESFORCE_EXCESS, None, detail, remedy);
                }
                Err(e) => report.warn(
                    report::SALESFORCE_EXCESS,
                    None,
                    said(&e),
                    remedy_of(&e, "Run the check again"),
                ),
            }
        }
        // One line for each field, because each has its own remedy.
        Err(e) if e.code == CrmErrorCode::Own(CrmFault::MappingInvalid) => {
            for problem in e.message.split("; ") {
                let (what, remedy) = problem
                    .split_once(": ")
                    .unwrap_or((problem, "change the field or the setting"));
                report.fail(report::SALESFORCE_OBJECT, None, what, report::sentence(remedy));
            }
        }
        // The object is not at fault, because the org did not answer the question about it.
        Err(e) if !matches!(e.verdict, CrmVerdict::OrgFault(_)) => {
            let remedy = "Fix the problems in the other lines about this org, and run the check again";
            report.fail(report::SALESFORCE_OBJECT, None, said(&e), remedy_of(&e, remedy));
        }
        Err(e) => {
            let remedy =
                "Deploy infra/salesforce, assign the permission set to the integration user, or set salesforce.object";
            report.fail(report::SALESFORCE_OBJECT, None, said(&e), remedy_of(&e, remedy));
        }
    }
    contact_records(report, parts, org).await;
    users(report, parts, org).await;
    events(report, parts, org).await;
}

/// What Salesforce said; the remedy has its own place in the report.
fn said(e: &CrmError) -> String {
    format!("{}: {}", e.code, e.message)
}

/// The remedy for this error; `otherwise` if the error has none.
fn remedy_of(e: &CrmError, otherwise: &str) -> String {
    e.remedy
        .as_deref()
        .map_or_else(|| otherwise.to_owned(), report::sentence)
}

async fn users(report: &mut Report, parts: &Parts, org: &Salesforce) {
    let wanted = |kind| kind == ClaimKind::SalesforceUserId;
    if !parts
        .config
        .auth
        .issuers
        .iter()
        .any(|i| wanted(i.supervisor_claim_kind))
    {
        return;
    }
    // An id with the prefix of User that no user has.
    match org.connect_username("005000000000000AAA").await {
        Ok(_) => report.ok(report::SALESFORCE_USERS, None, "User can be read"),
        Err(e) => {
            let remedy = "Grant the integration user Read on User and on the field in salesforce.connect_username_field, or \
                          correct that setting";
            report.fail(report::SALESFORCE_USERS, None, said(&e), remedy_of(&e, remedy));
        }
    }
}

async fn events(report: &mut Report, parts: &Parts, org: &Salesforce) {
    let Some(settings) = &parts.config.salesforce else {
        return;
    };
    let directive_fields = [settings.directive_event_field.as_str()];
    let events = [
        (
            &settings.directive_event,
            directive_fields.as_slice(),
            "Deploy infra/salesforce, grant the integration user Create on the event, and check \
             salesforce.directive_event_field",
        ),
        (
            &settings.notice_event,
            NOTICE_FIELDS.as_slice(),
            "Deploy infra/salesforce, and grant the integration user Create on the event",
        ),
    ];
    for (event, fields, remedy) in events {
        let Some(event) = event.as_deref() else { continue };
        match org.event_fault(event, fields).await {
            Ok(None) => report.ok(report::SALESFORCE_EVENTS, None, event),
            Ok(Some(fault)) => report.fail(report::SALESFORCE_EVENTS, None, fault, remedy),
            Err(e) => report.fail(report::SALESFORCE_EVENTS, None, said(&e), remedy_of(&e, remedy)),
        }
    }
}

async fn date(report: &mut Report, parts: &Parts, org: &Salesforce) {
    let mut known: Option<Ahead> = None;
    for i in 0..EXCHANGES {
        if i > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        match org.ask_date(parts.clock.as_ref()).await {
            Ok(Some(seen)) => {
                let one = Ahead::of(seen.sent_at, seen.received_at, seen.date);
                known = Some(known.map_or(one, |k| k.and(one)));
            }
            Ok(None) => {}
            Err(e) => {
                let remedy = "Allow this machine to reach salesforce.login_url (network, proxy, DNS)";
                return report.fail(report::CLOCK_SALESFORCE, None, said(&e), remedy_of(&e, remedy));
            }
        }
    }
    let bearable = parts.config.usecases.clock_error_ms;
    match known {
        Some(known) => known.report(report, report::CLOCK_SALESFORCE, None, bearable),
        None => report.warn(
            report::CLOCK_SALESFORCE,
            None,
            "the answers have no Date header",
            "Check for a proxy between this machine and Salesforce that removes it",
        ),
    }
}

async fn limits(report: &mut Report, parts: &Parts, org: &Salesforce) {
    let usage = match org.calls_of_the_day().await {
        Ok(usage) => usage,
        Err(e) if matches!(e.verdict, CrmVerdict::Park(_)) => {
            return report.fail(report::SALESFORCE_LIMITS, None, said(&e), remedy_of(&e, CALLS_USED_UP));
        }
        Err(e) => {
            let remedy = "Check the org's API usage (Setup, Company Information); if its daily calls are used up, deliveries wait";
            return report.warn(report::SALESFORCE_LIMITS, None, said(&e), remedy_of(&e, remedy));
        }
    };
    let slow_above = parts.config.usecases.delivery.slow_above;
    let detail = format!("{} of {} daily API calls are used", usage.used, usage.limit);
    if usage.used >= usage.limit {
        report.fail(report::SALESFORCE_LIMITS, None, detail, CALLS_USED_UP);
    } else if usage.share() > slow_above {
        let remedy = "Find what uses up the org's API calls (Setup, API usage), because above salesforce.slow_above_percent \
                      Sidedoor calls less often";
        report.warn(report::SALESFORCE_LIMITS, None, detail, remedy);
    } else {
        report.ok(report::SALESFORCE_LIMITS, None, detail);
    }
}

/// Whether the org's own records of contacts can be looked up.
async fn contact_records(report: &mut Report, parts: &Parts, org: &Salesforce) {
    let delivery = parts.config.usecases.delivery;
    let session_key = parts
        .config
        .salesforce
        .as_ref()
        .map_or("", |s| s.messaging_session_key.as_str());
    for (is_wanted, kind, check, by, remedy) in [
        (
            delivery.find_voice_calls,
            ContactRecordKind::VoiceCall,
            report::SALESFORCE_VOICE_CALLS,
            "VendorCallKey",
            "Grant the integration user Read on VoiceCall and its field VendorCallKey, or set \
             salesforce.find_voice_calls = false; until then records are written without the lookup",
        ),
        (
            delivery.find_messaging_sessions,
            ContactRecordKind::MessagingSession,
            report::SALESFORCE_MESSAGING_SESSIONS,
            session_key,
            "Grant the integration user Read on MessagingSession and its field salesforce.messaging_session_key, or \
             remove that setting; until then records of chats are written without the lookup",
        ),
    ] {
        let Ok(unknown) = ContactId::parse(uuid::Uuid::new_v4().to_string()) else {
            return;
        };
        if !is_wanted {
            continue;
        }
        match org.contact_records(kind, &[unknown]).await {
            Ok(_) => report.ok(check, None, format!("by {by}")),
            Err(e) => report.warn(check, None, said(&e), remedy_of(&e, remedy)),
        }
    }
}
