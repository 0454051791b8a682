//! Checksums as data sets publish them: MD5, SHA-1 or SHA-256. They detect a damaged or
//! replaced file. MD5 and SHA-1 do not protect against an attacker, but publishers still
//! use them.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use torchmill::{Context, Error, Result, interrupt};

/// A published checksum, written `md5:HEX`, `sha1:HEX` or `sha256:HEX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    /// Lower-case hexadecimal digits.
    hex: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha1,
    Sha256,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
            Self::Sha256 => 64,
        }
    }
}

impl FromStr for Checksum {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once(':').and_then(|(name, hex)| {
            let algorithm = [Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256]
                .into_iter()
                .find(|a| a.name().eq_ignore_ascii_case(name))?;
            let whole = hex.len() == algorithm.digits()
                && hex.bytes().all(|b| b.is_ascii_hexdigit());
            whole.then(|| Self { algorithm, hex: hex.to_ascii_lowercase() })
        });
        parsed.ok_or_else(|| {
            Error::usage(format_args!(
                "`{text}` is not a checksum: write md5:, sha1: or sha256: and its \
                 hexadecimal digits"
            ))
        })
    }
}

impl Checksum {
    /// A SHA-256 sum of which only the first digits are published; `None` if these are not
    /// hexadecimal digits.
    pub fn sha256_beginning(hex: &str) -> Option<Self> {
        let is_hex = !hex.is_empty()
            && hex.len() <= Algorithm::Sha256.digits()
            && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let hex = hex.to_ascii_lowercase();
        is_hex.then_some(Self { algorithm: Algorithm::Sha256, hex })
    }

    /// Whether it is a SHA-256 sum.
    pub fn is_sha256(&self) -> bool {
        self.algorithm == Algorithm::Sha256
    }

    /// Whether a computed checksum equals this one, or begins with it if only the first
    /// digits are known.
    pub fn accepts(&self, found: &Self) -> bool {
        self.algorithm == found.algorithm && found.hex.starts_with(&self.hex)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

/// Computes a checksum incrementally.
#[derive(Debug, Clone)]
pub enum Hasher {
    /// 128 bits.
    Md5(Md5),
    /// 160 bits.
    Sha1(Sha1),
    /// 256 bits.
    Sha256(Sha256),
}

impl Hasher {
    /// A hasher for the algorithm of `expected`, or SHA-256 without one.
    pub fn like(expected: Option<&Checksum>) -> Self {
        match expected.map(|e| e.algorithm) {
            Some(Algorithm::Md5) => Self::Md5(Md5::new()),
            Some(Algorithm::Sha1) => Self::Sha1(Sha1::new()),
            Some(Algorithm::Sha256) | None => Self::Sha256(Sha256::new()),
        }
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(h) => h.update(bytes),
            Self::Sha1(h) => h.update(bytes),
            Self::Sha256(h) => h.update(bytes),
        }
    }

    /// The checksum of everything so far.
    pub fn finish(self) -> Checksum {
        let (algorithm, bytes) = match self {
            Self::Md5(h) => (Algorithm::Md5, h.finalize().to_vec()),
            Self::Sha1(h) => (Algorithm::Sha1, h.finalize().to_vec()),
            Self::Sha256(h) => (Algorithm::Sha256, h.finalize().to_vec()),
        };
        Checksum { algorithm, hex: bytes.iter().map(|b| format!("{b:02x}")).collect() }
    }
}

/// The checksum of a file, with the algorithm of `expected` (SHA-256 if that is `None`).
pub fn of_file(path: &Path, expected: Option<&Checksum>) -> Result<Checksum> {
    let mut file = File::open(path).doing("read", path)?;
    let mut hasher = Hasher::like(expected);
    let mut buffer = vec![0; 1 << 18];
    loop {
        interrupt::check()?;
        match file.read(&mut buffer).doing("read", path)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // The digests of "abc" in RFC 1321 and FIPS 180-4.
        for text in [
            "md5:900150983cd24fb0d6963f7d28e17f72",
            "sha1:a9993e364706816aba3e25717850c26c9cd0d89d",
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ] {
            let expected: Checksum = text.parse().unwrap();
            let mut hasher = Hasher::like(Some(&expected));
            hasher.update(b"a");
            hasher.update(b"bc");
            assert_eq!(hasher.finish(), expected);
            assert_eq!(expected.to_string(), text);
        }
    }

    #[test]
    fn a_beginning_stands_for_the_whole() {
        let whole: Checksum =
            format!("sha256:ba7816bf{}", "0".repeat(56)).parse().unwrap();
        let beginning = Checksum::sha256_beginning("BA7816bf").unwrap();
        assert!(beginning.accepts(&whole) && whole.accepts(&whole));
        assert!(!Checksum::sha256_beginning("ba7816be").unwrap().accepts(&whole));
        assert_eq!(Checksum::sha256_beginning(""), None);
        assert_eq!(Checksum::sha256_beginning("xyz"), None);
    }

    #[test]
    fn what_is_no_checksum_is_refused() {
        for text in
            ["", "md5:", "md5:12", "crc:00000000", "900150983cd24fb0d6963f7d28e17f72"]
        {
            assert_eq!(text.parse::<Checksum>().unwrap_err().exit_status(), 2, "{text}");
        }
        assert!(format!("md5:{}", "g".repeat(32)).parse::<Checksum>().is_err());
        assert!(format!("MD5:{}", "A".repeat(32)).parse::<Checksum>().is_ok());
    }
}
