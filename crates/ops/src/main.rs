//! The operator's tools: see the library, and `--help`.

mod replay_command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use replay_command::{ReplayArgs, UNUSABLE, note};

/// Tools for the operator of a deployed stack.
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
            // clap explains over several lines what is wrong; one says it.
            let text = error.to_string();
            let first: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            note(&first.join(" "));
            UNUSABLE.into()
        }
    }
}
