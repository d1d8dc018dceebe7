//! `[compliance]`: what each jurisdiction asks of supervision. Sidedoor does not know the law: its owner decides, here.

use std::collections::BTreeMap;

use super::{ConnectConfig, Reader};
use sidedoor_domain::rejoin::{Announcement, Policy, Rejoining, Rules};

/// The policy; an instance that names a jurisdiction which is not configured is a problem.
pub(super) fn read(r: &mut Reader, connect: &ConnectConfig) -> Policy {
    let mut jurisdictions = BTreeMap::new();
    for name in r.names("compliance.jurisdictions") {
        let at = |key: &str| format!("compliance.jurisdictions.{name}.{key}");
        let plain = name.len() <= 64
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if !plain {
            let setting = format!("compliance.jurisdictions.{name}");
            r.problem(
                &setting,
                "is not a name",
                "use up to 64 letters, digits, '.', '_' or '-'",
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
    for (name, instance) in &connect.instances {
        let named = instance.jurisdiction.as_ref();
        if let Some(missing) = named.filter(|j| !jurisdictions.contains_key(*j)) {
            r.problem(
                &format!("connect.instances.{name}.jurisdiction"),
                "names no configured jurisdiction",
                format!("add [compliance.jurisdictions.{missing}]"),
            );
        }
    }
    Policy { jurisdictions }
}
