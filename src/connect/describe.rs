//! What only `sidedoor check` asks AWS: whose credentials these are, how the instance is set up and what the role allows.
//! All calls are read-only.

use aws_sdk_connect::types::InstanceAttributeType;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::{Endpoint, Operation, VendorError};

use super::AmazonConnect;
use super::errors::vendor_error;

/// The owner of the credentials (STS GetCallerIdentity, which every identity may call).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The AWS account's number.
    pub account: String,
    /// The user's or assumed role's ARN.
    pub arn: String,
}

/// The answer of DescribeInstance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceSeen {
    /// The instance's alias.
    pub alias: String,
    /// `ACTIVE`, `CREATION_IN_PROGRESS` or `CREATION_FAILED`.
    pub status: String,
}

/// A capability that an administrator enables for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    /// `ENHANCED_CONTACT_MONITORING`: several supervisors on a voice contact, and barging in.
    VoiceMonitoring,
    /// `ENHANCED_CHAT_MONITORING`: the same for chat.
    ChatMonitoring,
}

/// How Connect describes a leg. Undocumented, so `sidedoor check --live` finds it out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LegDescription {
    /// Those of `RelatedContactId`, `InitialContactId` and `PreviousContactId` that name the supervised contact.
    pub links: Vec<&'static str>,
    /// The states in `AgentInfo.StateTransitions`.
    pub states: Vec<String>,
    /// Whether any timestamp has a fraction of a second.
    pub has_fractions: bool,
}

impl AmazonConnect {
    /// The owner of the credentials that the SDK's chain found.
    ///
    /// # Errors
    /// The vendor's; here and below.
    pub(crate) async fn identity(&self, instance: &InstanceName) -> Result<Identity, VendorError> {
        let client = self.client(&Endpoint::from(instance), Operation::GetCallerIdentity)?;
        let answer = client.sts.get_caller_identity().send().await;
        let answer = answer.map_err(|e| vendor_error(Operation::GetCallerIdentity, &e))?;
        Ok(Identity {
            account: answer.account().unwrap_or_default().to_owned(),
            arn: answer.arn().unwrap_or_default().to_owned(),
        })
    }

    /// The instance's alias and status.
    pub(crate) async fn instance(&self, endpoint: &Endpoint) -> Result<InstanceSeen, VendorError> {
        let client = self.client(endpoint, Operation::DescribeInstance)?;
        let answer = client
            .connect
            .describe_instance()
            .instance_id(&client.instance_id)
            .send()
            .await;
        let answer = answer.map_err(|e| vendor_error(Operation::DescribeInstance, &e))?;
        let seen = answer.instance();
        Ok(InstanceSeen {
            alias: seen.and_then(|i| i.instance_alias()).unwrap_or_default().to_owned(),
            status: seen
                .and_then(|i| i.instance_status())
                .map(|s| s.as_str().to_owned())
                .unwrap_or_default(),
        })
    }

    /// Whether a capability is enabled.
    pub(crate) async fn has(&self, instance: &InstanceName, what: Attribute) -> Result<bool, VendorError> {
        let client = self.client(&Endpoint::from(instance), Operation::DescribeInstanceAttribute)?;
        let kind = match what {
            Attribute::VoiceMonitoring => InstanceAttributeType::EnhancedContactMonitoring,
            Attribute::ChatMonitoring => InstanceAttributeType::EnhancedChatMonitoring,
        };
        let request = client.connect.describe_instance_attribute();
        let answer = request
            .instance_id(&client.instance_id)
            .attribute_type(kind)
            .send()
            .await
            .map_err(|e| vendor_error(Operation::DescribeInstanceAttribute, &e))?;
        let value = answer.attribute().and_then(|a| a.value());
        Ok(value.is_some_and(|v| v.eq_ignore_ascii_case("true")))
    }

    /// Calls ListSecurityProfiles, which Sidedoor never needs. If it is allowed, the role has more permissions than
    /// necessary.
    pub(crate) async fn list_security_profiles(&self, instance: &InstanceName) -> Result<(), VendorError> {
        let client = self.client(&Endpoint::from(instance), Operation::ListSecurityProfiles)?;
        let request = client.connect.list_security_profiles().instance_id(&client.instance_id);
        let answer = request.max_results(1).send().await;
        answer
            .map(|_| ())
            .map_err(|e| vendor_error(Operation::ListSecurityProfiles, &e))
    }

    /// How Connect describes a leg that monitors `contact`.
    pub(crate) async fn describe_leg(
        &self,
        instance: &InstanceName,
        leg: &str,
        contact: &str,
    ) -> Result<LegDescription, VendorError> {
        let client = self.client(&Endpoint::from(instance), Operation::DescribeContact)?;
        let request = client.connect.describe_contact().instance_id(&client.instance_id);
        let answer = request.contact_id(leg).send().await;
        let answer = answer.map_err(|e| vendor_error(Operation::DescribeContact, &e))?;
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
