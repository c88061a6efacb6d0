//! A function as a child process: its CPU time to the nanosecond and its peak memory, which are its own alone. The
//! services that it talks to run in the bench's process and are not counted.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use emulator::Services;
use emulator::runtime_api::{RuntimeApi, serve_aws};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use pipeline::names;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::subject::{Subject, common_variables};

/// The longest that any function takes to start or to answer, with much to spare on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running function.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    api: RuntimeApi,
    spawned: Instant,
    requests: usize,
}

/// Services with the table and the bucket, on loopback.
pub(crate) async fn back_end() -> anyhow::Result<(Arc<Services>, String)> {
    let services = Services::on_real_clock(1)?;
    let _ = services.tables.create_claim_table(names::TABLE);
    services.lakes.create_bucket(names::BUCKET);
    let endpoint = format!("http://{}", serve_aws(Arc::clone(&services)).await?);
    Ok((services, endpoint))
}

/// Runs `work` on a runtime of its own: when it goes, the services and all that they hold go with it.
pub(crate) fn on_a_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(5));
    done
}

impl Process {
    /// Starts a function, without any variable but its own.
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
            .with_context(|| format!("{} cannot be started", subject.program.display()))?;
        Ok(Self { name: subject.name, child, api, spawned, requests: 0 })
    }

    /// From process start to its asking for its first event.
    pub(crate) async fn cold_start(&mut self) -> anyhow::Result<Duration> {
        tokio::select! {
            asked = timeout(PATIENCE, self.api.first_asked()) => Ok(asked.context("it never asked for an event")?.duration_since(self.spawned)),
            ended = self.child.wait() => bail!("{} ended before it asked for an event: {}", self.name, ended?),
        }
    }

    /// Hands over a batch, which must succeed as a whole.
    pub(crate) async fn invoke(&mut self, event: String) -> anyhow::Result<()> {
        self.requests += 1;
        let request_id = format!("8476a536-e9f4-11e8-9739-{:012}", self.requests);
        let reply = tokio::select! {
            reply = timeout(PATIENCE, self.api.invoke(&request_id, event)) => reply.with_context(|| format!("{} gave no answer", self.name))?,
            ended = self.child.wait() => bail!("{} ended: {}", self.name, ended?),
        };
        let reply = reply.context("the Runtime API lost the reply")?;
        let Ok(answer) = reply else { bail!("{} failed: {reply:?}", self.name) };
        let answer: Value = serde_json::from_slice(&answer).with_context(|| format!("{}'s answer", self.name))?;
        let none_failed = answer["batchItemFailures"].as_array().is_some_and(Vec::is_empty);
        ensure!(none_failed, "{} failed messages: {answer}", self.name);
        Ok(())
    }

    /// Since its start.
    pub(crate) fn age(&self) -> Duration {
        self.spawned.elapsed()
    }

    /// CPU time of all its threads since its start, in user and system mode.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let clock = clock_getcpuclockid(Pid::from_raw(self.pid()?)).context("the process's CPU clock")?;
        Ok(clock_gettime(clock).context("the process's CPU clock")?.into())
    }

    /// Peak resident memory, in MB.
    pub(crate) fn peak_memory_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in its status")?;
        let kb: f64 = peak.split_whitespace().next().context("VmHWM has no number")?.parse()?;
        Ok(kb / 1024.0)
    }

    fn pid(&self) -> anyhow::Result<i32> {
        Ok(i32::try_from(self.child.id().context("the function has ended")?)?)
    }
}
