//! The producer: floods the pipeline with duplicates and checks the outcome.
//!
//! | module | contents |
//! | --- | --- |
//! | [`cli`] | the command line |
//! | [`scenario`] | the table of scenarios |
//! | [`run`](mod@run), [`trace`](mod@trace), [`explore`] | the commands `run`, `trace` and `local` |
//! | [`failure`] | errors that end a command without a verdict |
//! | [`target`], [`terraform`] | the choice of the pipeline that a command works on |
//! | [`embedded`] | the embedded pipeline of a run, and the faults that scenarios inject into it |
//! | [`pipeline_client`] | SDK clients for a deployed stack or the embedded pipeline |
//! | [`events`], [`send`], [`message_id`] | the plan of the messages, and the code that sends them |
//! | [`progress`] | progress output and Ctrl-C |
//! | [`watch`] | waiting until the pipeline is drained |
//! | [`observed_claim`], [`place`], [`by_event`] | what is kept of each claim and object |
//! | [`function_logs`], [`read_back`], [`lake`], `dead_letters`, [`same_json`] | code that reads and compares results |
//! | [`source`] | the places that the producer reads to reach a verdict: queues, table, bucket, logs |
//! | [`evidence`] | everything that the producer observed in a run |
//! | [`verdict`], [`measures`] | the verdict and the measurements of a run |
//! | [`bill`], [`prices`] | the estimated AWS cost of a run on the embedded pipeline |
//! | [`report`] | the report of a run, as text, JSON and HTML |

pub mod bill;
pub mod by_event;
pub mod cli;
pub mod cpu;
mod dead_letters;
pub mod embedded;
pub mod events;
pub mod evidence;
pub mod explore;
pub mod failure;
pub mod function_logs;
pub mod lake;
pub mod measures;
pub mod message_id;
pub mod observed_claim;
pub mod pipeline_client;
pub mod place;
pub mod prices;
pub mod progress;
pub mod read_back;
pub mod report;
pub mod run;
pub mod same_json;
pub mod scenario;
pub mod send;
pub mod source;
pub mod target;
pub mod terraform;
pub mod trace;
pub mod verdict;
pub mod watch;
