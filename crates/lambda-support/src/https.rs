//! The HTTPS client for every SDK client that calls AWS.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;

/// Returns the SDK's default HTTPS client, but with ring instead of AWS-LC for TLS. Ring builds faster and makes the
/// functions smaller. Like the SDK's default, this client uses the proxy that `HTTPS_PROXY` and `NO_PROXY` select.
///
/// If an attempt gets no answer, the client drops all idle connections, because they may all have died while Lambda
/// froze the sandbox. The SDK's default client would lose one attempt on each dead connection. With ten dead
/// connections, a message could fail three times and become a dead letter.
#[must_use]
pub fn client() -> SharedHttpClient {
    SharedHttpClient::new(ReplacingClient { current: Arc::new(Mutex::new(Arc::new(new_pool()))) })
}

/// Returns an HTTPS client with an empty connection pool.
fn new_pool() -> SharedHttpClient {
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

/// The pool for new attempts. Attempts in flight may use an older one.
type CurrentPool = Arc<Mutex<Arc<SharedHttpClient>>>;

/// An HTTPS client that replaces its connection pool after an attempt without an answer.
#[derive(Debug)]
struct ReplacingClient {
    current: CurrentPool,
}

impl ReplacingClient {
    fn pool(&self) -> Arc<SharedHttpClient> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HttpClient for ReplacingClient {
    // The SDK calls this function for each attempt of a request.
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let pool = self.pool();
        let connector = pool.http_connector(settings, components);
        SharedHttpConnector::new(WatchedConnector { connector, pool, current: Arc::clone(&self.current) })
    }

    // Loads the root certificates while the function starts, and not with its first request.
    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.pool().validate_base_client_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.pool().connector_metadata()
    }
}

/// A connector that replaces its pool after an attempt without an answer.
#[derive(Debug)]
struct WatchedConnector {
    connector: SharedHttpConnector,
    pool: Arc<SharedHttpClient>,
    current: CurrentPool,
}

impl HttpConnector for WatchedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut attempt =
            Attempt { pool: Arc::clone(&self.pool), current: Arc::clone(&self.current), is_answered: false };
        let answer = self.connector.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            if answer.is_ok() {
                attempt.mark_answered();
            }
            answer
        })
    }
}

/// One attempt to send a request. If it is dropped without an answer, it replaces the connection pool that it used,
/// unless another attempt has replaced that pool already. At a timeout, the SDK drops the attempt's future, which owns
/// this value.
struct Attempt {
    pool: Arc<SharedHttpClient>,
    current: CurrentPool,
    is_answered: bool,
}

impl Attempt {
    fn mark_answered(&mut self) {
        self.is_answered = true;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // Of ten attempts that fail at the same time, only the first one replaces the pool. The others would drop the
        // connections that its retry opens.
        if Arc::ptr_eq(&current, &self.pool) {
            *current = Arc::new(new_pool());
        }
    }
}
