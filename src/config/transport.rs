//! How requests reach the service: TLS, or plain HTTP behind a proxy, and which proxies' headers are believed.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::Reader;
use crate::http::{ForwardedHeader, TlsFiles, TrustedProxies};

/// `[http.tls]`, `http.plaintext`, `http.trusted_proxies` and `http.forwarded_header`.
#[derive(Debug, Clone, Default)]
pub struct TransportConfig {
    /// The certificate; without it the service speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The proxies whose word about the client's address is believed.
    pub trusted_proxies: TrustedProxies,
}

impl TransportConfig {
    pub(super) fn read(r: &mut Reader, listen: SocketAddr) -> Self {
        let has_tls = r.has("http.tls");
        let tls = read_tls(r);
        let plaintext = r.flag("http.plaintext", false);
        if plaintext && has_tls {
            r.problem(
                "http.plaintext",
                "set together with http.tls",
                "remove http.plaintext: with http.tls the service speaks TLS only",
            );
        }
        if !plaintext && !has_tls && !listen.ip().is_loopback() {
            r.problem(
                "http.tls",
                format!(
                    "without it, keys and tokens would cross the network unencrypted: http.listen = {listen} is not a loopback address"
                ),
                "set http.tls.certificate_file and http.tls.key_file; or, if a proxy in front ends TLS and nothing else can reach \
                 this address, http.plaintext = true",
            );
        }
        Self {
            tls,
            trusted_proxies: read_proxies(r),
        }
    }
}

fn read_tls(r: &mut Reader) -> Option<TlsFiles> {
    const CERTIFICATE: &str = "http.tls.certificate_file";
    const KEY: &str = "http.tls.key_file";
    let has_tls = r.has("http.tls");
    let certificate = r.text(CERTIFICATE).map(PathBuf::from);
    let key = r.secret_file(KEY);
    for (setting, contents) in [
        (
            CERTIFICATE,
            "the certificate chain in PEM, the service's own certificate first",
        ),
        (KEY, "the certificate's private key in PEM"),
    ] {
        if has_tls && !r.has(setting) {
            let remedy = format!("set the path of {contents}");
            r.problem(setting, "required setting is missing", remedy);
        }
    }
    let client_ca = r.text("http.tls.client_ca_file").map(PathBuf::from);
    Some(TlsFiles {
        certificate: certificate?,
        key: key?,
        client_ca,
    })
}

fn read_proxies(r: &mut Reader) -> TrustedProxies {
    const SETTING: &str = "http.trusted_proxies";
    let mut networks = Vec::new();
    for given in r.list(SETTING) {
        let parsed = given
            .parse::<ipnet::IpNet>()
            .or_else(|_| given.parse::<IpAddr>().map(ipnet::IpNet::from));
        match parsed {
            Ok(network) if network.prefix_len() == 0 => r.problem(
                SETTING,
                format!("{given} trusts every address, so any client could choose its own"),
                "list the networks of your proxies only",
            ),
            Ok(network) => networks.push(network),
            Err(_) => r.problem(
                SETTING,
                format!("invalid network {given:?}"),
                "list networks or addresses, such as 10.0.0.0/8 or 2001:db8::1",
            ),
        }
    }
    let headers = [
        ("x-forwarded-for", ForwardedHeader::XForwardedFor),
        ("forwarded", ForwardedHeader::Forwarded),
    ];
    let header = r.word("http.forwarded_header", &headers, ForwardedHeader::default());
    TrustedProxies::new(networks, header)
}
