//! A replicated instance (Amazon Connect Global Resiliency): it has one id in two Regions, and each contact is in one of them. Both Regions
//! are served on the same port; the Region of a call is the Region that its signature names. How MonitorContact and DescribeContact answer in
//! the other Region is not documented, so it is a setting. A new contact begins in the Region of the setting `activeRegion`.

use axum::http::HeaderMap;
use serde_json::Value;

use super::contact::Contact;
use super::settings::OtherRegion;
use super::state::{ApiError, InstanceState, unknown_contact};
use super::{REGION, REPLICA_REGION};

/// The Region in the signature of a call.
pub(super) fn of_call(headers: &HeaderMap) -> String {
    let scope = headers
        .get("authorization")
        .and_then(|v| v.to_str().ok()?.split("Credential=").nth(1));
    let region = scope.and_then(|scope| scope.split('/').nth(2));
    region.unwrap_or(REGION).to_owned()
}

impl InstanceState {
    /// Whether a call in this Region can see a contact.
    pub(super) fn is_visible(&self, c: &Contact, region: &str) -> bool {
        !self.settings.replicated || c.region == region
    }

    /// Refuses a call in a Region that the instance does not have, and a call about a contact that is in the other Region.
    pub(super) fn check_region(&self, operation: &str, region: &str, input: &Value) -> Result<(), ApiError> {
        if !self.settings.replicated {
            return Ok(());
        }
        if ![REGION, REPLICA_REGION].contains(&region) {
            return Err(ApiError::new(404, "ResourceNotFoundException", "Instance not found"));
        }
        let inactive = || {
            let message = format!("The instance is not active in {region}");
            ApiError::new(400, "InvalidActiveRegionException", message)
        };
        if self.settings.inactive_regions.iter().any(|inactive| inactive == region) {
            return Err(inactive());
        }
        let contact = input.get("ContactId").and_then(Value::as_str);
        let contact = contact.and_then(|id| self.contacts.get(id));
        if contact.is_none_or(|c| c.region == region) {
            return Ok(());
        }
        match (operation, self.settings.other_region) {
            // AWS's model has the error for StopContact.
            ("StopContact", _) | (_, OtherRegion::InvalidActiveRegion) => Err(inactive()),
            (_, OtherRegion::NotFound) => Err(ApiError::new(404, "ResourceNotFoundException", "Contact not found")),
        }
    }

    /// Moves a contact and its legs.
    pub(super) fn move_to_region(&mut self, contact: &str, region: &str) -> Result<(), String> {
        if ![REGION, REPLICA_REGION].contains(&region) {
            return Err(format!(
                "unknown Region `{region}`; expected {REGION} or {REPLICA_REGION}"
            ));
        }
        let mut moved = self.legs(contact);
        moved.push(contact.to_owned());
        for id in moved {
            let found = self.contacts.get_mut(&id).ok_or_else(|| unknown_contact(&id))?;
            region.clone_into(&mut found.region);
        }
        Ok(())
    }
}
