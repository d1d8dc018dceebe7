//! Amazon Connect: who we are there, the instances, and what we may. Every call reads, or names a contact and a user that
//! cannot be: what is asked is only whether it is allowed.

use std::time::Duration;

use super::Parts;
use super::report::{self, Report};
use super::skew::Ahead;
use crate::connect::{Attribute, Identity, InstanceSeen};
use sidedoor_domain::ids::{ClientToken, ContactId, InstanceName, UserId};
use sidedoor_domain::ports::{MonitorCall, Priority, Telephony, VendorError};
use sidedoor_domain::supervision::Mode;

/// Exchanges for the clock, and the pause between two: together they fall on different parts of a second.
const EXCHANGES: u32 = 4;
const BETWEEN: Duration = Duration::from_millis(270);

/// Code of a refusal by AWS's access control (or by Connect's own).
const DENIED: &str = "connect_access_forbidden";

pub(super) async fn check(report: &mut Report, parts: &Parts) {
    for name in parts.config.connect.instances.keys() {
        date(report, parts, name).await;
        if !identity(report, parts, name).await || !instance(report, parts, name).await {
            continue;
        }
        monitoring(report, parts, name).await;
        users(report, parts, name).await;
        rights(report, parts, name).await;
        excess(report, parts, name).await;
    }
}

async fn date(report: &mut Report, parts: &Parts, name: &InstanceName) {
    let mut known: Option<Ahead> = None;
    for i in 0..EXCHANGES {
        if i > 0 {
            tokio::time::sleep(BETWEEN).await;
        }
        match parts.telephony.ask_date(name).await {
            Ok(seen) => {
                let one = Ahead::of(seen.sent_at, seen.received_at, seen.date);
                known = Some(known.map_or(one, |k| k.and(one)));
            }
            Err(e) => {
                let remedy = "let this machine reach the endpoint (network, proxy, VPC endpoint, DNS)";
                return report.fail(report::CLOCK_AWS, Some(name.as_str()), e.message, remedy);
            }
        }
    }
    let bearable = i64::try_from(parts.config.clock.max_error.as_millis()).unwrap_or(i64::MAX);
    if let Some(known) = known {
        known.report(report, report::CLOCK_AWS, Some(name.as_str()), bearable);
    }
}

async fn identity(report: &mut Report, parts: &Parts, name: &InstanceName) -> bool {
    let about = Some(name.as_str());
    match parts.telephony.identity(name).await {
        Ok(Identity { account, arn }) => {
            report.ok(report::AWS_IDENTITY, about, format!("account {account}, {arn}"));
            true
        }
        Err(e) if e.code == "connect_credentials_invalid" => {
            let remedy = "give the process credentials by the SDK's ordinary chain: a role of the task or pod, AWS_PROFILE, \
                          AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
            report.fail(report::AWS_IDENTITY, about, e.message, remedy);
            false
        }
        Err(e) => {
            // Connect may be reachable where STS is not, as behind a VPC endpoint.
            let remedy = "nothing, if only Connect's endpoint is open to this machine: the next lines tell";
            report.warn(report::AWS_IDENTITY, about, e.message, remedy);
            true
        }
    }
}

async fn instance(report: &mut Report, parts: &Parts, name: &InstanceName) -> bool {
    let about = Some(name.as_str());
    match parts.telephony.instance(name).await {
        Ok(InstanceSeen { alias, status }) if status == "ACTIVE" => {
            report.ok(report::CONNECT_INSTANCE, about, format!("{alias}, {status}"));
            true
        }
        Ok(InstanceSeen { alias, status }) => {
            let remedy = "see to the instance in the Amazon Connect console";
            report.fail(report::CONNECT_INSTANCE, about, format!("{alias} is {status}"), remedy);
            false
        }
        Err(e) if e.code == DENIED => {
            let remedy = "allow connect:DescribeInstance and ds:DescribeDirectories, or do without this line";
            report.warn(report::CONNECT_INSTANCE, about, e.message, remedy);
            true
        }
        Err(e) => {
            let remedy = match e.code {
                VendorError::NOT_FOUND => {
                    "correct instance_id and region: the instance is not in this account and Region"
                }
                "connect_credentials_invalid" => "give the process credentials that AWS takes",
                _ => "let this machine reach the endpoint (network, proxy, VPC endpoint, DNS)",
            };
            report.fail(report::CONNECT_INSTANCE, about, e.message, remedy);
            false
        }
    }
}

