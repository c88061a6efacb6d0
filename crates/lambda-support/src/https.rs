//! The HTTPS client for every SDK client that calls AWS.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// Returns the SDK's default HTTPS client, but with ring instead of AWS-LC for TLS. Ring builds faster and makes the
/// functions smaller. Like the SDK's default, this client uses the proxy that `HTTPS_PROXY` and `NO_PROXY` select.
#[must_use]
pub fn client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, runtime| {
        let mut connector = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::Ring));
        connector.set_connector_settings(settings.cloned());
        if let Some(runtime) = runtime {
            connector.set_sleep_impl(runtime.sleep_impl());
        }
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}
