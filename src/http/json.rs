//! JSON without duplicate members. Readers of JSON disagree about which of two members of one name counts, so a proxy, a log or an
//! audit could see another request than Sidedoor carries out (RFC 8259, 4). serde_json keeps the last one silently.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::problem::shortened;

/// The most duplicates that an answer lists.
const MOST_LISTED: usize = 10;

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadJson {
    /// It is not JSON; the place where that shows.
    Syntax {
        /// From 1; 0 if the text is empty.
        line: usize,
        /// From 1; 0 at the beginning of a line.
        column: usize,
    },
    /// JSON pointers of members that are given more than once, at most [`MOST_LISTED`].
    Duplicates(Vec<String>),
}

/// Parses a text as any JSON value.
pub(super) fn parse(text: &[u8]) -> Result<Value, BadJson> {
    let duplicates = RefCell::default();
    let mut json = serde_json::Deserializer::from_slice(text);
    let strict = Strict {
        place: &Place::Root,
        duplicates: &duplicates,
    };
    let parsed = strict
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value));
    let duplicates: BTreeSet<String> = duplicates.into_inner();
    match parsed {
        // serde's own message quotes the input, so only the place is used.
        Err(e) => Err(BadJson::Syntax {
            line: e.line(),
            column: e.column(),
        }),
        Ok(value) if duplicates.is_empty() => Ok(value),
        Ok(_) => Err(BadJson::Duplicates(duplicates.into_iter().collect())),
    }
}

/// Where a value is. It becomes a JSON pointer only when a duplicate is found.
enum Place<'p> {
    Root,
    Member(&'p Place<'p>, &'p str),
    Item(&'p Place<'p>, usize),
}

impl Place<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(parent, name) => {
                let name = shortened(name).replace('~', "~0").replace('/', "~1");
                format!("{}/{name}", parent.pointer())
            }
            Self::Item(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }
}

struct Strict<'p> {
    place: &'p Place<'p>,
    duplicates: &'p RefCell<BTreeSet<String>>,
}

impl<'p> Strict<'p> {
    fn below(&self, place: &'p Place<'p>) -> Self {
        Self {
            place,
            duplicates: self.duplicates,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut taken = Vec::new();
        loop {
            let place = Place::Item(self.place, taken.len());
            match items.next_element_seed(self.below(&place))? {
                Some(item) => taken.push(item),
                None => return Ok(taken.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut taken = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let place = Place::Member(self.place, &name);
            let value = members.next_value_seed(self.below(&place))?;
            if taken.contains_key(&name) && self.duplicates.borrow().len() < MOST_LISTED {
                self.duplicates.borrow_mut().insert(place.pointer());
            }
            taken.insert(name, value);
        }
        Ok(taken.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn duplicates(text: &str) -> Vec<String> {
        match parse(text.as_bytes()) {
            Err(BadJson::Duplicates(pointers)) => pointers,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn json_duplicates_are_listed_by_pointer() {
        assert_eq!(duplicates(r#"{"a":1,"a":1}"#), ["/a"]);
        assert_eq!(duplicates(r#"{"a":1,"\u0061":2,"a":3}"#), ["/a"]);
        assert_eq!(duplicates(r#"[0,{"a":{"b~/":1,"b~/":{}}}]"#), ["/1/a/b~0~1"]);
        assert_eq!(duplicates(r#"{"":1,"":2}"#), ["/"]);
        let many: String = (0..30).map(|n| format!(r#""m{n}":1,"m{n}":2,"#)).collect();
        assert_eq!(duplicates(&format!("{{{many}\"z\":1}}")).len(), MOST_LISTED);
        assert!(parse(br#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#).is_ok());
    }

    #[test]
    fn json_syntax_error_has_its_place() {
        for (text, line, column) in [("", 1, 0), ("{\"a\":1,\n\"a\"}", 2, 4), ("{} x", 1, 4), ("[1,]", 1, 4)] {
            assert_eq!(parse(text.as_bytes()), Err(BadJson::Syntax { line, column }), "{text}");
        }
        // Nesting is bounded, as in serde_json itself.
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e300..1e300).prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(".{0,3}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Without duplicates the value is serde_json's.
        #[test]
        fn json_without_duplicates_is_read_like_serde_json(value in value()) {
            prop_assert_eq!(parse(value.to_string().as_bytes()), Ok(value));
        }
    }
}
