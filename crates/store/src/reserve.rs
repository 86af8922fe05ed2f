//! A little room on the disk for what holds already and the tables do not take: a file beside them, written in full when it is
//! made, so that what is put there later overwrites blocks that are there. It needs neither space nor SQLite's lock.
//!
//! Two slots, used in turn: a power cut in the middle of one leaves the other. A slot is a head and a deflated
//! [`Decision`]; the one with the higher number that is whole counts.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use sha2::{Digest, Sha256};

use super::{Decision, Store};

/// Of one slot, in bytes: a hundred runs, deflated.
const SLOT: u64 = 512 * 1024;
const MARK: &[u8; 8] = b"serin-r1";
/// The mark, the number and the length, then the hash of both and of what follows.
const HEAD: usize = 8 + 8 + 8 + 32;

/// The file.
#[derive(Debug)]
pub struct Reserve {
    file: File,
    /// Of the slot that counts.
    number: u64,
    /// Does that hold anything?
    used: bool,
}

impl Reserve {
    /// Makes the file where there is none, and reads what it holds.
    fn open(path: &Path) -> Result<(Self, Option<Decision>)> {
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        if file.metadata()?.len() < 2 * SLOT {
            // Zeros, and not a hole or a promise of the file system: those would want room when it is needed.
            file.write_all_at(&vec![0; usize::try_from(2 * SLOT)?], 0)?;
            file.sync_all()?;
        }
        let slots = [0, 1].map(|slot| read(&file, slot));
        let newest = slots.into_iter().flatten().max_by_key(|(number, _)| *number);
        let (number, body) = newest.unwrap_or_default();
        let reserve = Self { file, number, used: !body.is_empty() };
        if body.is_empty() {
            return Ok((reserve, None));
        }
        let mut text = Vec::new();
        DeflateDecoder::new(body.as_slice()).read_to_end(&mut text)?;
        let held = serde_json::from_slice(&text).context("use the serin that wrote it")?;
        Ok((reserve, Some(held)))
    }

    /// Holds this from now on, in place of what it held.
    pub(super) fn put(&mut self, decision: &Decision) -> Result<()> {
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&serde_json::to_vec(decision)?)?;
        self.write(&packed.finish()?)
    }

    /// Holds nothing any more.
    pub(super) fn clear(&mut self) -> Result<()> {
        if self.used { self.write(&[]) } else { Ok(()) }
    }

    fn write(&mut self, body: &[u8]) -> Result<()> {
        ensure!(
            body.len() + HEAD <= usize::try_from(SLOT)?,
            "it has room for {SLOT} bytes, not {}",
            body.len()
        );
        let number = self.number + 1;
        let mut slot = Vec::with_capacity(HEAD + body.len());
        slot.extend_from_slice(MARK);
        slot.extend_from_slice(&number.to_le_bytes());
        slot.extend_from_slice(&u64::try_from(body.len())?.to_le_bytes());
        slot.extend_from_slice(&hash(number, body));
        slot.extend_from_slice(body);
        self.file.write_all_at(&slot, (number % 2) * SLOT)?;
        self.file.sync_data()?;
        (self.number, self.used) = (number, !body.is_empty());
        Ok(())
    }
}

fn hash(number: u64, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(number.to_le_bytes());
    hash.update(body);
    hash.finalize().into()
}

/// The number and the body of a slot; `None`: nothing was written there, or not to its end.
fn read(file: &File, slot: u64) -> Option<(u64, Vec<u8>)> {
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, slot * SLOT).ok()?;
    let rest = head.strip_prefix(MARK)?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (length, sum) = rest.split_first_chunk::<8>()?;
    let (number, length) = (u64::from_le_bytes(*number), usize::try_from(u64::from_le_bytes(*length)).ok()?);
    let fits = length <= usize::try_from(SLOT).ok()?.checked_sub(HEAD)?;
    let mut body = vec![0; if fits { length } else { return None }];
    file.read_exact_at(&mut body, slot * SLOT + u64::try_from(HEAD).ok()?).ok()?;
    (hash(number, &body) == *sum).then_some((number, body))
}

impl Store {
    /// From now on with a reserve beside the file. Returns what the last process put there and the tables may not have.
    ///
    /// # Errors
    /// When it cannot be made or read: the store is as good as before, without a reserve.
    pub fn with_reserve(&mut self) -> Result<Option<Decision>> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".reserve");
        let opened = Reserve::open(Path::new(&name)).with_context(|| {
            format!(
                "no reserve beside the store ({}): its folder wants a megabyte",
                Path::new(&name).display()
            )
        });
        let (reserve, held) = opened?;
        self.reserve = Some(reserve);
        Ok(held)
    }
}
