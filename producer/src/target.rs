//! Where the messages go, and where to look for what became of them.

use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use claim::{EventIdPointer, ObjectPrefix};

use crate::cli::TargetArgs;
use crate::terraform::{Outputs, TerraformError};

/// It cannot be told where to send.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// See there.
    #[error(transparent)]
    Terraform(#[from] TerraformError),
    /// The embedded pipeline has its own names; a run on it is not what was meant.
    #[error(
        "names of a stack are given, but neither --queue-url, nor SQS_QUEUE_URL, nor Terraform outputs say its queue"
    )]
    NoQueue,
}

/// A pipeline to send to.
#[derive(Debug)]
pub struct Target {
    /// The stack, or the embedded pipeline if it is none.
    pub stack: Option<Stack>,
    /// Why this one.
    why: String,
}

/// A deployed stack. What is not known cannot be read.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Producers send here.
    pub queue_url: String,
    /// The claims.
    pub table: Option<String>,
    /// The data lake.
    pub bucket: Option<String>,
    /// Where the lake begins in its bucket.
    pub object_prefix: String,
    /// Of `ingest-fn`.
    pub ingest_log_group: Option<String>,
    /// Of `archive-fn`.
    pub archive_log_group: Option<String>,
    /// If the queue's redrive policy does not say.
    pub dlq_url: Option<String>,
    /// The stream mapping's on-failure queue.
    pub on_failure_url: Option<String>,
    /// Where the event id stands in a body.
    pub event_id_pointer: Option<String>,
}

impl Target {
    /// The embedded pipeline, because `--local` says so.
    #[must_use]
    pub fn embedded() -> Self {
        Self { stack: None, why: "--local".to_owned() }
    }

    /// `--queue-url`, else `SQS_QUEUE_URL`, else the Terraform state, else the embedded pipeline. Names that the
    /// command line leaves out come from the outputs, if those are of the same queue's stack.
    ///
    /// # Errors
    /// When a Terraform state is there and cannot be read, or names are given of a stack whose queue is not known.
    pub async fn resolve(args: &TargetArgs, url_variable: Option<String>) -> Result<Self, TargetError> {
        let terraform_dir = args.terraform_dir.as_deref().unwrap_or(Path::new("terraform"));
        let folder = terraform_dir.display();
        let given = match (&args.queue_url, url_variable.filter(|url| !url.is_empty())) {
            (Some(url), _) => Some((url.clone(), "--queue-url".to_owned())),
            (None, Some(url)) => Some((url, "SQS_QUEUE_URL".to_owned())),
            (None, None) => None,
        };
        // A state that nothing is needed of may be any stack's.
        let outputs = if given.is_some() && args.names_all() { None } else { Outputs::read(terraform_dir).await? };
        if outputs.is_none() && args.terraform_dir.is_some() && !(given.is_some() && args.names_all()) {
            return Err(TerraformError::NoState(terraform_dir.to_owned()).into());
        }
        let (queue_url, why) = match (given, &outputs) {
            (Some(given), _) => given,
            (None, Some(outputs)) => (queue_url(outputs, terraform_dir)?, format!("the Terraform state in {folder}/")),
            (None, None) if args.names_any() => return Err(TargetError::NoQueue),
            (None, None) => {
                let why = format!("no --queue-url, SQS_QUEUE_URL or Terraform outputs in {folder}/");
                return Ok(Self { stack: None, why });
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
        Ok(Self { stack: Some(stack), why })
    }
}

impl Target {
    /// The place of the event id in a body: what the command line says, else what the stack says.
    ///
    /// # Errors
    /// When the stack's pointer is not a valid one.
    pub fn event_id_pointer(&self, given: Option<&EventIdPointer>) -> anyhow::Result<EventIdPointer> {
        if let Some(pointer) = given {
            return Ok(pointer.clone());
        }
        let of_stack = self.stack.as_ref().and_then(|stack| stack.event_id_pointer.as_deref()).unwrap_or("/event_id");
        EventIdPointer::parse(of_stack).with_context(|| format!("the stack's event id pointer {of_stack:?}"))
    }
}

impl Stack {
    /// Parses [`object_prefix`](Self::object_prefix).
    ///
    /// # Errors
    /// When it is not a valid one.
    pub fn parse_object_prefix(&self) -> anyhow::Result<ObjectPrefix> {
        let prefix = &self.object_prefix;
        ObjectPrefix::parse(prefix).with_context(|| format!("the object prefix {prefix:?}"))
    }
}

fn queue_url(outputs: &Outputs, folder: &Path) -> Result<String, TerraformError> {
    outputs.text("sqs_queue_url").ok_or_else(|| TerraformError::NoOutput(folder.to_owned(), "sqs_queue_url"))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stack {
            None => write!(f, "target: the embedded pipeline ({})", self.why),
            Some(stack) => write!(f, "target: {} ({})", stack.queue_url, self.why),
        }
    }
}
