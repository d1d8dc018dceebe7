mod demo;
mod record_fields;
mod replicas;
mod transport;

use std::io::Write;

use sidedoor_domain::ports::Operation;

use super::*;

pub(super) const GOOD: &str = r#"
[connect.instances.main]
instance_id = "11111111-2222-3333-4444-555555555555"
region = "us-west-2"
[salesforce]
login_url = "https://acme.my.salesforce.com"
client_id = "id"
client_secret = "the-client-secret"
[[auth.api_keys]]
name = "lightning"
secret = "a-long-enough-secret"
scopes = ["supervise:any"]
"#;

pub(super) fn load_with(toml: &str, env: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(toml.as_bytes()).expect("written");
    Config::load(
        Some(file.path()),
        env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
    )
}

fn problems(toml: &str, env: &[(&str, &str)]) -> Vec<ConfigError> {
    load_with(toml, env).expect_err("refused").0
}

#[test]
fn config_defaults_match_documentation() {
    let config = load_with(GOOD, &[]).expect("good");
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.usecases.join_ttl.as_secs(), 30);
    assert_eq!(
        config.connect.default_instance.map(|n| n.to_string()).as_deref(),
        Some("main")
    );
    assert_eq!(
        config.connect.quotas["default"].rate(Operation::MonitorContact),
        Rate::DEFAULT
    );
}

#[test]
fn config_environment_overrides_file() {
    let config = load_with(
        GOOD,
        &[
            ("SIDEDOOR__HTTP__LISTEN", "127.0.0.1:9999"),
            ("SIDEDOOR__CONNECT__INSTANCES__MAIN__REGION", "eu-central-1"),
            ("SIDEDOOR__CONNECT__QUOTAS__DEFAULT__MONITORCONTACT__PER_SECOND", "7.5"),
            ("SIDEDOOR__AUTH__API_KEYS__0__NAME", "renamed"),
            ("OTHER", "ignored"),
        ],
    )
    .expect("good");
    assert_eq!(config.http.listen.port(), 9999);
    assert_eq!(
        config.connect.instances.values().next().expect("one").region.as_str(),
        "eu-central-1"
    );
    assert!(
        (config.connect.quotas["default"]
            .rate(Operation::MonitorContact)
            .per_second
            - 7.5)
            .abs()
            < f64::EPSILON
    );
    assert_eq!(config.auth.api_keys[0].caller.name, "renamed");
    let wrong = problems(GOOD, &[("SIDEDOOR__HTTP__LISTEN", "nowhere")]);
    assert!(wrong[0].setting.contains("SIDEDOOR__HTTP__LISTEN"), "{wrong:?}");
}

#[test]
fn config_reports_all_problems_with_remedies() {
    let wrong = problems(
        r#"
[http]
listen = "everywhere"
answer_within_ms = 9000
lisen = "x"
[store]
url = "sqlite::memory:"
[connect.instances.main]
region = "Oregon"
quota = "nope"
[salesforce]
login_url = "http://acme.example"
grant = "password"
object = "no such name!"
[[auth.api_keys]]
name = "k"
secret = "short"
scopes = ["everything"]
"#,
        &[],
    );
    let named: Vec<&str> = wrong.iter().map(|e| e.setting.as_str()).collect();
    for setting in [
        "http.listen",
        "http.answer_within_ms",
        "http.lisen",
        "store.url",
        "connect.instances.main.instance_id",
        "connect.instances.main.region",
        "connect.instances.main.quota",
        "salesforce.login_url",
        "salesforce.grant",
        "salesforce.object",
        "salesforce.client_id",
        "salesforce.client_secret",
        "auth.api_keys.0.secret",
        "auth.api_keys.0.scopes",
    ] {
        assert!(named.contains(&setting), "{setting} is not among {named:?}");
    }
    assert!(wrong.iter().all(|e| !e.remedy.is_empty()));
    let misspelt = wrong.iter().find(|e| e.setting == "http.lisen").expect("reported");
    assert_eq!(misspelt.remedy, "did you mean http.listen?");
}

