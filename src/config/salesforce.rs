//! `[salesforce]`: the org, the credential, the object and its fields.

use std::time::Duration;

use secrecy::SecretString;

use super::Reader;
use super::connect::safe_url;

/// `[salesforce]`
#[derive(Debug, Clone)]
pub struct SalesforceConfig {
    /// The org's My Domain (the client-credentials grant works on that host only).
    pub login_url: String,
    /// The External Client App's consumer key.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// The object the rows go to; `auto` finds it by describe.
    pub object: String,
    /// The REST API's version, such as `v68.0`.
    pub api_version: String,
    /// How long one call may take.
    pub request_timeout: Duration,
    /// Calls at a time.
    pub max_in_flight: usize,
    /// Every field's name.
    pub fields: FieldNames,
}

macro_rules! fields {
    ($($field:ident = $default:literal, $doc:literal;)*) => {
        /// `[salesforce.fields]`: the API name of every field of the row. One set to "" is not written.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct FieldNames {
            $(#[doc = $doc] pub $field: String,)*
        }

        impl Default for FieldNames {
            fn default() -> Self {
                Self { $($field: $default.to_owned(),)* }
            }
        }

        impl FieldNames {
            fn read(r: &mut Reader) -> Self {
                Self { $($field: read_name(r, concat!("salesforce.fields.", stringify!($field)), $default),)* }
            }
        }
    };
}

fields! {
    external_id = "Leg_Key__c", "The external id: one leg, one row.";
    supervision_id = "Supervision_Id__c", "The supervision.";
    origin = "Origin__c", "API or OBSERVED.";
    contact_id = "Contact_Id__c", "The supervised contact.";
    voice_call = "Voice_Call__c", "Lookup to VoiceCall.";
    supervisor = "Supervisor__c", "Lookup to User.";
    connect_user_id = "Connect_User_Id__c", "The supervisor in Connect.";
    mode = "Mode__c", "SILENT or BARGE.";
    rejoin = "Rejoin__c", "Whether this supervisor had listened to this contact before.";
    joined_at = "Joined_At__c", "When the supervisor was connected.";
    disconnected_at = "Disconnected_At__c", "When the leg dropped, whole seconds.";
    disconnected_epoch_ms = "Disconnected_Epoch_Ms__c", "When the leg dropped, epoch ms.";
    earliest_epoch_ms = "Earliest_Epoch_Ms__c", "Not before, epoch ms.";
    latest_epoch_ms = "Latest_Epoch_Ms__c", "Not after, epoch ms.";
    disconnect_uncertainty_ms = "Disconnect_Uncertainty_Ms__c", "How far off it may be, ms.";
    vendor_disconnected_at = "Vendor_Disconnected_At__c", "The vendor's own stamp.";
    disconnect_source = "Disconnect_Source__c", "Which evidence.";
    disconnect_reason = "Disconnect_Reason__c", "Why the leg ended.";
    customer_call_continued = "Customer_Call_Continued__c", "Whether the customer's call went on.";
    calibration_grade = "Calibration_Grade__c", "How far the instant may be trusted.";
    calibration_version = "Calibration_Version__c", "The calibration's version.";
    applied_offset_ms = "Applied_Offset_Ms__c", "The clock offset applied, ms.";
    row_version = "Row_Version__c", "Grows with every version of the row.";
}

impl SalesforceConfig {
    pub(super) fn read(r: &mut Reader) -> Option<Self> {
        if !r.flag("salesforce.enabled", true) {
            // Everything else may stay in the file for the day it is switched on again.
            for setting in [
                "login_url",
                "grant",
                "client_id",
                "client_secret",
                "client_secret_file",
                "object",
                "api_version",
                "request_timeout_ms",
                "max_in_flight",
                "fields",
            ] {
                r.pass_over(&format!("salesforce.{setting}"));
            }
            return None;
        }
        for setting in ["salesforce.username", "salesforce.private_key_file"] {
            r.not_yet(setting);
        }
        let grant = r.text("salesforce.grant");
        match grant.as_deref() {
            None | Some("client_credentials") => {}
            Some("jwt_bearer") => {
                let problem = "jwt_bearer is not supported in this version";
                r.problem("salesforce.grant", problem, "use client_credentials");
            }
            Some(_) => r.problem("salesforce.grant", "is not a known grant", "use client_credentials"),
        }
        let login_url = r.required("salesforce.login_url", "give your org's My Domain, such as https://acme.my.salesforce.com; or set salesforce.enabled = false to run without Salesforce", |text| {
            let url = safe_url(text)?;
            let path = url::Url::parse(&url).map(|u| u.path().to_owned()).unwrap_or_default();
            if path == "/" { Ok(url) } else { Err("give the host only, without a path".into()) }
        });
        let client_id = r.required(
            "salesforce.client_id",
            "give the consumer key of the External Client App",
            |text| Ok(text.to_owned()),
        );
        let client_secret = r.secret("salesforce.client_secret");
        if client_secret.is_none() && !r.has("salesforce.client_secret") && !r.has("salesforce.client_secret_file") {
            let remedy = "give the consumer secret, or client_secret_file with the path of a file that holds it";
            r.problem("salesforce.client_secret", "is missing", remedy);
        }
        let object = r.text_as("salesforce.object", |text| {
            if text == "auto" {
                Ok(text.to_owned())
            } else {
                api_name(text)
            }
        });
        let api_version = r.text_as("salesforce.api_version", |text| {
            let number = text
                .strip_prefix('v')
                .and_then(|v| v.strip_suffix(".0"))
                .and_then(|n| n.parse::<u32>().ok());
            if number.is_some_and(|n| (46..=999).contains(&n)) {
                Ok(text.to_owned())
            } else {
                Err("write it as v68.0; at least v46.0".into())
            }
        });
        let fields = FieldNames::read(r);
        if fields.external_id.is_empty() {
            r.problem(
                "salesforce.fields.external_id",
                "is empty",
                "rows are upserted by it: name a unique external-id field",
            );
        }
        let request_timeout = r.millis("salesforce.request_timeout_ms", 10_000, 500, 60_000);
        let max_in_flight = r.number("salesforce.max_in_flight", 4, 1, 25);
        Some(Self {
            login_url: login_url?,
            client_id: client_id?,
            client_secret: client_secret?,
            object: object.unwrap_or_else(|| "auto".into()),
            api_version: api_version.unwrap_or_else(|| "v68.0".into()),
            request_timeout,
            max_in_flight,
            fields,
        })
    }
}

fn read_name(r: &mut Reader, setting: &str, default: &str) -> String {
    r.text_as(setting, |text| {
        if text.is_empty() {
            Ok(String::new())
        } else {
            api_name(text)
        }
    })
    .unwrap_or_else(|| default.to_owned())
}

/// A Salesforce API name: letters, digits and underscores, beginning with a letter.
fn api_name(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.len() <= 80 {
        Ok(text.to_owned())
    } else {
        Err("give the API name, such as Leg_Key__c".into())
    }
}
