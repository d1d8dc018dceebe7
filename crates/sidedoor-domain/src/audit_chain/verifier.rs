//! Checks lines and seals in their order, and names the first that is wrong.

use std::fmt;

use sha2::{Digest, Sha256};

use super::keys::Check;
use super::{AuditHead, AuditKeys, AuditSeal, Digest32, ExportReceipt, LineContent, LineDigest, LineMac};

/// How far from its place a line is looked for that may have been moved.
const MOVED_WITHIN: i64 = 2000;

/// What stands beside a stored line; no MAC in a line that is older than MACs.
#[derive(Debug, Clone, Copy)]
pub struct LineSignature<'a> {
    /// The id of the key.
    pub key_id: Option<&'a str>,
    /// The MAC.
    pub mac: Option<LineMac>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The contents of a line, a seal or a receipt do not fit its signature.
    Altered,
    /// Lines were removed, up to this position.
    Missing(i64),
    /// The line was written at another position.
    OutOfOrder(i64),
    /// The key with this id is not among the given ones.
    UnknownKey(String),
    /// It is not signed with a key, although what precedes it is or a key is given.
    Unsigned,
    /// The seal with this number does not continue the chain: a seal was removed, added or replaced.
    Chain(i64),
    /// The lines do not fit the seal with this number, although each fits its own signature.
    Seal(i64),
    /// The seal at the position of the given head has another head: everything up to it may have been rewritten.
    OtherHead,
    /// The audit ends before the given head. The position is that of the last sealed line.
    EndsBeforeHead(i64),
    /// The given head is older than the oldest seal that is kept.
    HeadTooOld,
}

/// The first place that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The position of the line.
    pub seq: i64,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seq = self.seq;
        match &self.fault {
            Fault::Altered => write!(f, "line {seq}: altered; it does not fit its signature"),
            Fault::Missing(to) if *to == seq => write!(f, "line {seq}: missing"),
            Fault::Missing(to) => write!(f, "lines {seq} to {to}: missing"),
            Fault::OutOfOrder(other) => write!(f, "line {seq}: out of order; it was written as line {other}"),
            Fault::UnknownKey(id) => write!(f, "line {seq}: unknown key {id}; it cannot be checked without that key"),
            Fault::Unsigned => write!(f, "line {seq}: not signed with a key, although it should be"),
            Fault::Chain(number) => write!(f, "line {seq}: seal {number} does not continue the chain of seals"),
            Fault::Seal(number) => write!(f, "line {seq}: the lines do not fit seal {number}"),
            Fault::OtherHead => write!(f, "line {seq}: the seal here has another head than the given one"),
            Fault::EndsBeforeHead(last) => {
                write!(
                    f,
                    "line {}: missing; the given head covers line {seq}, the last sealed line is {last}",
                    last + 1
                )
            }
            Fault::HeadTooOld => write!(
                f,
                "line {seq}: the given head is older than the oldest seal that is kept"
            ),
        }
    }
}

/// What was checked, and nothing was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// How many lines were checked.
    pub lines: u64,
    /// How many of these are older than MACs: only a seal protects them, from the moment it was made.
    pub without_mac: u64,
    /// How many of these no seal covers yet.
    pub unsealed: u64,
    /// How many lines carry a plain hash instead of a MAC of a key.
    pub without_key: u64,
    /// The position of the first line; those before it were removed behind an export.
    pub first: Option<i64>,
    /// How many seals were checked.
    pub seals: u64,
    /// The head of the newest seal.
    pub head: Option<AuditHead>,
    /// Whether the newest seal is signed with a key.
    pub signed: bool,
    /// Whether the given head is that of a seal.
    pub head_found: bool,
}

/// The range of lines that no seal has closed yet.
#[derive(Default)]
struct Open {
    hash: Sha256,
    lines: i64,
}

/// The check of one audit. Give it the lines that a seal covers, then the seal, and at last the lines that no seal covers.
pub struct Verifier<'k> {
    keys: &'k AuditKeys,
    head: Option<AuditHead>,
    receipts: Vec<ExportReceipt>,
    /// Lines up to this position may be missing, because they were exported.
    exported_to: i64,
    next: Option<i64>,
    open: Open,
    last_seal: Option<AuditSeal>,
    /// A key has signed a line or a seal, so that all later ones need one.
    is_signed: bool,
    has_mac: bool,
    head_passed: bool,
    done: Verified,
}