#[test]
fn config_reports_each_problem_once() {
    let with = |more: &str| format!("{GOOD}{more}");
    // TLS is not the problem here.
    let world = ("SIDEDOOR__HTTP__LISTEN", "0.0.0.0:8080");
    let plain = ("SIDEDOOR__HTTP__PLAINTEXT", "true");
    type Case<'c> = (String, &'c [(&'c str, &'c str)], &'c str);
    let cases: [Case; 7] = [
        (
            with("[connect.quotas.default]\nqueue = 0"),
            &[],
            "connect.quotas.default.queue",
        ),
        (
            with("[timing.vendors.amazon-connect]\nwindow_h = 99"),
            &[],
            "timing.vendors.amazon-connect.window_h",
        ),
        // The remaining problems must not be reported again by settings that refer to the invalid one.
        (
            GOOD.replace("supervise:any", "everything"),
            &[world, plain],
            "auth.api_keys.0.scopes",
        ),
        (
            GOOD.replace("a-long-enough-secret", "short"),
            &[world, plain],
            "auth.api_keys.0.secret",
        ),
        (
            GOOD.replace("us-west-2", "Oregon"),
            &[("SIDEDOOR__CONNECT__DEFAULT_INSTANCE", "main")],
            "connect.instances.main.region",
        ),
        (
            with("[connect.instances.\"a b\"]\ninstance_id = \"x\"\nregion = \"us-west-2\""),
            &[("SIDEDOOR__CONNECT__DEFAULT_INSTANCE", "main")],
            "connect.instances.a b",
        ),
        (
            with("[compliance.jurisdictions.\"a b\"]\nrejoin = \"ask\""),
            &[("SIDEDOOR__CONNECT__INSTANCES__MAIN__JURISDICTION", "a b")],
            "compliance.jurisdictions.a b",
        ),
    ];
    for (toml, env, setting) in cases {
        let wrong = problems(&toml, env);
        let named: Vec<&str> = wrong.iter().map(|e| e.setting.as_str()).collect();
        assert_eq!(named, [setting], "{wrong:#?}");
    }
}

#[test]
fn config_empty_lists_required_settings() {
    let wrong = Config::load(None, []).expect_err("refused");
    assert!(wrong.to_string().contains("connect.instances") && wrong.to_string().contains("salesforce.login_url"));
}

#[test]
fn config_never_prints_secrets() {
    let config = load_with(GOOD, &[]).expect("good");
    let printed = format!("{config:?}");
    for secret in ["the-client-secret", "a-long-enough-secret"] {
        assert!(!printed.contains(secret));
    }
    let wrong = problems(
        &GOOD.replace("secret = \"a-long", "sha256 = \"abc\"\nsecret = \"a-long"),
        &[("SIDEDOOR__STORE__URL", "postgres://user:hunter2@db/x")],
    );
    let told = format!("{} {wrong:?}", ConfigErrors(wrong.clone()));
    for secret in ["hunter2", "a-long-enough-secret", "the-client-secret"] {
        assert!(!told.contains(secret), "{told}");
    }
    let broken = load_with("[salesforce]\nclient_secret = \"oops-unquoted\" trailing", &[]).expect_err("refused");
    assert!(!broken.to_string().contains("oops-unquoted"), "{broken}");
}

#[test]
fn config_reads_secret_files() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"from-a-file-with-newline\n").expect("written");
    let path = file.path().display().to_string();
    let toml = GOOD.replace(
        "client_secret = \"the-client-secret\"",
        &format!("client_secret_file = \"{path}\""),
    );
    let config = load_with(&toml, &[]).expect("good");
    let Grant::ClientCredentials { secret } = config.salesforce.expect("on").grant else {
        panic!("client credentials");
    };
    assert_eq!(
        secrecy::ExposeSecret::expose_secret(&secret),
        "from-a-file-with-newline"
    );
    let both = problems(&toml, &[("SIDEDOOR__SALESFORCE__CLIENT_SECRET", "and-again")]);
    assert!(both[0].problem.contains("twice"), "{both:?}");
    let gone = problems(&toml.replace(&path, "/nonexistent/secret"), &[]);
    assert!(gone[0].setting.contains("client_secret_file"), "{gone:?}");
}

