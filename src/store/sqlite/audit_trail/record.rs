//! One line of an exported file.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sidedoor_domain::audit_chain::{AuditSeal, ExportReceipt, LineContent, LineSignature, Signature};

use super::{Item, TrailError};

type Text<'a> = Cow<'a, str>;

/// Bytes as hexadecimal digits.
#[derive(Clone, Copy)]
struct Hex<const N: usize = 32>([u8; N]);

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(from)?;
        let mut bytes = [0; N];
        hex::decode_to_slice(text.as_bytes(), &mut bytes).map_err(D::Error::custom)?;
        Ok(Self(bytes))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Record<'a> {
    Receipt(ReceiptRecord),
    #[serde(borrow)]
    Line(Box<LineRecord<'a>>),
    Seal(SealRecord),
}

/// Times are ms since 1970. Members are in the order in which the MAC covers them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LineRecord<'a> {
    seq: i64,
    at: i64,
    #[serde(borrow)]
    actor: Text<'a>,
    #[serde(borrow)]
    action: Text<'a>,
    supervision_id: Option<Text<'a>>,
    #[serde(borrow)]
    phase: Text<'a>,
    operation: Option<Text<'a>>,
    #[serde(borrow)]
    outcome: Text<'a>,
    why: Option<Text<'a>>,
    request_id: Option<Text<'a>>,
    client_request_id: Option<Text<'a>>,
    credential: Option<Text<'a>>,
    peer: Option<Text<'a>>,
    route: Option<Text<'a>>,
    times: Option<i64>,
    key_id: Option<Text<'a>>,
    mac: Option<Hex<16>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SealRecord {
    number: i64,
    first: i64,
    last: i64,
    lines: i64,
    digest: Hex,
    previous: Hex,
    at: i64,
    key_id: Option<String>,
    head: Hex,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReceiptRecord {
    first: i64,
    last: i64,
    lines: i64,
    head: Hex,
    file: Hex,
    at: i64,
    key_id: Option<String>,
    mac: Hex,
}

impl<'a> Record<'a> {
    pub(super) fn of(item: Item<'a>) -> Self {
        match item {
            Item::Receipt(receipt) => Self::Receipt(ReceiptRecord {
                first: receipt.first,
                last: receipt.last,
                lines: receipt.lines,
                head: Hex(receipt.head),
                file: Hex(receipt.file),
                at: receipt.at.as_millisecond(),
                key_id: receipt.signature.key_id.clone(),
                mac: Hex(receipt.signature.mac),
            }),
            Item::Line(content, signature) => Self::Line(Box::new(LineRecord::of(content, signature))),
            Item::Seal(seal) => Self::Seal(SealRecord {
                number: seal.number,
                first: seal.first,
                last: seal.last,
                lines: seal.lines,
                digest: Hex(seal.digest),
                previous: Hex(seal.previous),
                at: seal.at.as_millisecond(),
                key_id: seal.key_id.clone(),
                head: Hex(seal.head),
            }),
        }
    }

    /// Gives what the line of the file says.
    ///
    /// # Errors
    /// A time that does not exist, and what `each` returns.
    pub(super) fn give_to(&self, each: &mut impl FnMut(Item<'_>) -> Result<(), TrailError>) -> Result<(), RecordError> {
        let moment = |ms| Timestamp::from_millisecond(ms).map_err(|e| RecordError::Unreadable(e.to_string()));
        let given = match self {
            Self::Line(line) => {
                let signature = LineSignature {
                    key_id: line.key_id.as_deref(),
                    mac: line.mac.map(|mac| mac.0),
                };
                each(Item::Line(&line.content(), signature))
            }
            Self::Seal(seal) => each(Item::Seal(&AuditSeal {
                number: seal.number,
                first: seal.first,
                last: seal.last,
                lines: seal.lines,
                digest: seal.digest.0,
                previous: seal.previous.0,
                at: moment(seal.at)?,
                key_id: seal.key_id.clone(),
                head: seal.head.0,
            })),
            Self::Receipt(receipt) => each(Item::Receipt(&ExportReceipt {
                first: receipt.first,
                last: receipt.last,
                lines: receipt.lines,
                head: receipt.head.0,
                file: receipt.file.0,
                at: moment(receipt.at)?,
                signature: Signature {
                    key_id: receipt.key_id.clone(),
                    mac: receipt.mac.0,
                },
            })),
        };
        given.map_err(RecordError::Refused)
    }
}

/// Why a record was not taken.
pub(super) enum RecordError {
    /// It says something that cannot be.
    Unreadable(String),
    /// Whoever was given it refused it.
    Refused(TrailError),
}

impl<'a> LineRecord<'a> {
    fn of(content: &'a LineContent<'a>, signature: LineSignature<'a>) -> Self {
        let text = |value: Option<&'a str>| value.map(Cow::Borrowed);
        Self {
            seq: content.seq,
            at: content.at_ms,
            actor: content.actor.into(),
            action: content.action.into(),
            supervision_id: text(content.supervision),
            phase: content.phase.into(),
            operation: text(content.operation),
            outcome: content.outcome.into(),
            why: text(content.why),
            request_id: text(content.request_id),
            client_request_id: text(content.client_request_id),
            credential: text(content.credential),
            peer: text(content.peer),
            route: text(content.route),
            times: content.times,
            key_id: text(signature.key_id),
            mac: signature.mac.map(Hex),
        }
    }

    fn content(&self) -> LineContent<'_> {
        LineContent {
            seq: self.seq,
            at_ms: self.at,
            actor: &self.actor,
            action: &self.action,
            supervision: self.supervision_id.as_deref(),
            phase: &self.phase,
            operation: self.operation.as_deref(),
            outcome: &self.outcome,
            why: self.why.as_deref(),
            request_id: self.request_id.as_deref(),
            client_request_id: self.client_request_id.as_deref(),
            credential: self.credential.as_deref(),
            peer: self.peer.as_deref(),
            route: self.route.as_deref(),
            times: self.times,
        }
    }
}
