//! The front of an RPM package: a lead, the signature header and the header, then the payload.
//!
//! The library that decodes headers trusts their indexes: an offset beyond the end makes it panic, a count
//! makes it ask for gigabytes, entries that overlap make it copy the same bytes over and over. So an
//! index is checked before it is handed on, by the rules of rpm itself: entries lie inside the header and
//! do not overlap.

use rpm::{Error, IndexSignatureTag, IndexTag, PackageMetadata};
use std::panic::{AssertUnwindSafe, catch_unwind};

const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
const HEADER_MAGIC: [u8; 4] = [0x8e, 0xad, 0xe8, 0x01];
const LEAD: usize = 96;
const INTRO: usize = 16;
const ENTRY: usize = 16;
/// Entries of one header, as rpm has it.
const ENTRIES: usize = 0xffff;
/// Bytes of all that lies in front of the payload: what reading a package may keep in memory.
pub const HEADERS: usize = 32 << 20;
/// Bytes of one text that is kept.
const TEXT: usize = 256 * 1024;
/// Bytes of a name, a version, a release, an architecture: keys of indexes, and parts of a file name.
const WORD: usize = 255;

/// Why a file is no package; the text is for clients.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is something else.
    #[error("The file is no RPM package.")]
    NoPackage,
    /// It begins as a package.
    #[error("The RPM package is damaged: {0}.")]
    Damaged(String),
    /// Its headers do not fit into memory.
    #[error("The RPM package has headers of more than {HEADERS} bytes.")]
    TooLarge,
}

fn damaged<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Damaged(what.into()))
}

/// Where the parts of a package end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The signature header, with what fills it up.
    signature: usize,
    /// The header: the payload begins here.
    pub header: usize,
}

/// What the first bytes of a file say.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// So many bytes tell more.
    Needs(usize),
    /// Everything in front of the payload is there.
    Whole(Extent),
}

/// Looks at the first bytes of a file.
///
/// # Errors
/// As soon as it is sure that the file is no package, or one that cannot be read.
pub fn look(bytes: &[u8]) -> Result<Look, Fault> {
    let magic = bytes.get(..LEAD_MAGIC.len()).unwrap_or(bytes);
    if !LEAD_MAGIC.starts_with(magic) {
        return Err(Fault::NoPackage);
    }
    let Some(length) = section(bytes, LEAD)? else {
        return Ok(Look::Needs(LEAD + INTRO));
    };
    let signature = (LEAD + length).next_multiple_of(8);
    let Some(length) = section(bytes, signature)? else {
        return Ok(Look::Needs(signature + INTRO));
    };
    let header = signature + length;
    if header > HEADERS {
        return Err(Fault::TooLarge);
    }
    if bytes.len() < header {
        return Ok(Look::Needs(header));
    }
    Ok(Look::Whole(Extent { signature, header }))
}

/// What is wrong with a file that ends before its headers do.
#[must_use]
pub fn cut_off(bytes: &[u8]) -> Fault {
    match look(bytes) {
        Err(fault) => fault,
        Ok(_) if bytes.len() < LEAD_MAGIC.len() => Fault::NoPackage,
        Ok(_) => Fault::Damaged(format!("{} bytes are not its whole", bytes.len())),
    }
}

/// Bytes of the header that begins here; `None`: too little of it is there.
fn section(bytes: &[u8], start: usize) -> Result<Option<usize>, Fault> {
    let Some(intro) = bytes.get(start..start + INTRO) else {
        return Ok(None);
    };
    if !intro.starts_with(&HEADER_MAGIC) {
        return damaged(format!("there is no header at byte {start}"));
    }
    let (entries, store) = (number(intro, 8), number(intro, 12));
    if entries > ENTRIES {
        return damaged(format!("a header has {entries} entries"));
    }
    if store > HEADERS {
        return Err(Fault::TooLarge);
    }
    Ok(Some(INTRO + entries * ENTRY + store))
}

/// A number of four bytes; beyond the end it is 0.
fn number(bytes: &[u8], at: usize) -> usize {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    u32::from_be_bytes(four.unwrap_or_default()) as usize
}

/// Checks the index of a header.
fn check(section: &[u8]) -> Result<(), Fault> {
    let count = number(section, 8);
    let store = section.get(INTRO + count * ENTRY..).unwrap_or_default();
    let index = section
        .get(INTRO..INTRO + count * ENTRY)
        .unwrap_or_default();
    let mut entries: Vec<_> = index
        .chunks_exact(ENTRY)
        .map(|entry| (number(entry, 8), number(entry, 12), number(entry, 4)))
        .collect();
    entries.sort_unstable();
    let mut taken = 0;
    for (offset, count, kind) in entries {
        let Some(rest) = store.get(offset..) else {
            return damaged("an entry lies outside its header");
        };
        if offset < taken {
            return damaged("entries of a header overlap");
        }
        match length(kind, count, rest) {
            Some(length) if length <= rest.len() => taken = offset + length,
            _ => return damaged("an entry of a header does not end"),
        }
    }
    Ok(())
}

