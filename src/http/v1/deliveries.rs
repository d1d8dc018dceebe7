//! `/v1/deliveries`: records on their way to Salesforce.

pub(crate) mod discard;
pub(crate) mod list;
pub(crate) mod replay;

use serde::Serialize;
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::ports::store::Delivery;

use crate::http::views::supervision::SalesforceRecordView;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryView {
    delivery_id: Option<String>,
    supervision_id: String,
    external_id: Option<String>,
    salesforce_record: Option<SalesforceRecordView>,
    last_answer: Option<String>,
}

impl DeliveryView {
    fn of(row: &Delivery) -> Self {
        let salesforce_record = row.stored.record_sync.as_ref();
        Self {
            delivery_id: salesforce_record.map(|r| r.id.to_string()),
            supervision_id: row.stored.supervision.id.to_string(),
            external_id: row.stored.supervision.leg.as_ref().map(LegId::to_string),
            salesforce_record: salesforce_record.map(SalesforceRecordView::of),
            last_answer: row.last_answer.clone(),
        }
    }
}
