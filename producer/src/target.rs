//! Chooses the pipeline that a command works on: a deployed stack or the embedded pipeline.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use claim::{ConflictIgnore, DEFAULT_DEDUP_KEY, DedupKey, EventRules, ObjectPrefix};
use ingest_fn::{ClaimWrites, LakeLayout};
use pipeline::{PipelineSettings, names};

use crate::cli::{EmbeddedArgs, SettingsArgs, TargetArgs};
use crate::scenario::{Scenario, ScenarioRules};
use crate::terraform::{Outputs, TerraformError};

/// Number of sandboxes of `ingest-fn` with packs. They share one thread, so with ten of them and a debug build, batches of a
/// thousand messages could reach the function's deadline.
const PACKS_CONCURRENCY: usize = 2;

/// Number of messages in a batch of `ingest-fn` with packs. Each batch makes at least one pack, so small
/// batches would make small packs.
const PACKS_BATCH_SIZE: usize = 1_000;

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
    /// The reason why this target was selected.
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
    /// Dedup key of the stack, if the Terraform outputs contain it.
    pub dedup_key: Option<String>,
    /// Ignored members of the stack as a JSON array, if the Terraform outputs contain them.
    pub conflict_ignore: Option<String>,
    /// True if the functions log routine outcomes; `None` if the Terraform outputs do not contain this setting.
    pub log_routine_outcomes: Option<bool>,
}

/// The functions' settings that affect the outcome and the verdict of a run.
#[derive(Clone, Debug)]
pub struct FunctionSettings {
    pub rules: EventRules,
    /// True if the functions also write log lines for the outcomes `won`, `duplicate`, `written`, `already_there` and
    /// `skipped`.
    pub log_routine_outcomes: bool,
    pub embedded: EmbeddedArgs,
}

impl FunctionSettings {
    /// Applies these settings to both functions of a pipeline.
    pub(crate) fn apply(&self, settings: &mut PipelineSettings) {
        settings.ingest.rules = self.rules.clone();
        settings.ingest.log_routine_outcomes = self.log_routine_outcomes;
        settings.archive.log_routine_outcomes = self.log_routine_outcomes;
        if self.embedded.batched_claims {
            settings.ingest.claim_writes = ClaimWrites::Batch;
        }
        if self.embedded.packs {
            settings.ingest.lake_layout = LakeLayout::Packs;
            settings.sqs_mapping.batch_size = PACKS_BATCH_SIZE;
            settings.sqs_mapping.maximum_concurrency = PACKS_CONCURRENCY;
            settings.stream_mapping.filter = PipelineSettings::pack_filter();
        }
    }
}

/// The settings of functions whose variables are not set.
impl Default for FunctionSettings {
    fn default() -> Self {
        Self { rules: EventRules::default(), log_routine_outcomes: true, embedded: EmbeddedArgs::default() }
    }
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
            dedup_key: None,
            conflict_ignore: None,
            log_routine_outcomes: None,
        }
    }
}

impl Target {
    /// Returns the target that `--local` selects: the embedded pipeline.
    #[must_use]
    pub fn embedded() -> Self {
        Self { stack: None, reason: "--local".to_owned() }
    }

    /// Selects the first of these that is configured: the queue in `--queue-url`, the queue in `SQS_QUEUE_URL`, the
    /// stack in the Terraform state. If none of them is, selects the embedded pipeline. If the Terraform outputs
    /// contain the selected queue, they also provide the names that the command line does not give.
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
            dedup_key: output("dedup_key"),
            conflict_ignore: same_stack.as_ref().and_then(|outputs| outputs.json("conflict_ignore")),
            log_routine_outcomes: same_stack.as_ref().and_then(|outputs| outputs.flag("log_routine_outcomes")),
            queue_url,
        };
        Ok(Self { stack: Some(stack), reason })
    }
}

impl Target {
    /// Returns the settings of the functions. For each setting, the value on the command line takes precedence over the
    /// stack's, and the stack's over the default.
    ///
    /// # Errors
    /// Fails if a setting is not valid, or if the list of ignored members includes a part of the dedup key.
    pub fn settings(&self, given: &SettingsArgs) -> anyhow::Result<FunctionSettings> {
        let default = ScenarioRules { dedup_key: DEFAULT_DEDUP_KEY, conflict_ignore: "[]" };
        self.settings_or(given, default)
    }

