//! `[salesforce]`: the org, the login, the object and its fields.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::Reader;
use super::connect::base_url;
use crate::usecases::DeliverySettings;

/// `[salesforce]`
#[derive(Debug, Clone)]
pub struct SalesforceConfig {
    /// The org's My Domain, because the client-credentials grant works on that host only.
    pub login_url: String,
    /// The External Client App's consumer key.
    pub client_id: String,
    /// How Sidedoor logs in.
    pub grant: Grant,
    /// The object that participant records are written to; `auto` finds it by describe.
    pub object: String,
    /// The version of the REST API, such as `v68.0`.
    pub api_version: String,
    /// The timeout of one call.
    pub request_timeout: Duration,
    /// The Platform Event that announces directives; `None` to announce none.
    pub directive_event: Option<String>,
    /// The event's field for the channel key.
    pub directive_event_field: String,
    /// The Platform Event that shows an agent that a supervisor listens, where the rules of the jurisdiction ask for it; `None` for none.
    pub notice_event: Option<String>,
    /// The field of VoiceCall that refers to its Conversation.
    pub conversation_field: String,
    /// The field of MessagingSession that holds the contact id of a chat; empty to link none.
    pub messaging_session_key: String,
    /// The field of the User record that holds the Connect user name.
    pub connect_username_field: String,
    /// Where the Salesforce User of a Connect user is looked up.
    pub user_lookup: UserLookup,
    /// The API names of the record's fields.
    pub fields: FieldNames,
}

/// `[salesforce]`, as its two readers need it.
pub(super) struct SalesforceSection {
    /// What the adapter needs.
    pub(super) config: SalesforceConfig,
    /// How the use cases deliver records.
    pub(super) delivery: DeliverySettings,
    /// Whether the use cases compare departures with the org's own ConversationParticipant records.
    pub(super) compare: bool,
}

/// Where the Salesforce User of a Connect user is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserLookup {
    /// By the field of the User that holds the Connect user name.
    UserField,
    /// By `CallCenterRoutingMap.ExternalId`, "the user in the telephony system", which orgs with Salesforce Voice have.
    CallCenterRoutingMap,
    /// Not at all.
    Off,
}

/// How Sidedoor logs in.
#[derive(Debug, Clone)]
pub enum Grant {
    /// The client-credentials grant, with HTTP Basic authentication.
    ClientCredentials {
        /// The External Client App's consumer secret.
        secret: SecretString,
    },
    /// The JWT bearer grant: a signed assertion (RFC 7523).
    JwtBearer {
        /// The integration user's name.
        username: String,
        /// A PEM file of the RSA key whose certificate the External Client App has. It is read at every login, so that
        /// the key can be rotated without a restart.
        key_file: PathBuf,
        /// The assertion's `aud`: `https://login.salesforce.com`, `https://test.salesforce.com` or a My Domain.
        audience: String,
    },
}

/// The Salesforce field types that can hold a value, as describe names them.
type Kinds = &'static [&'static str];
const TEXT: Kinds = &["string", "picklist", "textarea"];
const NUMBER: Kinds = &["double", "int", "long"];
const TIME: Kinds = &["datetime"];
const CHECKBOX: Kinds = &["boolean"];
const LOOKUP: Kinds = &["reference"];

macro_rules! fields {
    ($($field:ident = $default:literal, $kinds:ident, $doc:literal;)*) => {
        /// `[salesforce.fields]`: the API name of each field of the record. A field with the name "" is not written.
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

            /// Every field that is written except the external id: setting, API name, and the types it may have.
            pub fn written(&self) -> impl Iterator<Item = (&'static str, &str, Kinds)> {
                [$((stringify!($field), self.$field.as_str(), $kinds),)*]
                    .into_iter()
                    .filter(|(setting, name, _)| *setting != "external_id" && !name.is_empty())
            }
        }
    };
}

