//! What the design stands on: each behavior of SQS, DynamoDB, its streams, S3 and CloudWatch Logs is one named test,
//! written once over the SDK's clients. `cargo test` runs them on the embedded services, `scripts/contract ENGINE` on others.
//!
//! A behavior's body says what must hold. Where an engine is known to do something else, the behavior says so beside
//! its name, with what it does instead, and who is believed and why; such an engine must then do exactly that. So an
//! unexpected agreement fails as well as an unexpected disagreement.
//!
//! | variable | what it says |
//! | --- | --- |
//! | `CONTRACT_ENGINE` | `embedded` (default), `dynamodb-local`, `elasticmq`, `ministack` or `aws` |
//! | `CONTRACT_RUN` | what the names of the run's resources begin with (random) |
//! | `CONTRACT_RESULTS` | a file that gets one line of JSON for each behavior |
//! | `CONTRACT_INGEST_ROLE`, `CONTRACT_ARCHIVE_ROLE` | ARNs of the roles that the functions' own requests are made under |
//! | `CONTRACT_REMOVE` | any value: test nothing, and remove everything whose name begins with `CONTRACT_RUN` |

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what was removed is told to whoever asked for it")]
#![allow(clippy::needless_pass_by_value, reason = "what must hold is written where it is compared")]

mod behavior;
mod claims;
mod dynamodb;
mod engine;
mod logs;
mod outcome;
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

/// Behaviors at once: they wait more than they work.
const AT_ONCE: usize = 12;

/// Runs the behaviors of the engine that `CONTRACT_ENGINE` names, as a test binary does.
#[must_use]
pub fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(AT_ONCE));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let stage = Arc::new(runtime.block_on(Stage::from_variables()));
    if std::env::var_os("CONTRACT_REMOVE").is_some() {
        return runtime.block_on(removal::remove(&stage));
    }
    let results = Arc::new(Results::from_variables().expect("CONTRACT_RESULTS can be opened"));
    let behaviors = [
        dynamodb::behaviors(),
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
