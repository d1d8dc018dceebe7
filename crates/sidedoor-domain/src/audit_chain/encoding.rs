//! The bytes that are signed. Each value is preceded by its length, so that two different lines never have the same bytes.

use crate::audit::AuditEntry;
use crate::ids::SupervisionId;

/// Builds a message: a tag that says what it is, then its values in a fixed order.
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new(tag: &str) -> Self {
        let mut message = Self(Vec::with_capacity(384));
        message.text(Some(tag));
        message
    }

    /// A 0 byte for a value that is missing; otherwise a 1 byte, the length in bytes (32 bits, the highest byte first) and the UTF-8 text.
    pub(super) fn text(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            None => self.0.push(0),
            Some(text) => {
                self.0.push(1);
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                self.0.extend_from_slice(&length.to_be_bytes());
                self.0.extend_from_slice(text.as_bytes());
            }
        }
        self
    }

    /// A number, as its decimal text.
    pub(super) fn number(&mut self, value: Option<i64>) -> &mut Self {
        let text = value.map(|number| number.to_string());
        self.text(text.as_deref())
    }

    /// Bytes, as lower-case hexadecimal text.
    pub(super) fn hex(&mut self, bytes: &[u8]) -> &mut Self {
        let text = hex::encode(bytes);
        self.text(Some(&text))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Everything of a line that its MAC covers, as the store holds it. Words are not parsed, because a line of a later version must be
/// verified too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineContent<'a> {
    /// The line's position.
    pub seq: i64,
    /// When it was written, ms since 1970.
    pub at_ms: i64,
    /// The caller's name.
    pub actor: &'a str,
    /// The action's word.
    pub action: &'a str,
    /// The supervision's id.
    pub supervision: Option<&'a str>,
    /// The phase's word.
    pub phase: &'a str,
    /// The id that the entries of one vendor call share.
    pub operation: Option<&'a str>,
    /// The result.
    pub outcome: &'a str,
    /// The caller's reason.
    pub why: Option<&'a str>,
    /// Our id of the request.
    pub request_id: Option<&'a str>,
    /// The caller's id of the request.
    pub client_request_id: Option<&'a str>,
    /// The credential's name.
    pub credential: Option<&'a str>,
    /// The peer's network.
    pub peer: Option<&'a str>,
    /// The route.
    pub route: Option<&'a str>,
    /// How many requests it stands for.
    pub times: Option<i64>,
}

impl<'a> LineContent<'a> {
    /// The content of an entry at this position. `supervision` is the text of the entry's supervision.
    pub fn of(seq: i64, entry: &'a AuditEntry, supervision: Option<&'a str>) -> Self {
        Self {
            seq,
            at_ms: entry.at.as_millisecond(),
            actor: &entry.actor,
            action: entry.action.as_str(),
            supervision,
            phase: entry.phase.as_str(),
            operation: entry.operation.as_deref(),
            outcome: &entry.outcome,
            why: entry.why.as_deref(),
            request_id: entry.request_id.as_deref(),
            client_request_id: entry.client_request_id.as_deref(),
            credential: entry.credential.as_deref(),
            peer: entry.peer.as_deref(),
            route: entry.route.as_deref(),
            times: entry.times.map(i64::from),
        }
    }

    /// The text of an entry's supervision, for [`Self::of`].
    pub fn supervision_of(entry: &AuditEntry) -> Option<String> {
        entry.supervision.as_ref().map(SupervisionId::to_string)
    }

    /// The bytes that its MAC covers.
    pub(super) fn message(&self) -> Message {
        let mut message = Message::new("sidedoor-audit-line-1");
        message
            .number(Some(self.seq))
            .number(Some(self.at_ms))
            .text(Some(self.actor))
            .text(Some(self.action))
            .text(self.supervision)
            .text(Some(self.phase))
            .text(self.operation)
            .text(Some(self.outcome))
            .text(self.why)
            .text(self.request_id)
            .text(self.client_request_id)
            .text(self.credential)
            .text(self.peer)
            .text(self.route)
            .number(self.times);
        message
    }
}
