//! A public key that may verify tokens, and the algorithms it may verify. A key is never used with an algorithm of another kind, and
//! a symmetric key is never accepted, because otherwise anyone who knows the public key could sign tokens with it.

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use serde_json::Value;

/// The longest key id.
const MAX_KID: usize = 256;
/// The most keys of one issuer.
pub(super) const MAX_KEYS: usize = 64;
/// The shortest RSA modulus, bytes (2048 bits).
const RSA_BYTES: usize = 256;
/// An uncompressed point of P-256, and of P-384.
const P256_POINT: usize = 65;
const P384_POINT: usize = 97;

/// One key.
#[derive(Debug, Clone)]
pub(super) struct PublicKey {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

const OF_RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// The algorithms that a kind of key may verify.
fn algorithms_of(key: &DecodingKey) -> Vec<Algorithm> {
    let size = match key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => bytes.len(),
        DecodingKeyKind::RsaModulusExponent { n, .. } => n.iter().skip_while(|b| **b == 0).count(),
    };
    match key.family() {
        AlgorithmFamily::Rsa if size >= RSA_BYTES => OF_RSA.to_vec(),
        AlgorithmFamily::Ec if size == P256_POINT => vec![Algorithm::ES256],
        AlgorithmFamily::Ec if size == P384_POINT => vec![Algorithm::ES384],
        _ => Vec::new(),
    }
}

/// The content of a PEM text.
#[derive(Debug)]
pub(super) struct InPem {
    /// The keys that may verify.
    pub(super) keys: Vec<PublicKey>,
    /// Whether it also holds a private key, which does not belong where signatures are only verified.
    pub(super) holds_private: bool,
}

impl InPem {
    /// The keys of a text that must hold public keys and nothing secret.
    pub(super) fn only_public(self) -> Result<Vec<PublicKey>, &'static str> {
        if self.holds_private {
            return Err("holds a private key: give the public key only");
        }
        if self.keys.is_empty() {
            return Err("holds no public key or certificate of RSA (2048 bits or more), P-256 or P-384");
        }
        Ok(self.keys)
    }
}

impl PublicKey {
    fn new(kid: Option<String>, only: Option<Algorithm>, key: DecodingKey) -> Option<Self> {
        let mut algorithms = algorithms_of(&key);
        algorithms.retain(|a| only.is_none_or(|only| only == *a));
        (!algorithms.is_empty()).then_some(Self { kid, algorithms, key })
    }

    /// The key of a member of a JWK set, if it may verify signatures. Its `use`, `key_ops` and `alg` are respected.
    pub(super) fn from_jwk(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.get("use").is_some() && text("use") != Some("sig") {
            return None;
        }
        let verifies = |ops: &Value| ops.as_array().is_some_and(|ops| ops.iter().any(|o| o == "verify"));
        if !jwk.get("key_ops").is_none_or(verifies) {
            return None;
        }
        let only = match jwk.get("alg") {
            None => None,
            // An algorithm that we do not know is not verified.
            Some(alg) => Some(alg.as_str()?.parse::<Algorithm>().ok()?),
        };
        let kid = text("kid").map(ToOwned::to_owned);
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return None;
        }
        let key = match (text("kty")?, text("crv")) {
            ("RSA", _) => DecodingKey::from_rsa_components(text("n")?, text("e")?),
            ("EC", Some("P-256" | "P-384")) => DecodingKey::from_ec_components(text("x")?, text("y")?),
            _ => return None,
        };
        Self::new(kid, only, key.ok()?)
    }

    /// Every key in a PEM text: public keys, and the keys of certificates. A text that is empty, or PEM of other things, has no keys,
    /// which withdraws all of them.
    pub(super) fn all_from_pem(text: &[u8]) -> Result<InPem, &'static str> {
        let blocks = pem::parse_many(text).map_err(|_| "is not PEM")?;
        if blocks.is_empty() && !text.trim_ascii().is_empty() {
            return Err("is not PEM");
        }
        let (mut keys, mut holds_private) = (Vec::new(), false);
        for block in blocks.iter().take(MAX_KEYS) {
            match block.tag() {
                "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => {}
                tag => {
                    holds_private |= tag.contains("PRIVATE KEY");
                    continue;
                }
            }
            let one = pem::encode(block);
            let rsa = DecodingKey::from_rsa_pem(one.as_bytes()).ok();
            let key = rsa.or_else(|| DecodingKey::from_ec_pem(one.as_bytes()).ok());
            keys.extend(key.and_then(|key| Self::new(None, None, key)));
        }
        Ok(InPem { keys, holds_private })
    }

    /// Whether it may verify a token with this header. A key without an id may verify any key id.
    pub(super) fn fits(&self, kid: Option<&str>, alg: Algorithm) -> bool {
        let named = match (&self.kid, kid) {
            (Some(own), Some(kid)) => own == kid,
            _ => true,
        };
        named && self.algorithms.contains(&alg)
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa() -> Value {
        let n = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, [0xC5; 256]);
        json!({"kty": "RSA", "kid": "a", "n": n, "e": "AQAB"})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut jwk = rsa();
        jwk[name] = value;
        jwk
    }

    #[test]
    fn public_key_is_used_only_as_its_jwk_declares() {
        let plain = PublicKey::from_jwk(&rsa()).expect("good");
        assert!(plain.fits(Some("a"), Algorithm::RS256) && plain.fits(None, Algorithm::PS512));
        assert!(!plain.fits(Some("b"), Algorithm::RS256) && !plain.fits(Some("a"), Algorithm::ES256));
        let only = PublicKey::from_jwk(&with("alg", json!("RS256"))).expect("good");
        assert!(only.fits(Some("a"), Algorithm::RS256) && !only.fits(Some("a"), Algorithm::PS256));
        for (name, value) in [
            ("use", json!("enc")),
            ("key_ops", json!(["sign"])),
            ("alg", json!("HS256")),
            ("alg", json!("none")),
            ("alg", json!(7)),
            ("kty", json!("oct")),
            ("kid", json!("k".repeat(257))),
            ("n", json!("AQAB")),
            ("n", json!("not base64!")),
        ] {
            assert!(
                PublicKey::from_jwk(&with(name, value.clone())).is_none(),
                "{name} {value}"
            );
        }
    }

    #[test]
    fn public_key_cannot_be_symmetric() {
        let oct = json!({"kty": "oct", "kid": "a", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"});
        assert!(PublicKey::from_jwk(&oct).is_none());
        assert!(PublicKey::new(None, None, DecodingKey::from_secret(&[7; 300])).is_none());
    }

    #[test]
    fn public_key_file_without_public_key_is_rejected() {
        let labelled = |label: &str| pem::encode(&pem::Pem::new(label, [0; 3]));
        for (text, why) in [
            ("nonsense".to_owned(), "is not PEM"),
            (" \n".to_owned(), "holds no public key"),
            (labelled("PRIVATE KEY"), "private key"),
            (labelled("PUBLIC KEY"), "holds no public key"),
        ] {
            let read = PublicKey::all_from_pem(text.as_bytes()).and_then(InPem::only_public);
            let refused = read.expect_err("refused");
            assert!(refused.contains(why), "{refused}");
        }
    }
}
