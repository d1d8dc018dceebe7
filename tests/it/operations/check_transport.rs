//! `sidedoor check` about the listener: what protects its connections, and problems of the certificate.

use super::check::{Scene, result};
use crate::support::certificates::{Authority, CertificateFiles, put};

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_problems_of_the_certificate() {
    let scene = Scene::new().await;
    let authority = Authority::new("one");
    let files = CertificateFiles::new(&authority.sign(90));
    let settings = files.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let check = async || {
        let (lines, success) = scene.lines(&[], &settings).await;
        let (mark, detail, remedy) = result(&lines, "transport");
        (mark.to_owned(), format!("{detail} → {remedy}"), success)
    };
    let (mark, said, success) = check().await;
    assert!(
        mark == "ok" && success && said.contains("is valid until"),
        "{mark} {said}"
    );
    files.replace(&authority.sign(5));
    let (mark, said, success) = check().await;
    assert!(mark == "warning" && success && said.contains("Renew"), "{mark} {said}");
    files.replace(&authority.sign(-1));
    let (mark, said, success) = check().await;
    assert!(
        mark == "failed" && !success && said.contains("expired at"),
        "{mark} {said}"
    );
    files.replace(&authority.sign(90));
    put(&files.key(), &authority.sign(90).key);
    let (mark, said, _) = check().await;
    assert!(
        mark == "failed" && said.contains("is not the key of the certificate"),
        "{said}"
    );
    std::fs::remove_file(files.key()).expect("removed");
    let (mark, said, _) = check().await;
    assert!(mark == "failed" && said.contains("cannot be read"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_protects_plain_connections() {
    let scene = Scene::new().await;
    let (lines, _) = scene.lines(&[], &[]).await;
    assert!(result(&lines, "transport").1.contains("loopback"), "{lines:#?}");
    let behind_a_proxy = [("HTTP__LISTEN", "0.0.0.0:8080"), ("HTTP__PLAINTEXT", "true")];
    let (lines, success) = scene.lines(&[], &behind_a_proxy).await;
    assert!(
        success && result(&lines, "transport").1.contains("http.plaintext"),
        "{lines:#?}"
    );
    let (lines, success) = scene.lines(&[], &[("HTTP__LISTEN", "0.0.0.0:8080")]).await;
    let (mark, detail, remedy) = result(&lines, "configuration");
    assert!(
        !success && mark == "failed" && detail.starts_with("http.tls: "),
        "{detail}"
    );
    assert!(remedy.contains("http.plaintext = true"), "{remedy}");
}
