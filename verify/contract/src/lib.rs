//! The contract: every behavior of SQS, DynamoDB, DynamoDB Streams, S3 and CloudWatch Logs that the design relies on is
//! one named test. The same tests run on every engine: `cargo test` runs them on the embedded services (the `emulator`
//! crate), and `scripts/contract ENGINE` on another engine.
//!
//! A test checks that the engine does what AWS promises. If an engine is known to differ, the list of behaviors records
//! and explains the difference. On that engine, the test passes only if the engine differs exactly as recorded, so it
//! also fails if the engine no longer differs.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `CONTRACT_ENGINE` | Engine to test: `embedded` (default), `dynamodb-local`, `elasticmq`, `ministack` or `aws` |
//! | `CONTRACT_RUN` | Prefix of the names of all resources that the run creates (default: random); log group names have a `/` before it |
//! | `CONTRACT_RESULTS` | File to which the run appends one line of JSON for each behavior |
//! | `CONTRACT_INGEST_ROLE`, `CONTRACT_ARCHIVE_ROLE` | ARNs of the roles that the tests assume for the functions' requests (default: your own identity) |
//! | `CONTRACT_REMOVE` | If set, the run tests nothing and removes everything whose name starts with `CONTRACT_RUN` |

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the removal reports what it removed")]
#![expect(clippy::needless_pass_by_value, reason = "expected values are written where they are compared")]

mod behavior;
mod claims;
mod dynamodb;
mod engine;
mod logs;
mod outcome;
mod packs;
mod partiql;
mod removal;
mod results;
mod s3;
mod sqs;
mod stage;
mod streams;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Handle;

use crate::behavior::Behavior;
use crate::results::Results;
use crate::stage::Stage;

/// Number of tests that run at the same time. It may exceed the number of cores, because tests spend most of their time
/// waiting.
const AT_ONCE: usize = 12;

/// Runs the tests on the engine that `CONTRACT_ENGINE` names. Accepts the command-line flags of a test binary.
#[must_use]
pub fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(AT_ONCE));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let stage = Arc::new(runtime.block_on(Stage::from_variables()));
    if std::env::var_os("CONTRACT_REMOVE").is_some() {
        return runtime.block_on(removal::remove(&stage));
    }
    let results = Arc::new(Results::from_variables().expect("the file named by CONTRACT_RESULTS can be opened"));
    let behaviors = [
        dynamodb::behaviors(),
        packs::behaviors(),
        partiql::behaviors(),
        streams::behaviors(),
        s3::behaviors(),
        sqs::behaviors(),
        logs::behaviors(),
    ];
    let mut trials = Vec::new();
    for (order, mut behavior) in behaviors.into_iter().flatten().enumerate() {
        behavior.order = order;
        let why_not = behavior.not_on.iter().find(|(engine, _)| *engine == stage.engine).map(|(_, why)| *why);
        if why_not.is_some() || !stage.engine.has(behavior.service) {
            if !arguments.list {
                results.add(&behavior.not_applicable(stage.engine, why_not));
            }
            continue;
        }
        trials.push(trial(behavior, &stage, &results, runtime.handle().clone()));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(behavior: Behavior, stage: &Arc<Stage>, results: &Arc<Results>, runtime: Handle) -> Trial {
    let stage = Arc::clone(stage);
    let results = Arc::clone(results);
    let name = format!("{}::{}", behavior.service, behavior.name);
    Trial::test(name, move || runtime.block_on(behavior.check(stage, &results)))
}
