//! Which names Apex accepts.

/// "Reserved Keywords" of the Apex developer guide (Winter '27): words that can be used only as keywords. Apex ignores
/// case.
const RESERVED: &str = "abstract activate and any array as asc autonomous begin bigdecimal blob boolean break bulk by byte case \
    cast catch char class collect commit const continue currency date datetime decimal default delete desc do double else end \
    enum exception exit export extends false final finally float for from global goto group having hint if implements import in \
    inner insert instanceof int integer interface into join like limit list long loop map merge new not null nulls number object \
    of on or outer override package parallel pragma private protected public retrieve return rollback select set short sobject \
    sort static string super switch synchronized system testmethod then this throw time transaction trigger true try type \
    undelete update upsert using virtual void webservice when where while";

/// Whether a name is reserved, including `type`, which the External Services page on reserved keywords lists.
pub fn is_reserved(name: &str) -> bool {
    let name = name.to_lowercase();
    RESERVED.split_whitespace().any(|word| word == name)
}

/// Whether a name is an Apex identifier that External Services does not encode.
pub fn is_identifier(name: &str) -> bool {
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric());
    letters && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.len() <= 40
}
