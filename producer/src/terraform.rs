//! The outputs of a Terraform state.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
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
    /// `terraform` does not come to an end.
    #[error("terraform did not say within two minutes what the outputs of {0} are")]
    NoAnswer(PathBuf),
    /// An apply broke off before its outputs were written, or the state is another configuration's.
    #[error("the Terraform state of {0} has resources, but no outputs")]
    NoOutputs(PathBuf),
    /// The folder was named, so that a stack is meant.
    #[error("there is no Terraform state in {0}")]
    NoState(PathBuf),
    /// The stack is another one.
    #[error("the Terraform state in {0} has outputs, but no `{1}`")]
    NoOutput(PathBuf, &'static str),
}

/// `terraform output` reads the state from its backend, which may be S3.
const PATIENCE: Duration = Duration::from_secs(2 * 60);

#[derive(Deserialize)]
struct State {
    outputs: HashMap<String, Output>,
    #[serde(default)]
    resources: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Output {
    value: Value,
}

impl Outputs {
    /// `None` if there is no state in the folder, or one of a stack that was destroyed or never applied.
    ///
    /// # Errors
    /// When there is one that cannot be read, or that has resources and no outputs.
    pub async fn read(folder: &Path) -> Result<Option<Self>, TerraformError> {
        // Where Terraform keeps the backend's settings and the name of the workspace.
        let data = folder.join(std::env::var_os("TF_DATA_DIR").unwrap_or(".terraform".into()));
        let state = folder.join("terraform.tfstate");
        let mut elsewhere = false;
        for file in [data.join("terraform.tfstate"), data.join("environment"), folder.join("terraform.tfstate.d")] {
            elsewhere |= exists(&file)?;
        }
        let (outputs, has_resources) = if elsewhere {
            Self::by_terraform(folder).await?
        } else if exists(&state)? {
            let text = std::fs::read(&state).map_err(|error| TerraformError::Unreadable(state.clone(), error))?;
            let read: State = serde_json::from_slice(&text).map_err(|error| TerraformError::Malformed(state, error))?;
            (read.outputs, !read.resources.is_empty())
        } else {
            return Ok(None);
        };
        match (outputs.is_empty(), has_resources) {
            (true, true) => Err(TerraformError::NoOutputs(folder.to_owned())),
            (true, false) => Ok(None),
            (false, _) => Ok(Some(Self(outputs.into_iter().map(|(name, output)| (name, output.value)).collect()))),
        }
    }

    /// A state in a backend or a workspace: `terraform` knows where. Gives the outputs, and whether there are resources.
    async fn by_terraform(folder: &Path) -> Result<(HashMap<String, Output>, bool), TerraformError> {
        let backend = |problem: &str| TerraformError::Backend(folder.to_owned(), problem.to_owned());
        let outputs: HashMap<String, Output> = serde_json::from_slice(&terraform(folder, &["output", "-json"]).await?)
            .map_err(|error| backend(&error.to_string()))?;
        let has_resources = outputs.is_empty() && !terraform(folder, &["state", "list"]).await?.trim_ascii().is_empty();
        Ok((outputs, has_resources))
    }

    /// An output that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.0.get(name)?.as_str().map(str::to_owned)
    }
}

async fn terraform(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, TerraformError> {
    let mut command = Command::new("terraform");
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let run = tokio::time::timeout(PATIENCE, command.output()).await;
    let run = run.map_err(|_elapsed| TerraformError::NoAnswer(folder.to_owned()))?;
    let run = run.map_err(|error| TerraformError::NoTerraform(folder.to_owned(), error))?;
    let text = String::from_utf8_lossy(&run.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    // `state list` fails where no state was ever written, which `output` does not.
    if run.status.success() || text.contains("No state file was found") {
        Ok(run.stdout)
    } else {
        Err(TerraformError::Backend(folder.to_owned(), text))
    }
}

fn exists(file: &Path) -> Result<bool, TerraformError> {
    file.try_exists().map_err(|error| TerraformError::Unreadable(file.to_owned(), error))
}
