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
        /// The event's instance is not one that the credential names.
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

    /// Why the event cannot be of an instance in this Region and account. If the instance's account is not configured, the accounts
    /// must still be the same everywhere in the event.
    pub fn mismatch(&self, account: Option<&str>, region: &str) -> Option<UnusableEvent> {
        let all = |named: &[Option<String>], expected: Option<&str>| named.iter().all(|n| n.as_deref() == expected);
        let account = account.or_else(|| self.accounts.first().and_then(Option::as_deref));
        if !all(&self.accounts, account) {
            Some(UnusableEvent::WrongAccount)
        } else if !all(&self.regions, Some(region)) {
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
            assert_eq!(origin.mismatch(account, "us-west-2"), None);
            assert_eq!(origin.mismatch(account, "us-east-1"), Some(UnusableEvent::WrongRegion));
        }
        let wrong_account = Some(UnusableEvent::WrongAccount);
        assert_eq!(origin.mismatch(Some("444455556666"), "us-west-2"), wrong_account);
        // The envelope and the ARN contradict each other.
        let mixed = EventOrigin::new("444455556666", "us-west-2").with_arn(ARN);
        assert_eq!(mixed.mismatch(None, "us-west-2"), wrong_account);
        assert_eq!(mixed.mismatch(Some("111122223333"), "us-west-2"), wrong_account);
        let elsewhere = EventOrigin::new("111122223333", "eu-west-2").with_arn(ARN);
        assert_eq!(elsewhere.mismatch(None, "us-west-2"), Some(UnusableEvent::WrongRegion));
        let unnamed = EventOrigin::default().with_arn("instance/abc-1");
        assert_eq!(unnamed.mismatch(Some("111122223333"), "us-west-2"), wrong_account);
        assert_eq!(unnamed.mismatch(None, "us-west-2"), Some(UnusableEvent::WrongRegion));
    }
}
