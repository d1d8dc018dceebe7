//! Checks of Amazon Connect: credentials, instances and permissions. Every call is read-only, or names a contact and a user
//! that do not exist, so that it shows only whether the operation is allowed.

use std::time::Duration;

use sidedoor_domain::ids::{ClientToken, ContactId, InstanceName, UserId};
use sidedoor_domain::ports::{Endpoint, MonitorCall, Operation, Priority, Telephony, VendorError, VendorErrorCode};
use sidedoor_domain::supervision::Mode;

use super::report::{self, Report};
use super::skew::Ahead;
use super::{Parts, measured};
use crate::connect::{Attribute, Identity, InstanceSeen};

/// Exchanges for the clock check, and the pause between two, so that they fall on different parts of a second.
const EXCHANGES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(270);

/// The time range of the search, because a longer one costs Connect more.
const SEARCHED: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);

/// AWS rejects a request whose time is more than five minutes off.
const CLOCK_REMEDY: &str = "Run chrony or systemd-timesyncd on this machine (on EC2, use the Amazon Time Sync Service)";

/// A refusal by AWS's access control, or by Connect's own.
const DENIED: VendorErrorCode = VendorErrorCode::AccessForbidden;

pub(super) async fn check(report: &mut Report, parts: &Parts) {
    for name in parts.config.connect.instances.keys() {
        date(report, parts, name).await;
        let first = Endpoint::from(name);
        if !identity(report, parts, name).await || !instance(report, parts, &first).await {
            continue;
        }
        monitoring(report, parts, name).await;
        users(report, parts, name).await;
        rights(report, parts, &first).await;
        let replica = parts
            .config
            .connect
            .instances
            .get(name)
            .and_then(|i| i.replica.as_ref());
        if let Some(replica) = replica {
            let second = Endpoint {
                instance: name.clone(),
                region: Some(replica.region.clone()),
            };
            if instance(report, parts, &second).await {
                rights(report, parts, &second).await;
            }
        }
        search(report, parts, name).await;
        measured::staleness(report, parts, name).await;
        measured::completeness(report, parts, name).await;
        excess(report, parts, name).await;
    }
}

async fn date(report: &mut Report, parts: &Parts, name: &InstanceName) {
    let mut known: Option<Ahead> = None;
    for i in 0..EXCHANGES {
        if i > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        match parts.telephony.ask_date(name).await {
            Ok(seen) => {
                let one = Ahead::of(seen.sent_at, seen.received_at, seen.date);
                known = Some(known.map_or(one, |k| k.and(one)));
            }
            Err(e) => {
                let remedy = "Allow this machine to reach the endpoint (network, proxy, VPC endpoint, DNS)";
                return report.fail(report::CLOCK_AWS, Some(name.as_str()), e.for_operators(), remedy);
            }
        }
    }
    let bearable = parts.config.usecases.clock_error_ms;
    if let Some(known) = known {
        known.report(report, report::CLOCK_AWS, Some(name.as_str()), bearable);
    }
}

