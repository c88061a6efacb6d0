//! How far a run is, told while it goes on: a line that is redrawn where standard error is a terminal, and else a line every few
//! seconds. And how it is told to stop.

use std::cell::Cell;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;
use tokio::time::Instant;

/// How often a line is written that stays.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How often the line of a terminal is redrawn.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// What is counted while a run goes on, as far as the logs tell.
#[derive(Default)]
pub struct Counts {
    /// Messages that SQS confirmed.
    pub sent: Cell<usize>,
    /// Messages that `ingest-fn` acknowledged.
    pub acknowledged: Cell<usize>,
    /// Messages of this run in the dead-letter queue.
    pub dead_letters: Cell<usize>,
    /// Events that `ingest-fn` claimed.
    pub claimed: Cell<usize>,
    /// Events that `archive-fn` archived.
    pub archived: Cell<usize>,
    /// From claim to object, of the last object, in milliseconds.
    pub lag_ms: Cell<Option<u64>>,
}

impl Counts {
    /// Messages with which nothing more will happen.
    fn done(&self) -> usize {
        self.acknowledged.get() + self.dead_letters.get()
    }

    fn line(&self, messages: usize) -> String {
        let sent = self.sent.get();
        let done = self.done();
        let lag = self.lag_ms.get().map_or_else(|| "-".to_owned(), |lag_ms| format!("{lag_ms} ms"));
        format!(
            "{sent} of {messages} sent, {} claimed, {} archived, {} in flight, lag {lag}",
            self.claimed.get(),
            self.archived.get(),
            sent.saturating_sub(done),
        )
    }
}

/// A run's progress. All that is shown while it goes on goes through here, so that lines and a redrawn line do not mix.
pub struct Progress {
    /// Kept up to date by those who know.
    pub counts: Counts,
    bar: Option<ProgressBar>,
    json: bool,
    stop: watch::Sender<bool>,
}

impl Progress {
    /// Standard output is for the verdict alone if it is one in `json`.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { counts: Counts::default(), bar: None, json, stop: watch::Sender::new(false) }
    }

    /// The same with a line that is redrawn, if standard error is a terminal.
    #[must_use]
    pub fn on_terminal(mut self) -> Self {
        if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::with_template("{bar:12} {wide_msg}").expect("the template is right"));
            self.bar = Some(bar);
        }
        self
    }

    /// Shows the counts, of so many messages, until it is dropped.
    pub async fn show(&self, messages: usize) {
        let mut next_line = Instant::now() + LINE_INTERVAL;
        loop {
            tokio::time::sleep(REDRAW_INTERVAL).await;
            let line = self.counts.line(messages);
            match &self.bar {
                Some(bar) => {
                    bar.set_message(line);
                    bar.set_length(messages as u64);
                    bar.set_position(self.counts.done().min(messages) as u64);
                    bar.tick();
                }
                None if Instant::now() >= next_line => {
                    next_line = Instant::now() + LINE_INTERVAL;
                    self.eprint(&line);
                }
                None => {}
            }
        }
    }

    /// Takes the redrawn line away.
    pub fn end(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }

    /// What a person wants to know as it happens: on standard output, unless that is for the verdict alone.
    pub fn print(&self, text: &str) {
        if self.json {
            return self.eprint(text);
        }
        // A closed pipe is no reason to stop: the exit code still tells the verdict.
        self.beside_the_bar(|| drop(writeln!(io::stdout(), "{text}")));
    }

    /// The same on standard error.
    pub fn eprint(&self, text: &str) {
        self.beside_the_bar(|| drop(writeln!(io::stderr(), "{text}")));
    }

    fn beside_the_bar(&self, write: impl FnOnce()) {
        match &self.bar {
            // Before its first message, there is no line to take away.
            Some(bar) if !bar.message().is_empty() => bar.suspend(write),
            _ => write(),
        }
    }

    /// Asks the run to stop sending and waiting, and to end with what has been seen.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// It was asked to.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until it is asked to.
    pub async fn stopped(&self) {
        let mut stop = self.stop.subscribe();
        stop.wait_for(|stop| *stop).await.expect("`self` keeps the sender");
    }
}
