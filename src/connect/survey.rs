//! What `sidedoor check` asks beside the calls of everyday: who we are, what the instance is, what we may. Nothing here
//! changes anything.

use aws_sdk_connect::types::InstanceAttributeType;

use super::AmazonConnect;
use super::errors::vendor_error;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::VendorError;

const GET_CALLER_IDENTITY: &str = "GetCallerIdentity";
const DESCRIBE_INSTANCE: &str = "DescribeInstance";
const DESCRIBE_INSTANCE_ATTRIBUTE: &str = "DescribeInstanceAttribute";
const LIST_SECURITY_PROFILES: &str = "ListSecurityProfiles";
const DESCRIBE_CONTACT: &str = super::calls::DESCRIBE_CONTACT;

/// Whose credentials these are (STS GetCallerIdentity, which every identity may call).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The AWS account's number.
    pub account: String,
    /// The user's or assumed role's ARN.
    pub arn: String,
}

/// What DescribeInstance says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSeen {
    /// Its alias.
    pub alias: String,
    /// `ACTIVE`, `CREATION_IN_PROGRESS` or `CREATION_FAILED`.
    pub status: String,
}

/// A capability that an administrator switches on for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// `ENHANCED_CONTACT_MONITORING`: several supervisors, and barging in, on voice.
    VoiceMonitoring,
    /// `ENHANCED_CHAT_MONITORING`: the same on chat.
    ChatMonitoring,
}

/// Which fields of a leg's DescribeContact name the contact it listens to: not documented, so it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegDescription {
    /// `RelatedContactId`, `InitialContactId`, `PreviousContactId`, those that name the contact.
    pub links: Vec<&'static str>,
    /// The words in `AgentInfo.StateTransitions`.
    pub states: Vec<String>,
    /// Whether any timestamp had a fraction of a second.
    pub has_fractions: bool,
}

impl AmazonConnect {
    /// Whose credentials the chain has found.
    ///
    /// # Errors
    /// The vendor's; here and below.
    pub async fn identity(&self, instance: &InstanceName) -> Result<Identity, VendorError> {
        let line = self.line(instance, GET_CALLER_IDENTITY)?;
        let answer = line.sts.get_caller_identity().send().await;
        let answer = answer.map_err(|e| vendor_error(GET_CALLER_IDENTITY, &e))?;
        Ok(Identity {
            account: answer.account().unwrap_or_default().to_owned(),
            arn: answer.arn().unwrap_or_default().to_owned(),
        })
    }

    /// The instance.
    pub async fn instance(&self, instance: &InstanceName) -> Result<InstanceSeen, VendorError> {
        let line = self.line(instance, DESCRIBE_INSTANCE)?;
        let answer = line
            .client
            .describe_instance()
            .instance_id(&line.instance_id)
            .send()
            .await;
        let answer = answer.map_err(|e| vendor_error(DESCRIBE_INSTANCE, &e))?;
        let seen = answer.instance();
        Ok(InstanceSeen {
            alias: seen.and_then(|i| i.instance_alias()).unwrap_or_default().to_owned(),
            status: seen
                .and_then(|i| i.instance_status())
                .map(|s| s.as_str().to_owned())
                .unwrap_or_default(),
        })
    }

    /// Whether a capability is switched on.
    pub async fn has(&self, instance: &InstanceName, what: Attribute) -> Result<bool, VendorError> {
        let line = self.line(instance, DESCRIBE_INSTANCE_ATTRIBUTE)?;
        let kind = match what {
            Attribute::VoiceMonitoring => InstanceAttributeType::EnhancedContactMonitoring,
            Attribute::ChatMonitoring => InstanceAttributeType::EnhancedChatMonitoring,
        };
        let asked = line.client.describe_instance_attribute();
        let answer = asked
            .instance_id(&line.instance_id)
            .attribute_type(kind)
            .send()
            .await
            .map_err(|e| vendor_error(DESCRIBE_INSTANCE_ATTRIBUTE, &e))?;
        let value = answer.attribute().and_then(|a| a.value());
        Ok(value.is_some_and(|v| v.eq_ignore_ascii_case("true")))
    }

    /// A read that Sidedoor never needs. That it is allowed shows a role that holds more than it should.
    pub async fn list_security_profiles(&self, instance: &InstanceName) -> Result<(), VendorError> {
        let line = self.line(instance, LIST_SECURITY_PROFILES)?;
        let asked = line.client.list_security_profiles().instance_id(&line.instance_id);
        let answer = asked.max_results(1).send().await;
        answer.map(|_| ()).map_err(|e| vendor_error(LIST_SECURITY_PROFILES, &e))
    }

    /// How the vendor describes a leg that listens to `contact`.
    pub async fn describe_leg(
        &self,
        instance: &InstanceName,
        leg: &str,
        contact: &str,
    ) -> Result<LegDescription, VendorError> {
        let line = self.line(instance, DESCRIBE_CONTACT)?;
        let asked = line.client.describe_contact().instance_id(&line.instance_id);
        let answer = asked.contact_id(leg).send().await;
        let answer = answer.map_err(|e| vendor_error(DESCRIBE_CONTACT, &e))?;
        let Some(seen) = answer.contact() else {
            return Ok(LegDescription::default());
        };
        let fields = [
            ("RelatedContactId", seen.related_contact_id()),
            ("InitialContactId", seen.initial_contact_id()),
            ("PreviousContactId", seen.previous_contact_id()),
        ];
        let names = |id: Option<&str>| id.is_some_and(|id| id.eq_ignore_ascii_case(contact));
        let transitions = seen.agent_info().map(|a| a.state_transitions()).unwrap_or_default();
        let stamps = [
            seen.initiation_timestamp(),
            seen.disconnect_timestamp(),
            seen.agent_info().and_then(|a| a.connected_to_agent_timestamp()),
        ];
        Ok(LegDescription {
            links: fields.iter().filter(|(_, id)| names(*id)).map(|(f, _)| *f).collect(),
            states: transitions
                .iter()
                .filter_map(|t| t.state().map(|s| s.as_str().to_owned()))
                .collect(),
            has_fractions: stamps.iter().flatten().any(|t| t.subsec_nanos() != 0),
        })
    }
}
