//! Runs the contract tests. The library describes them.

use std::process::ExitCode;

fn main() -> ExitCode {
    contract::main()
}
