//! The chaos generator: floods the pipeline with duplicates and shows what came out.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`cli`] | the command line |
//! | [`scenario`] | the table of scenarios: a new one is a new row |
//! | [`run`](mod@run), [`trace`](mod@trace), [`explore`] | the commands: one run, one event's story, and the embedded pipeline kept up |
//! | [`failure`] | why a command gives no answer |
//! | [`target`], [`terraform`] | where to send, and why there |
//! | [`embedded`] | the embedded pipeline of a run, and what scenarios do to it |
//! | [`pipeline_client`] | the clients, for a deployed stack and the embedded pipeline alike |
//! | [`events`], [`send`] | what is sent, and sending it |
//! | [`progress`] | how far a run is |
//! | [`watch`], [`function_logs`], [`read_back`], [`same_json`] | waiting until the pipeline is drained, and reading what came out |
//! | [`source`] | what a verdict rests on: queues, table, bucket, logs |
//! | [`evidence`], [`verdict`], [`measures`] | what a run left behind, whether it holds, and what was measured |
//! | [`bill`], [`prices`] | what a run on the embedded pipeline would cost on AWS |
//! | [`report`] | all that is said of a run, as text, as JSON and as a page |

pub mod bill;
pub mod cli;
pub mod embedded;
pub mod events;
pub mod evidence;
pub mod explore;
pub mod failure;
pub mod function_logs;
pub mod measures;
pub mod pipeline_client;
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