#[test]
fn config_rejects_postgres_url() {
    let wrong = problems(GOOD, &[("SIDEDOOR__STORE__URL", "postgres://db/x")]);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong
            .iter()
            .all(|e| e.problem.contains("not supported in this version"))
    );
}

#[test]
fn config_documentation_lists_all_settings() {
    let mut reader =
        Reader::open(None, [("SIDEDOOR__HTTP__LISTEN".to_owned(), "127.0.0.1:1".to_owned())]).expect("read");
    for key in [
        "connect.instances.main.region",
        "connect.quotas.default.monitorcontact.burst",
        "compliance.jurisdictions.x.rejoin",
    ] {
        let name = format!("SIDEDOOR__{}", key.to_uppercase().replace('.', "__"));
        let mut more = Reader::open(
            None,
            [
                (name, "1".to_owned()),
                ("SIDEDOOR__AUTH__API_KEYS__0__NAME".to_owned(), "x".to_owned()),
                ("SIDEDOOR__AUTH__ISSUERS__0__ISSUER".to_owned(), "x".to_owned()),
            ],
        )
        .expect("read");
        AuthConfig::read(&mut more);
        let http = HttpConfig::read(&mut more);
        let connect = ConnectSection::read(&mut more);
        usecases::read(&mut more, &http, &connect, None);
        let asked: Vec<String> = more.asked().map(ToOwned::to_owned).collect();
        asked.iter().for_each(|setting| reader.pass_over(setting));
    }
    StoreConfig::read(&mut reader);
    SalesforceSection::read(&mut reader);
    sections::read_telemetry(&mut reader);
    let _ = (AuditConfig::read(&mut reader), SecretsConfig::read(&mut reader));
    let general = |setting: &str| {
        setting
            .replace("auth.api_keys.0.", "auth.api_keys[].")
            .replace("auth.issuers.0.", "auth.issuers[].")
            .replace("jurisdictions.x.", "jurisdictions.<name>.")
            .replace("instances.main", "instances.<name>")
            .replace("quotas.default.monitorcontact", "quotas.<name>.<Operation>")
            .replace("quotas.default", "quotas.<name>")
            .replace("timing.vendors.amazon-connect", "timing.vendors.<name>")
    };
    let known: std::collections::BTreeSet<String> = reader.asked().map(general).collect();
    let documented: std::collections::BTreeSet<String> = include_str!("../../docs/configuration.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(ToOwned::to_owned))
        .collect();
    assert_eq!(documented, known);
}

#[test]
fn config_file_size_is_bounded() {
    let endless = Config::load(Some(std::path::Path::new("/dev/zero")), [])
        .expect_err("refused")
        .0;
    assert!(endless[0].problem.contains("larger than 1 MiB"), "{endless:?}");
}

#[test]
fn config_parses_text_instead_of_file() {
    assert!(Config::parse(GOOD, []).is_ok());
    let bad = Config::parse("[http", []).expect_err("refused").0;
    assert_eq!(bad[0].setting, "the configuration");
}

const ISSUER: &str = r#"
[[auth.issuers]]
issuer = "https://acme.my.salesforce.com"
audience = "sidedoor"
public_key_file = "/etc/sidedoor/acme.pem"
"#;

#[test]
fn issuer_defaults_are_safe() {
    let config = load_with(&format!("{GOOD}{ISSUER}"), &[]).expect("good");
    let issuer = &config.auth.issuers[0];
    assert_eq!(issuer.supervisor_claim, "sub");
    assert_eq!(issuer.scopes, [sidedoor_domain::authority::Scope::Supervise]);
    assert_eq!(issuer.algorithms, ["RS256", "ES256"]);
    assert_eq!(issuer.leeway.as_secs(), 30);
    let no_key = format!("{}{ISSUER}", GOOD.split("[[auth").next().expect("a part"));
    let world = ("SIDEDOOR__HTTP__LISTEN", "0.0.0.0:8080");
    let open = load_with(&no_key, &[world, ("SIDEDOOR__HTTP__PLAINTEXT", "true")]);
    assert!(!open.expect("an issuer is enough").auth.is_open());
}

#[test]
fn issuer_invalid_setting_is_reported() {
    for (more, setting) in [
        ("algorithms = [\"HS256\"]", "algorithms"),
        ("algorithms = [\"none\"]", "algorithms"),
        ("algorithms = []", "algorithms"),
        ("jwks_url = \"https://idp.example/keys\"", "public_key_file"),
        ("supervisor_claim_kind = \"email\"", "supervisor_claim_kind"),
        ("scopes = [\"everything\"]", "scopes"),
        ("scopes = [\"events\", \"read\"]", "scopes"),
        ("instance = \"other\"", "instance"),
        ("leeway_s = 3600", "leeway_s"),
        (ISSUER, "issuer"),
    ] {
        let wrong = problems(&format!("{GOOD}{ISSUER}{more}\n"), &[]);
        assert!(wrong.iter().any(|e| e.setting.ends_with(setting)), "{more}: {wrong:?}");
    }
    let hashed = ISSUER.replace("salesforce.com", "salesforce.com#a");
    assert!(
        load_with(&format!("{GOOD}{hashed}"), &[]).is_err(),
        "'#' separates issuer and subject in the audit"
    );
    let by_url = |url: &str| {
        let key_file = "public_key_file = \"/etc/sidedoor/acme.pem\"";
        load_with(
            &format!("{GOOD}{}", ISSUER.replace(key_file, &format!("jwks_url = \"{url}\""))),
            &[],
        )
    };
    assert!(by_url("https://idp.example/keys").is_ok() && by_url("http://127.0.0.1:9/keys").is_ok());
    for unsafe_url in [
        "http://idp.example/keys",
        "file:///etc/passwd",
        "https://user:pass@idp.example/",
    ] {
        assert!(by_url(unsafe_url).is_err(), "{unsafe_url}");
    }
    let without_org = problems(
        &format!("{GOOD}{ISSUER}supervisor_claim_kind = \"salesforce_user_id\"\n"),
        &[("SIDEDOOR__SALESFORCE__ENABLED", "false")],
    );
    assert!(
        without_org[0].setting.ends_with("supervisor_claim_kind"),
        "{without_org:?}"
    );
}

#[test]
fn api_key_events_scope_and_secrets_are_exclusive() {
    let set = |key: &'static str, value: &'static str| vec![(key, value)];
    let both = problems(GOOD, &set("SIDEDOOR__AUTH__API_KEYS__0__SCOPES", "events,read"));
    assert!(both[0].problem.contains("events"), "{both:?}");
    let rotated = set("SIDEDOOR__AUTH__API_KEYS__0__PREVIOUS_SECRET", "the-secret-before-it");
    assert!(
        load_with(GOOD, &rotated).expect("good").auth.api_keys[0]
            .previous_sha256
            .is_some()
    );
    let same = problems(
        GOOD,
        &set("SIDEDOOR__AUTH__API_KEYS__0__PREVIOUS_SECRET", "a-long-enough-secret"),
    );
    assert!(same[0].problem.contains("shares a secret"), "{same:?}");
    let ours = problems(GOOD, &set("SIDEDOOR__AUTH__API_KEYS__0__NAME", "sidedoor"));
    assert!(ours[0].remedy.contains("the service itself"), "{ours:?}");
    let short = problems(GOOD, &set("SIDEDOOR__AUTH__API_KEYS__0__PREVIOUS_SECRET", "short"));
    assert!(short[0].setting.contains("previous_secret"), "{short:?}");
}

#[test]
fn events_credential_names_its_vendor_and_instances() {
    use sidedoor_domain::authority::{EventInstances, EventSource};
    let key = |more: &str| {
        let scopes = "scopes = [\"events\"]";
        let carrier = "[timing.vendors.acme]\nwindow_h = 6\n";
        format!(
            "{carrier}{GOOD}[[auth.api_keys]]\nname = \"bus\"\nsecret = \"the-secret-of-the-bus\"\n{scopes}\n{more}\n"
        )
    };
    let source = |more: &str| {
        load_with(&key(more), &[]).expect("good").auth.api_keys[1]
            .caller
            .event_source
            .clone()
    };
    let main = sidedoor_domain::ids::InstanceName::parse("main").expect("a name");
    assert_eq!(
        source("vendor = \"acme\"\ninstances = [\"main\"]"),
        Some(EventSource::Vendor {
            name: "acme".into(),
            instances: EventInstances::Listed([main].into()),
            is_authentic: false,
        })
    );
    assert_eq!(
        source("vendor = \"amazon-connect\"\ninstances = [\"*\"]"),
        Some(EventSource::Vendor {
            name: "amazon-connect".into(),
            instances: EventInstances::All,
            is_authentic: false,
        })
    );
    let authentic = source("vendor = \"amazon-connect\"\ninstances = [\"*\"]\nauthentic = true");
    assert!(matches!(
        authentic,
        Some(EventSource::Vendor { is_authentic: true, .. })
    ));
    for (more, setting) in [
        ("instances = [\"*\"]", "auth.api_keys.1.vendor"),
        ("vendor = \"nobody\"\ninstances = [\"*\"]", "auth.api_keys.1.vendor"),
        ("vendor = \"acme\"", "auth.api_keys.1.instances"),
        ("vendor = \"acme\"\ninstances = []", "auth.api_keys.1.instances"),
        ("vendor = \"acme\"\ninstances = [\"east\"]", "auth.api_keys.1.instances"),
        (
            "vendor = \"acme\"\ninstances = [\"main\", \"*\"]",
            "auth.api_keys.1.instances",
        ),
    ] {
        let wrong = problems(&key(more), &[]);
        let named: Vec<&str> = wrong.iter().map(|e| e.setting.as_str()).collect();
        assert_eq!(named, [setting], "{more}: {wrong:?}");
    }
    let other_scope = problems(&format!("{GOOD}vendor = \"amazon-connect\"\n"), &[]);
    assert!(other_scope[0].problem.contains("scope events"), "{other_scope:?}");
    let issuer = format!("{GOOD}{ISSUER}scopes = [\"events\"]\n");
    let named: Vec<String> = problems(&issuer, &[]).into_iter().map(|e| e.setting).collect();
    assert_eq!(named, ["auth.issuers.0.vendor", "auth.issuers.0.instances"]);
    let complete = format!("{issuer}vendor = \"amazon-connect\"\ninstances = [\"main\"]\n");
    let config = load_with(&complete, &[]).expect("good");
    assert!(config.auth.issuers[0].event_source.is_some());
}

#[test]
fn instance_account_id_has_twelve_digits() {
    let with = |id: &str| GOOD.replace("region =", &format!("account_id = \"{id}\"\nregion ="));
    let config = load_with(&with("011122223333"), &[]).expect("good");
    let instance = config.usecases.instances.values().next().expect("one");
    assert_eq!(instance.account_id.as_deref(), Some("011122223333"));
    for wrong in ["11112222333", "1111-2222-3333", "arn:aws:iam::1"] {
        let problems = problems(&with(wrong), &[]);
        assert_eq!(problems[0].setting, "connect.instances.main.account_id", "{wrong}");
    }
}

#[test]
fn config_max_streams_is_below_max_connections() {
    let wrong = problems(GOOD, &[("SIDEDOOR__HTTP__MAX_CONNECTIONS", "1000")]);
    assert_eq!(wrong[0].setting, "http.max_streams");
}
