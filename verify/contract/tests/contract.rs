//! Runs the contract: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    contract::main()
}
