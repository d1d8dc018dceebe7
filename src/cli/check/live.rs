//! `--live`: a test supervisor really joins a test contact and leaves it again. The report answers questions that Amazon
//! Connect's documentation leaves open. The interlock applies here too: StopContact is called only for a leg that it
//! cleared.

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::ids::{ClientToken, ContactId, InstanceName, UserId};
use sidedoor_domain::interlock::{ContactSeen, LegId, clear_to_end};
use sidedoor_domain::ports::{Endpoint, MonitorCall, Priority, Telephony, VendorError};
use sidedoor_domain::supervision::Mode;

use super::Parts;
use super::report::{self, Report};
use crate::connect::LegDescription;

/// The interval between two DescribeContact calls.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long to wait until the supervisor's Contact Control Panel has connected.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait for an effect of StopContact.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait until the person at the Contact Control Panel has chosen End call.
const PERSON_TIMEOUT: Duration = Duration::from_secs(120);

struct LiveCheck<'p> {
    parts: &'p Parts,
    instance: InstanceName,
    contact: ContactId,
    user: UserId,
}

/// Runs the live check. With invalid arguments or without a confirmation, the report says so and nothing is done.
pub(super) async fn check(report: &mut Report, parts: &Parts, contact: &str, user: &str, yes: bool) {
    let live = match LiveCheck::prepare(parts, contact, user) {
        Ok(live) => live,
        Err((why, remedy)) => return report.fail(report::LIVE_CONTACT, None, why, remedy),
    };
    if !live.contact_is_suitable(report).await {
        return;
    }
    if !yes && let Err((why, remedy)) = confirm(contact, user) {
        return report.fail(report::LIVE_JOIN, None, why, remedy);
    }
    let Some(leg) = live.join(report).await else {
        return;
    };
    live.connected(report, &leg).await;
    live.described(report, &leg).await;
    live.leave(report, &leg).await;
    live.customer(report).await;
}

