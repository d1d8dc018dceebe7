//! Seals, the head of the chain that they form, and receipts of exports.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::encoding::Message;
use super::keys::Check;
use super::{AuditKeys, Digest32, LineContent, LineMac, Signature, line_mac};

/// What stands beside a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedLine {
    /// The id of the key; `None` for a plain hash without a key.
    pub key_id: Option<String>,
    /// The MAC.
    pub mac: LineMac,
}

impl AuditKeys {
    /// Signs a line.
    pub fn sign_line(&self, content: &LineContent<'_>) -> SignedLine {
        let Signature { key_id, mac } = self.sign(content.message().bytes());
        SignedLine {
            key_id,
            mac: line_mac(&mac),
        }
    }

    pub(super) fn check_line(&self, content: &LineContent<'_>, key_id: Option<&str>, mac: &LineMac) -> Check {
        self.check(content.message().bytes(), key_id, mac)
    }
}

/// What a seal covers of a line: its position, and its MAC, or as many bytes of the SHA-256 of its content if it is older than MACs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineDigest {
    /// The line's position.
    pub seq: i64,
    /// The MAC or the hash.
    pub mac: LineMac,
}

impl LineDigest {
    /// Of a line with its MAC, if it has one.
    pub fn of(content: &LineContent<'_>, mac: Option<LineMac>) -> Self {
        let mac = mac.unwrap_or_else(|| line_mac(&Sha256::digest(content.message().bytes()).into()));
        Self { seq: content.seq, mac }
    }

    pub(super) fn add_to(self, hash: &mut Sha256) {
        hash.update(self.seq.to_be_bytes());
        hash.update(self.mac);
    }
}

/// A seal over all lines since the seal before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSeal {
    /// Its place in the chain. The first seal has the number 1.
    pub number: i64,
    /// The position of its first line.
    pub first: i64,
    /// The position of its last line. One less than `first` if it has none, which is so when the key was changed and nothing was written.
    pub last: i64,
    /// How many lines it covers.
    pub lines: i64,
    /// The SHA-256 over the position and the MAC of each line.
    pub digest: Digest32,
    /// The head of the seal before it; zeros for the first.
    pub previous: Digest32,
    /// When it was made, in whole ms.
    pub at: Timestamp,
    /// The id of the key that signed it.
    pub key_id: Option<String>,
    /// Its signature.
    pub head: Digest32,
}

impl AuditSeal {
    /// The seal that follows `previous` and covers these lines. `None` if nothing is new: there is no line, and the same key signs.
    pub fn next(
        keys: &AuditKeys,
        previous: Option<&Self>,
        lines: impl IntoIterator<Item = LineDigest>,
        at: Timestamp,
    ) -> Option<Self> {
        let (mut hash, mut range, mut count) = (Sha256::new(), None, 0);
        for line in lines {
            line.add_to(&mut hash);
            let (first, _) = range.unwrap_or((line.seq, line.seq));
            range = Some((first, line.seq));
            count += 1;
        }
        let sealed_to = previous.map_or(0, |p| p.last);
        let (first, last) = match (range, previous) {
            (Some(range), _) => range,
            (None, Some(previous)) if previous.key_id.as_deref() != keys.current() => (sealed_to + 1, sealed_to),
            (None, _) => return None,
        };
        let mut seal = Self {
            number: previous.map_or(0, |p| p.number) + 1,
            first,
            last,
            lines: count,
            digest: hash.finalize().into(),
            previous: previous.map_or([0; 32], |p| p.head),
            at: Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at),
            key_id: keys.current().map(str::to_owned),
            head: [0; 32],
        };
        seal.head = keys.sign(seal.message().bytes()).mac;
        Some(seal)
    }

    /// Whether this seal follows `previous`.
    pub fn continues(&self, previous: Option<&Self>) -> bool {
        let (number, head) = previous.map_or((0, [0; 32]), |p| (p.number, p.head));
        self.number == number + 1 && self.previous == head
    }

    /// The head of the chain up to this seal.
    pub fn head(&self) -> AuditHead {
        AuditHead {
            seq: self.last,
            head: self.head,
        }
    }

    pub(super) fn check(&self, keys: &AuditKeys) -> Check {
        keys.check(self.message().bytes(), self.key_id.as_deref(), &self.head)
    }

    fn message(&self) -> Message {
        let mut message = Message::new("sidedoor-audit-seal-1");
        message
            .number(Some(self.number))
            .number(Some(self.first))
            .number(Some(self.last))
            .number(Some(self.lines))
            .hex(&self.digest)
            .hex(&self.previous)
            .number(Some(self.at.as_millisecond()))
            .text(self.key_id.as_deref());
        message
    }
}

/// The newest seal's signature and the position of its last line, as `<position>:<hexadecimal>`. A copy of it outside the store shows later
/// whether anything before it was changed or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// The position of the last line.
    pub seq: i64,
    /// The seal's signature.
    pub head: Digest32,
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, hex::encode(self.head))
    }
}

impl FromStr for AuditHead {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.trim().split_once(':').and_then(|(seq, head)| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(head, &mut bytes).ok()?;
            Some(Self {
                seq: seq.parse().ok().filter(|seq| *seq >= 0)?,
                head: bytes,
            })
        });
        parsed.ok_or("must be a position, a colon and 64 hexadecimal digits")
    }
}

/// Proof that lines were exported into a file that was read again and verified. Only such lines may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportReceipt {
    /// The position of the first exported line.
    pub first: i64,
    /// The position of the last exported line, which is the last of a seal.
    pub last: i64,
    /// How many lines were exported.
    pub lines: i64,
    /// The head of that seal.
    pub head: Digest32,
    /// The SHA-256 of the file.
    pub file: Digest32,
    /// When it was verified, in whole ms.
    pub at: Timestamp,
    /// The signature of the receipt.
    pub signature: Signature,
}

impl ExportReceipt {
    /// Signs a receipt.
    #[must_use]
    pub fn signed(mut self, keys: &AuditKeys) -> Self {
        self.signature = keys.sign(self.message().bytes());
        self
    }

    pub(super) fn check(&self, keys: &AuditKeys) -> Check {
        let Signature { key_id, mac } = &self.signature;
        keys.check(self.message().bytes(), key_id.as_deref(), mac)
    }

    fn message(&self) -> Message {
        let mut message = Message::new("sidedoor-audit-export-1");
        message
            .number(Some(self.first))
            .number(Some(self.last))
            .number(Some(self.lines))
            .hex(&self.head)
            .hex(&self.file)
            .number(Some(self.at.as_millisecond()));
        message
    }

    /// Up to which position everything was exported, by these receipts together.
    pub fn covered_to(receipts: &[Self]) -> i64 {
        let mut ranges: Vec<(i64, i64)> = receipts.iter().map(|r| (r.first, r.last)).collect();
        ranges.sort_unstable();
        let join = |covered: i64, (first, last)| {
            if first <= covered + 1 {
                covered.max(last)
            } else {
                covered
            }
        };
        ranges.into_iter().fold(0, join)
    }
}
