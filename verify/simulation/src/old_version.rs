//! Simulates the previous version of `ingest-fn`, as far as other functions can see the difference: its claims have no
//! `layout` and no `trace_id`, and their digests cover the whole body.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use claim::EventRules;
use emulator::function::Sandbox;
use pipeline::{Blueprint, Role, WarmSandbox};
use serde_json::Value;

/// Changes the blueprint of a sandbox of `ingest-fn` to the old version. In worlds with an old version, the dedup key
/// is `/event_id`, because the old `archive-fn` skips claims of other keys. Under this key, the two versions of
/// `archive-fn` differ only in the metadata of their objects, so a blueprint of `archive-fn` stays unchanged.
pub(crate) fn change(blueprint: &mut Blueprint) {
    if blueprint.role == Role::Archive {
        return;
    }
    blueprint.ingest.rules = EventRules::default();
    if let Some(client) = blueprint.sdk.http_client() {
        let client = SharedHttpClient::new(OldClient(client));
        blueprint.sdk = blueprint.sdk.clone().into_builder().http_client(client).build();
    }
}

/// Removes the trace contexts from all messages that the sandbox receives.
pub(crate) fn without_traces(warm: WarmSandbox) -> WarmSandbox {
    let WarmSandbox { sandbox, ingest } = warm;
    let sandbox: Sandbox = Box::new(move |context, payload| {
        let mut batch: Value = serde_json::from_slice(&payload).expect("the mapping builds a valid payload");
        for record in batch["Records"].as_array_mut().into_iter().flatten() {
            record["attributes"].as_object_mut().map(|attributes| attributes.remove("AWSTraceHeader"));
            record["messageAttributes"].as_object_mut().map(|attributes| attributes.remove("traceparent"));
        }
        sandbox(context, batch.to_string().into_bytes())
    });
    WarmSandbox { sandbox, ingest }
}

/// Sends requests with another client, but removes the attribute `layout` from the claims.
#[derive(Clone, Debug)]
struct OldClient(SharedHttpClient);

#[derive(Debug)]
struct OldConnector(SharedHttpConnector);

impl HttpClient for OldClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(OldConnector(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for OldConnector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().and_then(|body| serde_json::from_slice(body).ok());
        let mut body: Value = body.expect("DynamoDB requests are JSON");
        if let Some(item) = body["Item"].as_object_mut() {
            item.remove("layout");
        }
        for statement in body["Statements"].as_array_mut().into_iter().flatten() {
            let text = statement["Statement"].as_str().unwrap_or_default();
            let position = text.split('\'').skip(1).step_by(2).position(|name| name == "layout");
            let position = position.expect("every claim has a layout");
            let text = text.replace("'layout': ?, ", "");
            statement["Statement"] = text.into();
            statement["Parameters"].as_array_mut().expect("every statement has parameters").remove(position);
        }
        *request.body_mut() = SdkBody::from(body.to_string());
        self.0.call(request)
    }
}
