//! Reads the outputs of a Terraform state.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::process::Command;

/// The Terraform outputs of a stack, by name.
#[derive(Debug, Default)]
pub struct Outputs(HashMap<String, Value>);

/// The reason why a Terraform state cannot be used. Each of these errors ends the command, because a fallback to
/// another target would hide the problem.
#[derive(Debug, thiserror::Error)]
pub enum TerraformError {
    #[error("failed to read the Terraform state {0}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The file is not a Terraform state.
    #[error("failed to parse the Terraform state {0}")]
    Malformed(PathBuf, #[source] serde_json::Error),
    /// The state is in a backend or workspace, which only `terraform` can read, but `terraform` could not be started.
    #[error("failed to run terraform, which is needed to read the state of {0}")]
    NoTerraform(PathBuf, #[source] std::io::Error),
    /// The state is in a backend or workspace, and `terraform` failed or its output is not valid. The text contains the
    /// reason.
    #[error("terraform failed to read the state of {0}: {1}")]
    Backend(PathBuf, String),
    /// `terraform` did not finish in time.
    #[error("terraform did not return the outputs of {0} within two minutes")]
    NoAnswer(PathBuf),
    /// `terraform apply` failed before it wrote the outputs, or the state belongs to another configuration.
    #[error("the Terraform state of {0} has resources, but no outputs")]
    NoOutputs(PathBuf),
    /// The folder that the command line names contains no Terraform state. The producer does not fall back to the
    /// embedded pipeline, because the user expects a deployed stack there.
    #[error("there is no Terraform state in {0}")]
    NoState(PathBuf),
    /// The state lacks an output that every stack has, so it belongs to another configuration.
    #[error("the Terraform state in {0} has no output `{1}`")]
    NoOutput(PathBuf, &'static str),
}

/// Time limit for one run of `terraform`, which may have to read the state from S3.
const TERRAFORM_TIMEOUT: Duration = Duration::from_secs(2 * 60);

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
    /// Reads the outputs of the state in `folder`. Returns `None` if there is no state, or if the state has neither
    /// outputs nor resources, as after `terraform destroy`.
    ///
    /// # Errors
    /// Fails if the state exists but cannot be read, or if it has resources but no outputs.
    pub async fn read(folder: &Path) -> Result<Option<Self>, TerraformError> {
        // Terraform keeps the settings of the backend and the name of the workspace in this folder.
        let data = folder.join(std::env::var_os("TF_DATA_DIR").unwrap_or(".terraform".into()));
        let state = folder.join("terraform.tfstate");
        let mut elsewhere = false;
        for file in [data.join("terraform.tfstate"), data.join("environment"), folder.join("terraform.tfstate.d")] {
            elsewhere |= exists(&file)?;
        }
        let (outputs, has_resources) = if elsewhere {
            Self::run_terraform(folder).await?
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

    /// Runs `terraform` to read a state in a backend or workspace. Returns the outputs and a flag, which is true if the
    /// state has resources but no outputs.
    async fn run_terraform(folder: &Path) -> Result<(HashMap<String, Output>, bool), TerraformError> {
        let backend = |problem: &str| TerraformError::Backend(folder.to_owned(), problem.to_owned());
        let outputs: HashMap<String, Output> = serde_json::from_slice(&terraform(folder, &["output", "-json"]).await?)
            .map_err(|error| backend(&error.to_string()))?;
        let has_resources = outputs.is_empty() && !terraform(folder, &["state", "list"]).await?.trim_ascii().is_empty();
        Ok((outputs, has_resources))
    }

    /// Returns an output as JSON, if it exists and is not null.
    #[must_use]
    pub fn json(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_null()).map(Value::to_string)
    }

    /// Returns an output, if it exists and is true or false.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    /// Returns an output, if it exists and is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.0.get(name)?.as_str().map(str::to_owned)
    }
}

async fn terraform(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, TerraformError> {
    let mut command = Command::new("terraform");
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let run = tokio::time::timeout(TERRAFORM_TIMEOUT, command.output()).await;
    let run = run.map_err(|_elapsed| TerraformError::NoAnswer(folder.to_owned()))?;
    let run = run.map_err(|error| TerraformError::NoTerraform(folder.to_owned(), error))?;
    let text = String::from_utf8_lossy(&run.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    // Unlike `terraform output`, `terraform state list` fails if no state was ever written.
    if run.status.success() || text.contains("No state file was found") {
        Ok(run.stdout)
    } else {
        Err(TerraformError::Backend(folder.to_owned(), text))
    }
}

fn exists(file: &Path) -> Result<bool, TerraformError> {
    file.try_exists().map_err(|error| TerraformError::Unreadable(file.to_owned(), error))
}
