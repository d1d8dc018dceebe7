//! Calls to an instance that is replicated in two Regions (Amazon Connect Global Resiliency).
//!
//! A contact lives in one Region, and Connect answers InvalidActiveRegion in the other. A call that is refused so is repeated once in the
//! other Region, and the Region that answered is kept with the supervision, so that the next calls and a restart begin there.
//!
//! Guarantee: absence is never concluded from one Region alone. A contact is unknown only if no Region that answers knows it, and a list
//! of the other Region shows only what it lists.

use sidedoor_domain::ids::{InstanceName, RegionName, SupervisionId, UserId};
use sidedoor_domain::interlock::{ClearedLeg, ContactSeen, LegId};
use sidedoor_domain::ports::telephony::{EndedLegs, LegsFound};
use sidedoor_domain::ports::user_data::UserDataSeen;
use sidedoor_domain::ports::{Endpoint, Priority, Transaction, VendorError, VendorErrorCode};
use sidedoor_domain::supervision::Supervision;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::UseCaseError;

impl UseCaseContext {
    /// The same instance in its other Region; `None` if it is not replicated.
    pub(crate) fn other_endpoint(&self, endpoint: &Endpoint) -> Option<Endpoint> {
        let settings = self.instance(&endpoint.instance)?;
        let other = settings.other_region(endpoint.region.as_ref())?;
        Some(Endpoint {
            instance: endpoint.instance.clone(),
            // The first Region has no name here, so that an endpoint has one spelling.
            region: Some(other.clone()).filter(|region| *region != settings.region),
        })
    }

    /// Keeps the Region in which a supervision's leg was found.
    pub(crate) async fn remember_region(
        &self,
        id: SupervisionId,
        region: Option<&RegionName>,
    ) -> Result<(), UseCaseError> {
        self.update(id, |s| {
            if s.region.as_ref() == region {
                return None;
            }
            s.region = region.cloned();
            Some(Transaction::default())
        })
        .await?;
        Ok(())
    }

    /// As [`Self::remember_region`]. A failure is only logged, because the next call finds the Region again.
    pub(crate) async fn note_region(&self, id: SupervisionId, region: Option<&RegionName>) {
        if let Err(e) = self.remember_region(id, region).await {
            tracing::warn!(supervision_id = %id, error = %e, "could not store the Region of {id}; the next call finds it again: {e}");
        }
    }

    /// Describes a contact, in the other Region if this one is not active or does not know it. Returns where it was found.
    pub(crate) async fn describe_anywhere(
        &self,
        endpoint: &Endpoint,
        id: &str,
        priority: Priority,
    ) -> Result<(ContactSeen, Endpoint), VendorError> {
        use VendorErrorCode::{RegionInvalid, ResourceNotFound};
        let refused = match self.telephony().describe(endpoint, id, priority).await {
            Ok(seen) => return Ok((seen, endpoint.clone())),
            Err(e) => e,
        };
        let is_elsewhere = matches!(refused.code, RegionInvalid | ResourceNotFound);
        let Some(other) = self.other_endpoint(endpoint).filter(|_| is_elsewhere) else {
            return Err(refused);
        };
        match self.telephony().describe(&other, id, priority).await {
            Ok(seen) => Ok((seen, other)),
            // The contact cannot be in a Region that is not active.
            Err(e) if refused.code == ResourceNotFound && e.code == RegionInvalid => Err(refused),
            Err(e) => Err(e),
        }
    }

    /// Describes a supervision's leg, or a contact that concerns it. Where the leg is found is kept.
    pub(crate) async fn describe_for(
        &self,
        s: &Supervision,
        id: &str,
        priority: Priority,
    ) -> Result<ContactSeen, VendorError> {
        let (seen, found) = self.describe_anywhere(&s.endpoint(), id, priority).await?;
        let is_leg = s.leg.as_ref().map(LegId::as_str) == Some(id);
        if is_leg && found.region != s.region {
            self.note_region(s.id, found.region.as_ref()).await;
        }
        Ok(seen)
    }

    /// Ends a leg that the interlock cleared. Where that was accepted is kept.
    pub(crate) async fn end_leg_of(&self, s: &Supervision, cleared: &ClearedLeg) -> Result<(), VendorError> {
        let endpoint = s.endpoint();
        let refused = match self.telephony().end_leg(&endpoint, cleared).await {
            Err(e) if e.code == VendorErrorCode::RegionInvalid => e,
            other => return other,
        };
        let Some(other) = self.other_endpoint(&endpoint) else {
            return Err(refused);
        };
        self.telephony().end_leg(&other, cleared).await?;
        self.note_region(s.id, other.region.as_ref()).await;
        Ok(())
    }

