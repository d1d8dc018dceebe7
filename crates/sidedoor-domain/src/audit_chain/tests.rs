//! Every change to a chain is found, and its place is named.

use jiff::Timestamp;

use super::*;
use crate::audit::{AuditAction, AuditEntry};

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const NEW_KEY: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

#[derive(Clone)]
struct Line {
    seq: i64,
    entry: AuditEntry,
    key_id: Option<String>,
    mac: Option<LineMac>,
}

#[derive(Clone)]
struct Chain {
    keys: AuditKeys,
    lines: Vec<Line>,
    seals: Vec<AuditSeal>,
    receipts: Vec<ExportReceipt>,
    head: Option<AuditHead>,
    last_written: Option<i64>,
}

fn keys(text: &str) -> AuditKeys {
    AuditKeys::parse(text).expect("keys")
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).expect("a time")
}

impl Chain {
    fn new(keys: AuditKeys) -> Self {
        Self {
            keys,
            lines: Vec::new(),
            seals: Vec::new(),
            receipts: Vec::new(),
            head: None,
            last_written: None,
        }
    }

    fn write(&mut self, lines: i64) {
        let first = self.lines.last().map_or(1, |l| l.seq + 1);
        for seq in first..first + lines {
            let outcome = format!("outcome {seq}");
            let entry = AuditEntry::done(at(seq), "test", AuditAction::ModeRequested, outcome);
            let signed = self.keys.sign_line(&LineContent::of(seq, &entry, None));
            self.lines.push(Line {
                seq,
                entry,
                key_id: signed.key_id,
                mac: Some(signed.mac),
            });
        }
    }

    fn seal(&mut self) {
        let sealed_to = self.seals.last().map_or(0, |s| s.last);
        let lines = self.lines.iter().filter(|l| l.seq > sealed_to);
        let digests = lines.map(|l| LineDigest::of(&LineContent::of(l.seq, &l.entry, None), l.mac));
        let seal = AuditSeal::next(&self.keys, self.seals.last(), digests, at(99));
        self.seals.extend(seal);
    }

    /// Ten lines in two seals, and two lines that are not sealed.
    fn of(keys: AuditKeys) -> Self {
        let mut chain = Self::new(keys);
        chain.write(6);
        chain.seal();
        chain.write(4);
        chain.seal();
        chain.write(2);
        chain
    }

    fn verify(&self) -> Result<Verified, Broken> {
        let mut verifier = Verifier::new(&self.keys, self.head);
        self.receipts.iter().try_for_each(|r| verifier.receipt(r))?;
        let mut lines = self.lines.iter().peekable();
        let check = |verifier: &mut Verifier<'_>, line: &Line| {
            let signature = LineSignature {
                key_id: line.key_id.as_deref(),
                mac: line.mac,
            };
            verifier.line(&LineContent::of(line.seq, &line.entry, None), signature)
        };
        for seal in &self.seals {
            while let Some(line) = lines.next_if(|l| l.seq <= seal.last) {
                check(&mut verifier, line)?;
            }
            verifier.seal(seal)?;
        }
        lines.try_for_each(|line| check(&mut verifier, line))?;
        verifier.finish(self.last_written)
    }

    fn after(&self, change: impl FnOnce(&mut Self)) -> Result<Verified, Broken> {
        let mut changed = self.clone();
        change(&mut changed);
        changed.verify()
    }

    fn export(&mut self) {
        let last = self.seals.last().expect("a seal");
        let receipt = ExportReceipt {
            first: 1,
            last: last.last,
            lines: last.last,
            head: last.head,
            file: [7; 32],
            at: at(100),
            signature: Signature {
                key_id: None,
                mac: [0; 32],
            },
        };
        self.receipts.push(receipt.signed(&self.keys));
    }
}

fn broken(seq: i64, fault: Fault) -> Result<Verified, Broken> {
    Err(Broken { seq, fault })
}

