//! Shows the progress of a run, and passes on the user's request to stop the run early. On a terminal, the progress is
//! one line that is redrawn. Otherwise, a new line is printed every few seconds.

use std::cell::Cell;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ops::command_line::write_line;
use tokio::sync::watch;
use tokio::time::Instant;

/// Interval between progress lines if standard error is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Interval between updates of the progress line on a terminal.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Live counts of a run. Most come from the functions' logs, so they lag behind the pipeline.
#[derive(Default)]
pub struct Counts {
    /// Number of messages that SQS confirmed.
    pub sent: Cell<usize>,
    /// Number of messages that `ingest-fn` logged as winners, duplicates or conflicts. `ingest-fn` acknowledges these
    /// messages, except conflicts if it is configured to fail them. If the functions do not log routine outcomes,
    /// messages whose content matches their event's claim count too.
    pub acknowledged: Cell<usize>,
    /// Number of messages of this run in the dead-letter queue, except those in `acknowledged`.
    pub dead_letters: Cell<usize>,
    /// Number of events that `ingest-fn` claimed.
    pub claimed: Cell<usize>,
    /// Number of events that `archive-fn` archived.
    pub archived: Cell<usize>,
    /// Time from the claim to the object, in milliseconds, in the last log line that states this time.
    pub lag_ms: Cell<Option<u64>>,
}

impl Counts {
    /// Returns the number of messages that are acknowledged or dead letters.
    #[must_use]
    pub fn done(&self) -> usize {
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

/// Shows the progress of a run. All output during a run goes through this type, so that other lines do not garble the
/// progress line.
pub struct Progress {
    /// The live counts, which the sender, the log reader and the watch update.
    pub counts: Counts,
    bar: Option<ProgressBar>,
    json: bool,
    stop: watch::Sender<bool>,
}

impl Progress {
    /// Creates progress output without a redrawn progress line. If `json` is true, standard output is reserved for the
    /// report.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { counts: Counts::default(), bar: None, json, stop: watch::Sender::new(false) }
    }

    /// Adds the redrawn progress line if standard error is a terminal.
    #[must_use]
    pub fn on_terminal(mut self) -> Self {
        if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::with_template("{bar:12} {wide_msg}").expect("the template is valid"));
            self.bar = Some(bar);
        }
        self
    }

    /// Shows the counts of a run until the future is dropped. The run sends `messages` messages.
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

    /// Removes the redrawn progress line.
    pub fn end(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }

    /// Prints a line on standard output, or on standard error if standard output is reserved for JSON. Control
    /// characters in the line are escaped.
    pub fn print(&self, text: &str) {
        if self.json {
            return self.eprint(text);
        }
        // If standard output is closed, the run goes on, because its exit code still gives the verdict.
        self.print_above_bar(|| drop(write_line(&mut io::stdout(), text)));
    }

    /// Prints a line on standard error. Control characters in the line are escaped.
    pub fn eprint(&self, text: &str) {
        self.print_above_bar(|| drop(write_line(&mut io::stderr(), text)));
    }

    fn print_above_bar(&self, write: impl FnOnce()) {
        match &self.bar {
            // Before the progress bar's first message, there is no line on the terminal to suspend.
            Some(bar) if !bar.message().is_empty() => bar.suspend(write),
            _ => write(),
        }
    }

    /// Asks the run to stop sending and waiting, and to report what it has seen so far.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns true after [`stop`](Self::stop).
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits for [`stop`](Self::stop).
    pub async fn stopped(&self) {
        let mut stop = self.stop.subscribe();
        stop.wait_for(|stop| *stop).await.expect("`self` keeps the sender");
    }
}
