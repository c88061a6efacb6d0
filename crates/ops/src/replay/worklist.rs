//! The checkpoint folder. It contains the progress of the scan, and the claims and packs to compare, in one file per
//! partition of the lake. If a run is killed, the next run continues from this folder. A run that leaves nothing to do
//! removes the folder.
//!
//! Each entry is written to disk before the scan position that follows it. If a run is killed in between, the next run
//! reads the item again. So the folder may contain an entry twice, but never misses one.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::checkpoint::{Checkpoint, Position, RunState};
use super::claim_table::{ItemKey, TableIdentity};
use super::settings::ReplaySettings;

/// Number of buffered bytes at which the worklist saves the entries and the scan positions. One mebibyte is about ten
/// thousand claims.
const SAVE_AT_BYTES: usize = 1024 * 1024;

const CHECKPOINT: &str = "checkpoint.json";
const UNUSABLE: &str = "unusable.ndjson";
const LOCK: &str = "lock";
/// Temporary name of a file that is being written. The complete file is renamed, and replaces its old version.
const TEMPORARY: &str = "new";

/// An error that makes the checkpoint folder unusable.
#[derive(Debug, thiserror::Error)]
pub enum WorklistError {
    /// The folder or a file in it cannot be read or written.
    #[error("failed to read or write the checkpoint {0}")]
    Io(PathBuf, #[source] io::Error),
    /// A file has content that this version of `ops` does not write.
    #[error("the checkpoint {0} is damaged or from another version of this command; delete its folder to start over")]
    Malformed(PathBuf, #[source] serde_json::Error),
    /// The folder belongs to a replay of another table, lake or time range.
    #[error(
        "the checkpoint folder {folder} belongs to {replay}: finish that replay, name another folder with --checkpoint, or delete \
         the folder"
    )]
    OtherReplay {
        /// Path of the folder.
        folder: PathBuf,
        /// Description of the replay that the folder belongs to.
        replay: String,
    },
    /// The folder holds files that are not from a replay.
    #[error(
        "{0} is not a checkpoint folder, because it is not empty and has no {CHECKPOINT}: name another folder with --checkpoint"
    )]
    NotACheckpoint(PathBuf),
    /// A running replay has locked the folder.
    #[error("another replay is using the checkpoint folder {0}")]
    InUse(PathBuf),
}

/// An entry of a partition's file: something that the replay has to find in the lake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Entry {
    Claim(ClaimRef),
    Packed(PackedRef),
    Pack(PackItem),
}

/// A claim with an object of its own: `claim_id` identifies its object in the lake, and `item` identifies its item in the
/// table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(Uuid, Box<str>, Box<str>)", into = "(Uuid, Box<str>, Box<str>)")]
pub(super) struct ClaimRef {
    pub(super) claim_id: Uuid,
    pub(super) item: ItemKey,
}

/// A packed claim. It is an entry of the partition of the pack that it names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(Uuid, Uuid, u64, Box<str>, Box<str>)", into = "(Uuid, Uuid, u64, Box<str>, Box<str>)")]
pub(super) struct PackedRef {
    pub(super) pack_id: Uuid,
    pub(super) claim_id: Uuid,
    pub(super) ttl: u64,
    pub(super) item: ItemKey,
}

/// A pack in the table, and the claims that it lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct PackItem {
    #[serde(rename = "id")]
    pub(super) pack_id: Uuid,
    #[serde(rename = "claims")]
    pub(super) claim_ids: Vec<Uuid>,
}

impl Entry {
    /// Returns the key of the entry's item in the table.
    pub(super) fn item(&self) -> ItemKey {
        match self {
            Self::Claim(ClaimRef { item, .. }) | Self::Packed(PackedRef { item, .. }) => item.clone(),
            Self::Pack(PackItem { pack_id, .. }) => ItemKey::of_pack(*pack_id),
        }
    }
}

