//! Texts in few bytes, for what a store keeps for months and seldom reads: documents of finished supervisions, and bodies of answers.
//!
//! They are Zstandard frames, compressed with a dictionary that holds the names and words of such texts. The first byte says which
//! dictionary. A dictionary is never edited, because stores hold what was compressed with it: add the next one, and keep reading the old.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

/// All dictionaries. The number of the first is 1, and this build writes with the last.
const DICTIONARIES: [&[u8]; 2] = [include_bytes!("dictionary-1.txt"), include_bytes!("dictionary-2.txt")];
const NEWEST: usize = DICTIONARIES.len() - 1;
const NUMBER_OF_NEWEST: u8 = 2;
/// Zstandard's own default level.
const LEVEL: i32 = 3;
/// No text in the store is longer. A longer one is damaged, and must not fill the memory.
const LONGEST: usize = 4 << 20;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSORS: RefCell<[Option<Decompressor<'static>>; DICTIONARIES.len()]> =
        const { RefCell::new([const { None }; DICTIONARIES.len()]) };
}

/// The text in few bytes.
///
/// # Errors
/// If memory is short.
pub(crate) fn pack(text: &str) -> std::io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(Compressor::with_dictionary(LEVEL, DICTIONARIES[NEWEST])?),
        };
        let mut packed = vec![NUMBER_OF_NEWEST];
        packed.append(&mut compressor.compress(text.as_bytes())?);
        Ok(packed)
    })
}

/// The text that was packed.
///
/// # Errors
/// If the bytes are damaged, or a later version of Sidedoor wrote them.
pub(crate) fn unpack(packed: &[u8]) -> std::io::Result<String> {
    let (number, frame) = packed
        .split_first()
        .ok_or_else(|| std::io::Error::other("nothing is packed"))?;
    let place = usize::from(*number).checked_sub(1);
    let place = place.filter(|place| *place < DICTIONARIES.len());
    let place =
        place.ok_or_else(|| std::io::Error::other(format!("dictionary {number} is of a later version of Sidedoor")))?;
    DECOMPRESSORS.with_borrow_mut(|kept| {
        let decompressor = match &mut kept[place] {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::with_dictionary(DICTIONARIES[place])?),
        };
        let bytes = decompressor.decompress(frame, LONGEST)?;
        String::from_utf8(bytes).map_err(std::io::Error::other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_text_is_small_and_is_read_as_it_was() {
        let text = std::fs::read_to_string("src/store/documents/golden/supervision-1-full.json").expect("there");
        let packed = pack(&text).expect("packed");
        assert!(
            packed.len() * 3 < text.len(),
            "{} of {} bytes",
            packed.len(),
            text.len()
        );
        assert_eq!(unpack(&packed).expect("readable"), text);
        assert_eq!(unpack(&pack("").expect("packed")).expect("readable"), "");
    }

    /// Bytes that were packed with each dictionary. They must be readable for ever. With `SIDEDOOR_MAKE` set, a missing file of the newest
    /// is written.
    #[test]
    fn packed_text_of_every_dictionary_is_readable() {
        let text = r#"{"state":"LEFT","leg":"a leg"}"#;
        for number in 1..=DICTIONARIES.len() {
            let path = format!("src/store/documents/golden/packed-{number}.bin");
            if std::env::var_os("SIDEDOOR_MAKE").is_some() && !std::path::Path::new(&path).exists() {
                std::fs::write(&path, pack(text).expect("packed")).expect("written");
            }
            let packed = std::fs::read(path).expect("there");
            assert_eq!(usize::from(packed[0]), number);
            assert_eq!(unpack(&packed).expect("readable"), text);
        }
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let mut packed = pack("a text that is long enough to be compressed").expect("packed");
        packed.truncate(packed.len() / 2);
        assert!(unpack(&packed).is_err());
        assert!(unpack(&[]).is_err());
        assert!(
            unpack(&[9, 1, 2])
                .expect_err("later")
                .to_string()
                .contains("later version")
        );
    }
}
