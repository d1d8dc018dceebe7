//! The Connect user name of a Salesforce User: the field `salesforce.connect_username_field` of the User record.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sidedoor_domain::ports::CrmError;

use super::Salesforce;
use super::errors::{LookupFields, answered, read, unreadable};

/// The longest user name that Connect accepts, characters.
const MAX_USERNAME: usize = 100;

impl Salesforce {
    /// The field's value. `None` if there is no such active user or the value is no possible Connect user name.
    pub(super) async fn username_of(&self, user: &str) -> Result<Option<String>, CrmError> {
        // Only letters and digits go into the query, so that an id cannot change it.
        if !matches!(user.len(), 15 | 18) || !user.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let field = self.connect_username_field();
        let soql = format!("SELECT {field} FROM User WHERE Id = '{user}' AND IsActive = true");
        let path = format!("query?q={}", utf8_percent_encode(&soql, NON_ALPHANUMERIC));
        let (status, text) = self.send(&Method::GET, &path, None).await?;
        if status != StatusCode::OK {
            return Err(answered(status, &text, LookupFields::default()));
        }
        let found: Value = read(&text)?;
        let records = found
            .get("records")
            .and_then(Value::as_array)
            .ok_or_else(|| unreadable(&text))?;
        let name = records.first().and_then(|user| user.get(field)?.as_str());
        let usable = |name: &&str| {
            !name.is_empty() && name.chars().count() <= MAX_USERNAME && !name.chars().any(char::is_control)
        };
        Ok(name.map(str::trim).filter(usable).map(ToOwned::to_owned))
    }
}