/// Bytes of an entry of this kind, with so many items. `None`: it is none, or does not end.
fn length(kind: usize, count: usize, rest: &[u8]) -> Option<usize> {
    const NULL: usize = 0;
    if count == 0 && kind != NULL {
        return None;
    }
    match kind {
        NULL => Some(0),
        // Characters, small integers and bytes; integers of 16, 32 and 64 bits.
        1 | 2 | 7 => Some(count),
        3 => count.checked_mul(2),
        4 => count.checked_mul(4),
        5 => count.checked_mul(8),
        // One text; texts, and texts by language.
        6 if count != 1 => None,
        6 | 8 | 9 => {
            let mut ends = rest.iter().enumerate().filter(|(_, byte)| **byte == 0);
            ends.nth(count - 1).map(|(last, _)| last + 1)
        }
        _ => None,
    }
}

/// What the headers say of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub name: String,
    pub epoch: u32,
    pub version: String,
    pub release: String,
    pub arch: String,
    pub license: String,
    pub vendor: String,
    pub build_host: String,
    pub description: String,
    /// True for a source package.
    pub is_source: bool,
    /// SHA-256 of the payload, where it is said.
    pub payload_sha256: Option<String>,
    /// Bytes of the whole file, where they are said.
    pub size: Option<u64>,
}

/// Reads the headers, of which [`look`] has told the extent. Blocking work: run it off the async threads.
///
/// # Errors
/// What is wrong with them.
pub fn read(bytes: &[u8], extent: Extent) -> Result<Facts, Fault> {
    check(bytes.get(LEAD..extent.signature).unwrap_or_default())?;
    check(
        bytes
            .get(extent.signature..extent.header)
            .unwrap_or_default(),
    )?;
    // Nothing is known to make it panic any more; a package must not end a worker all the same.
    let reading = AssertUnwindSafe(|| {
        let metadata = PackageMetadata::parse(&mut &*bytes)?;
        metadata.check_digests()?.result()?;
        facts(&metadata, extent)
    });
    match catch_unwind(reading) {
        Ok(Ok(facts)) => facts.checked(),
        Ok(Err(error)) => damaged(error.to_string()),
        Err(_panic) => damaged("its headers cannot be decoded"),
    }
}

fn facts(metadata: &PackageMetadata, extent: Extent) -> Result<Facts, Error> {
    let (header, signature) = (&metadata.header, &metadata.signature);
    let sha256 = optional(header.get_entry_data_as_string(IndexTag::RPMTAG_PAYLOADSHA256))?;
    let algorithm = optional(header.get_entry_data_as_u32(IndexTag::RPMTAG_PAYLOADSHA256ALGO));
    let size = match optional(signature.get_entry_data_as_u32(IndexSignatureTag::RPMSIGTAG_SIZE))? {
        Some(size) => Some(u64::from(size)),
        None => optional(signature.get_entry_data_as_u64(IndexSignatureTag::RPMSIGTAG_LONGSIZE))?,
    };
    Ok(Facts {
        name: metadata.get_name()?.to_owned(),
        epoch: optional(metadata.get_epoch())?.unwrap_or_default(),
        version: metadata.get_version()?.to_owned(),
        release: metadata.get_release()?.to_owned(),
        arch: metadata.get_arch()?.to_owned(),
        license: text(metadata.get_license())?,
        vendor: text(metadata.get_vendor())?,
        build_host: text(metadata.get_build_host())?,
        description: text(metadata.get_description())?,
        is_source: metadata.is_source_package(),
        payload_sha256: sha256
            .filter(|_| matches!(algorithm, Ok(None | Some(8))))
            .map(str::to_ascii_lowercase),
        // It counts from the header on.
        size: size.map(|size| size.saturating_add(extent.signature as u64)),
    })
}

fn optional<T>(value: Result<T, Error>) -> Result<Option<T>, Error> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(Error::TagNotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn text(value: Result<&str, Error>) -> Result<String, Error> {
    Ok(optional(value)?.unwrap_or_default().to_owned())
}

impl Facts {
    fn checked(self) -> Result<Self, Fault> {
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || "/?#".contains(c);
        for (what, word) in [
            ("name", &self.name),
            ("version", &self.version),
            ("release", &self.release),
            ("architecture", &self.arch),
        ] {
            if word.is_empty() || word.len() > WORD || word.contains(is_odd) {
                return damaged(format!(
                    "`{}` is no {what}",
                    word.escape_debug().take_short()
                ));
            }
        }
        for (what, text) in [
            ("license", &self.license),
            ("vendor", &self.vendor),
            ("build host", &self.build_host),
            ("description", &self.description),
        ] {
            if text.len() > TEXT {
                return damaged(format!("its {what} has more than {TEXT} bytes"));
            }
        }
        Ok(self)
    }
}

/// The beginning of a text that may be long.
trait Short {
    fn take_short(self) -> String;
}

impl<I: Iterator<Item = char>> Short for I {
    fn take_short(self) -> String {
        self.take(WORD).collect()
    }
}

#[cfg(test)]
mod tests;