/// Why the live check cannot run, and the remedy.
type Refused = (String, &'static str);

fn confirm(contact: &str, user: &str) -> Result<(), Refused> {
    let refused = |why: &str| {
        (
            format!("{why}: nothing was done"),
            "Add --yes, or type yes at the prompt",
        )
    };
    if !std::io::stdin().is_terminal() {
        return Err(refused("confirmation is required, and there is no terminal"));
    }
    eprint!(
        "User {user} will really join contact {contact} and leave it again. Use a test contact. Type yes to go on: "
    );
    let mut answer = String::new();
    let read = std::io::stderr()
        .flush()
        .and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    match read {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        _ => Err(refused("not confirmed")),
    }
}

impl<'p> LiveCheck<'p> {
    fn prepare(parts: &'p Parts, contact: &str, user: &str) -> Result<Self, Refused> {
        let mut instances = parts.config.connect.instances.keys();
        let named = parts.config.connect.default_instance.clone();
        let instance = match (named, instances.next(), instances.next()) {
            (_, Some(only), None) => only.clone(),
            (Some(named), _, _) => named,
            _ => return Err(("several instances are configured".into(), "Choose one with --instance")),
        };
        let bad = |what: &str, why: String| {
            (
                format!("{what}: {why}"),
                "Run --live CONTACT_ID USER_ID with the ids from Amazon Connect",
            )
        };
        Ok(Self {
            parts,
            instance,
            contact: ContactId::parse(contact).map_err(|e| bad("CONTACT_ID", e.to_string()))?,
            user: UserId::parse(user).map_err(|e| bad("USER_ID", e.to_string()))?,
        })
    }
}

impl LiveCheck<'_> {
    async fn describe(&self, id: &str) -> Result<ContactSeen, VendorError> {
        self.parts
            .telephony
            .describe(&Endpoint::from(&self.instance), id, Priority::Join)
            .await
    }

    async fn contact_is_suitable(&self, report: &mut Report) -> bool {
        let remedy = "Call the instance's test number, let a test agent answer, and use the id of that contact";
        match self.describe(self.contact.as_str()).await {
            Ok(seen) if seen.is_monitor() => {
                report.fail(
                    report::LIVE_CONTACT,
                    None,
                    "this is a supervisor's leg, not a customer's contact",
                    remedy,
                );
                false
            }
            Ok(seen) if seen.disconnected_at.is_some() => {
                report.fail(report::LIVE_CONTACT, None, "this contact has ended", remedy);
                false
            }
            Ok(seen) => {
                let channel = seen.channel.map_or("unknown channel", |c| c.as_str());
                report.ok(
                    report::LIVE_CONTACT,
                    None,
                    format!("{}, {channel}, in progress", seen.initiation_method.as_str()),
                );
                true
            }
            Err(e) => {
                report.fail(report::LIVE_CONTACT, None, e.to_string(), remedy);
                false
            }
        }
    }

    /// Calls MonitorContact twice with the same token.
    async fn join(&self, report: &mut Report) -> Option<LegId> {
        let call = MonitorCall {
            endpoint: Endpoint::from(&self.instance),
            contact: self.contact.clone(),
            user: self.user.clone(),
            allowed: Mode::Silent,
            client_token: ClientToken::unique(),
        };
        // A lost answer is requested once more. That makes no second leg, because the token is the same.
        let answer = match self.monitor(&call).await {
            Err(e) if e.may_have_happened => self.monitor(&call).await,
            other => other,
        };
        let first = match answer {
            Ok(raw) => raw,
            Err(e) if e.may_have_happened => {
                let remedy =
                    "Look in the test supervisor's Contact Control Panel, because a leg may exist, and end it there";
                report.fail(
                    report::LIVE_JOIN,
                    None,
                    format!("{}: {}", e.code, e.for_operators()),
                    remedy,
                );
                return None;
            }
            Err(e) => {
                let remedy = "Give the user a security profile that allows monitoring, and open their Contact Control Panel; see \
                              docs/errors.md for the codes";
                report.fail(
                    report::LIVE_JOIN,
                    None,
                    format!("{}: {}", e.code, e.for_operators()),
                    remedy,
                );
                return None;
            }
        };
        let leg = match LegId::from_monitor_answer(&first, &self.contact) {
            Ok(leg) => leg,
            Err(refusal) => {
                report.fail(
                    report::LIVE_JOIN,
                    None,
                    refusal.to_string(),
                    "Report this to the maintainers; Sidedoor rejected this answer before it ended anything",
                );
                return None;
            }
        };
        report.ok(report::LIVE_JOIN, None, format!("leg {leg}"));
        match self.monitor(&call).await {
            Ok(again) if again == first => report.ok(report::LIVE_TOKEN, None, "two calls, one leg"),
            Ok(again) => report.fail(
                report::LIVE_TOKEN,
                None,
                format!("the second call returned another leg, {again}"),
                "End both legs in the Contact Control Panel, and report this to the maintainers, because a restart could join \
                 twice",
            ),
            Err(e) => report.warn(
                report::LIVE_TOKEN,
                None,
                format!("the second call was rejected: {}: {}", e.code, e.for_operators()),
                "Report the vendor's answer to the maintainers",
            ),
        }
        Some(leg)
    }

    async fn monitor(&self, call: &MonitorCall) -> Result<String, VendorError> {
        let telephony = &self.parts.telephony;
        let patience = Duration::from_secs(10);
        let admission = telephony.admit_monitor(&call.endpoint, patience).await?;
        telephony.monitor(call, admission).await
    }

    /// Describes the leg until `condition` is true, for at most `timeout`. Returns the last answer, the time it took, and
    /// whether the condition became true.
    async fn until(
        &self,
        leg: &LegId,
        timeout: Duration,
        condition: impl Fn(&ContactSeen) -> bool,
    ) -> (Option<ContactSeen>, Duration, bool) {
        #[allow(clippy::disallowed_methods, reason = "measures how long the vendor takes")]
        let started = tokio::time::Instant::now();
        loop {
            let seen = self.describe(leg.as_str()).await.ok();
            let took = started.elapsed();
            let met = seen.as_ref().is_some_and(&condition);
            if met || took + POLL_INTERVAL > timeout {
                return (seen, took, met);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn connected(&self, report: &mut Report, leg: &LegId) {
        let (_, took, connected) = self.until(leg, CONNECT_TIMEOUT, |s| s.connected_at.is_some()).await;
        if connected {
            report.ok(
                report::LIVE_CONNECTED,
                None,
                format!("seen after {:.1} s", took.as_secs_f64()),
            );
        } else {
            let remedy = "Open the user's Contact Control Panel, set a status, and check the phone setting (soft phone or an \
                          E.164 number)";
            let detail = format!("not within {} s", CONNECT_TIMEOUT.as_secs());
            report.warn(report::LIVE_CONNECTED, None, detail, remedy);
        }
    }

    async fn described(&self, report: &mut Report, leg: &LegId) {
        let telephony = &self.parts.telephony;
        match telephony
            .describe_leg(&self.instance, leg.as_str(), self.contact.as_str())
            .await
        {
            Ok(LegDescription {
                links,
                states,
                has_fractions,
            }) => {
                let stamps = if has_fractions {
                    "timestamps with fractions of a second"
                } else {
                    "timestamps of whole seconds"
                };
                let detail = format!("{}; states {}; {stamps}", links.join(", "), states.join(", "));
                if links.is_empty() {
                    let remedy = "Report this to the maintainers, because legs that supervisors start elsewhere cannot be \
                                  matched to their contact on this instance";
                    report.warn(report::LIVE_LINK, None, format!("no field does{detail}"), remedy);
                } else {
                    report.ok(report::LIVE_LINK, None, detail);
                }
            }
            Err(e) => report.warn(report::LIVE_LINK, None, e.to_string(), "Run the check again"),
        }
    }

    /// Calls StopContact for the cleared leg, to report its answer. If the leg does not end, a person ends it.
    async fn leave(&self, report: &mut Report, leg: &LegId) {
        let cleared = match self.describe(leg.as_str()).await {
            Ok(seen) => clear_to_end(leg, &seen, &self.user, Some(&self.contact)).map_err(|r| r.to_string()),
            Err(e) => Err(e.to_string()),
        };
        match cleared {
            Ok(cleared) => match self
                .parts
                .telephony
                .end_leg(&Endpoint::from(&self.instance), &cleared)
                .await
            {
                Ok(()) => report.ok(report::LIVE_STOP, None, "200, which means only \"accepted\""),
                // A refusal is expected, because the documentation says that it does not work for MONITOR.
                Err(e) => report.ok(report::LIVE_STOP, None, format!("{}: {}", e.code, e.for_operators())),
            },
            Err(why) => {
                let remedy = "Report the leg's DescribeContact answer to the maintainers";
                report.warn(report::LIVE_STOP, None, format!("the interlock refused: {why}"), remedy);
            }
        }
        let gone = |s: &ContactSeen| s.disconnected_at.is_some();
        let (mut seen, mut took, mut left) = self.until(leg, STOP_TIMEOUT, gone).await;
        let mut by = "StopContact";
        if !left {
            eprintln!("The leg has not ended. Choose End call in the test supervisor's Contact Control Panel now.");
            by = "the Contact Control Panel";
            (seen, took, left) = self.until(leg, PERSON_TIMEOUT, gone).await;
        }
        let now: Timestamp = self.parts.clock.now();
        match seen.and_then(|s| s.disconnected_at.map(|at| (at, s.disconnect_reason))) {
            Some((at, reason)) if left => {
                let fraction = if at.as_millisecond() % 1000 == 0 {
                    "whole seconds"
                } else {
                    "with a fraction"
                };
                let detail = format!(
                    "by {by}; DisconnectTimestamp {at} ({fraction}), reason {}, seen {:.1} s after that by our clock, {:.1} s \
                     after the first DescribeContact",
                    reason.as_deref().unwrap_or("none"),
                    now.duration_since(at).as_secs_f64(),
                    took.as_secs_f64()
                );
                report.ok(report::LIVE_LEFT, None, detail);
            }
            _ => {
                let remedy = "End it in the Contact Control Panel; if Connect never shows the end, report this to the maintainers";
                report.fail(report::LIVE_LEFT, None, format!("leg {leg} has not ended"), remedy);
            }
        }
    }

    async fn customer(&self, report: &mut Report) {
        match self.describe(self.contact.as_str()).await {
            Ok(seen) if seen.disconnected_at.is_none() => report.ok(report::LIVE_CUSTOMER, None, ""),
            Ok(seen) => {
                let reason = seen.disconnect_reason.as_deref().unwrap_or("none");
                let remedy = "Unless the test customer or the test agent hung up: stop using Sidedoor on this instance, and \
                              report this to the maintainers";
                report.fail(
                    report::LIVE_CUSTOMER,
                    None,
                    format!("the contact has ended, reason {reason}"),
                    remedy,
                );
            }
            Err(e) => report.warn(
                report::LIVE_CUSTOMER,
                None,
                e.to_string(),
                "Look at the contact in the Amazon Connect console",
            ),
        }
    }
}
