//! The `producer` command. `--help` explains its exit codes.

use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;
use ops::command_line::{error_line, usage_error, write_line};
use producer::cli::{Cli, Command, RunArgs, TraceArgs};
use producer::failure::Failure;
use producer::trace::Place;
use producer::verdict::Verdict;

/// Exit code of `run` if an invariant was violated. Exit code of `trace` if it could read every source and found no
/// object of the event, or an object with several versions.
const VIOLATED: u8 = 1;
const UNUSABLE: u8 = 2;
const INCONCLUSIVE: u8 = 3;
const UNREACHABLE: u8 = 4;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(help) if !help.use_stderr() => return help.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Err(error) => return fail(UNUSABLE, &usage_error(&error)),
    };
    match cli.command() {
        Command::Run(args) => run(&args).await,
        Command::List => match producer::scenario::list(&mut io::stdout().lock()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(UNUSABLE, &format!("error: {error}")),
            _ => ExitCode::SUCCESS,
        },
        Command::Local(args) => {
            producer::explore::local(&args).await.map_or_else(exit_without_verdict, |()| ExitCode::SUCCESS)
        }
        Command::Trace(args) => trace(&args).await,
    }
}

async fn run(args: &RunArgs) -> ExitCode {
    match producer::run::run(args).await {
        Ok(Verdict::Held) => ExitCode::SUCCESS,
        Ok(Verdict::Violated) => VIOLATED.into(),
        Ok(Verdict::Inconclusive) => INCONCLUSIVE.into(),
        Err(failure) => exit_without_verdict(failure),
    }
}

async fn trace(args: &TraceArgs) -> ExitCode {
    match producer::trace::run(args).await {
        Ok(story) if story.place == Place::Archived => ExitCode::SUCCESS,
        Ok(story) if story.is_sure() => VIOLATED.into(),
        Ok(_) => INCONCLUSIVE.into(),
        Err(failure) => exit_without_verdict(failure),
    }
}

fn exit_without_verdict(failure: Failure) -> ExitCode {
    match failure {
        Failure::Unusable(error) => fail(UNUSABLE, &format!("error: {}", error_line(error.as_ref()))),
        Failure::Unreachable(error) => fail(UNREACHABLE, &format!("error: {}", error_line(error.as_ref()))),
        Failure::Interrupted => fail(INCONCLUSIVE, "interrupted: no report was made"),
    }
}

fn fail(exit_code: u8, problem: &str) -> ExitCode {
    // If standard error is closed, only the exit code reports the problem.
    let _ = write_line(&mut io::stderr(), problem);
    exit_code.into()
}
