//! The machine's CA certificates, which only HTTPS needs.

use std::sync::Once;

use reqwest::ClientBuilder;

use super::{ClientError, chain};

/// What the operator must do if the machine has no certificates.
pub const NO_CERTIFICATES: &str = "no CA certificates were found on this machine: install the package `ca-certificates`, \
     or name a bundle in SSL_CERT_FILE; then restart the relay";

/// A client, and whether it supports HTTPS.
#[derive(Clone, Debug)]
pub(super) struct Built {
    pub(super) client: reqwest::Client,
    pub(super) speaks_https: bool,
}

/// Builds a client. Without certificates on the machine the client trusts nobody, so only plain
/// HTTP works.
pub(super) fn build(builder: impl Fn() -> ClientBuilder) -> Result<Built, ClientError> {
    let first = match builder().build() {
        Ok(client) => {
            return Ok(Built {
                client,
                speaks_https: true,
            });
        }
        Err(error) => error,
    };
    let without = builder().tls_certs_only([]).build();
    match without {
        Ok(client) => {
            static SAID: Once = Once::new();
            SAID.call_once(|| tracing::warn!("{NO_CERTIFICATES}; nothing is sent over HTTPS"));
            Ok(Built {
                client,
                speaks_https: false,
            })
        }
        // The certificates are not the cause.
        Err(_again) => Err(ClientError(chain(&first.without_url()))),
    }
}

/// Returns whether HTTPS works on this machine.
///
/// # Errors
/// No client can be created at all.
pub fn has_certificates() -> Result<bool, ClientError> {
    build(reqwest::Client::builder).map(|built| built.speaks_https)
}
