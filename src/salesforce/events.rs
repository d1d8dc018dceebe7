//! Platform Events, which cause a Lightning component that may not call across origins to fetch its directives. An event
//! contains only the opaque key of a directive channel, so that subscribers learn nothing about who supervises a contact.
//!
//! An event is published as a record is created: `POST …/sobjects/<Name>__e` answers 201 with the status code
//! OPERATION_ENQUEUED among its "errors". Several events are subrequests of one composite request (Platform Events
//! Developer Guide, "Publish Event Messages with Salesforce APIs").

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use sidedoor_domain::ports::{CrmError, CrmFault};

use super::client::Salesforce;
use super::errors::{LookupFields, answered, org_fault, read, unreadable};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Composite {
    composite_response: Vec<Sub>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sub {
    http_status_code: u16,
    body: Value,
}

impl Salesforce {
    /// Publishes one event for each channel key.
    pub(super) async fn publish(&self, channel_keys: &[String]) -> Result<(), CrmError> {
        let Some(event) = self.settings.directive_event.as_deref() else {
            return Err(org_fault(
                CrmFault::EventNotFound,
                "salesforce.directive_event is not set",
            ));
        };
        let field = self.settings.directive_event_field.as_str();
        let body = |key: &String| json!({ field: key });
        match channel_keys {
            [] => Ok(()),
            [key] => {
                let path = format!("sobjects/{event}/");
                let (status, text) = self.send(&Method::POST, &path, Some(&body(key))).await?;
                published(status, &text)
            }
            keys => {
                let url = format!("/services/data/{}/sobjects/{event}/", self.settings.api_version);
                let subs = keys.iter().enumerate().map(
                    |(i, key)| json!({"method": "POST", "url": url, "referenceId": format!("event{i}"), "body": body(key)}),
                );
                let all = json!({"allOrNone": false, "compositeRequest": subs.collect::<Vec<_>>()});
                let (status, text) = self.send(&Method::POST, "composite", Some(&all)).await?;
                if status != StatusCode::OK {
                    return Err(answered(status, &text, LookupFields::default()));
                }
                let answers: Composite = read(&text)?;
                if answers.composite_response.len() != keys.len() {
                    return Err(unreadable(""));
                }
                // If one was refused, the caller publishes all again. That is harmless, because an event only says
                // "fetch your directives".
                answers.composite_response.iter().try_for_each(|sub| {
                    let status = StatusCode::from_u16(sub.http_status_code).map_err(|_| unreadable(""))?;
                    published(status, &sub.body.to_string())
                })
            }
        }
    }
}

fn published(status: StatusCode, text: &str) -> Result<(), CrmError> {
    if status != StatusCode::CREATED {
        return Err(answered(status, text, LookupFields::default()));
    }
    let answer: Value = read(text)?;
    if answer.get("success") == Some(&Value::Bool(true)) {
        Ok(())
    } else {
        Err(answered(status, &answer["errors"].to_string(), LookupFields::default()))
    }
}
