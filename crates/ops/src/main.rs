//! The `ops` command line. `--help` describes its commands.

mod replay_command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ops::command_line::usage_error;

use replay_command::{ReplayArgs, UNUSABLE, note};

/// Tools for operators of a deployed stack
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Replay(ReplayArgs),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(Cli { command: Command::Replay(args) }) => replay_command::run(args).await,
        Err(help) if !help.use_stderr() => help.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Err(error) => {
            note(&usage_error(&error));
            UNUSABLE.into()
        }
    }
}
