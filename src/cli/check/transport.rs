//! Checks of the listener: is the certificate usable, and for how long?

use jiff::SignedDuration;

use super::Parts;
use super::report::{self, Report};

/// How long before its end a certificate is warned about.
const WARN_BEFORE: SignedDuration = SignedDuration::from_hours(14 * 24);

pub(super) fn check(report: &mut Report, parts: &Parts) {
    let listen = parts.config.http.listen;
    let Some(files) = &parts.config.http.transport.tls else {
        let detail = if listen.ip().is_loopback() {
            format!("plain HTTP on the loopback address {listen}")
        } else {
            format!("plain HTTP on {listen} (http.plaintext = true): only a proxy that ends TLS may reach it")
        };
        return report.ok(report::TRANSPORT, None, detail);
    };
    let validity = match files.check() {
        Ok(validity) => validity,
        Err(e) => {
            let remedy = "Set http.tls.certificate_file to the certificate chain and http.tls.key_file to its private key, both in \
                          PEM, and let the service's user read them";
            return report.fail(report::TRANSPORT, None, e.to_string(), remedy);
        }
    };
    let (now, path) = (parts.clock.now(), files.certificate.display());
    let remedy = "Renew the certificate and replace the files; the running service reads them within seconds";
    if let Some(problem) = validity.problem(now) {
        return report.fail(
            report::TRANSPORT,
            None,
            format!("the certificate {path} {problem}"),
            remedy,
        );
    }
    let clients = if files.client_ca.is_some() {
        "; clients must have a certificate"
    } else {
        ""
    };
    let detail = format!(
        "TLS on {listen}; the certificate {path} is valid until {:.0}{clients}",
        validity.not_after
    );
    if validity.not_after.duration_since(now) < WARN_BEFORE {
        report.warn(report::TRANSPORT, None, detail, remedy);
    } else {
        report.ok(report::TRANSPORT, None, detail);
    }
}