fields! {
    external_id = "Leg_Key__c", TEXT, "The external id: each leg has one record.";
    supervision_id = "Supervision_Id__c", TEXT, "The id of the supervision.";
    origin = "Origin__c", TEXT, "API or OBSERVED.";
    contact_id = "Contact_Id__c", TEXT, "The supervised contact.";
    voice_call = "Voice_Call__c", LOOKUP, "Lookup to VoiceCall.";
    messaging_session = "Messaging_Session__c", LOOKUP, "Lookup to MessagingSession. Written only with `messaging_session_key`.";
    supervisor = "Supervisor__c", LOOKUP, "Lookup to User.";
    connect_user_id = "Connect_User_Id__c", TEXT, "The supervisor's Connect user id.";
    supervisor_username = "Supervisor_Username__c", TEXT, "The supervisor's Connect user name.";
    agent = "Agent__c", LOOKUP, "Lookup to the agent's User.";
    agent_username = "Agent_Username__c", TEXT, "The agent's Connect user name.";
    channel = "Channel__c", TEXT, "VOICE, CHAT or TASK.";
    queue = "Queue__c", TEXT, "The contact's queue.";
    mode = "Mode__c", TEXT, "SILENT or BARGE.";
    left_overdue = "Left_Overdue__c", CHECKBOX, "Whether the leave was confirmed only after its deadline.";
    request_reason = "Request_Reason__c", TEXT, "Why the supervisor listened.";
    rejoin = "Rejoin__c", CHECKBOX, "Whether this supervisor had listened to this contact before.";
    joined_at = "Joined_At__c", TIME, "When the supervisor was connected.";
    disconnected_at = "Disconnected_At__c", TIME, "When the leg ended, whole seconds.";
    disconnected_epoch_ms = "Disconnected_Epoch_Ms__c", NUMBER, "When the leg ended, epoch ms.";
    earliest_epoch_ms = "Earliest_Epoch_Ms__c", NUMBER, "The leg did not end before this time, epoch ms.";
    latest_epoch_ms = "Latest_Epoch_Ms__c", NUMBER, "The latest instant at which the leg can have ended, epoch ms.";
    disconnect_uncertainty_ms = "Disconnect_Uncertainty_Ms__c", NUMBER, "The uncertainty of the instant, ± ms.";
    vendor_disconnected_at = "Vendor_Disconnected_At__c", TIME, "The vendor's own timestamp, uncorrected.";
    disconnect_source = "Disconnect_Source__c", TEXT, "The evidence that gave the instant.";
    confirmation = "Confirmation__c", TEXT, "How the end of the leg was confirmed.";
    disconnect_reason = "Disconnect_Reason__c", TEXT, "Why the leg ended.";
    customer_call_continued = "Customer_Call_Continued__c", TEXT, "Whether the customer's call continued.";
    calibration_grade = "Calibration_Grade__c", TEXT, "The grade of the calibration behind the instant.";
    calibration_version = "Calibration_Version__c", NUMBER, "The version of that calibration.";
    applied_offset_ms = "Applied_Offset_Ms__c", NUMBER, "The clock offset that was applied, ms.";
    row_version = "Row_Version__c", NUMBER, "A number that grows with each version of the record.";
}

