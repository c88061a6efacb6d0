//! HTTP between clients and the services: inside the process for functions and tests that use the SDK, over loopback
//! for all other clients.

pub mod endpoint;
mod fault_injection;
mod faulty_statements;
mod in_process_client;
pub(crate) mod response;
mod router;
pub(crate) mod server;
