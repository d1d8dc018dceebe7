//! `--live`: a test supervisor listens to a test contact and leaves again, for real, and we tell what the vendor does: the
//! open questions of Amazon Connect's documentation. The interlock holds here as everywhere: StopContact is given nothing but
//! a leg that it cleared.

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use jiff::Timestamp;

use super::Parts;
use super::report::{self, Report};
use crate::connect::LegDescription;
use sidedoor_domain::ids::{ClientToken, ContactId, InstanceName, UserId};
use sidedoor_domain::interlock::{ContactSeen, LegId, clear_to_end};
use sidedoor_domain::ports::{MonitorCall, Priority, Telephony, VendorError};
use sidedoor_domain::supervision::Mode;

/// How often the vendor is asked.
const EVERY: Duration = Duration::from_millis(500);
/// How long the supervisor's Contact Control Panel has to connect.
const CONNECTS_WITHIN: Duration = Duration::from_secs(20);
/// How long StopContact has to show an effect.
const STOPS_WITHIN: Duration = Duration::from_secs(5);
/// How long a person has to choose End call.
const PERSON: Duration = Duration::from_secs(120);

struct Stage<'p> {
    parts: &'p Parts,
    instance: InstanceName,
    contact: ContactId,
    user: UserId,
}

/// Plays it. When the question makes no sense, or nobody says yes, that is the report's last line and nothing is done.
pub(super) async fn check(report: &mut Report, parts: &Parts, contact: &str, user: &str, yes: bool) {
    let stage = match Stage::set(parts, contact, user) {
        Ok(stage) => stage,
        Err((why, remedy)) => return report.fail(report::LIVE_CONTACT, None, why, remedy),
    };
    if !stage.contact_is_fit(report).await {
        return;
    }
    if !yes && let Err((why, remedy)) = agreed(contact, user) {
        return report.fail(report::LIVE_JOIN, None, why, remedy);
    }
    let Some(leg) = stage.join(report).await else {
        return;
    };
    stage.connected(report, &leg).await;
    stage.described(report, &leg).await;
    stage.leave(report, &leg).await;
    stage.customer(report).await;
}

