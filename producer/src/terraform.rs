//! The outputs of a Terraform state.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

/// What a stack says of itself.
#[derive(Debug, Default)]
pub struct Outputs(HashMap<String, Value>);

/// A state that is there and cannot be read. Falling back to something else would hide it.
#[derive(Debug, thiserror::Error)]
pub enum TerraformError {
    /// The file cannot be read.
    #[error("cannot read the Terraform state {0}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The file is no state.
    #[error("the Terraform state {0} is not JSON as Terraform writes it")]
    Malformed(PathBuf, #[source] serde_json::Error),
    /// The state is in a backend, and `terraform` cannot be run.
    #[error("{0} keeps its state in a backend, and terraform cannot be run to read it")]
    NoTerraform(PathBuf, #[source] std::io::Error),
    /// The state is in a backend, and `terraform` cannot read it.
    #[error("terraform cannot read the state of {0}: {1}")]
    Backend(PathBuf, String),
    /// The stack is another one.
    #[error("the Terraform state in {0} has outputs, but no `{1}`")]
    NoOutput(PathBuf, &'static str),
}

#[derive(Deserialize)]
struct State {
    outputs: HashMap<String, Output>,
}

#[derive(Deserialize)]
struct Output {
    value: Value,
}

impl Outputs {
    /// `None` if there is no state in the folder, or one of a stack that was destroyed or never applied.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub async fn read(folder: &Path) -> Result<Option<Self>, TerraformError> {
        let state = folder.join("terraform.tfstate");
        let outputs: HashMap<String, Output> = if exists(&folder.join(".terraform/terraform.tfstate"))? {
            Self::from_backend(folder).await?
        } else if exists(&state)? {
            let text = std::fs::read(&state).map_err(|error| TerraformError::Unreadable(state.clone(), error))?;
            let read: State = serde_json::from_slice(&text).map_err(|error| TerraformError::Malformed(state, error))?;
            read.outputs
        } else {
            return Ok(None);
        };
        let outputs: HashMap<_, _> = outputs.into_iter().map(|(name, output)| (name, output.value)).collect();
        Ok(if outputs.is_empty() { None } else { Some(Self(outputs)) })
    }

    async fn from_backend(folder: &Path) -> Result<HashMap<String, Output>, TerraformError> {
        let run = Command::new("terraform").arg("output").arg("-json").current_dir(folder).output().await;
        let run = run.map_err(|error| TerraformError::NoTerraform(folder.to_owned(), error))?;
        let backend = |problem: &str| TerraformError::Backend(folder.to_owned(), problem.to_owned());
        if !run.status.success() {
            let text = String::from_utf8_lossy(&run.stderr);
            return Err(backend(&text.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
        serde_json::from_slice(&run.stdout).map_err(|error| backend(&error.to_string()))
    }

    /// An output that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.0.get(name)?.as_str().map(str::to_owned)
    }
}

fn exists(file: &Path) -> Result<bool, TerraformError> {
    file.try_exists().map_err(|error| TerraformError::Unreadable(file.to_owned(), error))
}
