//! MD5, which SQS answers for a body and S3 as an `ETag`.

use md5::{Digest as _, Md5};

pub(crate) fn md5_hex(body: impl AsRef<[u8]>) -> String {
    Md5::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}
