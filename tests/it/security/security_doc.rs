//! `docs/security.md` names a test for each of its claims: each is there, and is a test.

use std::path::Path;

const DOC: &str = include_str!("../../../docs/security.md");

/// Everything in backticks that is written as a path of names.
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
    let [rooms @ .., name] = path else { return false };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inner: Vec<&str> = rooms.iter().copied().filter(|room| *room != "tests").collect();
    let files = [
        root.join("tests/it").join(rooms.join("/")).with_extension("rs"),
        root.join("src").join(rooms.join("/")).with_extension("rs"),
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
fn every_test_that_the_threat_model_names_is_there() {
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
fn every_item_of_the_top_ten_names_a_test() {
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