async fn identity(report: &mut Report, parts: &Parts, name: &InstanceName) -> bool {
    let about = Some(name.as_str());
    match parts.telephony.identity(name).await {
        Ok(Identity { account, arn }) => {
            report.ok(report::AWS_IDENTITY, about, format!("account {account}, {arn}"));
            event_account(report, parts, name, Some(&account));
            true
        }
        Err(e)
            if matches!(
                e.code,
                VendorErrorCode::CredentialsInvalid | VendorErrorCode::ClockInvalid
            ) =>
        {
            let remedy = match e.code {
                VendorErrorCode::ClockInvalid => CLOCK_REMEDY,
                _ => {
                    "Provide credentials in the AWS SDK's default chain: a role of the task or pod, AWS_PROFILE, or \
                     AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                }
            };
            report.fail(report::AWS_IDENTITY, about, e.for_operators(), remedy);
            event_account(report, parts, name, None);
            false
        }
        Err(e) => {
            // Connect may be reachable where STS is not, such as through a VPC endpoint.
            let remedy = "Ignore this if the network allows only Connect's endpoint and the next lines pass; otherwise allow \
                          this machine to reach AWS STS";
            report.warn(report::AWS_IDENTITY, about, e.for_operators(), remedy);
            event_account(report, parts, name, None);
            true
        }
    }
}

/// Whether events are compared with the instance's account. `ours` is the account of the credentials, which is the instance's,
/// because Connect's API serves no other.
fn event_account(report: &mut Report, parts: &Parts, name: &InstanceName, ours: Option<&str>) {
    let about = Some(name.as_str());
    let instance = parts.config.usecases.instances.get(name);
    let configured = instance.and_then(|i| i.account_id.as_deref());
    let setting = format!("connect.instances.{name}.account_id");
    match (configured, ours) {
        (Some(account), Some(ours)) if account != ours => {
            let remedy = format!("Set {setting} = \"{ours}\", or use credentials of the instance's account");
            let detail =
                format!("{setting} is {account}, and the credentials belong to {ours}: no event would be accepted");
            report.fail(report::CONNECT_ACCOUNT, about, detail, remedy);
        }
        (Some(account), _) => report.ok(report::CONNECT_ACCOUNT, about, format!("account {account}")),
        (None, ours) => {
            let remedy = format!("Set {setting} = \"{}\"", ours.unwrap_or("<12 digits>"));
            let detail = format!("{setting} is not set, so an event from any account is accepted");
            report.warn(report::CONNECT_ACCOUNT, about, detail, remedy);
        }
    }
}

/// What a line is about: the instance, with the Region if it is not the first one.
fn about_endpoint(endpoint: &Endpoint) -> String {
    match &endpoint.region {
        Some(region) => format!("{} in {region}", endpoint.instance),
        None => endpoint.instance.to_string(),
    }
}

async fn instance(report: &mut Report, parts: &Parts, endpoint: &Endpoint) -> bool {
    let about = about_endpoint(endpoint);
    let about = Some(about.as_str());
    match parts.telephony.instance(endpoint).await {
        Ok(InstanceSeen { alias, status }) if status == "ACTIVE" => {
            report.ok(report::CONNECT_INSTANCE, about, format!("{alias}, {status}"));
            true
        }
        Ok(InstanceSeen { alias, status }) => {
            let remedy = "Check the instance's status in the Amazon Connect console";
            report.fail(report::CONNECT_INSTANCE, about, format!("{alias} is {status}"), remedy);
            false
        }
        Err(e) if e.code == DENIED => {
            let remedy = "Allow connect:DescribeInstance and ds:DescribeDirectories, or ignore this line";
            report.warn(report::CONNECT_INSTANCE, about, e.for_operators(), remedy);
            true
        }
        Err(e) => {
            let remedy = match e.code {
                VendorErrorCode::ResourceNotFound => {
                    "Correct instance_id and region: this account has no such instance in this Region"
                }
                VendorErrorCode::CredentialsInvalid => "Provide credentials that AWS accepts",
                VendorErrorCode::ClockInvalid => CLOCK_REMEDY,
                VendorErrorCode::RegionInvalid => {
                    "Correct region, or set replica_region: the instance is active in another Region"
                }
                _ => "Allow this machine to reach the endpoint (network, proxy, VPC endpoint, DNS)",
            };
            report.fail(report::CONNECT_INSTANCE, about, e.for_operators(), remedy);
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
                let remedy = "Allow connect:DescribeInstanceAttribute, or check the setting in the console (Telephony, Multi-party \
                              calls and enhanced monitoring)";
                return report.warn(report::CONNECT_MONITORING, about, e.for_operators(), remedy);
            }
        }
    }
    if off.is_empty() {
        report.ok(report::CONNECT_MONITORING, about, "voice and chat");
    } else {
        let remedy = "Enable it in the console (Telephony, Multi-party calls and enhanced monitoring); without it, only one \
                      supervisor can listen at a time and barging in is not possible";
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
            let remedy = "Allow connect:SearchUsers; until then callers must send connectUserId instead of username";
            report.warn(report::CONNECT_USERS, about, e.for_operators(), remedy);
        }
    }
}

