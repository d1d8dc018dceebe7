//! Salesforce: the login, the object and its fields, the limits.

use std::time::Duration;

use super::Parts;
use super::report::{self, Report};
use super::skew::Ahead;
use crate::salesforce::Salesforce;
use sidedoor_domain::authority::ClaimKind;
use sidedoor_domain::ids::ContactId;
use sidedoor_domain::ports::{Crm, CrmVerdict};

const EXCHANGES: u32 = 4;
const USED_UP: &str =
    "find who uses the day's calls up (Setup, API usage); rows wait and are delivered when calls are free again";
const BETWEEN: Duration = Duration::from_millis(270);

pub(super) async fn check(report: &mut Report, parts: &Parts) {
    let Some(org) = &parts.salesforce else {
        return report.warn(
            report::SALESFORCE_LOGIN,
            None,
            "salesforce.enabled is false: no row is written",
            "leave it so only while Sidedoor is tried without Salesforce",
        );
    };
    date(report, parts, org).await;
    match org.log_in().await {
        Ok(url) => report.ok(report::SALESFORCE_LOGIN, None, url),
        Err(e) => {
            let remedy = "check the External Client App: its policies (run-as user for client credentials; certificate and \
                          pre-authorised profile for JWT bearer), consumer key and secret, and salesforce.login_url";
            return report.fail(report::SALESFORCE_LOGIN, None, e.to_string(), remedy);
        }
    }
    limits(report, parts, org).await;
    match org.survey().await {
        Ok(name) => {
            report.ok(report::SALESFORCE_OBJECT, None, name.clone());
            match org.may_delete(&name).await {
                Ok(false) => report.ok(report::SALESFORCE_EXCESS, None, name),
                Ok(true) => {
                    let detail = format!("the integration user may delete {name} rows, which Sidedoor never does");
                    let remedy = "take Delete and Modify All from its permission set";
                    report.warn(report::SALESFORCE_EXCESS, None, detail, remedy);
                }
                Err(e) => report.warn(report::SALESFORCE_EXCESS, None, e.to_string(), "try again"),
            }
        }
        // One line for each field, since each has its own remedy.
        Err(e) if e.code == "salesforce_mapping_invalid" => {
            for problem in e.message.split("; ") {
                let (what, remedy) = problem
                    .split_once(": ")
                    .unwrap_or((problem, "change the field or the setting"));
                report.fail(report::SALESFORCE_OBJECT, None, what, remedy);
            }
        }
        // Not its object is at fault: it could not be asked.
        Err(e) if !matches!(e.verdict, CrmVerdict::OrgFault(_)) => {
            let remedy = "the object could not be asked for: mend what the other lines tell of this org, and try again";
            report.fail(report::SALESFORCE_OBJECT, None, e.to_string(), remedy);
        }
        Err(e) => {
            let remedy =
                "deploy infra/salesforce, give the integration user its permission set, or set salesforce.object";
            report.fail(report::SALESFORCE_OBJECT, None, e.to_string(), remedy);
        }
    }
    voice_calls(report, parts, org).await;
    users(report, parts, org).await;
    events(report, parts, org).await;
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
    // An id of User's prefix that is nobody's.
    match org.connect_username("005000000000000AAA").await {
        Ok(_) => report.ok(report::SALESFORCE_USERS, None, "User can be read"),
        Err(e) => {
            let remedy = "give the integration user Read on User and on salesforce.connect_username_field, or correct that setting";
            report.fail(report::SALESFORCE_USERS, None, e.to_string(), remedy);
        }
    }
}

async fn events(report: &mut Report, parts: &Parts, org: &Salesforce) {
    let Some(event) = parts
        .config
        .salesforce
        .as_ref()
        .and_then(|s| s.directive_event.as_deref())
    else {
        return;
    };
    let remedy = "deploy infra/salesforce, give the integration user Create on the event, and see salesforce.directive_event_field";
    match org.event_fault().await {
        Ok(None) => report.ok(report::SALESFORCE_EVENTS, None, event),
        Ok(Some(fault)) => report.fail(report::SALESFORCE_EVENTS, None, fault, remedy),
        Err(e) => report.fail(report::SALESFORCE_EVENTS, None, e.to_string(), remedy),
    }
}

async fn date(report: &mut Report, parts: &Parts, org: &Salesforce) {
    let mut known: Option<Ahead> = None;
    for i in 0..EXCHANGES {
        if i > 0 {
            tokio::time::sleep(BETWEEN).await;
        }
        match org.ask_date(parts.clock.as_ref()).await {
            Ok(Some(seen)) => {
                let one = Ahead::of(seen.sent_at, seen.received_at, seen.date);
                known = Some(known.map_or(one, |k| k.and(one)));
            }
            Ok(None) => {}
            Err(e) => {
                let remedy = "let this machine reach salesforce.login_url (network, proxy, DNS)";
                return report.fail(report::CLOCK_SALESFORCE, None, e.to_string(), remedy);
            }
        }
    }
    let bearable = i64::try_from(parts.config.clock.max_error.as_millis()).unwrap_or(i64::MAX);
    match known {
        Some(known) => known.report(report, report::CLOCK_SALESFORCE, None, bearable),
        None => report.warn(
            report::CLOCK_SALESFORCE,
            None,
            "its answers have no Date",
            "see what stands between this machine and Salesforce",
        ),
    }
}

async fn limits(report: &mut Report, parts: &Parts, org: &Salesforce) {
    let usage = match org.calls_of_the_day().await {
        Ok(usage) => usage,
        Err(e) if matches!(e.verdict, CrmVerdict::Park(_)) => {
            return report.fail(report::SALESFORCE_LIMITS, None, e.to_string(), USED_UP);
        }
        Err(e) => {
            let remedy = "if the day's calls are used up, deliveries wait; see Setup, Company Information";
            return report.warn(report::SALESFORCE_LIMITS, None, e.to_string(), remedy);
        }
    };
    let slow_above = parts.config.salesforce.as_ref().map_or(1.0, |s| s.slow_above);
    let detail = format!("{} of {} calls of the day are used", usage.used, usage.limit);
    if usage.used >= usage.limit {
        report.fail(report::SALESFORCE_LIMITS, None, detail, USED_UP);
    } else if usage.share() > slow_above {
        let remedy = "above salesforce.slow_above_percent Sidedoor calls less often: find who uses the calls up";
        report.warn(report::SALESFORCE_LIMITS, None, detail, remedy);
    } else {
        report.ok(report::SALESFORCE_LIMITS, None, detail);
    }
}

async fn voice_calls(report: &mut Report, parts: &Parts, org: &Salesforce) {
    if !parts.config.salesforce.as_ref().is_some_and(|s| s.find_voice_calls) {
        return;
    }
    let Ok(nobody) = ContactId::parse(uuid::Uuid::new_v4().to_string()) else {
        return;
    };
    match org.voice_calls(&[nobody]).await {
        Ok(_) => report.ok(report::SALESFORCE_VOICE_CALLS, None, "by VendorCallKey"),
        Err(e) => {
            let remedy = "give the integration user Read on VoiceCall and its field VendorCallKey, or set \
                          salesforce.find_voice_calls = false; rows are written without the lookup meanwhile";
            report.warn(report::SALESFORCE_VOICE_CALLS, None, e.to_string(), remedy);
        }
    }
}
