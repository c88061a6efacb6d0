//! The contents of all objects, one after another in memory or in a temporary file.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tempfile::SpooledTempFile;

/// Number of bytes above which the contents move from memory to a temporary file. The operating system deletes the file
/// when the process ends.
const MAX_BYTES_IN_MEMORY: usize = 16 * 1024 * 1024;

/// Contents that were stored and are never removed.
#[derive(Clone)]
pub(crate) struct Contents {
    stored: Arc<Mutex<SpooledTempFile>>,
}

impl Contents {
    pub(crate) fn new() -> Self {
        Self { stored: Arc::new(Mutex::new(SpooledTempFile::new(MAX_BYTES_IN_MEMORY))) }
    }

    /// Stores a content and returns the place from which [`read`](Self::read) reads it.
    pub(crate) fn add(&self, content: &[u8]) -> io::Result<Range<u64>> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let start = stored.seek(SeekFrom::End(0))?;
        stored.write_all(content)?;
        Ok(start..start + content.len() as u64)
    }

    /// Reads the content at a place that [`add`](Self::add) returned.
    pub(crate) fn read(&self, place: &Range<u64>) -> io::Result<Bytes> {
        let mut content = vec![0; usize::try_from(place.end - place.start).map_err(io::Error::other)?];
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.seek(SeekFrom::Start(place.start))?;
        stored.read_exact(&mut content)?;
        Ok(content.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contents larger than the memory limit move to a file. Earlier and later contents stay readable.
    #[test]
    fn large_contents_move_to_a_file() {
        let contents = Contents::new();
        let large = vec![7; MAX_BYTES_IN_MEMORY];
        let places = [b"first".as_slice(), &large, b"", b"last"].map(|content| contents.add(content).unwrap());
        assert!(contents.stored.lock().unwrap().is_rolled());
        let read = places.map(|place| contents.read(&place).unwrap());
        assert_eq!(
            (&read[0][..], &read[2][..], &read[3][..]),
            (b"first".as_slice(), b"".as_slice(), b"last".as_slice())
        );
        assert!(read[1] == large);
    }
}