    /// The current contacts of users. An answer of the other Region is not complete, because their legs are expected in this one.
    pub(crate) async fn current_contacts_anywhere(
        &self,
        endpoint: &Endpoint,
        users: &[UserId],
        priority: Priority,
    ) -> Result<UserDataSeen, VendorError> {
        let refused = match self.telephony().current_contacts(endpoint, users, priority).await {
            Err(e) if e.code == VendorErrorCode::RegionInvalid => e,
            other => return other,
        };
        let Some(other) = self.other_endpoint(endpoint) else {
            return Err(refused);
        };
        let seen = self.telephony().current_contacts(&other, users, priority).await?;
        Ok(UserDataSeen {
            is_complete: false,
            answered_elsewhere: Some(other),
            ..seen
        })
    }

    /// The current contacts of users in all Regions of an instance. A Region that is not active has none.
    pub(crate) async fn current_contacts_everywhere(
        &self,
        instance: &InstanceName,
        users: &[UserId],
        priority: Priority,
    ) -> Result<UserDataSeen, VendorError> {
        let first = Endpoint::from(instance);
        let Some(other) = self.other_endpoint(&first) else {
            return self.telephony().current_contacts(&first, users, priority).await;
        };
        let (first, other) = tokio::join!(
            self.telephony().current_contacts(&first, users, priority),
            self.telephony().current_contacts(&other, users, priority)
        );
        match (first, other) {
            (Ok(mut seen), Ok(more)) => {
                seen.contacts.extend(more.contacts);
                seen.users.extend(more.users);
                seen.is_complete &= more.is_complete;
                Ok(seen)
            }
            (Ok(seen), Err(e)) | (Err(e), Ok(seen)) if e.code == VendorErrorCode::RegionInvalid => Ok(seen),
            (Err(e), _) | (_, Err(e)) => Err(e),
        }
    }

    /// The legs that ended between two moments, in all Regions of an instance; the first to end comes first. If a list is cut, so are the
    /// others, and later legs are missing. A Region that is not active has none.
    pub(crate) async fn legs_ended_everywhere(
        &self,
        instance: &InstanceName,
        range: (jiff::Timestamp, jiff::Timestamp),
        priority: Priority,
    ) -> Result<EndedLegs, VendorError> {
        let first = Endpoint::from(instance);
        let other = self.other_endpoint(&first);
        let mut answers = vec![self.telephony().legs_ended(&first, range, priority).await];
        if let Some(other) = &other {
            answers.push(self.telephony().legs_ended(other, range, priority).await);
            let inactive = |answer: &Result<EndedLegs, VendorError>| {
                answer.as_ref().is_err_and(|e| e.code == VendorErrorCode::RegionInvalid)
            };
            if !answers.iter().all(inactive) {
                answers.retain(|answer| !inactive(answer));
            }
        }
        let mut all = EndedLegs {
            is_complete: true,
            ..EndedLegs::default()
        };
        let mut until = None;
        for answer in answers {
            let answer = answer?;
            if !answer.is_complete {
                all.is_complete = false;
                let last = answer.legs.last().map_or(range.0, |leg| leg.disconnected_at);
                until = Some(until.map_or(last, |until: jiff::Timestamp| until.min(last)));
            }
            all.legs.extend(answer.legs);
        }
        if let Some(until) = until {
            all.legs.retain(|leg| leg.disconnected_at <= until);
        }
        all.legs.sort_by_key(|leg| leg.disconnected_at);
        Ok(all)
    }

    /// The legs of users that were initiated between two moments, with the same rule for the other Region.
    pub(crate) async fn legs_begun_anywhere(
        &self,
        endpoint: &Endpoint,
        users: &[UserId],
        range: (jiff::Timestamp, jiff::Timestamp),
        priority: Priority,
    ) -> Result<LegsFound, VendorError> {
        let refused = match self.telephony().legs_begun(endpoint, users, range, priority).await {
            Err(e) if e.code == VendorErrorCode::RegionInvalid => e,
            other => return other,
        };
        let Some(other) = self.other_endpoint(endpoint) else {
            return Err(refused);
        };
        let found = self.telephony().legs_begun(&other, users, range, priority).await?;
        Ok(LegsFound {
            is_complete: false,
            ..found
        })
    }
}
