//! Chooses the pipeline that a command works on: a deployed stack or the embedded pipeline.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use claim::{EventIdPointer, ObjectPrefix};
use pipeline::names;

use crate::cli::TargetArgs;
use crate::terraform::{Outputs, TerraformError};

/// The reason why no target could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error(transparent)]
    Terraform(#[from] TerraformError),
    /// The command line names parts of a deployed stack, but its queue is unknown. A fallback to the embedded pipeline
    /// would ignore these names.
    #[error("cannot find the queue of the given stack: give --queue-url, SQS_QUEUE_URL or --terraform-dir")]
    NoQueue,
    #[error("SQS_QUEUE_URL must be UTF-8, but is {0:?}")]
    NotText(OsString),
}

/// The pipeline that a command works on.
#[derive(Debug)]
pub struct Target {
    /// The deployed stack; `None` for the embedded pipeline.
    pub stack: Option<Stack>,
    /// The setting that selected this target.
    reason: String,
}

/// The names of the resources of a deployed stack or of the embedded pipeline. The producer cannot read a resource
/// whose name is `None`, except for the dead-letter queue, which it looks up through the redrive policy.
#[derive(Clone, Debug)]
pub struct Stack {
    /// URL of the queue that producers send to.
    pub queue_url: String,
    /// Name of the claim table.
    pub table: Option<String>,
    /// Name of the data lake's bucket.
    pub bucket: Option<String>,
    /// Key prefix of the lake's objects.
    pub object_prefix: String,
    pub ingest_log_group: Option<String>,
    pub archive_log_group: Option<String>,
    /// URL of the dead-letter queue; `None` if neither the command line nor the Terraform outputs contain it.
    pub dlq_url: Option<String>,
    /// URL of the stream mapping's on-failure queue.
    pub on_failure_url: Option<String>,
    /// JSON Pointer to the event id in a message body, if the Terraform outputs contain one.
    pub event_id_pointer: Option<String>,
}

impl Stack {
    /// Returns the names of the embedded pipeline's resources. `object_prefix` is the key prefix of the lake's objects.
    #[must_use]
    pub fn embedded(object_prefix: String) -> Self {
        Self {
            queue_url: emulator::queue_url(names::QUEUE),
            table: Some(names::TABLE.to_owned()),
            bucket: Some(names::BUCKET.to_owned()),
            object_prefix,
            ingest_log_group: Some(names::log_group(names::INGEST_FUNCTION)),
            archive_log_group: Some(names::log_group(names::ARCHIVE_FUNCTION)),
            dlq_url: None,
            on_failure_url: Some(emulator::queue_url(names::ON_FAILURE_QUEUE)),
            event_id_pointer: None,
        }
    }
}

impl Target {
    /// Returns the target that `--local` selects: the embedded pipeline.
    #[must_use]
    pub fn embedded() -> Self {
        Self { stack: None, reason: "--local".to_owned() }
    }

    /// Selects the first of these that exists: the queue in `--queue-url`, the queue in `SQS_QUEUE_URL`, the stack in
    /// the Terraform state, the embedded pipeline. If the Terraform outputs contain the selected queue, they also
    /// provide the names that the command line does not give.
    ///
    /// # Errors
    /// Fails if a Terraform state exists but cannot be read or has no queue URL, if there is no state in
    /// `--terraform-dir`, if `SQS_QUEUE_URL` is not UTF-8, or if the command line names parts of a stack but the queue
    /// is unknown.
    pub async fn resolve(args: &TargetArgs, url_variable: Option<OsString>) -> Result<Self, TargetError> {
        let terraform_dir = args.terraform_dir.as_deref().unwrap_or(Path::new("terraform"));
        let folder = terraform_dir.display();
        let given = match (&args.queue_url, url_variable.filter(|url| !url.is_empty())) {
            (Some(url), _) => Some((url.clone(), "--queue-url".to_owned())),
            (None, Some(url)) => Some((url.into_string().map_err(TargetError::NotText)?, "SQS_QUEUE_URL".to_owned())),
            (None, None) => None,
        };
        // If the command line names everything, do not read the Terraform state: it may belong to another stack, and
        // may be unreadable.
        let outputs = if given.is_some() && args.names_all() { None } else { Outputs::read(terraform_dir).await? };
        if outputs.is_none() && args.terraform_dir.is_some() && !(given.is_some() && args.names_all()) {
            return Err(TerraformError::NoState(terraform_dir.to_owned()).into());
        }
        let (queue_url, reason) = match (given, &outputs) {
            (Some(given), _) => given,
            (None, Some(outputs)) => (queue_url(outputs, terraform_dir)?, format!("the Terraform state in {folder}/")),
            (None, None) if args.names_any() => return Err(TargetError::NoQueue),
            (None, None) => {
                let reason = format!("no --queue-url, SQS_QUEUE_URL or Terraform outputs in {folder}/");
                return Ok(Self { stack: None, reason });
            }
        };
        let same_stack = outputs.filter(|outputs| outputs.text("sqs_queue_url").as_ref() == Some(&queue_url));
        let output = |name: &str| same_stack.as_ref().and_then(|outputs| outputs.text(name));
        let stack = Stack {
            table: args.table.clone().or_else(|| output("dynamodb_table_name")),
            bucket: args.bucket.clone().or_else(|| output("s3_bucket_name")),
            object_prefix: args.object_prefix.clone().or_else(|| output("object_prefix")).unwrap_or("events/".into()),
            ingest_log_group: args.ingest_log_group.clone().or_else(|| output("ingest_log_group")),
            archive_log_group: args.archive_log_group.clone().or_else(|| output("archive_log_group")),
            dlq_url: args.dlq_url.clone().or_else(|| output("sqs_dlq_url")),
            on_failure_url: output("on_failure_queue_url"),
            event_id_pointer: output("event_id_pointer"),
            queue_url,
        };
        Ok(Self { stack: Some(stack), reason })
    }
}

impl Target {
    /// Returns the pointer to the event id: `given`, otherwise the stack's pointer, otherwise `/event_id`.
    ///
    /// # Errors
    /// Fails if the stack's pointer is not valid.
    pub fn event_id_pointer(&self, given: Option<&EventIdPointer>) -> anyhow::Result<EventIdPointer> {
        if let Some(pointer) = given {
            return Ok(pointer.clone());
        }
        let of_stack = self.stack.as_ref().and_then(|stack| stack.event_id_pointer.as_deref()).unwrap_or("/event_id");
        EventIdPointer::parse(of_stack)
            .with_context(|| format!("failed to parse the stack's event id pointer {of_stack:?}"))
    }
}

impl Stack {
    /// Parses [`object_prefix`](Self::object_prefix).
    ///
    /// # Errors
    /// Fails if the prefix is not valid.
    pub fn parse_object_prefix(&self) -> anyhow::Result<ObjectPrefix> {
        let prefix = &self.object_prefix;
        ObjectPrefix::parse(prefix).with_context(|| format!("failed to parse the object prefix {prefix:?}"))
    }
}

fn queue_url(outputs: &Outputs, folder: &Path) -> Result<String, TerraformError> {
    outputs.text("sqs_queue_url").ok_or_else(|| TerraformError::NoOutput(folder.to_owned(), "sqs_queue_url"))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stack {
            None => write!(f, "target: the embedded pipeline ({})", self.reason),
            Some(stack) => write!(f, "target: {} ({})", stack.queue_url, self.reason),
        }
    }
}
