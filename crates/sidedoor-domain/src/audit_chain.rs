//! How the audit proves that it was not changed.
//!
//! Every line has a MAC over its contents and its position. A seal covers the lines since the seal before it, and names that seal's head,
//! so that the seals form a chain. The head of the newest seal stands for the whole audit: a copy of it that is kept elsewhere proves later
//! that nothing before it was changed or removed. `docs/audit.md` describes the encoding for other programs.
//!
//! | file | |
//! |---|---|
//! | [`encoding`] | the bytes that are signed |
//! | [`keys`] | the keys, and what a signature without a key is worth |
//! | [`seal`] | seals, heads, and receipts of exports |
//! | [`verifier`] | checks lines and seals in their order, and names the first that is wrong |

mod encoding;
mod keys;
mod seal;
#[cfg(test)]
mod tests;
mod verifier;

pub use encoding::LineContent;
pub use keys::{AuditKeys, KeyFileError, Signature};
pub use seal::{AuditHead, AuditSeal, ExportReceipt, LineDigest, SignedLine};
pub use verifier::{Broken, Fault, LineSignature, Verified, Verifier};

/// The bytes of a SHA-256 or an HMAC-SHA-256.
pub type Digest32 = [u8; 32];

/// The MAC of a line: the first 16 bytes of the HMAC. Nobody can guess 128 bits, and there are many lines.
pub type LineMac = [u8; 16];

/// The MAC of a line from the whole HMAC.
fn line_mac(whole: &Digest32) -> LineMac {
    let mut mac = LineMac::default();
    mac.copy_from_slice(&whole[..16]);
    mac
}