impl SalesforceSection {
    pub(super) fn read(r: &mut Reader) -> Option<Self> {
        if !r.flag("salesforce.enabled", true) {
            // The other settings may stay in the file, so that Salesforce can be enabled again with one change.
            for setting in [
                "login_url",
                "grant",
                "client_id",
                "client_secret",
                "client_secret_file",
                "username",
                "private_key_file",
                "audience",
                "linger_ms",
                "slow_above_percent",
                "find_voice_calls",
                "messaging_session_key",
                "directive_event",
                "directive_event_field",
                "notice_event",
                "compare_participants",
                "conversation_field",
                "object",
                "api_version",
                "request_timeout_ms",
                "connect_username_field",
                "user_lookup",
                "fields",
            ] {
                r.pass_over(&format!("salesforce.{setting}"));
            }
            return None;
        }
        let login_url = r.required("salesforce.login_url", "set your org's My Domain, such as https://acme.my.salesforce.com, or set salesforce.enabled = false to run without Salesforce", |text| {
            let url = base_url(text)?;
            let path = url::Url::parse(&url).map(|u| u.path().to_owned()).unwrap_or_default();
            if path == "/" { Ok(url) } else { Err("set the host only, without a path".into()) }
        });
        let client_id = r.required(
            "salesforce.client_id",
            "set the consumer key of the External Client App",
            |text| Ok(text.to_owned()),
        );
        let grant = read_grant(r);
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
                Err("set a version such as v68.0, at least v46.0".into())
            }
        });
        let mut fields = FieldNames::read(r);
        let messaging_session_key = read_name(r, "salesforce.messaging_session_key", "");
        if messaging_session_key.is_empty() {
            // An org without MessagingSession has no such field.
            fields.messaging_session.clear();
        }
        if fields.external_id.is_empty() {
            r.problem(
                "salesforce.fields.external_id",
                "empty",
                "set the API name of a unique external-id field: records are upserted by it",
            );
        }
        let request_timeout = r.millis("salesforce.request_timeout_ms", 10_000, 500, 60_000);
        let max_batch_delay = r.millis("salesforce.linger_ms", 1000, 0, 60_000);
        let slow_above = f64::from(r.number("salesforce.slow_above_percent", 80_u32, 1, 100)) / 100.0;
        let find_voice_calls = r.flag("salesforce.find_voice_calls", true);
        let mut event = |setting: &str, example: &str| {
            let name = r.text_as(setting, |text| match api_name(text) {
                _ if text.is_empty() => Ok(String::new()),
                Ok(name) if name.ends_with("__e") => Ok(name),
                _ => Err(format!("set the API name of a Platform Event, such as {example}")),
            });
            name.filter(|name| !name.is_empty())
        };
        let directive_event = event("salesforce.directive_event", "Supervisor_Directive__e");
        let notice_event = event("salesforce.notice_event", "Supervision_Notice__e");
        let directive_event_field = r.text_as("salesforce.directive_event_field", api_name);
        let compare = r.flag("salesforce.compare_participants", true);
        let conversation_field = r.text_as("salesforce.conversation_field", api_name);
        let connect_username_field = r.text_as("salesforce.connect_username_field", api_name);
        let words = [
            ("user_field", UserLookup::UserField),
            ("call_center_routing_map", UserLookup::CallCenterRoutingMap),
            ("off", UserLookup::Off),
        ];
        let user_lookup = r.word("salesforce.user_lookup", &words, UserLookup::UserField);
        let config = SalesforceConfig {
            login_url: login_url?,
            client_id: client_id?,
            grant: grant?,
            object: object.unwrap_or_else(|| "auto".into()),
            api_version: api_version.unwrap_or_else(|| "v68.0".into()),
            request_timeout,
            directive_event,
            notice_event,
            directive_event_field: directive_event_field.unwrap_or_else(|| "Stream_Key__c".into()),
            conversation_field: conversation_field.unwrap_or_else(|| "ConversationId".into()),
            connect_username_field: connect_username_field.unwrap_or_else(|| "FederationIdentifier".into()),
            messaging_session_key,
            user_lookup,
            fields,
        };
        let delivery = DeliverySettings {
            max_batch_delay,
            slow_above,
            // Without the lookup field there is nothing to write the found id to.
            find_voice_calls: find_voice_calls && !config.fields.voice_call.is_empty(),
            find_messaging_sessions: !config.fields.messaging_session.is_empty(),
        };
        Some(Self {
            config,
            delivery,
            compare,
        })
    }
}

fn read_grant(r: &mut Reader) -> Option<Grant> {
    let words = [("client_credentials", false), ("jwt_bearer", true)];
    let by_jwt = r.word("salesforce.grant", &words, false);
    let username = r.text("salesforce.username");
    let key_file = r.secret_file("salesforce.private_key_file");
    let audience = r.text_as("salesforce.audience", base_url);
    let secret = r.secret("salesforce.client_secret");
    let secret_given = r.has("salesforce.client_secret") || r.has("salesforce.client_secret_file");
    if !by_jwt {
        for (setting, given) in [
            ("username", username.is_some()),
            ("private_key_file", key_file.is_some()),
        ] {
            if given {
                let problem = "allowed only with salesforce.grant = \"jwt_bearer\"";
                r.problem(
                    &format!("salesforce.{setting}"),
                    problem,
                    "remove it, or change salesforce.grant",
                );
            }
        }
        if secret.is_none() && !secret_given {
            let remedy = "set the consumer secret, or set client_secret_file to the path of a file that contains it";
            r.problem("salesforce.client_secret", "required setting is missing", remedy);
        }
        return Some(Grant::ClientCredentials { secret: secret? });
    }
    if secret_given {
        let problem = "allowed only with salesforce.grant = \"client_credentials\"";
        r.problem(
            "salesforce.client_secret",
            problem,
            "remove it, because the assertion is signed with private_key_file",
        );
    }
    if username.is_none() {
        r.problem(
            "salesforce.username",
            "required setting is missing",
            "set the integration user's name",
        );
    }
    if key_file.is_none() {
        let remedy = "set the path of a PEM file with the RSA key whose certificate the External Client App has";
        r.problem("salesforce.private_key_file", "required setting is missing", remedy);
    }
    Some(Grant::JwtBearer {
        username: username?,
        key_file: key_file?,
        audience: audience.unwrap_or_else(|| "https://login.salesforce.com".into()),
    })
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

/// Accepts a Salesforce API name: letters, digits and underscores, starting with a letter.
fn api_name(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.len() <= 80 {
        Ok(text.to_owned())
    } else {
        Err("set an API name, such as Leg_Key__c".into())
    }
}
