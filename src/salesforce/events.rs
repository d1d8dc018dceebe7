//! Platform Events. One causes a Lightning component that may not call across origins to fetch its directives; it contains only the
//! opaque key of a directive channel, so that subscribers learn nothing about who supervises a contact. The other shows an agent that a
//! supervisor listens; it is published only where the rules of the jurisdiction ask for it.
//!
//! An event is published as a record is created: `POST …/sobjects/<Name>__e` answers 201 with the status code
//! OPERATION_ENQUEUED among its "errors". Several events are subrequests of one composite request (Platform Events
//! Developer Guide, "Publish Event Messages with Salesforce APIs").

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use sidedoor_domain::ports::crm::AgentNotice;
use sidedoor_domain::ports::{CrmError, CrmFault};

use super::client::Salesforce;
use super::errors::{LookupFields, answered, org_fault, read, unreadable};

/// The fields of a notice to an agent.
pub(crate) const NOTICE_FIELDS: [&str; 6] = [
    "Supervision_Id__c",
    "Agent__c",
    "Contact_Id__c",
    "State__c",
    "Mode__c",
    "Supervisor_Name__c",
];

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
    pub(super) async fn publish_directives(&self, channel_keys: &[String]) -> Result<(), CrmError> {
        let Some(event) = self.settings.directive_event.as_deref() else {
            return Err(org_fault(
                CrmFault::EventNotFound,
                "salesforce.directive_event is not set",
            ));
        };
        let field = self.settings.directive_event_field.as_str();
        let bodies: Vec<Value> = channel_keys.iter().map(|key| json!({ field: key })).collect();
        self.publish(event, &bodies).await
    }

    /// Publishes one event for each notice.
    pub(super) async fn publish_notices(&self, notices: &[AgentNotice]) -> Result<(), CrmError> {
        let Some(event) = self.settings.notice_event.as_deref() else {
            return Err(org_fault(CrmFault::EventNotFound, "salesforce.notice_event is not set"));
        };
        let bodies: Vec<Value> = notices.iter().map(notice_body).collect();
        self.publish(event, &bodies).await
    }

    async fn publish(&self, event: &str, bodies: &[Value]) -> Result<(), CrmError> {
        match bodies {
            [] => Ok(()),
            [body] => {
                let path = format!("sobjects/{event}/");
                let (status, text) = self.send(&Method::POST, &path, Some(body)).await?;
                published(status, &text)
            }
            bodies => {
                let url = format!("/services/data/{}/sobjects/{event}/", self.settings.api_version);
                let subs = bodies.iter().enumerate().map(
                    |(i, body)| json!({"method": "POST", "url": url, "referenceId": format!("event{i}"), "body": body}),
                );
                let all = json!({"allOrNone": false, "compositeRequest": subs.collect::<Vec<_>>()});
                let (status, text) = self.send(&Method::POST, "composite", Some(&all)).await?;
                if status != StatusCode::OK {
                    return Err(answered(status, &text, LookupFields::default()));
                }
                let answers: Composite = read(&text)?;
                if answers.composite_response.len() != bodies.len() {
                    return Err(unreadable(""));
                }
                // If one was refused, the caller may publish all again. That is harmless, because an event only says that something
                // changed, or how a supervision is now.
                answers.composite_response.iter().try_for_each(|sub| {
                    let status = StatusCode::from_u16(sub.http_status_code).map_err(|_| unreadable(""))?;
                    published(status, &sub.body.to_string())
                })
            }
        }
    }
}

fn notice_body(notice: &AgentNotice) -> Value {
    let state = if notice.is_over { "ENDED" } else { "STARTED" };
    let values = [
        json!(notice.supervision),
        json!(notice.agent),
        json!(notice.contact),
        json!(state),
        json!(notice.mode.as_str()),
        json!(notice.supervisor),
    ];
    NOTICE_FIELDS.into_iter().map(str::to_owned).zip(values).collect()
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
