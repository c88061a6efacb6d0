//! AWS Lambda: functions and their sandboxes, the event source mappings and the Runtime API.

mod batch_response;
pub mod filter;
pub mod function;
mod payload;
pub mod runtime_api;
pub mod sqs_mapping;
pub mod stream_mapping;
