//! `docs/security.md` names a test for each of its claims, and each test exists; its table of scopes is that of the router.

use std::path::Path;

use sidedoor::http::{Access, ROUTES};
use sidedoor_domain::authority::Scope;

const DOC: &str = include_str!("../../../docs/security.md");

/// Every text in backticks that has the form of a path, such as `security::tokens::a_test`.
fn named() -> Vec<Vec<&'static str>> {
    let path = |text: &&str| {
        let plain = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        text.contains("::") && text.split("::").all(plain)
    };
    let quoted = DOC.split('`').skip(1).step_by(2);
    quoted.filter(path).map(|text| text.split("::").collect()).collect()
}

fn is_a_test(path: &[&str]) -> bool {
    let [modules @ .., name] = path else { return false };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inner: Vec<&str> = modules.iter().copied().filter(|module| *module != "tests").collect();
    let files = [
        root.join("tests/it").join(modules.join("/")).with_extension("rs"),
        root.join("src").join(modules.join("/")).with_extension("rs"),
        root.join("src").join(inner.join("/")).with_extension("rs"),
    ];
    files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .any(|text| {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            lines.windows(2).any(|pair| {
                let attribute = pair[0].starts_with("#[test]") || pair[0].starts_with("#[tokio::test");
                let function = pair[1].trim_start_matches("async ").strip_prefix("fn ");
                attribute && function.is_some_and(|f| f.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')))
            })
        })
}

#[test]
fn security_doc_names_only_existing_tests() {
    let named = named();
    assert!(named.len() > 40, "{}", named.len());
    let missing: Vec<_> = named
        .iter()
        .filter(|path| !is_a_test(path))
        .map(|path| path.join("::"))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
    assert!(!is_a_test(&["security", "abuse", "no_such_test"]) && !is_a_test(&["security", "abuse", "raw"]));
}

#[test]
fn security_doc_names_a_test_for_each_owasp_item() {
    for n in 1..=10 {
        let begin = format!("**API{n} ");
        let item = DOC
            .split(begin.as_str())
            .nth(1)
            .unwrap_or_else(|| panic!("API{n} is missing"));
        let item = item.split("\n\n").next().expect("a paragraph");
        assert!(item.contains("::"), "API{n} names no test");
    }
}

#[test]
fn security_doc_lists_scopes_of_every_route() {
    let rows = DOC
        .lines()
        .filter(|line| line.starts_with("| GET |") || line.starts_with("| POST |"));
    let documented: Vec<&str> = rows.collect();
    let served: Vec<String> = ROUTES
        .iter()
        .map(|route| {
            let listed = |scopes: &[Scope]| {
                let words: Vec<String> = scopes.iter().map(|scope| format!("`{}`", scope.as_str())).collect();
                words.join(", ")
            };
            let scopes = match route.access {
                Access::Public => "none (public)".to_owned(),
                Access::DetailsFor(scopes) => format!("none (public); details: {}", listed(scopes)),
                Access::AnyOf(scopes) => listed(scopes),
            };
            format!("| {} | `{}` | {scopes} |", route.verb.as_str(), route.path)
        })
        .collect();
    assert_eq!(documented, served);
}