#[test]
fn audit_chain_that_is_whole_says_what_is_sealed() {
    for (keys, signed) in [(keys(KEY), true), (AuditKeys::none(), false)] {
        let whole = Chain::of(keys).verify().expect("whole");
        assert_eq!((whole.lines, whole.unsealed, whole.seals), (12, 2, 2));
        assert_eq!((whole.signed, whole.without_key), (signed, if signed { 0 } else { 12 }));
    }
}

#[test]
fn audit_chain_names_the_first_line_that_was_changed() {
    let chain = Chain::of(keys(KEY));
    let altered = |at: usize| chain.after(|c| c.lines[at].entry.outcome.push('!'));
    assert_eq!(altered(2), broken(3, Fault::Altered));
    assert_eq!(altered(11), broken(12, Fault::Altered), "not sealed yet");
    let deleted = |at: usize| chain.after(|c| drop(c.lines.remove(at)));
    assert_eq!(deleted(0), broken(1, Fault::Missing(1)));
    assert_eq!(deleted(2), broken(3, Fault::Missing(3)));
    assert_eq!(deleted(9), broken(10, Fault::Missing(10)));
    let swapped = chain.after(|c| {
        let (one, other) = (c.lines[3].clone(), c.lines[4].clone());
        (c.lines[3], c.lines[4]) = (Line { seq: 4, ..other }, Line { seq: 5, ..one });
    });
    assert_eq!(swapped, broken(4, Fault::OutOfOrder(5)));
    assert_eq!(chain.after(|c| c.lines[4].mac = None), broken(5, Fault::Unsigned));
}

#[test]
fn audit_chain_notices_changed_and_removed_seals() {
    let chain = Chain::of(keys(KEY));
    let altered = chain.after(|c| c.seals[0].digest = [1; 32]);
    assert_eq!(altered, broken(6, Fault::Altered));
    let removed = chain.after(|c| drop(c.seals.remove(0)));
    assert_eq!(removed, broken(7, Fault::Chain(2)));
    // All seals together with the newer lines can be cut. Only a head that was kept outside shows that.
    let cut = |c: &mut Chain| {
        c.seals.pop();
        c.lines.truncate(6);
    };
    assert!(chain.after(cut).is_ok());
    let head = Some(chain.seals[1].head());
    let with_head = chain.after(|c| {
        cut(c);
        c.head = head;
    });
    assert_eq!(with_head, broken(10, Fault::EndsBeforeHead(6)));
    let remembered = chain.after(|c| {
        cut(c);
        c.last_written = Some(12);
    });
    assert_eq!(remembered, broken(7, Fault::Missing(12)));
    assert!(chain.after(|c| c.head = head).expect("whole").head_found);
}

#[test]
fn audit_chain_cannot_be_written_anew_without_the_key() {
    let chain = Chain::of(keys(KEY));
    let anew = |with: AuditKeys| {
        let mut forged = Chain::of(with);
        forged.keys = keys(KEY);
        forged
    };
    assert_eq!(anew(AuditKeys::none()).verify(), broken(12, Fault::Unsigned));
    let other = keys(NEW_KEY).current().expect("an id").to_owned();
    assert_eq!(anew(keys(NEW_KEY)).verify(), broken(1, Fault::UnknownKey(other)));
    // Without a key, an attacker who can write the store can replace everything; only a head that was kept outside shows it.
    let plain = Chain::of(AuditKeys::none());
    let mut forged = Chain::new(AuditKeys::none());
    forged.write(6);
    forged.lines[2].entry.outcome.push('!');
    let content = LineContent::of(3, &forged.lines[2].entry, None);
    forged.lines[2].mac = Some(AuditKeys::none().sign_line(&content).mac);
    forged.seal();
    assert!(forged.verify().is_ok());
    forged.head = Some(plain.seals[0].head());
    assert_eq!(forged.verify(), broken(6, Fault::OtherHead));
    assert!(chain.after(|c| c.keys = AuditKeys::none()).is_err());
}