impl<'k> Verifier<'k> {
    /// A check with these keys. `head` is a copy that was kept outside.
    pub fn new(keys: &'k AuditKeys, head: Option<AuditHead>) -> Self {
        Self {
            keys,
            head,
            receipts: Vec::new(),
            exported_to: 0,
            next: None,
            open: Open::default(),
            last_seal: None,
            is_signed: false,
            has_mac: false,
            head_passed: false,
            done: Verified::default(),
        }
    }

    /// Takes the receipt of an earlier export. Give it all receipts before the first line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn receipt(&mut self, receipt: &ExportReceipt) -> Result<(), Broken> {
        let key_id = receipt.signature.key_id.as_deref();
        let wrong = match receipt.check(self.keys) {
            // It is not signed, so it proves nothing.
            Check::Good if key_id.is_none() && !self.keys.is_empty() => Fault::Unsigned,
            Check::Good => {
                self.receipts.push(receipt.clone());
                self.exported_to = ExportReceipt::covered_to(&self.receipts);
                return Ok(());
            }
            Check::Wrong => Fault::Altered,
            Check::UnknownKey => Fault::UnknownKey(key_id.unwrap_or_default().to_owned()),
        };
        Self::fail(receipt.last, wrong)
    }

    fn fail<T>(seq: i64, fault: Fault) -> Result<T, Broken> {
        Err(Broken { seq, fault })
    }

    /// Checks that no line is missing before this position.
    fn expect(&mut self, seq: i64) -> Result<(), Broken> {
        // The first line may follow on lines that were removed.
        let begins = self.done.first.is_none() && seq - 1 <= self.exported_to;
        let expected = if begins { seq } else { self.next.unwrap_or(1) };
        if seq > expected {
            return Self::fail(expected, Fault::Missing(seq - 1));
        }
        if seq < expected {
            return Self::fail(seq, Fault::OutOfOrder(expected));
        }
        self.done.first.get_or_insert(seq);
        self.next = Some(seq + 1);
        Ok(())
    }

    /// Checks the next line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn line(&mut self, content: &LineContent<'_>, signature: LineSignature<'_>) -> Result<(), Broken> {
        let seq = content.seq;
        self.expect(seq)?;
        self.done.lines += 1;
        match signature.mac {
            // A line of an earlier version. None follows after a line with a MAC or a seal.
            None if self.has_mac || self.last_seal.is_some() => return Self::fail(seq, Fault::Unsigned),
            None => self.done.without_mac += 1,
            Some(mac) => {
                self.has_mac = true;
                self.check_line(content, signature.key_id, &mac)?;
            }
        }
        LineDigest::of(content, signature.mac).add_to(&mut self.open.hash);
        self.open.lines += 1;
        Ok(())
    }

    fn check_line(&mut self, content: &LineContent<'_>, key_id: Option<&str>, mac: &LineMac) -> Result<(), Broken> {
        let seq = content.seq;
        match (self.keys.check_line(content, key_id, mac), key_id) {
            (Check::Good, None) if self.is_signed => Self::fail(seq, Fault::Unsigned),
            (Check::Good, None) => {
                self.done.without_key += 1;
                Ok(())
            }
            (Check::Good, Some(_)) => {
                self.is_signed = true;
                Ok(())
            }
            (Check::UnknownKey, id) => Self::fail(seq, Fault::UnknownKey(id.unwrap_or_default().to_owned())),
            (Check::Wrong, _) => {
                let from = (seq - MOVED_WITHIN).max(1);
                let elsewhere = (from..=seq + MOVED_WITHIN).find(|other| {
                    let moved = LineContent {
                        seq: *other,
                        ..*content
                    };
                    self.keys.check_line(&moved, key_id, mac) == Check::Good
                });
                Self::fail(seq, elsewhere.map_or(Fault::Altered, Fault::OutOfOrder))
            }
        }
    }

    /// Checks the seal over the lines since the seal before it.
    ///
    /// # Errors
    /// What is wrong with it or its lines.
    pub fn seal(&mut self, seal: &AuditSeal) -> Result<(), Broken> {
        self.check_chain(seal)?;
        let open = std::mem::take(&mut self.open);
        let first_line = self.done.first;
        // Lines that were removed behind an export cannot be checked any more.
        let is_cut = first_line.map_or(seal.lines > 0, |first| seal.first < first);
        if is_cut {
            let missing_to = first_line.map_or(seal.last, |first| (first - 1).min(seal.last));
            if missing_to > self.exported_to {
                return Self::fail(seal.first, Fault::Missing(missing_to));
            }
            if first_line.is_none() {
                self.next = Some(seal.last + 1);
            }
        }
        let next = self.next.unwrap_or(1);
        if next <= seal.last {
            return Self::fail(next, Fault::Missing(seal.last));
        }
        let fits = open.lines == seal.lines && Digest32::from(open.hash.finalize()) == seal.digest;
        if !is_cut && !fits {
            // A line without a MAC has no signature of its own, so that nothing closer can be said.
            return Self::fail(seal.first, Fault::Seal(seal.number));
        }
        self.done.seals += 1;
        self.done.signed = seal.key_id.is_some();
        self.done.head = Some(seal.head());
        if let Some(head) = self.head
            && head.seq == seal.last
        {
            self.head_passed = true;
            self.done.head_found |= head == seal.head();
        }
        self.last_seal = Some(seal.clone());
        Ok(())
    }

    fn check_chain(&mut self, seal: &AuditSeal) -> Result<(), Broken> {
        let key_id = seal.key_id.as_deref();
        match seal.check(self.keys) {
            Check::Good => {}
            Check::Wrong => return Self::fail(seal.last, Fault::Altered),
            Check::UnknownKey => {
                return Self::fail(seal.last, Fault::UnknownKey(key_id.unwrap_or_default().to_owned()));
            }
        }
        if key_id.is_none() && self.is_signed {
            return Self::fail(seal.last, Fault::Unsigned);
        }
        let continues = match &self.last_seal {
            None if seal.number > 1 => seal.first - 1 <= self.exported_to,
            previous => {
                let begins = previous.as_ref().map_or(1, |p| p.last + 1);
                // A first seal may begin later, because the lines before it were removed before it was made.
                seal.continues(previous.as_ref()) && (seal.first == begins || previous.is_none())
            }
        };
        if !continues {
            return Self::fail(seal.first, Fault::Chain(seal.number));
        }
        self.is_signed |= key_id.is_some();
        Ok(())
    }

    /// Ends the check. `last_written` is the highest position that the store remembers to have given, if it does.
    ///
    /// # Errors
    /// What is wrong at the end.
    pub fn finish(mut self, last_written: Option<i64>) -> Result<Verified, Broken> {
        let sealed_to = self.last_seal.as_ref().map_or(0, |seal| seal.last);
        let last = self.next.map_or(sealed_to, |next| next - 1);
        if let Some(head) = self.head
            && !self.done.head_found
        {
            let fault = if self.head_passed {
                Fault::OtherHead
            } else if head.seq > sealed_to {
                Fault::EndsBeforeHead(sealed_to)
            } else if self.done.first.is_some_and(|first| head.seq < first) && head.seq <= self.exported_to {
                Fault::HeadTooOld
            } else {
                Fault::OtherHead
            };
            return Self::fail(head.seq, fault);
        }
        if let Some(written) = last_written
            && written > last
            && written > self.exported_to
        {
            return Self::fail(last + 1, Fault::Missing(written));
        }
        // Otherwise the lines could be rewritten without the key.
        let is_signed = match &self.last_seal {
            Some(seal) => seal.key_id.is_some(),
            None => self.is_signed || self.done.lines == 0,
        };
        if !self.keys.is_empty() && !is_signed {
            return Self::fail(last, Fault::Unsigned);
        }
        self.done.unsealed = self.open.lines.unsigned_abs();
        Ok(self.done)
    }
}
