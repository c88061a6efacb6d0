//! The results file that `CONTRACT_RESULTS` names.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::Mutex;

use serde_json::Value;

/// The open results file. `None` if `CONTRACT_RESULTS` is not set.
pub(crate) struct Results(Option<Mutex<File>>);

impl Results {
    pub(crate) fn from_variables() -> std::io::Result<Self> {
        let file =
            std::env::var_os("CONTRACT_RESULTS").map(|path| OpenOptions::new().append(true).create(true).open(path));
        Ok(Self(file.transpose()?.map(Mutex::new)))
    }

    pub(crate) fn add(&self, line: &Value) {
        if let Some(file) = &self.0 {
            writeln!(file.lock().unwrap(), "{line}").expect("the results file can be written");
        }
    }
}
