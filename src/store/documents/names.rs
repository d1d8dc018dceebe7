//! The names of a supervision's document.

use serde::{Deserialize, Serialize};
use sidedoor_domain::supervision::Names;

/// [`Names`]. A document without them is older than they are, and nothing is looked up for it any more.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NamesDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_salesforce_user_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    #[serde(default, skip_serializing_if = "super::is_false")]
    supervisor_asked: bool,
    #[serde(default, skip_serializing_if = "super::is_false")]
    agent_asked: bool,
    #[serde(default, skip_serializing_if = "super::is_false")]
    agent_claimed: bool,
    #[serde(default, skip_serializing_if = "super::is_false")]
    unsent: bool,
    #[serde(default, skip_serializing_if = "super::is_false")]
    is_complete: bool,
}

impl Default for NamesDocument {
    fn default() -> Self {
        Self {
            agent_username: None,
            agent_salesforce_user_id: None,
            queue_id: None,
            queue: None,
            supervisor_asked: false,
            agent_asked: false,
            agent_claimed: false,
            unsent: false,
            is_complete: true,
        }
    }
}

impl NamesDocument {
    pub(super) fn is_old(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Names> for NamesDocument {
    fn from(from: Names) -> Self {
        Self {
            agent_username: from.agent_username,
            agent_salesforce_user_id: from.agent_salesforce_user_id,
            queue_id: from.queue_id,
            queue: from.queue,
            supervisor_asked: from.supervisor_asked,
            agent_asked: from.agent_asked,
            agent_claimed: from.agent_claimed,
            unsent: from.unsent,
            is_complete: from.is_complete,
        }
    }
}

impl From<NamesDocument> for Names {
    fn from(from: NamesDocument) -> Self {
        Self {
            agent_username: from.agent_username,
            agent_salesforce_user_id: from.agent_salesforce_user_id,
            queue_id: from.queue_id,
            queue: from.queue,
            supervisor_asked: from.supervisor_asked,
            agent_asked: from.agent_asked,
            agent_claimed: from.agent_claimed,
            unsent: from.unsent,
            is_complete: from.is_complete,
        }
    }
}