// As tuples, the entries need less space on disk.
impl From<(Uuid, Box<str>, Box<str>)> for ClaimRef {
    fn from((claim_id, pk, sk): (Uuid, Box<str>, Box<str>)) -> Self {
        Self { claim_id, item: ItemKey { pk, sk } }
    }
}

impl From<ClaimRef> for (Uuid, Box<str>, Box<str>) {
    fn from(ClaimRef { claim_id, item: ItemKey { pk, sk } }: ClaimRef) -> Self {
        (claim_id, pk, sk)
    }
}

impl From<(Uuid, Uuid, u64, Box<str>, Box<str>)> for PackedRef {
    fn from((pack_id, claim_id, ttl, pk, sk): (Uuid, Uuid, u64, Box<str>, Box<str>)) -> Self {
        Self { pack_id, claim_id, ttl, item: ItemKey { pk, sk } }
    }
}

impl From<PackedRef> for (Uuid, Uuid, u64, Box<str>, Box<str>) {
    fn from(PackedRef { pack_id, claim_id, ttl, item: ItemKey { pk, sk } }: PackedRef) -> Self {
        (pack_id, claim_id, ttl, pk, sk)
    }
}

/// An open checkpoint folder, locked against other runs.
pub(super) struct Worklist {
    folder: PathBuf,
    checkpoint: Checkpoint,
    resumed: bool,
    /// Lines that are not written to disk yet, by file name.
    waiting: BTreeMap<String, Vec<u8>>,
    waiting_bytes: usize,
    /// Keeps the folder locked while the worklist exists.
    _lock: File,
}

impl Worklist {
    /// Opens the checkpoint folder. If it has no checkpoint, starts a replay of the claims in `table` that were made
    /// before `until`. Otherwise, the state that the last run left determines what this run does:
    ///
    /// | state | run with `write` | dry run |
    /// | --- | --- | --- |
    /// | `Unfinished` | continues the replay | continues the replay |
    /// | `ReadyToWrite` | uses the claims in the folder, without a scan | starts over |
    /// | `Finished` | keeps the claims in the folder, and scans the table again | starts over |
    pub(super) fn open(
        table: TableIdentity,
        settings: &ReplaySettings,
        until: DateTime<Utc>,
    ) -> Result<Self, WorklistError> {
        let folder = settings.checkpoint.clone();
        let file = folder.join(CHECKPOINT);
        let io_error = |error| WorklistError::Io(folder.clone(), error);
        fs::create_dir_all(&folder).map_err(io_error)?;
        let has_checkpoint = file.try_exists().map_err(io_error)?;
        for entry in fs::read_dir(&folder).map_err(io_error)? {
            let name = entry.map_err(io_error)?.file_name();
            if !has_checkpoint && name != LOCK && name != TEMPORARY {
                return Err(WorklistError::NotACheckpoint(folder));
            }
        }
        let lock = File::create(folder.join(LOCK)).map_err(io_error)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(WorklistError::InUse(folder)),
            Err(TryLockError::Error(error)) => return Err(io_error(error)),
        }

