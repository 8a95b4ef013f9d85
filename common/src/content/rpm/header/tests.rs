use super::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rpm::{BuildConfig, PackageBuilder};

fn package() -> Vec<u8> {
    let mut bytes = Vec::new();
    PackageBuilder::new("gwt", "2.3.0", "ASL 2.0", "noarch", "Web apps")
        .using_config(BuildConfig::v4())
        .epoch(3)
        .release("1.fc16")
        .description("Writing web apps today is a tedious process.")
        .vendor("Vendor")
        .build_host("localhost")
        .build()
        .unwrap()
        .write(&mut bytes)
        .unwrap();
    bytes
}

fn whole(bytes: &[u8]) -> Result<Facts, Fault> {
    match look(bytes)? {
        Look::Needs(_) => damaged("too short"),
        Look::Whole(extent) => read(&bytes[..extent.header], extent),
    }
}

fn extent(bytes: &[u8]) -> Extent {
    match look(bytes).unwrap() {
        Look::Whole(extent) => extent,
        Look::Needs(more) => panic!("{more} are needed"),
    }
}

#[test]
fn a_package_is_read_field_by_field() {
    let bytes = package();
    let facts = whole(&bytes).unwrap();
    assert_eq!(
        (facts.name.as_str(), facts.epoch, facts.version.as_str()),
        ("gwt", 3, "2.3.0")
    );
    assert_eq!(
        (facts.release.as_str(), facts.arch.as_str()),
        ("1.fc16", "noarch")
    );
    assert_eq!(
        (facts.license.as_str(), facts.vendor.as_str()),
        ("ASL 2.0", "Vendor")
    );
    assert_eq!(facts.build_host, "localhost");
    assert!(facts.description.starts_with("Writing web apps"));
    assert!(!facts.is_source && facts.payload_sha256.is_some());
    assert!(facts.size.is_none_or(|size| size == bytes.len() as u64));
}

#[test]
fn it_is_told_piece_by_piece_how_much_is_needed() {
    let bytes = package();
    let mut have = 0;
    let looks = std::iter::from_fn(|| match look(&bytes[..have]).unwrap() {
        Look::Needs(more) => {
            assert!(more > have && more <= bytes.len());
            have = more;
            Some(more)
        }
        Look::Whole(_) => None,
    });
    assert!(looks.count() <= 3);
    assert_eq!(have, extent(&bytes).header);
}

#[test]
fn what_is_no_package_is_known_by_its_first_byte() {
    assert_eq!(look(b"#"), Err(Fault::NoPackage));
    assert_eq!(look(&LEAD_MAGIC), Ok(Look::Needs(LEAD + INTRO)));
    assert_eq!(cut_off(b""), Fault::NoPackage);
    assert_eq!(cut_off(b"Not a package."), Fault::NoPackage);
    assert!(
        cut_off(&LEAD_MAGIC)
            .to_string()
            .contains("4 bytes are not its whole")
    );
    let mut huge = package();
    huge[LEAD + 12..LEAD + 16].copy_from_slice(&[0x0f; 4]);
    assert_eq!(look(&huge), Err(Fault::TooLarge));
}

/// Each entry of the header, changed so that its offset or its count leads outside.
#[test]
fn an_index_that_leads_outside_is_refused_before_it_is_followed() {
    let bytes = package();
    let start = extent(&bytes).signature;
    let entries = number(&bytes[start..], 8);
    for entry in 0..entries {
        for field in [8, 12] {
            for value in [0x7fff_ffff_u32, 0xffff_ffff, 0x00ff_ffff] {
                let mut changed = bytes.clone();
                let at = start + INTRO + entry * ENTRY + field;
                changed[at..at + 4].copy_from_slice(&value.to_be_bytes());
                let error = whole(&changed).unwrap_err().to_string();
                assert!(error.contains("entr"), "{entry} {field} {value:x}: {error}");
            }
        }
    }
}

#[test]
fn entries_that_overlap_are_refused() {
    let mut bytes = package();
    let start = extent(&bytes).signature + INTRO;
    // The third entry lies where the second one does.
    let offset = bytes[start + ENTRY + 8..start + ENTRY + 12].to_vec();
    bytes[start + 2 * ENTRY + 8..start + 2 * ENTRY + 12].copy_from_slice(&offset);
    assert_eq!(whole(&bytes), damaged("entries of a header overlap"));
}

/// Headers with random changes: each is refused or read, and nothing panics on the way.
#[test]
fn mutated_headers_are_refused_or_read() {
    let bytes = package();
    let length = extent(&bytes).header;
    let mut random = StdRng::seed_from_u64(7);
    let (mut refused, mut digests) = (0, 0);
    std::panic::set_hook(Box::new(|_| {}));
    for _ in 0..3000 {
        let mut changed = bytes[..length].to_vec();
        for _ in 0..random.random_range(1..8) {
            let at = random.random_range(4..length);
            changed[at] = match random.random_range(0..4) {
                0 => 0,
                1 => 0xff,
                _ => random.random(),
            };
        }
        match whole(&changed) {
            Err(Fault::Damaged(what)) => {
                assert_ne!(what, "its headers cannot be decoded");
                digests += i32::from(what.contains("igest"));
                refused += 1;
            }
            Err(_) => refused += 1,
            Ok(_) => {}
        }
    }
    drop(std::panic::take_hook());
    // What fills the signature header up may be anything.
    assert!(refused > 1000 && digests > 100, "{refused} {digests}");
}

/// The same with the digests of the header out of the way, so that the fields themselves are reached.
#[test]
fn mutated_headers_without_digests_do_not_panic() {
    let bytes = package();
    let Extent { signature, header } = extent(&bytes);
    let mut bare = bytes[..LEAD].to_vec();
    bare.extend(HEADER_MAGIC);
    bare.extend([0; 12]);
    bare.extend(&bytes[signature..header]);
    let start = LEAD + INTRO;
    assert_eq!(whole(&bare).unwrap().name, "gwt");
    let mut random = StdRng::seed_from_u64(11);
    std::panic::set_hook(Box::new(|_| {}));
    let mut read = 0;
    for _ in 0..3000 {
        let mut changed = bare.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(start + INTRO..changed.len());
            changed[at] = random.random();
        }
        match whole(&changed) {
            Err(Fault::Damaged(what)) => assert_ne!(what, "its headers cannot be decoded"),
            Err(_) => {}
            Ok(_) => read += 1,
        }
    }
    drop(std::panic::take_hook());
    assert!(read > 100, "{read} were read");
}

#[test]
fn words_that_are_no_part_of_a_file_name_are_refused() {
    let facts = whole(&package()).unwrap();
    for name in ["", "a b", "a/b", "a\nb", &"n".repeat(WORD + 1)] {
        let odd = Facts {
            name: name.to_owned(),
            ..facts.clone()
        };
        assert!(odd.checked().is_err(), "{name}");
    }
    let long = Facts {
        description: "d".repeat(TEXT + 1),
        ..facts
    };
    assert!(long.checked().is_err());
}