/// Calls the operations with a contact and a user that do not exist. A missing permission answers 403; any other answer
/// shows that the permission exists.
async fn rights(report: &mut Report, parts: &Parts, endpoint: &Endpoint) {
    let about = about_endpoint(endpoint);
    let about = Some(about.as_str());
    let unknown = uuid::Uuid::new_v4().to_string();
    let (Ok(contact), Ok(user)) = (ContactId::parse(unknown.as_str()), UserId::parse(unknown.as_str())) else {
        return;
    };
    let (mut denied, mut unclear) = (Vec::new(), Vec::new());
    let mut judge = |operation: Operation, answer: Result<(), VendorError>| match answer {
        Err(e) if e.code == DENIED && e.for_operators().contains("not authorized to perform") => {
            denied.push(format!("connect:{operation}"));
        }
        // Connect itself also answers 403: "You do not have access to the agent".
        Err(e) if e.code == DENIED && operation == Operation::MonitorContact => {
            unclear.push(format!("{operation}: {}", e.for_operators()))
        }
        Err(e) if e.code == DENIED => denied.push(format!("connect:{operation}")),
        // These say nothing about the permission.
        Err(e)
            if e.is_retryable()
                || matches!(
                    e.code,
                    VendorErrorCode::CredentialsInvalid
                        | VendorErrorCode::ClockInvalid
                        | VendorErrorCode::RequestRejected
                        | VendorErrorCode::RegionInvalid
                ) =>
        {
            unclear.push(format!("{operation}: {}", e.for_operators()));
        }
        Ok(()) | Err(_) => {}
    };
    let described = parts.telephony.describe(endpoint, &unknown, Priority::IdlePoll).await;
    judge(Operation::DescribeContact, described.map(|_| ()));
    let current = parts
        .telephony
        .current_contacts(endpoint, std::slice::from_ref(&user), Priority::IdlePoll)
        .await;
    judge(Operation::GetCurrentUserData, current.map(|_| ()));
    judge(
        Operation::MonitorContact,
        monitor_unknown_contact(parts, endpoint, contact, user.clone()).await,
    );
    let named = parts.telephony.username_of(&endpoint.instance, &user).await;
    judge(Operation::DescribeUser, named.map(|_| ()));
    let named = parts.telephony.queue_name(&endpoint.instance, user.as_str()).await;
    judge(Operation::DescribeQueue, named.map(|_| ()));
    let stop = "StopContact was not tried, because Sidedoor calls it only for a supervisor's own leg";
    if !denied.is_empty() {
        let remedy = format!("Add {} to the role's policy", denied.join(", "));
        report.fail(
            report::CONNECT_RIGHTS,
            about,
            format!("{} denied", denied.join(", ")),
            remedy,
        );
    } else if !unclear.is_empty() {
        let remedy = "Run the check again; if the warning remains, act on the vendor's message";
        report.warn(report::CONNECT_RIGHTS, about, unclear.join("; "), remedy);
    } else {
        let detail = format!("MonitorContact, DescribeContact, GetCurrentUserData; {stop}");
        report.ok(report::CONNECT_RIGHTS, about, detail);
    }
}

/// Calls MonitorContact with a contact and a user that do not exist, so it can only fail.
async fn monitor_unknown_contact(
    parts: &Parts,
    endpoint: &Endpoint,
    contact: ContactId,
    user: UserId,
) -> Result<(), VendorError> {
    let admission = parts.telephony.admit_monitor(endpoint, Duration::from_secs(10)).await?;
    let call = MonitorCall {
        endpoint: endpoint.clone(),
        contact,
        user,
        allowed: Mode::Silent,
        client_token: ClientToken::unique(),
    };
    parts.telephony.monitor(&call, admission).await.map(|_| ())
}

/// SearchContacts finds the leg of a join whose answer was lost if GetCurrentUserData does not list it.
async fn search(report: &mut Report, parts: &Parts, name: &InstanceName) {
    let about = Some(name.as_str());
    let now = parts.clock.now();
    let Ok(user) = UserId::parse(uuid::Uuid::new_v4().to_string()) else {
        return;
    };
    let (range, endpoint) = ((now - SEARCHED, now), Endpoint::from(name));
    let found = parts
        .telephony
        .legs_begun(&endpoint, std::slice::from_ref(&user), range, Priority::IdlePoll);
    match found.await {
        Ok(_) => match parts.telephony.associated_contacts(&endpoint, user.as_str()).await {
            Err(e) if e.code == DENIED => {
                let remedy = "Allow connect:ListAssociatedContacts; until then a leg whose description names no contact stays \
                              without one";
                report.warn(report::CONNECT_SEARCH, about, e.for_operators(), remedy);
            }
            _ => report.ok(
                report::CONNECT_SEARCH,
                about,
                "SearchContacts and ListAssociatedContacts are allowed",
            ),
        },
        Err(e) => {
            let remedy = "Allow connect:SearchContacts; until then a leg is not found if the answer to its join was lost and \
                          GetCurrentUserData does not list it";
            report.warn(report::CONNECT_SEARCH, about, e.for_operators(), remedy);
        }
    }
}

async fn excess(report: &mut Report, parts: &Parts, name: &InstanceName) {
    let about = Some(name.as_str());
    match parts.telephony.list_security_profiles(name).await {
        Err(e) if e.code == DENIED => {
            report.ok(
                report::CONNECT_EXCESS,
                about,
                "ListSecurityProfiles is denied, as expected",
            );
        }
        Ok(()) => {
            let remedy = "Reduce the role's policy to the one in docs/runbook.md";
            let detail = "ListSecurityProfiles is allowed although Sidedoor never calls it: the role has more permissions than needed";
            report.warn(report::CONNECT_EXCESS, about, detail, remedy);
        }
        Err(e) => {
            let remedy = "Run the check again; if the warning remains, act on the vendor's message";
            report.warn(report::CONNECT_EXCESS, about, e.for_operators(), remedy);
        }
    }
}
