//! Which address a request comes from, when it comes through proxies. A header that says so is believed only if it was written by a
//! configured proxy (`http.trusted_proxies`), because any client can send one.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The header in which proxies note their client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: a list of addresses.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239): `for=` of each element.
    Forwarded,
}

/// The proxies whose header is believed. Only one header is read, because a proxy passes the other one on as its client sent it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ForwardedHeader,
}

impl TrustedProxies {
    /// Believes what proxies in these networks write into this header.
    pub fn new(networks: Vec<IpNet>, header: ForwardedHeader) -> Self {
        Self { networks, header }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client of a request from `peer`: the right-most hop that is not a trusted proxy, because the client can have written the
    /// hops to the left of it. If a hop cannot be read, the request counts as that of the proxy that wrote it.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let name = match self.header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        // The last line is that of the nearest proxy.
        let lines: Vec<_> = headers.get_all(name).iter().collect();
        for line in lines.into_iter().rev() {
            let hops = match (line.to_str(), self.header) {
                (Err(_), _) => vec![None],
                (Ok(line), ForwardedHeader::XForwardedFor) => addresses(line),
                (Ok(line), ForwardedHeader::Forwarded) => elements(line),
            };
            for hop in hops.into_iter().rev() {
                let Some(hop) = hop else { return client };
                client = hop;
                if !self.trusts(client) {
                    return client;
                }
            }
        }
        client
    }
}

/// The hops of a line of `X-Forwarded-For`.
fn addresses(line: &str) -> Vec<Option<IpAddr>> {
    let parts = line.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(address).collect()
}

/// The hops of a line of `Forwarded`.
fn elements(line: &str) -> Vec<Option<IpAddr>> {
    // No address needs a backslash; and with an odd number of quotes, a client could hide what a proxy has added.
    if line.contains('\\') || line.matches('"').count() % 2 == 1 {
        return vec![None];
    }
    let elements = unquoted(line, ',').into_iter().filter(|e| !e.trim().is_empty());
    let hop = |element: &str| {
        let mut named = unquoted(element, ';').into_iter().filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
        });
        let value = named.next()?;
        // Twice would be ambiguous.
        if named.next().is_some() {
            return None;
        }
        let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        address(quoted.unwrap_or(value))
    };
    elements.map(hop).collect()
}

/// The parts of a text, split where a separator is not in quotes.
fn unquoted(text: &str, separator: char) -> Vec<&str> {
    let mut in_quotes = false;
    text.split(|c| {
        in_quotes ^= c == '"';
        c == separator && !in_quotes
    })
    .collect()
}

/// An address with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match text.parse::<SocketAddr>() {
        Ok(with_port) => with_port.ip(),
        Err(_) => bare.unwrap_or(text).parse::<IpAddr>().ok()?,
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(header: ForwardedHeader, peer: &str, lines: &[&str]) -> String {
        let networks = ["10.0.0.0/8", "192.0.2.1/32", "2001:db8:1::/48"].map(|n| n.parse().expect("a network"));
        let name = match header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            let value = axum::http::HeaderValue::from_bytes(line.as_bytes()).expect("a value");
            headers.append(name, value);
        }
        let proxies = TrustedProxies::new(networks.into(), header);
        proxies.client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn forwarded_for_is_the_right_most_untrusted_hop() {
        for (peer, lines, expected) in [
            // Not from a trusted proxy.
            ("203.0.113.9", &["198.51.100.7"][..], "203.0.113.9"),
            ("11.0.0.1", &["198.51.100.7"], "11.0.0.1"),
            ("2001:db8:2::1", &["198.51.100.7"], "2001:db8:2::1"),
            // From one.
            ("10.1.2.3", &["198.51.100.7"], "198.51.100.7"),
            ("10.1.2.3", &["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
            ("10.1.2.3", &["6.6.6.6", "198.51.100.7, 192.0.2.1"], "198.51.100.7"),
            ("10.1.2.3", &["6.6.6.6 , 2001:db8:5::7,10.9.9.9"], "2001:db8:5::7"),
            ("2001:db8:1::1", &["2001:db8:5::7"], "2001:db8:5::7"),
            ("::ffff:10.1.2.3", &["::ffff:198.51.100.7"], "198.51.100.7"),
            ("10.1.2.3", &["198.51.100.7:1234"], "198.51.100.7"),
            ("10.1.2.3", &["[2001:db8:5::7]:1234, [2001:db8:1::5]"], "2001:db8:5::7"),
            // All are proxies: the one that is furthest away.
            ("10.1.2.3", &["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
            ("10.1.2.3", &[], "10.1.2.3"),
            ("10.1.2.3", &["", " , "], "10.1.2.3"),
            // Garbage counts as the proxy that wrote it.
            ("10.1.2.3", &["198.51.100.7, unknown"], "10.1.2.3"),
            ("10.1.2.3", &["198.51.100.7, bad, 10.0.0.9"], "10.0.0.9"),
            ("10.1.2.3", &["198.51.100.7\u{e9}"], "10.1.2.3"),
            ("10.1.2.3", &["1.2.3"], "10.1.2.3"),
        ] {
            assert_eq!(
                client(ForwardedHeader::XForwardedFor, peer, lines),
                expected,
                "{peer} {lines:?}"
            );
        }
    }

    #[test]
    fn forwarded_header_of_rfc_7239_is_read_with_its_quotes() {
        for (lines, expected) in [
            (&["for=198.51.100.7"][..], "198.51.100.7"),
            (
                &["For=6.6.6.6, FOR=198.51.100.7;proto=https;by=10.0.0.1"],
                "198.51.100.7",
            ),
            (&["for=\"[2001:db8:5::7]:4711\", for=10.0.0.9"], "2001:db8:5::7"),
            (&["host=\"a,b;for=6.6.6.6\";for=198.51.100.7"], "198.51.100.7"),
            // Each proxy adds its element; one without `for` says nothing of its client.
            (&["for=198.51.100.7", "proto=https"], "10.1.2.3"),
            (&["for=198.51.100.7, for=_hidden"], "10.1.2.3"),
            (&["for=198.51.100.7;for=6.6.6.6"], "10.1.2.3"),
            // A quote that a client left open takes in what the proxy has added.
            (&["for=6.6.6.6, x=\", for=\"[2001:db8:5::7]\""], "10.1.2.3"),
            (&["for=6.6.6.6;x=\"\\, for=198.51.100.7"], "10.1.2.3"),
            (&["for=6.6.6.6;x=\", for=198.51.100.7"], "10.1.2.3"),
        ] {
            assert_eq!(
                client(ForwardedHeader::Forwarded, "10.1.2.3", lines),
                expected,
                "{lines:?}"
            );
        }
        // The other header is not looked at.
        assert_eq!(
            client(ForwardedHeader::Forwarded, "203.0.113.9", &["for=198.51.100.7"]),
            "203.0.113.9"
        );
    }
}