        let fresh = Checkpoint::new(table, settings, until);
        let mut worklist =
            Self { folder, checkpoint: fresh, resumed: false, waiting: BTreeMap::new(), waiting_bytes: 0, _lock: lock };
        if has_checkpoint {
            let text = fs::read(&file).map_err(|error| WorklistError::Io(file.clone(), error))?;
            let found: Checkpoint =
                serde_json::from_slice(&text).map_err(|error| WorklistError::Malformed(file.clone(), error))?;
            if !found.can_continue(&worklist.checkpoint, settings) {
                return Err(WorklistError::OtherReplay { folder: worklist.folder, replay: found.describe() });
            }
            worklist.resumed = match found.state {
                RunState::Unfinished => true,
                RunState::ReadyToWrite => settings.write,
                RunState::Finished => false,
            };
            if worklist.resumed {
                worklist.checkpoint = found;
            }
            if worklist.resumed || settings.write {
                worklist.drop_torn_lines()?;
            } else {
                // The checkpoint must say that the table is not scanned yet before the first claim is removed. Otherwise,
                // if this run is killed in between, the next run would not look for the removed claims.
                worklist.save()?;
                worklist.remove_lines()?;
            }
        }
        worklist.save()?;
        Ok(worklist)
    }

    /// Describes the earlier replay that this one continues, if there is one.
    pub(super) fn describe_resumed(&self) -> Option<String> {
        self.resumed.then(|| self.checkpoint.describe())
    }

    pub(super) fn until(&self) -> DateTime<Utc> {
        self.checkpoint.until
    }

    pub(super) fn positions(&self) -> &[Position] {
        &self.checkpoint.positions
    }

    pub(super) fn segments_done(&self) -> usize {
        self.checkpoint.positions.iter().filter(|position| matches!(position, Position::Done)).count()
    }

    pub(super) fn add(&mut self, partition: &str, entry: &Entry) {
        self.add_line(file_name(partition), entry);
    }

    pub(super) fn add_unusable(&mut self, item: &ItemKey, reason: &str) {
        self.add_line(UNUSABLE.to_owned(), &(item, reason));
    }

    fn add_line(&mut self, file: String, line: &impl Serialize) {
        let waiting = self.waiting.entry(file).or_default();
        let before = waiting.len();
        serde_json::to_writer(&mut *waiting, line).expect("strings can always be serialized to memory");
        waiting.push(b'\n');
        self.waiting_bytes += waiting.len() - before;
    }

    /// Records that the items of `segment` up to `position` have been added. Saves the worklist if enough lines are
    /// buffered.
    pub(super) fn advance(&mut self, segment: usize, position: Position) -> Result<(), WorklistError> {
        self.checkpoint.positions[segment] = position;
        if self.waiting_bytes >= SAVE_AT_BYTES { self.save() } else { Ok(()) }
    }

    /// Writes the buffered lines, and then the scan positions that follow them.
    pub(super) fn save(&mut self) -> Result<(), WorklistError> {
        for (name, lines) in std::mem::take(&mut self.waiting) {
            let file = self.folder.join(name);
            let append = || {
                let mut file = OpenOptions::new().create(true).append(true).open(&file)?;
                file.write_all(&lines)?;
                file.sync_data()
            };
            append().map_err(|error| WorklistError::Io(file.clone(), error))?;
        }
        self.waiting_bytes = 0;
        // Otherwise a power failure could keep the new positions but lose the new files.
        self.sync_names()?;
        self.write(CHECKPOINT, &serde_json::to_vec(&self.checkpoint).expect("strings and times can be serialized"))
    }

    /// Replaces a file atomically.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), WorklistError> {
        let file = self.folder.join(name);
        let new = self.folder.join(TEMPORARY);
        let write = || {
            let mut written = File::create(&new)?;
            written.write_all(content)?;
            written.sync_data()?;
            fs::rename(&new, &file)
        };
        write().map_err(|error| WorklistError::Io(file.clone(), error))?;
        self.sync_names()
    }

    /// Syncs the folder, because syncing a file does not sync its name. Does nothing outside Unix, because other
    /// systems cannot open a folder as a file.
    fn sync_names(&self) -> Result<(), WorklistError> {
        let sync = || if cfg!(unix) { File::open(&self.folder)?.sync_all() } else { Ok(()) };
        sync().map_err(|error| WorklistError::Io(self.folder.clone(), error))
    }

    /// Returns the partitions that have entries, sorted by time.
    pub(super) fn partitions(&self) -> Result<Vec<String>, WorklistError> {
        let mut partitions: Vec<String> = self.file_names()?.iter().filter_map(|file| parse_partition(file)).collect();
        partitions.sort();
        Ok(partitions)
    }

    /// Returns the entries of a partition, sorted by kind and id. Removes duplicates: a file may contain an entry twice if a
    /// run was killed, or if this run scanned an item that an earlier run had left in the file.
    pub(super) fn read_entries(&self, partition: &str) -> Result<Vec<Entry>, WorklistError> {
        let mut entries: Vec<Entry> = self.read_lines(&file_name(partition))?;
        entries.sort_unstable();
        entries.dedup();
        Ok(entries)
    }

    /// Replaces the entries of a partition with those that the next run has to compare.
    pub(super) fn replace(&self, partition: &str, remaining: &[Entry]) -> Result<(), WorklistError> {
        let name = file_name(partition);
        if remaining.is_empty() { self.remove(&name) } else { self.write(&name, &to_lines(remaining)) }
    }

    /// Returns the key of each unusable item, with the reason why the item is unusable.
    pub(super) fn read_unusable(&self) -> Result<BTreeMap<ItemKey, String>, WorklistError> {
        let exists = self.file_names()?.iter().any(|file| file == UNUSABLE);
        if exists {
            self.read_lines::<(ItemKey, String)>(UNUSABLE).map(|lines| lines.into_iter().collect())
        } else {
            Ok(BTreeMap::new())
        }
    }

    /// Ends a completed run. Removes the folder if no entry and no unusable item is left.
    pub(super) fn finish(mut self, unusable_left: &[(ItemKey, String)], write: bool) -> Result<(), WorklistError> {
        let nothing_left = unusable_left.is_empty() && self.partitions()?.is_empty();
        self.write(UNUSABLE, &to_lines(unusable_left))?;
        self.checkpoint.state = if write || nothing_left { RunState::Finished } else { RunState::ReadyToWrite };
        self.save()?;
        if nothing_left {
            self.remove_lines()?;
            self.remove(CHECKPOINT)?;
            self.remove(LOCK)?;
            // The folder stays if it cannot be removed, for example because it holds other files or is the current
            // folder. That does no harm: the next run accepts an empty folder.
            let _ = fs::remove_dir(&self.folder);
        }
        Ok(())
    }

    /// Removes every file of the replay except the checkpoint and the lock. The checkpoint must stay until the other
    /// files are gone, because `open` refuses a folder that has such files but no checkpoint.
    fn remove_lines(&self) -> Result<(), WorklistError> {
        for partition in self.partitions()? {
            self.remove(&file_name(&partition))?;
        }
        let others = [UNUSABLE, TEMPORARY];
        self.file_names()?.iter().filter(|name| others.contains(&name.as_str())).try_for_each(|name| self.remove(name))
    }

    fn remove(&self, name: &str) -> Result<(), WorklistError> {
        let file = self.folder.join(name);
        fs::remove_file(&file).map_err(|error| WorklistError::Io(file, error))
    }

    fn file_names(&self) -> Result<Vec<String>, WorklistError> {
        let names = || fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.file_name().into_string())).collect();
        let names: io::Result<Vec<_>> = names();
        Ok(names.map_err(|error| WorklistError::Io(self.folder.clone(), error))?.into_iter().flatten().collect())
    }

    fn read_lines<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>, WorklistError> {
        let file = self.folder.join(name);
        let text = fs::read(&file).map_err(|error| WorklistError::Io(file.clone(), error))?;
        let lines: Result<_, _> = serde_json::Deserializer::from_slice(&text).into_iter().collect();
        lines.map_err(|error| WorklistError::Malformed(file, error))
    }

    /// Cuts off the incomplete last line that a killed run can leave in a file. The scan will find the item of this
    /// line again, because the scan position is saved only after the line.
    fn drop_torn_lines(&self) -> Result<(), WorklistError> {
        let drop_torn_line = |file: &Path| {
            let mut file = OpenOptions::new().read(true).write(true).open(file)?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            file.set_len(whole as u64)
        };
        for name in self.file_names()?.iter().filter(|name| parse_partition(name).is_some() || *name == UNUSABLE) {
            let file = self.folder.join(name);
            drop_torn_line(&file).map_err(|error| WorklistError::Io(file.clone(), error))?;
        }
        Ok(())
    }
}

