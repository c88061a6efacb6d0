//! What is known of the claims to look at, on disk: for each partition of the lake a file with its claims, and how far the scan
//! is. A replay that was killed goes on from here; one that is done leaves nothing behind.
//!
//! The files are written before the position of the scan behind them is, so a replay that was killed notes some claims twice and
//! none not at all.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::checkpoint::{Checkpoint, Position};
use super::settings::ReplaySettings;

/// The scan's position is saved whenever so much is waiting to be written, in bytes: some ten thousand claims.
const WRITE_AT: usize = 1024 * 1024;

const CHECKPOINT: &str = "checkpoint.json";
const UNUSABLE: &str = "unusable.ndjson";
const LOCK: &str = "lock";
/// A file that is being written, until it is put in its place.
const NEW: &str = "new";

/// The checkpoint folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorklistError {
    /// A file of it cannot be read or written.
    #[error("the checkpoint {0} cannot be read or written")]
    Io(PathBuf, #[source] io::Error),
    /// A file of it is not as a replay writes it.
    #[error("the checkpoint {0} is not as a replay writes it: delete its folder to begin anew")]
    Malformed(PathBuf, #[source] serde_json::Error),
    /// It is of another table, lake or time.
    #[error(
        "the checkpoint folder {folder} is of {of}: finish that one, name another folder with --checkpoint, or delete it"
    )]
    OfAnother {
        /// The folder.
        folder: PathBuf,
        /// What it is of.
        of: String,
    },
    /// The folder holds other things.
    #[error("{0} is no checkpoint folder: it is not empty, and has no {CHECKPOINT}")]
    NotOurs(PathBuf),
    /// Another replay is running there.
    #[error("another replay is at work in the checkpoint folder {0}")]
    InUse(PathBuf),
}

/// What it takes to find a claim's object in its partition, and the claim again in the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClaimRef {
    pub(super) claim_id: uuid::Uuid,
    pub(super) event_id: Box<str>,
}

/// A checkpoint folder that is in use.
pub(super) struct Worklist {
    folder: PathBuf,
    checkpoint: Checkpoint,
    resumed: bool,
    /// By file: lines that are not written yet.
    waiting: BTreeMap<String, Vec<u8>>,
    waiting_bytes: usize,
    /// Held until the end.
    _lock: File,
}

impl Worklist {
    /// Goes on with what the folder holds, or begins, with the claims made before `until`. A dry run after one that came to its end
    /// looks anew.
    pub(super) fn open(settings: &ReplaySettings, until: DateTime<Utc>) -> Result<Self, WorklistError> {
        let folder = settings.checkpoint.clone();
        let file = folder.join(CHECKPOINT);
        let cannot = |error| WorklistError::Io(folder.clone(), error);
        fs::create_dir_all(&folder).map_err(cannot)?;
        let has_checkpoint = file.try_exists().map_err(cannot)?;
        for entry in fs::read_dir(&folder).map_err(cannot)? {
            let name = entry.map_err(cannot)?.file_name();
            if !has_checkpoint && name != LOCK && name != NEW {
                return Err(WorklistError::NotOurs(folder));
            }
        }
        let lock = File::create(folder.join(LOCK)).map_err(cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(WorklistError::InUse(folder)),
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }

        let begun = Checkpoint::new(settings, until);
        let mut worklist =
            Self { folder, checkpoint: begun, resumed: false, waiting: BTreeMap::new(), waiting_bytes: 0, _lock: lock };
        if has_checkpoint {
            let text = fs::read(&file).map_err(|error| WorklistError::Io(file.clone(), error))?;
            let found: Checkpoint =
                serde_json::from_slice(&text).map_err(|error| WorklistError::Malformed(file.clone(), error))?;
            if !found.can_continue(&worklist.checkpoint, settings) {
                return Err(WorklistError::OfAnother { folder: worklist.folder, of: found.describe() });
            }
            if found.compared && !settings.write {
                worklist.clear()?;
            } else {
                worklist.checkpoint = found;
                worklist.resumed = true;
                worklist.drop_torn_lines()?;
            }
        }
        worklist.save()?;
        Ok(worklist)
    }

    /// What this replay goes on with, in words.
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

    pub(super) fn add(&mut self, partition: &str, claim: &ClaimRef) {
        self.add_line(file_name(partition), &(claim.claim_id, &claim.event_id));
    }

    pub(super) fn add_unusable(&mut self, partition_key: &str, reason: &str) {
        self.add_line(UNUSABLE.to_owned(), &(partition_key, reason));
    }

    fn add_line(&mut self, file: String, line: &impl Serialize) {
        let waiting = self.waiting.entry(file).or_default();
        let before = waiting.len();
        serde_json::to_writer(&mut *waiting, line).expect("texts can always be written to memory");
        waiting.push(b'\n');
        self.waiting_bytes += waiting.len() - before;
    }

