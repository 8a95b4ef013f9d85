//! Reading a manifest: a line a file, `<path>,<sha256>,<size>` (contract 3.7 step 4).

use crate::content::check_relative_path;
use crate::tasking::TaskError;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// Longest line in bytes: the longest path, a digest, a size.
const LINE_BYTES: u64 = 2200;

/// One file that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies.
    pub path: String,
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// Bytes.
    pub size: i64,
}

/// The lines of a manifest, a batch at a time; the file is never in memory as a whole.
pub struct Manifest<R = BufReader<File>> {
    lines: R,
    number: u64,
}

impl Manifest {
    /// Reads this file, from where it stands.
    pub fn new(file: File) -> Self {
        Self::of(BufReader::new(file))
    }
}

impl<R: BufRead> Manifest<R> {
    fn of(lines: R) -> Self {
        Self { lines, number: 0 }
    }

    /// Up to so many of the next entries; none at the end. Blank lines and comments are left out.
    ///
    /// # Errors
    /// The number of the first line that is none, and what is wrong with it.
    pub fn next(&mut self, limit: usize) -> Result<Vec<Entry>, TaskError> {
        let mut entries = Vec::new();
        let mut line = Vec::new();
        while entries.len() < limit {
            line.clear();
            let read = (&mut self.lines)
                .take(LINE_BYTES)
                .read_until(b'\n', &mut line)
                .map_err(TaskError::internal)?;
            if read == 0 {
                break;
            }
            self.number += 1;
            if line.last() != Some(&b'\n') && read as u64 == LINE_BYTES {
                if line.trim_ascii_start().starts_with(b"#") {
                    self.skip_line(&mut line)?;
                    continue;
                }
                return Err(self.fault("it is too long"));
            }
            let text =
                std::str::from_utf8(&line).map_err(|_cause| self.fault("it is not UTF-8"))?;
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            entries.push(parse(text).map_err(|why| self.fault(&why))?);
        }
        Ok(entries)
    }

    /// Reads on to the end of the line, and keeps nothing of it.
    fn skip_line(&mut self, piece: &mut Vec<u8>) -> Result<(), TaskError> {
        loop {
            piece.clear();
            let read = (&mut self.lines)
                .take(LINE_BYTES)
                .read_until(b'\n', piece)
                .map_err(TaskError::internal)?;
            if read == 0 || piece.last() == Some(&b'\n') {
                return Ok(());
            }
        }
    }

    fn fault(&self, why: &str) -> TaskError {
        TaskError::failed(format!(
            "Error: Parsing of the manifest file failed on line:{}. The line must be \
             `<relative path>,<sha256>,<size>`, but {why}",
            self.number
        ))
    }
}

fn parse(line: &str) -> Result<Entry, String> {
    let mut parts = line.rsplitn(3, ',').map(str::trim);
    let (Some(size), Some(digest), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("it has less than three parts".to_owned());
    };
    let is_number = !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit());
    let size = Some(size)
        .filter(|_| is_number)
        .and_then(|size| size.parse().ok());
    let size = size.ok_or("the size is not a number of bytes")?;
    if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("the digest is not a SHA-256 in hex".to_owned());
    }
    check_relative_path(path)?;
    Ok(Entry {
        path: path.to_owned(),
        sha256: digest.to_lowercase(),
        size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn read(text: &[u8]) -> Result<Vec<Entry>, String> {
        let mut manifest = Manifest::of(text);
        let mut all = Vec::new();
        loop {
            let batch = manifest.next(2).map_err(|e| e.to_string())?;
            if batch.is_empty() {
                return Ok(all);
            }
            all.extend(batch);
        }
    }

    #[test]
    fn lines_are_split_from_the_right_and_blank_ones_left_out() {
        let text = format!(
            "# a\n\na,b/c,{},0012\r\nd,{DIGEST},0",
            DIGEST.to_uppercase()
        );
        let entries = read(text.as_bytes()).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].path.as_str(), entries[0].size), ("a,b/c", 12));
        assert_eq!(entries[0].sha256, DIGEST);
        assert_eq!(entries[1].path, "d");
    }

    #[test]
    fn a_comment_may_have_any_length() {
        for length in [2198, 2199, 2200, 2201, 10_000] {
            let text = format!("#{}\na,{DIGEST},1\n #{0}", "é".repeat(length / 2));
            assert_eq!(read(text.as_bytes()).unwrap().len(), 1, "{length}");
        }
    }

    #[test]
    fn what_is_no_entry_is_refused_by_the_number_of_its_line() {
        let long = "x".repeat(5000);
        for (line, why) in [
            ("a", "three parts"),
            ("a,b", "three parts"),
            (&format!(",{DIGEST},1"), "canonical"),
            (&format!("a,{DIGEST},x"), "size"),
            (&format!("a,{DIGEST},-1"), "size"),
            (&format!("a,{DIGEST},+1"), "size"),
            (&format!("a,{DIGEST},99999999999999999999"), "size"),
            ("a,abc,1", "digest"),
            (&format!("a,{},1", "z".repeat(64)), "digest"),
            (&format!("/a,{DIGEST},1"), "canonical"),
            (&format!("../a,{DIGEST},1"), "canonical"),
            (&format!("a//b,{DIGEST},1"), "canonical"),
            (&format!("a/./b,{DIGEST},1"), "canonical"),
            (&format!("a\0b,{DIGEST},1"), "canonical"),
            (&format!("{long},{DIGEST},1"), "too long"),
            (&format!("{},{DIGEST},1", "y".repeat(2001)), "2000 bytes"),
        ] {
            let text = format!("ok,{DIGEST},1\n# c\n{line}\n");
            let error = read(text.as_bytes()).unwrap_err();
            let start = "Error: Parsing of the manifest file failed on line:3.";
            assert!(
                error.starts_with(start) && error.contains(why),
                "{line}: {error}"
            );
        }
        let error = read(b"\xff\xfe\n").unwrap_err();
        assert!(
            error.contains("line:1.") && error.contains("UTF-8"),
            "{error}"
        );
    }
}
