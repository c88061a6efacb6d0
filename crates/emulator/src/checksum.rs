//! MD5 digests. SQS returns the digest of each message body, and S3 uses an object's digest as its `ETag`.

use md5::{Digest as _, Md5};

pub(crate) fn md5_hex(body: impl AsRef<[u8]>) -> String {
    Md5::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}
