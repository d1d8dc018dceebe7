//! `[compliance]`: what each jurisdiction requires of supervision. Sidedoor does not know the law, so its operator sets
//! the rules here.

use std::collections::BTreeMap;

use sidedoor_domain::rejoin::{Announcement, Policy, Rejoining, Rules};

use super::Reader;
use super::connect::ConnectSection;

/// Reads the rules, and checks that every jurisdiction that an instance names is configured.
pub(super) fn read(r: &mut Reader, connect: &ConnectSection) -> Policy {
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
        let announcement = r.word(&at("announcement"), &announcements, Announcement::Review);
        let rules = Rules {
            rejoining: r.word(&at("rejoin"), &rejoinings, Rejoining::Allowed),
            announcement,
            rejoin_announcement: r.word(&at("rejoin_announcement"), &announcements, announcement),
        };
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
