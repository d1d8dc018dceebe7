//! Why a supervisor's join failed, as a stable code.

use crate::codes::stable_codes;
use crate::ports::VendorErrorCode;

stable_codes! {
    /// The reasons for a failed join that are Sidedoor's own.
    pub enum OwnJoinFailure {
        /// The supervisor left before Connect gave the leg.
        Cancelled = "join_cancelled",
        /// Connect did not give the leg within `supervision.join_ttl_s`.
        TimedOut = "join_timeout",
        /// The supervisor did not leave the contact they listened to before in time.
        LeaveTimedOut = "leave_timeout",
        /// The supervisor is on another contact.
        SupervisorConflict = "supervisor_conflict",
        /// Connect's leg belongs to another supervision.
        LegConflict = "leg_conflict",
        /// Connect's answer would have made the customer's contact the leg.
        LegInvalid = "leg_invalid",
        /// The contact has as many supervisors as Connect allows.
        ContactLimitReached = "contact_limit_reached",
        /// The stored supervision has no contact or no supervisor.
        SupervisionInvalid = "supervision_invalid",
    }
}

/// Why a join failed: [`crate::supervision::Failure::code`] is its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinFailure {
    /// Connect refused it, or could not be asked.
    Vendor(VendorErrorCode),
    /// A reason of our own.
    Own(OwnJoinFailure),
}

impl JoinFailure {
    /// The stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vendor(code) => code.as_str(),
            Self::Own(code) => code.as_str(),
        }
    }

    /// The failure with this code. `None` for a code that only an earlier version stored.
    pub fn parse(code: &str) -> Option<Self> {
        VendorErrorCode::parse(code)
            .map(Self::Vendor)
            .or_else(|| OwnJoinFailure::parse(code).map(Self::Own))
    }
}

impl From<VendorErrorCode> for JoinFailure {
    fn from(code: VendorErrorCode) -> Self {
        Self::Vendor(code)
    }
}

impl From<OwnJoinFailure> for JoinFailure {
    fn from(code: OwnJoinFailure) -> Self {
        Self::Own(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn join_failure_codes_are_distinct_and_parse_back() {
        let vendor = VendorErrorCode::ALL.iter().map(|code| JoinFailure::Vendor(*code));
        let own = OwnJoinFailure::ALL.iter().map(|code| JoinFailure::Own(*code));
        for failure in vendor.chain(own) {
            assert_eq!(JoinFailure::parse(failure.as_str()), Some(failure));
        }
        assert_eq!(JoinFailure::parse("something_else"), None);
    }

    #[test]
    fn join_failure_is_made_of_either_kind_of_code() {
        assert_eq!(JoinFailure::from(VendorErrorCode::Timeout).as_str(), "connect_timeout");
        assert_eq!(JoinFailure::from(OwnJoinFailure::TimedOut).as_str(), "join_timeout");
    }
}
