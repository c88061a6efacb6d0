//! Builds the release binaries of the functions and a virtual environment for the Python functions.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

pub(crate) fn workspace_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate folder is in the workspace folder")
}

/// Returns Cargo's target folder. This program is `target/<profile>/bench`.
pub(crate) fn target_folder() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(2).context("this program is not in a target folder")?.to_owned())
}

/// Builds the functions with the settings for deployment. Cargo builds only their packages, because other crates of the
/// workspace would enable more features of shared dependencies. With `quick`, builds the binaries of the
/// whole workspace without optimization instead. Returns the folder of the binaries.
pub(crate) fn build_functions(quick: bool) -> anyhow::Result<PathBuf> {
    let target = target_folder()?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--locked", "--bins", "--target-dir"]).arg(&target).current_dir(workspace_folder());
    if quick {
        run(build.arg("--workspace"))?;
        return Ok(target.join("debug"));
    }
    build.args(["--release", "-p", "ingest-fn", "-p", "archive-fn", "-p", "bare-fn"]);
    run(&mut build)?;
    Ok(target.join("release"))
}

/// Builds the producer with optimization, and returns its path.
pub(crate) fn build_producer() -> anyhow::Result<PathBuf> {
    let target = target_folder()?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--locked", "--release", "-p", "producer", "--target-dir"]).arg(&target);
    run(build.current_dir(workspace_folder()))?;
    Ok(target.join("release/producer"))
}

/// Prepares a virtual environment with the packages that `python/requirements.txt` pins, and a folder with the packages
/// that a Powertools function must include in its zip. Later runs reuse both. Returns the interpreter and the folder.
pub(crate) fn prepare_python() -> anyhow::Result<(PathBuf, PathBuf)> {
    let requirements = workspace_folder().join("bench/python/requirements.txt");
    let pins = std::fs::read_to_string(&requirements)?;
    let target = target_folder()?;
    let venv = target.join("bench-venv");
    let packages = target.join("bench-powertools");
    let python = venv.join("bin/python");
    let installed_pins = venv.join("installed-pins.txt");
    if std::fs::read_to_string(&installed_pins).is_ok_and(|installed| installed == pins) {
        return Ok((python, packages));
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let pip = |arguments: &[&str]| {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(arguments);
        pip
    };
    run(pip(&["--requirement"]).arg(&requirements))?;
    let (_, included) = pins
        .split_once("# Packages that the Powertools function includes in its zip.")
        .context("requirements.txt has no packages for Powertools")?;
    run(pip(&["--no-compile", "--no-deps", "--upgrade", "--target"]).arg(&packages).args(included.split_whitespace()))?;
    std::fs::write(installed_pins, pins)?;
    Ok((python, packages))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("failed to start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
