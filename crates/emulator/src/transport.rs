//! HTTP between the SDK's clients and the services.

pub mod endpoint;
pub mod in_process_client;
pub(crate) mod partial_batch;
