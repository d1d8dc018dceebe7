//! `[compliance]`: what each jurisdiction requires of supervision. Sidedoor does not know the law, so its operator sets
//! the rules here.

use std::collections::BTreeMap;

use sidedoor_domain::rejoin::{Announcement, NotifyAgent, Policy, Rejoining, Rules};

use super::Reader;
use super::connect::ConnectSection;

/// Reads the rules, and checks that every jurisdiction that an instance names is configured.
/// `can_notify`: whether notices to agents can be published, because the event is set and agents' Users are looked up.
pub(super) fn read(r: &mut Reader, connect: &ConnectSection, can_notify: bool) -> Policy {
    let mut jurisdictions = BTreeMap::new();
    let configured = r.names("compliance.jurisdictions");
    for name in configured.clone() {
        let at = |key: &str| format!("compliance.jurisdictions.{name}.{key}");
        let plain = name.len() <= 64
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if !plain {
            let setting = format!("compliance.jurisdictions.{name}");
            r.problem(
                &setting,
                "invalid jurisdiction name",
                "rename it: use up to 64 letters, digits, '.', '_' or '-'",
            );
            r.pass_over(&setting);
            continue;
        }
        let rejoinings = [
            ("allowed", Rejoining::Allowed),
            ("refused", Rejoining::Refused),
            ("ask", Rejoining::Ask),
        ];
        let announcements = [
            ("not_required", Announcement::NotRequired),
            ("required", Announcement::Required),
            ("ask", Announcement::Review),
        ];
        let notices = [
            ("no", NotifyAgent::No),
            ("unnamed", NotifyAgent::Unnamed),
            ("named", NotifyAgent::Named),
        ];
        let announcement = r.word(&at("announcement"), &announcements, Announcement::Review);
        let rules = Rules {
            rejoining: r.word(&at("rejoin"), &rejoinings, Rejoining::Allowed),
            announcement,
            rejoin_announcement: r.word(&at("rejoin_announcement"), &announcements, announcement),
            notify_agent: r.word(&at("notify_agent"), &notices, NotifyAgent::No),
        };
        if rules.notify_agent != NotifyAgent::No && !can_notify {
            r.problem(
                &at("notify_agent"),
                "no notice can be published",
                "set salesforce.notice_event, and a salesforce.user_lookup other than off; or remove this setting",
            );
        }
        jurisdictions.insert(name, rules);
    }
    for name in connect.config.instances.keys() {
        let named = connect.instances.get(name).and_then(|i| i.jurisdiction.as_ref());
        if let Some(missing) = named.filter(|j| !configured.contains(j)) {
            r.problem(
                &format!("connect.instances.{name}.jurisdiction"),
                format!("no jurisdiction {missing:?} is configured"),
                format!("add [compliance.jurisdictions.{missing}], or remove this setting"),
            );
        }
    }
    Policy { jurisdictions }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{GOOD, load_with};

    const DE: &str = "SIDEDOOR__COMPLIANCE__JURISDICTIONS__DE__NOTIFY_AGENT";
    const EVENT: &str = "SIDEDOOR__SALESFORCE__NOTICE_EVENT";

    #[test]
    fn notices_need_an_event_and_look_ups_of_users() {
        let problem = |env: &[(&str, &str)]| load_with(GOOD, env).err().map(|e| e.to_string()).unwrap_or_default();
        let event = (EVENT, "Supervision_Notice__e");
        assert_eq!(problem(&[(DE, "named"), event]), "");
        assert_eq!(problem(&[(DE, "no")]), "");
        assert!(problem(&[(DE, "named")]).contains("no notice can be published"));
        let off = ("SIDEDOOR__SALESFORCE__USER_LOOKUP", "off");
        assert!(problem(&[(DE, "unnamed"), event, off]).contains("no notice can be published"));
        assert!(problem(&[(DE, "loud"), event]).contains("notify_agent"));
        assert!(problem(&[(EVENT, "Supervision_Notice__c")]).contains("Platform Event"));
    }
}
