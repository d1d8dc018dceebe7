//! Events that cannot be used, by kind, and where an event must come from.

use super::codes::stable_codes;

stable_codes! {
    /// Why an event is not used.
    pub enum UnusableEvent {
        /// EventBridge's `source` is not `aws.connect`.
        WrongSource = "wrong_source",
        /// An event or record of another kind, which Sidedoor does not use.
        OtherKind = "other_kind",
        /// A contact record, which may share a Kinesis stream with agent events.
        ContactRecord = "contact_record",
        /// The event comes from another AWS account than the instance's.
        WrongAccount = "wrong_account",
        /// The event comes from another Region than the instance's.
        WrongRegion = "wrong_region",
        /// The event's instance is not configured.
        UnknownInstance = "unknown_instance",
        /// The credential does not name the event's instance.
        InstanceForbidden = "instance_forbidden",
        /// The event cannot be read, or a required part is missing.
        Unreadable = "unreadable",
        /// The event says what cannot be, such as an agent with a hundred calls.
        Impossible = "impossible",
        /// So many unknown legs of this instance wait to be looked up that the event is not kept.
        TooManyLegs = "too_many_legs",
    }
}

/// The AWS account and Region that an event names, each as often as it does: in its envelope and in its ARNs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventOrigin {
    /// The accounts; `None` where one should be named and is not.
    pub accounts: Vec<Option<String>>,
    /// The Regions; `None` in the same way.
    pub regions: Vec<Option<String>>,
}

impl EventOrigin {
    /// An origin that names its account and Region once.
    pub fn new(account: &str, region: &str) -> Self {
        Self {
            accounts: vec![Some(account.to_owned())],
            regions: vec![Some(region.to_owned())],
        }
    }

    /// Adds what an ARN of Connect names: `arn:aws:connect:<region>:<account>:…`.
    #[must_use]
    pub(super) fn with_arn(mut self, arn: &str) -> Self {
        let part = |n| {
            arn.split(':')
                .nth(n)
                .filter(|p: &&str| !p.is_empty())
                .map(str::to_owned)
        };
        self.regions.push(part(3));
        self.accounts.push(part(4));
        self
    }

    /// Why the event cannot be of an instance in these Regions and this account. If the instance's account is not configured, the
    /// accounts must still be the same everywhere in the event. An event of a replicated instance may name both Regions, because it is
    /// not documented which of them its ARNs have.
    pub fn mismatch(&self, account: Option<&str>, regions: &[&str]) -> Option<UnusableEvent> {
        let account = account.or_else(|| self.accounts.first().and_then(Option::as_deref));
        let is_ours = |region: &Option<String>| region.as_deref().is_some_and(|region| regions.contains(&region));
        if !self.accounts.iter().all(|named| named.as_deref() == account) {
            Some(UnusableEvent::WrongAccount)
        } else if !self.regions.iter().all(is_ours) {
            Some(UnusableEvent::WrongRegion)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:connect:us-west-2:111122223333:instance/abc-1";

    #[test]
    fn event_origin_must_match_account_and_region_everywhere() {
        let origin = EventOrigin::new("111122223333", "us-west-2").with_arn(ARN);
        for account in [Some("111122223333"), None] {
            assert_eq!(origin.mismatch(account, &["us-west-2"]), None);
            assert_eq!(
                origin.mismatch(account, &["us-east-1"]),
                Some(UnusableEvent::WrongRegion)
            );
        }
        let wrong_account = Some(UnusableEvent::WrongAccount);
        assert_eq!(origin.mismatch(Some("444455556666"), &["us-west-2"]), wrong_account);
        // Of a replicated instance, also with an ARN of the other Region.
        let both = ["us-west-2", "us-east-1"];
        let replica = EventOrigin::new("111122223333", "us-east-1");
        assert_eq!(replica.clone().mismatch(None, &both), None);
        assert_eq!(replica.with_arn(ARN).mismatch(None, &both), None);
        let third = EventOrigin::new("111122223333", "eu-west-2").with_arn(ARN);
        assert_eq!(third.mismatch(None, &both), Some(UnusableEvent::WrongRegion));
        // The envelope and the ARN contradict each other.
        let mixed = EventOrigin::new("444455556666", "us-west-2").with_arn(ARN);
        assert_eq!(mixed.mismatch(None, &["us-west-2"]), wrong_account);
        assert_eq!(mixed.mismatch(Some("111122223333"), &["us-west-2"]), wrong_account);
        let elsewhere = EventOrigin::new("111122223333", "eu-west-2").with_arn(ARN);
        assert_eq!(
            elsewhere.mismatch(None, &["us-west-2"]),
            Some(UnusableEvent::WrongRegion)
        );
        let unnamed = EventOrigin::default().with_arn("instance/abc-1");
        assert_eq!(unnamed.mismatch(Some("111122223333"), &["us-west-2"]), wrong_account);
        assert_eq!(unnamed.mismatch(None, &["us-west-2"]), Some(UnusableEvent::WrongRegion));
    }
}
