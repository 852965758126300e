//! The machine's CA certificates: only what speaks HTTPS needs them.

use std::sync::Once;

use reqwest::ClientBuilder;

use super::{ClientError, chain};

/// What to do where the machine has none.
pub const NO_CERTIFICATES: &str = "no CA certificates were found on this machine: install the package `ca-certificates`, \
     or name a bundle in SSL_CERT_FILE; then start the relay anew";

/// A client, and whether it can speak HTTPS.
#[derive(Clone, Debug)]
pub(super) struct Built {
    pub(super) client: reqwest::Client,
    pub(super) speaks_https: bool,
}

/// Builds a client. Where the machine has no certificates, it is one that trusts nobody: plain HTTP works.
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
        // Another fault than the certificates'.
        Err(_again) => Err(ClientError(chain(&first.without_url()))),
    }
}

/// Whether HTTPS can be spoken on this machine.
///
/// # Errors
/// No client can be made at all.
pub fn has_certificates() -> Result<bool, ClientError> {
    build(reqwest::Client::builder).map(|built| built.speaks_https)
}
