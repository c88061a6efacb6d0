//! A function as a child process. The kernel reports its CPU time, in nanoseconds, and its peak memory. The services
//! run in the bench's own process, so these figures do not include them.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use emulator::Services;
use emulator::runtime_api::{RuntimeApi, serve_aws};
use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use pipeline::names;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::subject::{Subject, common_variables};

/// Time limit for a function to start or to respond. It is generous enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Process {
    name: &'static str,
    child: Child,
    api: RuntimeApi,
    spawned: Instant,
    requests: usize,
}

/// Starts emulated AWS services that contain the table and the bucket. Returns the services and their loopback
/// endpoint.
pub(crate) async fn back_end() -> anyhow::Result<(Arc<Services>, String)> {
    let services = Services::on_real_clock(1)?;
    let _ = services.tables.create_claim_table(names::TABLE);
    services.lakes.create_bucket(names::BUCKET);
    let endpoint = format!("http://{}", serve_aws(Arc::clone(&services)).await?);
    Ok((services, endpoint))
}

/// Runs `work` on a new Tokio runtime, and then shuts the runtime down. This also ends the services and frees their
/// memory.
pub(crate) fn on_a_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(5));
    done
}

impl Process {
    /// Starts a function. Its environment contains only the variables that the bench sets.
    pub(crate) async fn start(subject: &Subject, endpoint: &str) -> anyhow::Result<Self> {
        let api = RuntimeApi::start(Duration::from_secs(30)).await?;
        let spawned = Instant::now();
        let child = Command::new(&subject.program)
            .args(&subject.arguments)
            .env_clear()
            .envs(common_variables(&api.address.to_string(), endpoint))
            .envs(subject.variables.iter().cloned())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start {}", subject.program.display()))?;
        Ok(Self { name: subject.name, child, api, spawned, requests: 0 })
    }

    /// Returns the time from process start to the first request for an event.
    pub(crate) async fn cold_start(&mut self) -> anyhow::Result<Duration> {
        tokio::select! {
            asked = timeout(PATIENCE, self.api.first_asked()) => {
                let asked = asked.with_context(|| format!("{} did not request an event in time", self.name))?;
                Ok(asked.duration_since(self.spawned))
            }
            ended = self.child.wait() => bail!("{} exited before it requested an event: {}", self.name, ended?),
        }
    }

    /// Invokes the function with a batch. Fails if any message fails.
    pub(crate) async fn invoke(&mut self, event: String) -> anyhow::Result<()> {
        self.requests += 1;
        let request_id = format!("8476a536-e9f4-11e8-9739-{:012}", self.requests);
        let reply = tokio::select! {
            reply = timeout(PATIENCE, self.api.invoke(&request_id, event)) => {
                reply.with_context(|| format!("{} did not respond in time", self.name))?
            }
            ended = self.child.wait() => bail!("{} exited: {}", self.name, ended?),
        };
        let reply = reply.context("the Runtime API lost the reply")?;
        let Ok(response) = reply else { bail!("{} failed: {reply:?}", self.name) };
        let response: Value = serde_json::from_slice(&response)
            .with_context(|| format!("failed to parse the response of {}", self.name))?;
        let none_failed = response["batchItemFailures"].as_array().is_some_and(Vec::is_empty);
        ensure!(none_failed, "{} reported failed messages: {response}", self.name);
        Ok(())
    }

    /// Sends SIGTERM to the process, and waits until it exits.
    pub(crate) async fn terminate(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.pid()?), Signal::SIGTERM).context("failed to end the process")?;
        timeout(PATIENCE, self.child.wait()).await.context("the process did not end in time")??;
        Ok(())
    }

    /// Returns the time since process start.
    pub(crate) fn age(&self) -> Duration {
        self.spawned.elapsed()
    }

    /// Returns the CPU time of all threads since process start, in user and system mode.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let clock =
            clock_getcpuclockid(Pid::from_raw(self.pid()?)).context("failed to read the CPU clock of the process")?;
        Ok(clock_gettime(clock).context("failed to read the CPU clock of the process")?.into())
    }

    /// Returns the peak resident memory in MB.
    pub(crate) fn peak_memory_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/PID/status")?;
        let kb: f64 = peak.split_whitespace().next().context("VmHWM has no number")?.parse()?;
        Ok(kb / 1024.0)
    }

    fn pid(&self) -> anyhow::Result<i32> {
        Ok(i32::try_from(self.child.id().context("the function has exited")?)?)
    }
}
