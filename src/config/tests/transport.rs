//! TLS, plain HTTP and trusted proxies.

use super::{GOOD, load_with, problems};

const WORLD: (&str, &str) = ("SIDEDOOR__HTTP__LISTEN", "0.0.0.0:8080");
const CERTIFICATE: (&str, &str) = ("SIDEDOOR__HTTP__TLS__CERTIFICATE_FILE", "/etc/sidedoor/tls.pem");
const KEY: (&str, &str) = ("SIDEDOOR__HTTP__TLS__KEY_FILE", "/etc/sidedoor/tls.key");
const PLAINTEXT: (&str, &str) = ("SIDEDOOR__HTTP__PLAINTEXT", "true");

#[test]
fn config_non_loopback_requires_credentials() {
    let without_key = GOOD.split("[[auth").next().expect("a part");
    assert!(load_with(without_key, &[]).is_ok(), "loopback needs none");
    let wrong = problems(without_key, &[WORLD, PLAINTEXT]);
    assert_eq!(wrong.len(), 1);
    assert_eq!(wrong[0].setting, "auth.api_keys");
}

fn settings(env: &[(&str, &str)]) -> Vec<String> {
    problems(GOOD, env).into_iter().map(|p| p.setting).collect()
}

#[test]
fn config_non_loopback_requires_tls_or_plaintext_by_name() {
    let refused = problems(GOOD, &[WORLD]);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].setting, "http.tls");
    assert!(refused[0].problem.contains("0.0.0.0:8080"), "{refused:?}");
    assert!(refused[0].remedy.contains("http.plaintext = true"), "{refused:?}");
    assert!(load_with(GOOD, &[WORLD, ("SIDEDOOR__HTTP__PLAINTEXT", "false")]).is_err());
    assert!(
        load_with(GOOD, &[WORLD, PLAINTEXT])
            .expect("good")
            .http
            .transport
            .tls
            .is_none()
    );
    let tls = load_with(GOOD, &[WORLD, CERTIFICATE, KEY])
        .expect("good")
        .http
        .transport
        .tls;
    let tls = tls.expect("on");
    assert_eq!(tls.key.display().to_string(), "/etc/sidedoor/tls.key");
    assert_eq!(tls.client_ca, None);
    for loopback in ["127.0.0.1:1", "[::1]:1", "127.0.0.2:1"] {
        assert!(
            load_with(GOOD, &[("SIDEDOOR__HTTP__LISTEN", loopback)]).is_ok(),
            "{loopback}"
        );
    }
}

#[test]
fn config_tls_needs_certificate_and_key() {
    assert_eq!(settings(&[CERTIFICATE]), ["http.tls.key_file"]);
    assert_eq!(settings(&[WORLD, KEY]), ["http.tls.certificate_file"]);
    let only_ca = ("SIDEDOOR__HTTP__TLS__CLIENT_CA_FILE", "/etc/sidedoor/ca.pem");
    assert_eq!(settings(&[only_ca]), ["http.tls.certificate_file", "http.tls.key_file"]);
    let both = settings(&[CERTIFICATE, KEY, PLAINTEXT]);
    assert_eq!(both, ["http.plaintext (from SIDEDOOR__HTTP__PLAINTEXT)"]);
}

#[test]
fn config_trusted_proxies_are_networks() {
    let name = "SIDEDOOR__HTTP__TRUSTED_PROXIES";
    let good = load_with(GOOD, &[(name, "10.0.0.0/8, 192.0.2.1, 2001:db8::/32, ::1")]).expect("good");
    assert_ne!(good.http.transport.trusted_proxies, Default::default());
    for wrong in ["10.0.0.0/33", "proxy.example", "10.0.0", "0.0.0.0/0", "::/0", ""] {
        assert_eq!(problems(GOOD, &[(name, wrong)]).len(), 1, "{wrong}");
    }
    let header = problems(GOOD, &[("SIDEDOOR__HTTP__FORWARDED_HEADER", "via")]);
    assert!(header[0].remedy.contains("x-forwarded-for, forwarded"), "{header:?}");
}
