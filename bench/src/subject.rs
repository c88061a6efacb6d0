//! The functions that the bench measures.

use std::path::{Path, PathBuf};

use bench::traffic::Source;
use pipeline::names;

/// A function that the bench measures, and how to start it.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// The function's name in the printed tables.
    pub(crate) name: &'static str,
    /// Kind of batches that the function receives.
    pub(crate) source: Source,
    /// Name of the bare function that this function is compared with.
    pub(crate) baseline: &'static str,
    /// Items and objects that the function must leave in the services for each distinct event.
    pub(crate) leaves: Leaves,
    /// Operation that the function must call at least once.
    pub(crate) uses: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(&'static str, String)>,
    pub(crate) artifact: Artifact,
}

/// Items and objects that a function leaves in the services for one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    Item,
    Object,
    Both,
}

/// The content of the zip that is uploaded to Lambda.
#[derive(Clone, Debug)]
pub(crate) enum Artifact {
    /// A binary with the name `bootstrap`.
    Binary,
    /// Python sources, and the packages that Lambda's runtime does not contain. The runtime contains boto3.
    Python { sources: PathBuf, packages: Option<PathBuf> },
}

pub(crate) const BARE_PUT: &str = "bare, 10 PutItem";
pub(crate) const BARE_EXECUTE: &str = "bare, 1 BatchExecuteStatement";
pub(crate) const BARE_S3: &str = "bare, PutObject";
pub(crate) const INGEST: &str = "ingest-fn";
pub(crate) const INGEST_BATCH: &str = "ingest-fn, batched claims";
pub(crate) const ARCHIVE: &str = "archive-fn";
/// The functions with packs. They are measured only with large batches.
pub(crate) const INGEST_PACKS: &str = "ingest-fn, packs";
pub(crate) const INGEST_PACKS_BATCH: &str = "ingest-fn, packs, batched claims";
pub(crate) const ARCHIVE_PACKS: &str = "archive-fn, packs";
pub(crate) const BOTO3: &str = "Python, boto3";
pub(crate) const POWERTOOLS: &str = "Python, Powertools";

impl Subject {
    /// Returns true if the function is also measured with duplicates. The only bare function that is measured with
    /// duplicates is [`BARE_PUT`], with which `ingest-fn` is compared. `archive-fn` never receives a duplicate.
    pub(crate) fn knows_duplicates(&self) -> bool {
        self.name == BARE_PUT || !(self.name.starts_with("bare") || self.source != Source::Queue)
    }
}

/// Returns this project's functions with packs. `binaries` is the folder of their binaries.
pub(crate) fn with_packs(binaries: &Path) -> Vec<Subject> {
    let subjects = compiled(binaries);
    let subject = |like, name, variables: &[(&'static str, &str)]| {
        let mut subject = Subject { name, ..named(&subjects, like).clone() };
        subject.variables.extend(variables.iter().map(|&(name, value)| (name, value.to_owned())));
        subject
    };
    let packs = ("LAKE_LAYOUT", "packs");
    let archive = subject(ARCHIVE, ARCHIVE_PACKS, &[]);
    vec![
        subject(INGEST, INGEST_PACKS, &[packs]),
        subject(INGEST_BATCH, INGEST_PACKS_BATCH, &[packs]),
        Subject { source: Source::Packs, ..archive },
    ]
}

/// Returns this project's functions and the bare ones. `binaries` is the folder of their binaries.
pub(crate) fn compiled(binaries: &Path) -> Vec<Subject> {
    let subject = |name, binary: &str, source, leaves, uses| Subject {
        name,
        source,
        baseline: if source == Source::Stream || binary == "bare-s3" { BARE_S3 } else { BARE_PUT },
        leaves,
        uses,
        program: binaries.join(binary),
        arguments: Vec::new(),
        variables: Vec::new(),
        artifact: Artifact::Binary,
    };
    let mut subjects = vec![
        subject(BARE_PUT, "bare-dynamodb", Source::Queue, Leaves::Item, "DynamoDb PutItem"),
        subject(BARE_EXECUTE, "bare-dynamodb", Source::Queue, Leaves::Item, "DynamoDb BatchExecuteStatement"),
        subject(BARE_S3, "bare-s3", Source::Queue, Leaves::Object, "S3 PUT"),
        subject(INGEST, "ingest-fn", Source::Queue, Leaves::Item, "DynamoDb PutItem"),
        subject(INGEST_BATCH, "ingest-fn", Source::Queue, Leaves::Item, "DynamoDb BatchExecuteStatement"),
        subject(ARCHIVE, "archive-fn", Source::Stream, Leaves::Object, "S3 PUT"),
    ];
    let mut set = |position: usize, name, value: &str| subjects[position].variables.push((name, value.to_owned()));
    set(1, "BARE_WRITES", "execute");
    set(3, "CLAIM_WRITES", "single");
    set(4, "CLAIM_WRITES", "batch");
    subjects
}

/// Returns the function called `name`, which must be in `subjects`.
pub(crate) fn named<'a>(subjects: &'a [Subject], name: &str) -> &'a Subject {
    subjects.iter().find(|subject| subject.name == name).expect("every compiled function is measured")
}

/// Returns the two Python functions. `python` is the interpreter of a virtual environment.
pub(crate) fn python(python: &Path, sources: &Path, packages: &Path) -> Vec<Subject> {
    [(BOTO3, "boto3_peer"), (POWERTOOLS, "powertools_peer")]
        .map(|(name, module)| Subject {
            name,
            source: Source::Queue,
            baseline: BARE_PUT,
            leaves: Leaves::Both,
            uses: "S3 PUT",
            program: python.to_owned(),
            arguments: vec!["-m".to_owned(), "awslambdaric".to_owned(), format!("{module}.handler")],
            variables: vec![
                ("PYTHONPATH", sources.display().to_string()),
                // Python must not write byte code next to the sources.
                ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
                ("HOME", std::env::temp_dir().display().to_string()),
            ],
            artifact: Artifact::Python {
                sources: sources.join(format!("{module}.py")),
                packages: (name == POWERTOOLS).then(|| packages.to_owned()),
            },
        })
        .to_vec()
}

/// Returns the environment variables that every function gets.
pub(crate) fn common_variables(runtime_api: &str, endpoint: &str) -> Vec<(&'static str, String)> {
    [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", emulator::region::REGION),
        ("AWS_DEFAULT_REGION", emulator::region::REGION),
        ("AWS_ACCESS_KEY_ID", "bench"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
        ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("TABLE_NAME", names::TABLE),
        ("BUCKET_NAME", names::BUCKET),
        // The functions must not read the AWS settings of the user.
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}
