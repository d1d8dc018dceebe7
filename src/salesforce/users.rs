//! The Salesforce Users of Connect users, both ways: by the field `salesforce.connect_username_field` of the User record, or by
//! `CallCenterRoutingMap`.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sidedoor_domain::ports::CrmError;
use sidedoor_domain::ports::crm::NAMES_A_QUESTION;

use super::Salesforce;
use super::errors::{LookupFields, answered, read, unreadable};
use crate::config::UserLookup;

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
        let records = self.records_of(&soql).await?;
        let name = records.first().and_then(|user| user.get(field)?.as_str());
        let usable = |name: &&str| {
            !name.is_empty() && name.chars().count() <= MAX_USERNAME && !name.chars().any(char::is_control)
        };
        Ok(name.map(str::trim).filter(usable).map(ToOwned::to_owned))
    }

    /// The records that a query finds.
    async fn records_of(&self, soql: &str) -> Result<Vec<Value>, CrmError> {
        let path = format!("query?q={}", utf8_percent_encode(soql, NON_ALPHANUMERIC));
        let (status, text) = self.send(&Method::GET, &path, None).await?;
        if status != StatusCode::OK {
            return Err(answered(status, &text, LookupFields::default()));
        }
        let mut found: Value = read(&text)?;
        match found.get_mut("records").map(Value::take) {
            Some(Value::Array(records)) => Ok(records),
            _ => Err(unreadable(&text)),
        }
    }

    /// The active users with these Connect user names, by name in lower case.
    pub(super) async fn users_by_username(
        &self,
        usernames: &[String],
    ) -> Result<BTreeMap<String, Vec<String>>, CrmError> {
        let names: Vec<String> = usernames
            .iter()
            .take(NAMES_A_QUESTION)
            .map(|name| quoted(name))
            .collect();
        let names = names.join(",");
        let (user, name, soql) = match self.settings.user_lookup {
            UserLookup::Off => return Ok(BTreeMap::new()),
            UserLookup::UserField => {
                let field = self.connect_username_field();
                let of = format!("SELECT Id, {field} FROM User WHERE {field} IN ({names}) AND IsActive = true");
                ("Id", field, of)
            }
            UserLookup::CallCenterRoutingMap => {
                let of = format!("SELECT UserId, ExternalId FROM CallCenterRoutingMap WHERE ExternalId IN ({names})");
                ("UserId", "ExternalId", of)
            }
        };
        let records = self.records_of(&soql).await?;
        let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in &records {
            let text = |field: &str| record.get(field).and_then(Value::as_str);
            if let (Some(name), Some(user)) = (text(name), text(user)) {
                let users = by_name.entry(name.to_lowercase()).or_default();
                // A user may stand in several call centers.
                if !users.iter().any(|known| known == user) {
                    users.push(user.to_owned());
                }
            }
        }
        Ok(by_name)
    }
}

/// A text in SOQL. A quotation mark or a backslash in it would end it otherwise.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("'{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn text_cannot_leave_its_quotation_marks() {
        assert_eq!(quoted("a@b"), "'a@b'");
        assert_eq!(quoted("O'Neil"), "'O\\'Neil'");
        assert_eq!(quoted("x\\' OR Id != '"), "'x\\\\\\' OR Id != \\''");
    }
}
