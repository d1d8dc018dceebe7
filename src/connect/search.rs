//! SearchContacts: the MONITOR legs that began or ended in a time.

use aws_sdk_connect::primitives::DateTime;
use aws_sdk_connect::types::{
    ContactInitiationMethod, ContactSearchSummary, SearchContactsTimeRange, SearchContactsTimeRangeType,
    SearchCriteria, Sort, SortOrder, SortableFieldName,
};
use jiff::Timestamp;
use sidedoor_domain::ids::UserId;
use sidedoor_domain::ports::telephony::{EndedLeg, EndedLegs, LegsFound};
use sidedoor_domain::ports::{Endpoint, Operation, Priority, VendorError};

use super::AmazonConnect;
use super::calls::PATIENCE;
use super::errors::{request_not_built, vendor_error};

/// The most contacts that one SearchContacts returns.
const PAGE: i32 = 100;

/// The criteria of a search, apart from the time.
struct Wanted {
    criteria: SearchCriteria,
    time: SearchContactsTimeRangeType,
    sort: Option<Sort>,
}

impl AmazonConnect {
    pub(super) async fn search_legs_begun(
        &self,
        endpoint: &Endpoint,
        users: &[UserId],
        range: (Timestamp, Timestamp),
        priority: Priority,
    ) -> Result<LegsFound, VendorError> {
        let users = users.iter().map(ToString::to_string).collect();
        let wanted = Wanted {
            criteria: legs().set_agent_ids(Some(users)).build(),
            time: SearchContactsTimeRangeType::InitiationTimestamp,
            sort: None,
        };
        let (contacts, is_complete) = self.search_contacts(endpoint, wanted, range, priority).await?;
        Ok(LegsFound {
            legs: contacts.into_iter().filter_map(|c| c.id).collect(),
            is_complete,
        })
    }

    pub(super) async fn search_legs_ended(
        &self,
        endpoint: &Endpoint,
        range: (Timestamp, Timestamp),
        priority: Priority,
    ) -> Result<EndedLegs, VendorError> {
        let first_to_end = Sort::builder()
            .field_name(SortableFieldName::DisconnectTimestamp)
            .order(SortOrder::Ascending)
            .build();
        let wanted = Wanted {
            criteria: legs().build(),
            time: SearchContactsTimeRangeType::DisconnectTimestamp,
            sort: Some(first_to_end.map_err(|_| request_not_built(Operation::SearchContacts))?),
        };
        let (contacts, is_complete) = self.search_contacts(endpoint, wanted, range, priority).await?;
        let ended = |contact: ContactSearchSummary| {
            let at = contact.disconnect_timestamp?.to_millis().ok()?;
            Some(EndedLeg {
                leg: contact.id?,
                disconnected_at: Timestamp::from_millisecond(at).ok()?,
            })
        };
        Ok(EndedLegs {
            legs: contacts.into_iter().filter_map(ended).collect(),
            is_complete,
        })
    }

    /// The contacts of at most [`LegsFound::MAX_PAGES`] pages, and whether these are all.
    async fn search_contacts(
        &self,
        endpoint: &Endpoint,
        wanted: Wanted,
        (from, until): (Timestamp, Timestamp),
        priority: Priority,
    ) -> Result<(Vec<ContactSearchSummary>, bool), VendorError> {
        let moment = |at: Timestamp| DateTime::from_millis(at.as_millisecond());
        let range = SearchContactsTimeRange::builder()
            .r#type(wanted.time)
            .start_time(moment(from))
            .end_time(moment(until))
            .build();
        let range = range.map_err(|_| request_not_built(Operation::SearchContacts))?;
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..LegsFound::MAX_PAGES {
            let client = self
                .client_in_turn(endpoint, Operation::SearchContacts, priority, PATIENCE)
                .await?;
            let answer = client
                .connect
                .search_contacts()
                .instance_id(&client.instance_id)
                .time_range(range.clone())
                .search_criteria(wanted.criteria.clone())
                .set_sort(wanted.sort.clone())
                .max_results(PAGE)
                .set_next_token(next.take())
                .send()
                .await
                .map_err(|e| vendor_error(Operation::SearchContacts, &e))?;
            next = answer.next_token().map(ToOwned::to_owned);
            found.extend(answer.contacts);
            if next.is_none() {
                return Ok((found, true));
            }
        }
        Ok((found, false))
    }
}

fn legs() -> aws_sdk_connect::types::builders::SearchCriteriaBuilder {
    SearchCriteria::builder().initiation_methods(ContactInitiationMethod::Monitor)
}