#[test]
fn audit_key_is_replaced_without_a_gap() {
    let mut chain = Chain::of(keys(KEY));
    chain.keys = keys(&format!("# the new one\n{NEW_KEY}\n\n{KEY}\n"));
    chain.seal();
    chain.seal();
    assert_eq!(chain.seals.len(), 3);
    chain.write(2);
    chain.seal();
    assert_eq!(chain.verify().expect("whole").unsealed, 0);
    let forgotten = keys(KEY).current().expect("an id").to_owned();
    let without_old = chain.after(|c| c.keys = keys(NEW_KEY));
    assert_eq!(without_old, broken(1, Fault::UnknownKey(forgotten)));
    // A store that had no key and gets one: a seal without lines is signed at once.
    let mut chain = Chain::new(AuditKeys::none());
    chain.write(3);
    chain.seal();
    chain.keys = keys(KEY);
    assert_eq!(chain.verify(), broken(3, Fault::Unsigned));
    chain.seal();
    assert_eq!((chain.seals[1].first, chain.seals[1].last), (4, 3));
    chain.seal();
    assert_eq!(chain.seals.len(), 2, "nothing is new");
    let whole = chain.verify().expect("whole");
    assert_eq!((whole.without_key, whole.signed), (3, true));
}

#[test]
fn audit_lines_of_earlier_versions_are_protected_by_the_first_seal() {
    let mut chain = Chain::new(keys(KEY));
    chain.write(3);
    for line in &mut chain.lines {
        (line.key_id, line.mac) = (None, None);
    }
    chain.seal();
    chain.write(2);
    chain.seal();
    let whole = chain.verify().expect("whole");
    assert_eq!((whole.lines, whole.without_mac), (5, 3));
    let altered = chain.after(|c| c.lines[1].entry.outcome.push('!'));
    assert_eq!(altered, broken(1, Fault::Seal(1)));
}

#[test]
fn audit_lines_may_be_missing_only_behind_an_export() {
    let mut chain = Chain::of(keys(KEY));
    let cut = |c: &mut Chain, lines: usize| drop(c.lines.drain(..lines));
    assert_eq!(chain.after(|c| cut(c, 6)), broken(1, Fault::Missing(6)));
    chain.export();
    for lines in [1, 4, 6, 8, 10] {
        let verified = chain.after(|c| cut(c, lines)).expect("behind the export");
        assert_eq!(verified.first, Some(lines as i64 + 1));
    }
    // The newest seal of the removed ones remains.
    let behind = chain.after(|c| {
        cut(c, 10);
        c.seals.remove(0);
    });
    assert_eq!(behind.expect("whole").lines, 2);
    assert_eq!(chain.after(|c| cut(c, 11)), broken(11, Fault::Missing(11)));
    let old_head = Some(chain.seals[0].head());
    let too_old = chain.after(|c| {
        cut(c, 10);
        c.seals.remove(0);
        c.head = old_head;
    });
    assert_eq!(too_old, broken(6, Fault::HeadTooOld));
    let forged = chain.after(|c| {
        cut(c, 6);
        c.receipts[0].last = 6;
    });
    assert_eq!(forged, broken(6, Fault::Altered));
}

#[test]
fn audit_keys_are_long_and_never_printed() {
    let printed = format!("{:?}", keys(KEY));
    assert!(!printed.contains("0011223344"), "{printed}");
    let base64 = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";
    assert_eq!(keys(base64).current(), keys(KEY).current());
    let problem = |text: &str| AuditKeys::parse(text).expect_err("refused");
    assert_eq!(problem("# nothing\n"), KeyFileError::Empty);
    assert_eq!(problem("0011"), KeyFileError::Length(1, 2));
    assert_eq!(problem(&format!("{KEY}\n{KEY}")), KeyFileError::Twice(2));
    assert_eq!(problem("not a key!"), KeyFileError::Unreadable(1));
}

#[test]
fn audit_head_is_read_as_it_is_written() {
    let head = Chain::of(keys(KEY)).seals[1].head();
    assert_eq!(head.to_string().parse(), Ok(head));
    for text in ["", "1", "1:00", "-1:00", "x:00", &format!("1:{}", "g".repeat(64))] {
        assert!(text.parse::<AuditHead>().is_err(), "{text}");
    }
}
