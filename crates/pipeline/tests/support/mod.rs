//! The compiled functions that the tests run as child processes, and the claims that the functions leave in the table.
//!
//! Cargo does not tell a test where the binaries of other packages are. The tests expect them in the folder into which
//! `cargo test --workspace` puts all binaries. A narrower `cargo` command can leave outdated binaries there, so a test
//! fails if it finds one. To test the packaged binaries instead, `scripts/check-package` sets the variable
//! `FUNCTION_BINARIES` to their folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use claim::Claim;
use emulator::Services;
use emulator::runtime_api::RuntimeApi;
use pipeline::names;
use tokio::process::Command;

/// Returns the path of a function's binary. Asserts that the binary exists and is not older than the function's sources.
/// Does not check the age of a binary in `FUNCTION_BINARIES`.
pub(crate) fn function_binary(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("FUNCTION_BINARIES") {
        let binary = Path::new(&folder).join(name);
        assert!(binary.is_absolute() && binary.is_file(), "{} is not the absolute path of a file", binary.display());
        return binary;
    }
    // The test's own executable is in the subfolder `deps` of the folder that contains the workspace's binaries.
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().unwrap().with_file_name(name).with_extension(std::env::consts::EXE_EXTENSION);
    let built = binary.metadata().and_then(|file| file.modified());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap();
    let sources = [name, "crates/claim", "crates/lambda-support"].map(|name| workspace.join(name).join("src"));
    let sources = sources.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let newest = sources.map(|file| file.unwrap().metadata().unwrap().modified().unwrap()).max().unwrap();
    assert!(
        built.is_ok_and(|built| built >= newest),
        "{} is missing or outdated: build it with `cargo test --workspace --test compiled --test deployed --test killed`",
        binary.display()
    );
    binary
}

/// Returns the command that runs a function, with the variables that both functions need. The caller adds the other
/// variables.
pub(crate) fn function_command(binary: &Path, api: &RuntimeApi, aws: SocketAddr) -> Command {
    let mut command = Command::new(binary);
    command
        .env_clear()
        .envs([
            ("AWS_REGION", emulator::region::REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ])
        .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
        .env("AWS_ENDPOINT_URL", format!("http://{aws}"))
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true);
    command
}

/// Returns all claims in the table. Ignores packs.
pub(crate) async fn claims(services: &Arc<Services>) -> Vec<Claim> {
    let client = aws_sdk_dynamodb::Client::new(&services.sdk_config());
    let mut pages = client.scan().table_name(names::TABLE).into_paginator().send();
    let mut claims = Vec::new();
    while let Some(page) = pages.next().await {
        let items = page.unwrap().items.unwrap_or_default().into_iter();
        let items = items.filter(|item| item["sk"].as_s().unwrap() != claim::pack::SORT_KEY);
        claims.extend(items.map(|item| Claim::from_item(item).unwrap()));
    }
    claims
}