    /// A segment has been read up to here, and all that was in it added.
    pub(super) fn advance(&mut self, segment: usize, position: Position) -> Result<(), WorklistError> {
        self.checkpoint.positions[segment] = position;
        if self.waiting_bytes >= WRITE_AT { self.save() } else { Ok(()) }
    }

    /// Writes what is waiting, and then the positions behind it.
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
        // Else a power failure may leave a position without the new files before it.
        self.sync_names()?;
        self.write(CHECKPOINT, &serde_json::to_vec(&self.checkpoint).expect("texts and times can be encoded"))
    }

    /// Puts a whole file in the place of what is there.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), WorklistError> {
        let file = self.folder.join(name);
        let new = self.folder.join(NEW);
        let write = || {
            let mut written = File::create(&new)?;
            written.write_all(content)?;
            written.sync_data()?;
            fs::rename(&new, &file)
        };
        write().map_err(|error| WorklistError::Io(file.clone(), error))?;
        self.sync_names()
    }

    /// A file's content and its name go to the disk separately, where a folder can be opened as a file.
    fn sync_names(&self) -> Result<(), WorklistError> {
        let sync = || if cfg!(unix) { File::open(&self.folder)?.sync_all() } else { Ok(()) };
        sync().map_err(|error| WorklistError::Io(self.folder.clone(), error))
    }

    /// Those that have claims to look at, in the order of time.
    pub(super) fn partitions(&self) -> Result<Vec<String>, WorklistError> {
        let mut partitions: Vec<String> = self.file_names()?.iter().filter_map(|file| parse_partition(file)).collect();
        partitions.sort();
        Ok(partitions)
    }

    pub(super) fn read_claims(&self, partition: &str) -> Result<Vec<ClaimRef>, WorklistError> {
        let lines: Vec<(uuid::Uuid, Box<str>)> = self.read_lines(&file_name(partition))?;
        Ok(lines.into_iter().map(|(claim_id, event_id)| ClaimRef { claim_id, event_id }).collect())
    }

    /// Of a partition, these claims are left to look at.
    pub(super) fn replace(&self, partition: &str, left: &[ClaimRef]) -> Result<(), WorklistError> {
        let name = file_name(partition);
        if left.is_empty() {
            return self.remove(&name);
        }
        self.write(&name, &to_lines(left.iter().map(|claim| (claim.claim_id, &claim.event_id))))
    }

    /// Partition keys and reasons, each once.
    pub(super) fn read_unusable(&self) -> Result<BTreeMap<String, String>, WorklistError> {
        let exists = self.file_names()?.iter().any(|file| file == UNUSABLE);
        if exists {
            self.read_lines::<(String, String)>(UNUSABLE).map(|lines| lines.into_iter().collect())
        } else {
            Ok(BTreeMap::new())
        }
    }

    /// All was gone through. If there is nothing left to look at, nothing is left behind.
    pub(super) fn finish(mut self, unusable_left: &[(String, String)]) -> Result<(), WorklistError> {
        if unusable_left.is_empty() && self.partitions()?.is_empty() {
            self.clear()?;
            self.remove(LOCK)?;
            // Where somebody keeps other things in it, the folder stays.
            return match fs::remove_dir(&self.folder) {
                Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                    Err(WorklistError::Io(self.folder, error))
                }
                _ => Ok(()),
            };
        }
        self.write(UNUSABLE, &to_lines(unusable_left))?;
        self.checkpoint.compared = true;
        self.save()
    }

    /// The checkpoint itself goes last: without it, the rest would be taken for somebody else's.
    fn clear(&self) -> Result<(), WorklistError> {
        let is_ours = |name: &&String| parse_partition(name).is_some() || [UNUSABLE, NEW].contains(&name.as_str());
        self.file_names()?.iter().filter(is_ours).try_for_each(|name| self.remove(name))?;
        self.remove(CHECKPOINT)
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

    /// A replay that was killed while it wrote leaves part of a line. What it was to say comes again from the scan.
    fn drop_torn_lines(&self) -> Result<(), WorklistError> {
        let drop_torn_line = |file: &Path| {
            let mut file = OpenOptions::new().read(true).write(true).open(file)?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            if whole < text.len() { file.set_len(whole as u64) } else { Ok(()) }
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
        serde_json::to_writer(&mut text, &line).expect("texts can always be written to memory");
        text.push(b'\n');
    }
    text
}

/// `dt=2026-11-23/hour=09` is kept in `dt=2026-11-23_hour=09.ndjson`.
fn file_name(partition: &str) -> String {
    format!("{}.ndjson", partition.replace('/', "_"))
}

fn parse_partition(file_name: &str) -> Option<String> {
    let partition = file_name.strip_suffix(".ndjson").filter(|name| name.starts_with("dt="))?;
    Some(partition.replace('_', "/"))
}