/// What keeps it from being played, and what to do.
type Refused = (String, &'static str);

fn agreed(contact: &str, user: &str) -> Result<(), Refused> {
    let nothing = |why: &str| (format!("{why}: nothing was done"), "say --yes, or type yes when asked");
    if !std::io::stdin().is_terminal() {
        return Err(nothing("it acts for real, and nobody can be asked"));
    }
    eprint!(
        "User {user} will really listen to contact {contact}, and leave again. Use a test contact. Type yes to go on: "
    );
    let mut said = String::new();
    let heard = std::io::stderr()
        .flush()
        .and_then(|()| std::io::stdin().lock().read_line(&mut said));
    match heard {
        Ok(_) if said.trim() == "yes" => Ok(()),
        _ => Err(nothing("nobody said yes")),
    }
}

impl<'p> Stage<'p> {
    fn set(parts: &'p Parts, contact: &str, user: &str) -> Result<Self, Refused> {
        let mut instances = parts.config.connect.instances.keys();
        let named = parts.config.connect.default_instance.clone();
        let instance = match (named, instances.next(), instances.next()) {
            (_, Some(only), None) => only.clone(),
            (Some(named), _, _) => named,
            _ => return Err(("there are several instances".into(), "say which with --instance")),
        };
        let bad = |what: &str, why: String| {
            (
                format!("{what}: {why}"),
                "give --live CONTACT_ID USER_ID, as Amazon Connect has them",
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

impl Stage<'_> {
    async fn describe(&self, id: &str) -> Result<ContactSeen, VendorError> {
        self.parts
            .telephony
            .describe(&self.instance, id, Priority::Monitor)
            .await
    }

    async fn contact_is_fit(&self, report: &mut Report) -> bool {
        let remedy = "call the instance's test number, let a test agent answer, and give that contact's id";
        match self.describe(self.contact.as_str()).await {
            Ok(seen) if seen.is_monitor() => {
                report.fail(
                    report::LIVE_CONTACT,
                    None,
                    "that is a supervisor's leg, not a customer's contact",
                    remedy,
                );
                false
            }
            Ok(seen) if seen.disconnected_at.is_some() => {
                report.fail(report::LIVE_CONTACT, None, "that contact is over", remedy);
                false
            }
            Ok(seen) => {
                let channel = seen.channel.map_or("unknown channel", |c| c.as_str());
                report.ok(
                    report::LIVE_CONTACT,
                    None,
                    format!("{}, {channel}, going on", seen.initiation_method),
                );
                true
            }
            Err(e) => {
                report.fail(report::LIVE_CONTACT, None, e.to_string(), remedy);
                false
            }
        }
    }

    /// MonitorContact, twice with one token.
    async fn join(&self, report: &mut Report) -> Option<LegId> {
        let call = MonitorCall {
            instance: self.instance.clone(),
            contact: self.contact.clone(),
            user: self.user.clone(),
            allowed: Mode::Silent,
            client_token: ClientToken::generate(),
        };
        // An answer that was lost is asked for once more: the same token gives the same leg.
        let asked = match self.monitor(&call).await {
            Err(e) if e.may_have_happened => self.monitor(&call).await,
            other => other,
        };
        let first = match asked {
            Ok(raw) => raw,
            Err(e) if e.may_have_happened => {
                let remedy = "a leg may exist all the same: look in the test supervisor's Contact Control Panel, and end it there";
                report.fail(report::LIVE_JOIN, None, format!("{}: {}", e.code, e.message), remedy);
                return None;
            }
            Err(e) => {
                let remedy = "the user needs the rights to monitor in their security profile, and their Contact Control Panel open; \
                              docs/errors.md has the codes";
                report.fail(report::LIVE_JOIN, None, format!("{}: {}", e.code, e.message), remedy);
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
                    "tell the maintainers: the interlock held",
                );
                return None;
            }
        };
        report.ok(report::LIVE_JOIN, None, format!("leg {leg}"));
        match self.monitor(&call).await {
            Ok(again) if again == first => report.ok(report::LIVE_TOKEN, None, "sent twice, one leg"),
            Ok(again) => report.fail(
                report::LIVE_TOKEN,
                None,
                format!("the second call gave another leg, {again}"),
                "tell the maintainers: a restart could then join twice; end both legs in the Contact Control Panel",
            ),
            Err(e) => report.warn(
                report::LIVE_TOKEN,
                None,
                format!("the second call was refused: {}: {}", e.code, e.message),
                "tell the maintainers what the vendor answered",
            ),
        }
        Some(leg)
    }

    async fn monitor(&self, call: &MonitorCall) -> Result<String, VendorError> {
        let telephony = &self.parts.telephony;
        let admission = telephony.admit_monitor(&self.instance, Duration::from_secs(10)).await?;
        telephony.monitor(call, admission).await
    }

    /// Asks about the leg until `enough`, at most `patience`. The last answer, and how long it took.
    async fn until(
        &self,
        leg: &LegId,
        patience: Duration,
        enough: impl Fn(&ContactSeen) -> bool,
    ) -> (Option<ContactSeen>, Duration, bool) {
        #[allow(clippy::disallowed_methods, reason = "how long the vendor takes is measured here")]
        let begun = tokio::time::Instant::now();
        loop {
            let seen = self.describe(leg.as_str()).await.ok();
            let took = begun.elapsed();
            let good = seen.as_ref().is_some_and(&enough);
            if good || took + EVERY > patience {
                return (seen, took, good);
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn connected(&self, report: &mut Report, leg: &LegId) {
        let (_, took, connected) = self.until(leg, CONNECTS_WITHIN, |s| s.connected_at.is_some()).await;
        if connected {
            report.ok(
                report::LIVE_CONNECTED,
                None,
                format!("seen after {:.1} s", took.as_secs_f64()),
            );
        } else {
            let remedy = "open the user's Contact Control Panel, set a status, and check the phone setting (soft phone, or an \
                          E.164 number)";
            let detail = format!("not within {} s", CONNECTS_WITHIN.as_secs());
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
                    "stamps with fractions of a second"
                } else {
                    "stamps of whole seconds"
                };
                let detail = format!("{}; states {}; {stamps}", links.join(", "), states.join(", "));
                if links.is_empty() {
                    let remedy =
                        "legs begun by hand cannot be matched to their contact on this instance: tell the maintainers";
                    report.warn(report::LIVE_LINK, None, format!("no field does{detail}"), remedy);
                } else {
                    report.ok(report::LIVE_LINK, None, detail);
                }
            }
            Err(e) => report.warn(report::LIVE_LINK, None, e.to_string(), "try again"),
        }
    }

    /// StopContact on the cleared leg, for its answer; then a person, if it did not work.
    async fn leave(&self, report: &mut Report, leg: &LegId) {
        let cleared = match self.describe(leg.as_str()).await {
            Ok(seen) => clear_to_end(leg, &seen, &self.user, Some(&self.contact)).map_err(|r| r.to_string()),
            Err(e) => Err(e.to_string()),
        };
        match cleared {
            Ok(cleared) => match self.parts.telephony.end_leg(&self.instance, &cleared).await {
                Ok(()) => report.ok(report::LIVE_STOP, None, "200; that says only \"accepted\""),
                // The documentation says that it does not work for MONITOR: a refusal is what is expected.
                Err(e) => report.ok(report::LIVE_STOP, None, format!("{}: {}", e.code, e.message)),
            },
            Err(why) => {
                let remedy = "tell the maintainers what DescribeContact says of the leg";
                report.warn(report::LIVE_STOP, None, format!("the interlock refused: {why}"), remedy);
            }
        }
        let gone = |s: &ContactSeen| s.disconnected_at.is_some();
        let (mut seen, mut took, mut left) = self.until(leg, STOPS_WITHIN, gone).await;
        let mut by = "StopContact";
        if !left {
            eprintln!("The leg is still there. Choose End call in the test supervisor's Contact Control Panel now.");
            by = "the Contact Control Panel";
            (seen, took, left) = self.until(leg, PERSON, gone).await;
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
                    "by {by}; DisconnectTimestamp {at} ({fraction}), reason {}, seen {:.1} s after the stamp by our clock, {:.1} s \
                     after we began to look",
                    reason.as_deref().unwrap_or("none"),
                    now.duration_since(at).as_secs_f64(),
                    took.as_secs_f64()
                );
                report.ok(report::LIVE_LEFT, None, detail);
            }
            _ => {
                let remedy =
                    "end it in the Contact Control Panel; then tell the maintainers if the vendor never says so";
                report.fail(report::LIVE_LEFT, None, format!("leg {leg} is still there"), remedy);
            }
        }
    }

    async fn customer(&self, report: &mut Report) {
        match self.describe(self.contact.as_str()).await {
            Ok(seen) if seen.disconnected_at.is_none() => report.ok(report::LIVE_CUSTOMER, None, ""),
            Ok(seen) => {
                let reason = seen.disconnect_reason.as_deref().unwrap_or("none");
                let remedy = "if neither the test customer nor the test agent hung up: use this no further, and tell the maintainers";
                report.fail(
                    report::LIVE_CUSTOMER,
                    None,
                    format!("the contact is over, reason {reason}"),
                    remedy,
                );
            }
            Err(e) => report.warn(
                report::LIVE_CUSTOMER,
                None,
                e.to_string(),
                "look at the contact in the console",
            ),
        }
    }
}
