//! The size of a function's artifact, plain and as a zip.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde::Serialize;

use crate::subject::{Artifact, Subject};

/// Size in bytes of the two headers of a zip entry, without the name that each of them repeats.
const ZIP_ENTRY_BYTES: u64 = 30 + 46;
/// Bytes of the record at the end of a zip.
const ZIP_END_BYTES: u64 = 22;

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Size {
    pub(crate) bytes: u64,
    pub(crate) zip_bytes: u64,
}

/// Returns the size of a function's artifact.
pub(crate) fn of(subject: &Subject) -> anyhow::Result<Size> {
    let mut size = Size { bytes: 0, zip_bytes: ZIP_END_BYTES };
    match &subject.artifact {
        Artifact::Binary => size.add(&subject.program, "bootstrap".len())?,
        Artifact::Python { sources, packages } => {
            size.add(sources, sources.file_name().map_or(0, |name| name.len()))?;
            if let Some(packages) = packages {
                size.add_folder(packages, 0)?;
            }
        }
    }
    Ok(size)
}

impl Size {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn megabytes(self) -> f64 {
        self.bytes as f64 / 1e6
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn zip_megabytes(self) -> f64 {
        self.zip_bytes as f64 / 1e6
    }

    fn add(&mut self, file: &Path, name_bytes: usize) -> anyhow::Result<()> {
        let content = std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
        let mut deflated = DeflateEncoder::new(ByteCounter(0), Compression::best());
        deflated.write_all(&content)?;
        self.bytes += content.len() as u64;
        self.zip_bytes += deflated.finish()?.0 + ZIP_ENTRY_BYTES + 2 * name_bytes as u64;
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path, path_bytes: usize) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))? {
            let entry = entry?;
            let path_bytes = path_bytes + entry.file_name().len() + 1;
            match entry.file_type()?.is_dir() {
                // A zip contains no byte code, because Python compiles it on the machine where it runs.
                true if entry.file_name() == "__pycache__" => {}
                true => self.add_folder(&entry.path(), path_bytes)?,
                false => self.add(&entry.path(), path_bytes)?,
            }
        }
        Ok(())
    }
}

struct ByteCounter(u64);

impl io::Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
