//! The Connect user name of a Salesforce User: one field of their record (`salesforce.connect_username_field`).

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Salesforce;
use super::verdict::{Carried, answered, unreadable};
use sidedoor_domain::ports::CrmError;

/// The longest user name Connect takes.
const USERNAME: usize = 100;

impl Salesforce {
    /// What the field says, if there is such an active user and it says anything.
    pub(super) async fn username_of(&self, user: &str) -> Result<Option<String>, CrmError> {
        // An id is letters and digits: nothing else goes into the query.
        if !matches!(user.len(), 15 | 18) || !user.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let field = self.connect_username_field();
        let soql = format!("SELECT {field} FROM User WHERE Id = '{user}' AND IsActive = true");
        let path = format!("query?q={}", utf8_percent_encode(&soql, NON_ALPHANUMERIC));
        let (status, text) = self.send(&Method::GET, &path, None).await?;
        if status != StatusCode::OK {
            return Err(answered(status, &text, Carried::default()));
        }
        let found: Value = serde_json::from_str(&text).map_err(|_| unreadable())?;
        let records = found.get("records").and_then(Value::as_array).ok_or_else(unreadable)?;
        let name = records.first().and_then(|user| user.get(field)?.as_str());
        let usable =
            |name: &&str| !name.is_empty() && name.chars().count() <= USERNAME && !name.chars().any(char::is_control);
        Ok(name.map(str::trim).filter(usable).map(ToOwned::to_owned))
    }
}