    /// Returns the settings of the functions for a run of a scenario. On the embedded pipeline, the rules that the
    /// scenario requires are the default.
    ///
    /// # Errors
    /// Fails in the cases of [`settings`](Self::settings). Also fails if a given setting differs from the stack's, or
    /// if the settings are not those that the scenario requires.
    pub fn settings_of_run(&self, given: &SettingsArgs, scenario: &Scenario) -> anyhow::Result<FunctionSettings> {
        let settings = match (&self.stack, scenario.rules) {
            (None, Some(required)) => self.settings_or(given, required)?,
            _ => self.settings(given)?,
        };
        if self.stack.is_some() {
            let of_stack = self.settings(&SettingsArgs::default())?;
            self.check_flags(given, &settings, &of_stack)?;
        }
        if let Some(required) = scenario.rules {
            let is_unknown = self.stack.as_ref().is_some_and(|stack| stack.dedup_key.is_none());
            let hint = if is_unknown {
                ": give --dedup-key and --conflict-ignore if the stack has these settings"
            } else {
                ""
            };
            check_scenario(scenario.name, required, &settings.rules, hint)?;
        }
        Ok(settings)
    }

    fn settings_or(&self, given: &SettingsArgs, default: ScenarioRules) -> anyhow::Result<FunctionSettings> {
        let stack = self.stack.as_ref();
        let key_output = stack.and_then(|stack| stack.dedup_key.as_deref());
        let (key, source) = choose("dedup_key", given.dedup_key.as_deref(), key_output, default.dedup_key);
        let key = DedupKey::parse(key).with_context(|| format!("{source} is {key:?}"))?;
        let ignore_output = stack.and_then(|stack| stack.conflict_ignore.as_deref());
        let (ignore, source) =
            choose("conflict_ignore", given.conflict_ignore.as_deref(), ignore_output, default.conflict_ignore);
        let ignore = ConflictIgnore::parse(ignore, &key).with_context(|| format!("{source} is {ignore:?}"))?;
        let logs = given.log_routine_outcomes.or(stack.and_then(|stack| stack.log_routine_outcomes));
        let log_routine_outcomes = logs.unwrap_or(true);
        Ok(FunctionSettings {
            rules: EventRules::new(key, ignore),
            log_routine_outcomes,
            embedded: EmbeddedArgs::default(),
        })
    }

    /// Fails if a flag differs from the stack's Terraform output. Otherwise, the producer would judge the run by
    /// settings that the functions do not have.
    fn check_flags(
        &self,
        given: &SettingsArgs,
        settings: &FunctionSettings,
        of_stack: &FunctionSettings,
    ) -> anyhow::Result<()> {
        let Some(stack) = &self.stack else { return Ok(()) };
        let texts = |settings: &FunctionSettings| {
            let rules = &settings.rules;
            let logs = settings.log_routine_outcomes.to_string();
            [rules.dedup_key().to_string(), rules.conflict_ignore().to_string(), logs]
        };
        let is_given =
            [given.dedup_key.is_some(), given.conflict_ignore.is_some(), given.log_routine_outcomes.is_some()];
        let is_output =
            [stack.dedup_key.is_some(), stack.conflict_ignore.is_some(), stack.log_routine_outcomes.is_some()];
        for (index, name) in ["dedup-key", "conflict-ignore", "log-routine-outcomes"].into_iter().enumerate() {
            let given = &texts(settings)[index];
            let output = &texts(of_stack)[index];
            if is_given[index] && is_output[index] && given != output {
                anyhow::bail!("--{name} is {given}, but the stack has {output}: leave out --{name}");
            }
        }
        Ok(())
    }
}

/// Returns the value of a setting, and a description of its source.
fn choose<'a>(name: &str, given: Option<&'a str>, output: Option<&'a str>, default: &'a str) -> (&'a str, String) {
    match (given, output) {
        (Some(value), _) => (value, format!("--{}", name.replace('_', "-"))),
        (None, Some(value)) => (value, format!("the Terraform output `{name}`")),
        (None, None) => (default, format!("the default of `{name}`")),
    }
}

/// Fails if the rules are not those that a scenario requires. The error ends with `hint`.
fn check_scenario(name: &str, required: ScenarioRules, rules: &EventRules, hint: &str) -> anyhow::Result<()> {
    let key = DedupKey::parse(required.dedup_key).context("the scenario has an invalid dedup key")?;
    let ignore = ConflictIgnore::parse(required.conflict_ignore, &key).context("the scenario has an invalid list")?;
    if (rules.dedup_key(), rules.conflict_ignore()) == (&key, &ignore) {
        return Ok(());
    }
    // A JSON string is also a string in Terraform's language, as long as it has no `${` or `%{`.
    let terraform = |key: &DedupKey, ignore: &ConflictIgnore| {
        format!("dedup_key = {} and conflict_ignore = {ignore}", serde_json::Value::from(key.to_string()))
    };
    anyhow::bail!(
        "cannot run `{name}`: it needs the Terraform settings {}, but the pipeline has {}{hint}",
        terraform(&key, &ignore),
        terraform(rules.dedup_key(), rules.conflict_ignore())
    );
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
