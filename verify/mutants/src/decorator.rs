//! Implements [`Decorator`] for mutants, so that a pipeline can run them.

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use lambda_support::LogWriter;
use pipeline::{Blueprint, Decorator, Role, WarmSandbox};

use crate::invocation;
use crate::mutant::Mutant;
use crate::wire::RewritingClient;

impl Decorator for Mutant {
    fn log_writer(&self, role: Role, writer: LogWriter) -> LogWriter {
        invocation::log_writer(*self, role, writer)
    }

    fn cold_start(&self, mut blueprint: Blueprint) -> WarmSandbox {
        let role = blueprint.role;
        if let Some(client) = blueprint.sdk.http_client() {
            let client = SharedHttpClient::new(RewritingClient::new(*self, client));
            blueprint.sdk = blueprint.sdk.into_builder().http_client(client).build();
        }
        let mut warm = blueprint.build();
        warm.sandbox = invocation::sandbox(*self, role, warm.sandbox);
        warm
    }
}