async fn monitoring(report: &mut Report, parts: &Parts, name: &InstanceName) {
    let about = Some(name.as_str());
    let mut off = Vec::new();
    for (what, called) in [
        (Attribute::VoiceMonitoring, "ENHANCED_CONTACT_MONITORING (voice)"),
        (Attribute::ChatMonitoring, "ENHANCED_CHAT_MONITORING (chat)"),
    ] {
        match parts.telephony.has(name, what).await {
            Ok(true) => {}
            Ok(false) => off.push(called),
            Err(e) => {
                let remedy = "allow connect:DescribeInstanceAttribute, or look in the console: Telephony, Multi-party";
                return report.warn(report::CONNECT_MONITORING, about, e.message, remedy);
            }
        }
    }
    if off.is_empty() {
        report.ok(report::CONNECT_MONITORING, about, "voice and chat");
    } else {
        let remedy = "switch it on in the console (Telephony, Multi-party calls and enhanced monitoring); without it one \
                      supervisor listens at a time, and nobody barges in";
        report.warn(
            report::CONNECT_MONITORING,
            about,
            format!("{} is off", off.join(" and ")),
            remedy,
        );
    }
}

async fn users(report: &mut Report, parts: &Parts, name: &InstanceName) {
    let about = Some(name.as_str());
    match parts.telephony.users_named(name, "sidedoor-check-is-nobody").await {
        Ok(_) => report.ok(report::CONNECT_USERS, about, "SearchUsers is allowed"),
        Err(e) => {
            let remedy = "allow connect:SearchUsers; until then callers must give connectUserId, not username";
            report.warn(report::CONNECT_USERS, about, e.message, remedy);
        }
    }
}

/// What the operations say of a contact and a user that cannot be. A right that is missing says 403; whatever else is said,
/// the right is there.
async fn rights(report: &mut Report, parts: &Parts, name: &InstanceName) {
    let about = Some(name.as_str());
    let nobody = uuid::Uuid::new_v4().to_string();
    let (Ok(contact), Ok(user)) = (ContactId::parse(nobody.as_str()), UserId::parse(nobody.as_str())) else {
        return;
    };
    let (mut denied, mut unclear) = (Vec::new(), Vec::new());
    let mut judge = |operation: &str, said: Result<(), VendorError>| match said {
        Err(e) if e.code == DENIED && e.message.contains("not authorized to perform") => {
            denied.push(format!("connect:{operation}"));
        }
        // Connect itself also says 403, "You do not have access to the agent".
        Err(e) if e.code == DENIED && operation == "MonitorContact" => {
            unclear.push(format!("{operation}: {}", e.message))
        }
        Err(e) if e.code == DENIED => denied.push(format!("connect:{operation}")),
        Err(e) if e.is_retryable() || e.code == "connect_credentials_invalid" => {
            unclear.push(format!("{operation}: {}", e.message));
        }
        Ok(()) | Err(_) => {}
    };
    let described = parts.telephony.describe(name, &nobody, Priority::Poll).await;
    judge("DescribeContact", described.map(|_| ()));
    let current = parts
        .telephony
        .current_contacts(name, std::slice::from_ref(&user), Priority::Poll)
        .await;
    judge("GetCurrentUserData", current.map(|_| ()));
    judge("MonitorContact", listen_to_nothing(parts, name, contact, user).await);
    let stop = "StopContact is not tried here: nothing but a supervisor's own leg is ever given to it";
    if !denied.is_empty() {
        let remedy = format!("add {} to the role's policy", denied.join(", "));
        report.fail(
            report::CONNECT_RIGHTS,
            about,
            format!("{} denied", denied.join(", ")),
            remedy,
        );
    } else if !unclear.is_empty() {
        let remedy = "try again; if it stays so, see what the vendor says";
        report.warn(report::CONNECT_RIGHTS, about, unclear.join("; "), remedy);
    } else {
        let detail = format!("MonitorContact, DescribeContact, GetCurrentUserData; {stop}");
        report.ok(report::CONNECT_RIGHTS, about, detail);
    }
}

/// A MonitorContact that can only fail: neither the contact nor the user exists.
async fn listen_to_nothing(
    parts: &Parts,
    name: &InstanceName,
    contact: ContactId,
    user: UserId,
) -> Result<(), VendorError> {
    let admission = parts.telephony.admit_monitor(name, Duration::from_secs(10)).await?;
    let call = MonitorCall {
        instance: name.clone(),
        contact,
        user,
        allowed: Mode::Silent,
        client_token: ClientToken::generate(),
    };
    parts.telephony.monitor(&call, admission).await.map(|_| ())
}

async fn excess(report: &mut Report, parts: &Parts, name: &InstanceName) {
    let about = Some(name.as_str());
    match parts.telephony.list_security_profiles(name).await {
        Err(e) if e.code == DENIED => {
            report.ok(
                report::CONNECT_EXCESS,
                about,
                "ListSecurityProfiles is denied, as it should be",
            );
        }
        Ok(()) => {
            let remedy = "give the role the policy of docs/runbook.md and nothing more";
            let detail =
                "ListSecurityProfiles is allowed, which Sidedoor never calls: the role holds more than it needs";
            report.warn(report::CONNECT_EXCESS, about, detail, remedy);
        }
        Err(e) => {
            let remedy = "try again; if it stays so, see what the vendor says";
            report.warn(report::CONNECT_EXCESS, about, e.message, remedy);
        }
    }
}
