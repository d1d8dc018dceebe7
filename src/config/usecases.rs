//! `[supervision]`, `[clock]`, `[retention]` and `audit.retention_days`, and what the use cases need of the other sections.

use std::time::Duration;

use jiff::SignedDuration;

use super::connect::ConnectSection;
use super::salesforce::{SalesforceSection, UserLookup};
use super::{HttpConfig, Reader, compliance, timing};
use crate::usecases::{DeliverySettings, KeyLimits, RetentionPeriods, UseCaseIntervals, UseCaseSettings, UserKeys};

/// The settings of the use cases.
pub(super) fn read(
    r: &mut Reader,
    http: &HttpConfig,
    connect: &ConnectSection,
    salesforce: Option<&SalesforceSection>,
) -> UseCaseSettings {
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    // Without Salesforce nothing is delivered, so these values are not used.
    let off = DeliverySettings {
        max_batch_delay: Duration::ZERO,
        slow_above: 1.0,
        find_voice_calls: false,
        find_messaging_sessions: false,
    };
    let notice_event = salesforce.and_then(|s| s.config.notice_event.as_ref());
    let can_notify = notice_event.is_some() && salesforce.is_some_and(|s| s.config.user_lookup != UserLookup::Off);
    UseCaseSettings {
        instances: connect.instances.clone(),
        default_instance: connect.config.default_instance.clone(),
        answer_within: http.answer_within,
        join_ttl: r.signed_seconds("supervision.join_ttl_s", 30, 1, 300),
        leave_deadline: r.signed_seconds("supervision.leave_deadline_s", 15, 1, 3600),
        directive_ttl: r.signed_seconds("supervision.directive_ttl_s", 300, 5, 86_400),
        idle_poll: r.signed_seconds("supervision.idle_poll_s", 60, 5, 3600),
        board_poll: r.seconds("board.poll_s", 5, 1, 3600),
        board_routing_profiles: r.list("board.routing_profiles"),
        completeness_every: Some(r.seconds("supervision.completeness_every_s", 600, 0, 86_400))
            .filter(|d| !d.is_zero()),
        after_check_grace: r.signed_millis("supervision.after_check_grace_ms", 400, 0, 10_000),
        poll_staleness: r.signed_millis("supervision.poll_staleness_ms", 2000, 0, 60_000),
        describe_staleness: r.signed_millis("supervision.describe_staleness_ms", 2000, 0, 60_000),
        claim_patience: r.signed_seconds("supervision.claim_patience_s", 60, 1, 86_400),
        max_voice_legs: r.number("supervision.max_voice_legs", 1, 1, 8),
        clock_error_ms: r.number("clock.max_error_ms", 50, 0, 60_000),
        delivery: salesforce.map_or(off, |s| s.delivery),
        announce: salesforce.is_some_and(|s| s.config.directive_event.is_some()),
        notify_agents: notice_event.is_some(),
        compare: salesforce.is_some_and(|s| s.compare),
        count_contacts: r.flag("coverage.count_contacts", true),
        // 0 is no goal that anybody could miss.
        coverage_goal_percent: Some(r.number("coverage.goal_percent", 0, 0, 100)).filter(|goal| *goal > 0),
        retention: RetentionPeriods {
            keys: SignedDuration::from_hours(r.number("retention.idempotency_h", 24, 1, 720)),
            evidence: days(r.number("retention.evidence_days", 30, 1, 3650)),
            supervisions: days(r.number("retention.supervisions_days", 400, 1, 36_500)),
            // Without the setting the audit is kept for ever.
            audit: Some(r.number("audit.retention_days", 0, 0, 36_500))
                .filter(|kept| *kept > 0)
                .map(days),
            coverage: days(r.number("retention.coverage_days", 800, 3, 36_500)),
        },
        keys: KeyLimits {
            caller: r.number("retention.idempotency_keys_per_caller", 500_000, 1, 10_000_000),
            supervisor: r.number("retention.idempotency_keys_per_supervisor", 2000, 1, 10_000_000),
        },
        username_cache_ttl: r.seconds("supervision.usernames_s", 300, 1, 86_400),
        salesforce_users: salesforce.and_then(|s| match s.config.user_lookup {
            UserLookup::UserField => Some(UserKeys::Username),
            UserLookup::CallCenterRoutingMap => Some(UserKeys::UsernameOrId),
            UserLookup::Off => None,
        }),
        timing: timing::read(r),
        policy: compliance::read(r, connect, can_notify),
        streams: http.max_streams,
        intervals: UseCaseIntervals::default(),
    }
}