fn to_lines<T: Serialize>(lines: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, &line).expect("strings can always be serialized to memory");
        text.push(b'\n');
    }
    text
}

/// Returns the name of a partition's file. For `dt=2026-11-23/hour=09`, that is `dt=2026-11-23_hour=09.ndjson`.
fn file_name(partition: &str) -> String {
    format!("{}.ndjson", partition.replace('/', "_"))
}

fn parse_partition(file_name: &str) -> Option<String> {
    let partition = file_name.strip_suffix(".ndjson").filter(|name| name.starts_with("dt="))?;
    Some(partition.replace('_', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u128) -> ItemKey {
        ItemKey { pk: format!("EVENT#{number}").into(), sk: "CLAIM".into() }
    }

    fn claim(number: u128) -> Entry {
        Entry::Claim(ClaimRef { claim_id: Uuid::from_u128(number), item: key(number) })
    }

    fn packed(pack: u128, number: u128) -> Entry {
        let [pack_id, claim_id] = [pack, number].map(Uuid::from_u128);
        Entry::Packed(PackedRef { pack_id, claim_id, ttl: 5, item: key(number) })
    }

    fn pack(pack: u128, claims: &[u128]) -> Entry {
        let claim_ids = claims.iter().copied().map(Uuid::from_u128).collect();
        Entry::Pack(PackItem { pack_id: Uuid::from_u128(pack), claim_ids })
    }

    fn open(settings: &ReplaySettings) -> Result<Worklist, WorklistError> {
        let table = TableIdentity { arn: "arn".to_owned(), id: None };
        Worklist::open(table, settings, DateTime::UNIX_EPOCH)
    }

    /// A killed run can leave an incomplete last line in each file. The next run removes exactly these bytes.
    #[test]
    fn torn_lines_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let settings = ReplaySettings::for_test(folder.path().to_owned());
        let mut worklist = open(&settings).unwrap();
        for number in 0..3 {
            worklist.add("dt=2026-11-23/hour=09", &claim(number));
            worklist.add_unusable(&key(number), "no claim id");
        }
        worklist.save().unwrap();
        drop(worklist);
        let files = ["dt=2026-11-23_hour=09.ndjson", UNUSABLE].map(|name| folder.path().join(name));
        let whole = files.clone().map(|file| fs::read(file).unwrap());
        for file in &files {
            OpenOptions::new().append(true).open(file).unwrap().write_all(b"[\"half a li").unwrap();
        }
        fs::write(folder.path().join("dt=2026-11-23_hour=10.ndjson"), "[\"only half").unwrap();

        let worklist = open(&settings).unwrap();
        assert_eq!(files.map(|file| fs::read(file).unwrap()), whole);
        assert_eq!(worklist.read_entries("dt=2026-11-23/hour=09").unwrap(), [0, 1, 2].map(claim));
        assert_eq!(worklist.read_unusable().unwrap().len(), 3);
        assert_eq!(worklist.read_entries("dt=2026-11-23/hour=10").unwrap(), []);
    }

    /// A run that is killed before its first checkpoint leaves a lock and a temporary file. The next run uses this
    /// folder. A run refuses a folder that holds any other file, and does not change that folder.
    #[test]
    fn only_leftovers_of_a_replay_are_accepted() {
        for (names, is_accepted) in [
            (&[LOCK][..], true),
            (&[TEMPORARY], true),
            (&[LOCK, TEMPORARY], true),
            (&[LOCK, TEMPORARY, "thesis.txt"], false),
            (&["thesis.txt"], false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for name in names {
                fs::write(folder.path().join(name), "").unwrap();
            }
            let opened = open(&ReplaySettings::for_test(folder.path().to_owned()));
            let is_refused = matches!(opened, Err(WorklistError::NotACheckpoint(_)));
            assert_eq!((opened.is_ok(), is_refused), (is_accepted, !is_accepted), "{names:?}");
            if is_refused {
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), names.len(), "{names:?}");
            }
        }
    }

    /// Entries are sorted by kind and id, and have no duplicates. The rest of a partition replaces them. Partitions are
    /// sorted by time.
    #[test]
    fn entries_and_partitions_are_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let mut worklist = open(&ReplaySettings::for_test(folder.path().to_owned())).unwrap();
        let sorted = [claim(1), claim(2), packed(3, 2), packed(7, 1), pack(3, &[1, 2]), pack(7, &[9])];
        for entry in sorted.iter().rev().chain(&sorted[1..4]) {
            worklist.add("dt=2026-11-23/hour=10", entry);
        }
        worklist.add("dt=2026-11-23/hour=09", &claim(4));
        worklist.save().unwrap();
        assert_eq!(worklist.partitions().unwrap(), ["dt=2026-11-23/hour=09", "dt=2026-11-23/hour=10"]);
        assert_eq!(worklist.read_entries("dt=2026-11-23/hour=10").unwrap(), sorted);
        worklist.replace("dt=2026-11-23/hour=10", &sorted[2..]).unwrap();
        assert_eq!(worklist.read_entries("dt=2026-11-23/hour=10").unwrap(), sorted[2..]);
        worklist.replace("dt=2026-11-23/hour=10", &[]).unwrap();
        assert_eq!(worklist.partitions().unwrap(), ["dt=2026-11-23/hour=09"]);
    }

    /// A completed run that leaves nothing to do removes its own files, and nothing else.
    #[test]
    fn other_files_outlive_a_finished_replay() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = folder.path().join("checkpoint");
        let worklist = open(&ReplaySettings::for_test(checkpoint.clone())).unwrap();
        fs::write(checkpoint.join("thesis.txt"), "my own").unwrap();
        worklist.finish(&[], true).unwrap();
        let left: Vec<_> = fs::read_dir(&checkpoint).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["thesis.txt"]);
    }

    /// Progress is saved after each mebibyte of claims, which is about ten thousand claims with short event ids. After
    /// a killed run, the next run repeats only the reads since the last save.
    #[test]
    fn progress_is_saved_every_mebibyte() {
        let folder = tempfile::tempdir().unwrap();
        let settings = ReplaySettings::for_test(folder.path().to_owned());
        let mut worklist = open(&settings).unwrap();
        // Each line has 1,024 bytes, so eight pages of 128 claims have one mebibyte.
        let rest = r#"{"claim":["00000000-0000-0000-0000-000000000000","","CLAIM"]}"#.len() + 1;
        let item = ItemKey { pk: "x".repeat(1_024 - rest).into(), sk: "CLAIM".into() };
        let mut saves = Vec::new();
        let mut saved = fs::read(folder.path().join(CHECKPOINT)).unwrap();
        for page in 1..=17 {
            for number in 0..128 {
                let partition = format!("dt=2026-11-23/hour=0{}", number % 2);
                let claim_id = Uuid::from_u128(page * 128 + number);
                worklist.add(&partition, &Entry::Claim(ClaimRef { claim_id, item: item.clone() }));
            }
            worklist.advance(0, Position::After(format!("page {page}"), String::new())).unwrap();
            let now = fs::read(folder.path().join(CHECKPOINT)).unwrap();
            if now != saved {
                assert!(String::from_utf8_lossy(&now).contains(&format!("\"page {page}\"")));
                saves.push(page);
                saved = now;
            }
        }
        assert_eq!(saves, [8, 16]);
        let claims = |hour| worklist.read_entries(&format!("dt=2026-11-23/hour=0{hour}")).unwrap().len();
        assert_eq!((claims(0), claims(1)), (16 * 64, 16 * 64));
    }
}
