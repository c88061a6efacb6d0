//! MD5 digests. SQS returns the digest of each message body, and S3 uses an object's digest as its `ETag`.

use md5::{Digest as _, Md5};

pub(crate) fn md5_hex(body: impl AsRef<[u8]>) -> String {
    hex(&md5(body))
}

pub(crate) fn md5(body: impl AsRef<[u8]>) -> [u8; 16] {
    Md5::digest(body).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
