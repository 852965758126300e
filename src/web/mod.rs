//! HTTP routes other than those of intake, and the server for all routes.
//!
//! | path | serves |
//! | --- | --- |
//! | `POST /apps/{name}/events` | [`crate::intake::webhook`] |
//! | `POST /destinations/{name}/actions` | [`actions`] |
//! | `GET /images/{id}` | [`images`] |
//! | `GET /healthz`, `GET /readyz` | [`health`] |
//! | `GET /status`, `GET /metrics` | [`health`], [`metrics`]; on `server.admin_listen` where that is set |

pub mod actions;
pub mod health;
pub mod images;
pub mod metrics;
pub mod server;
mod unknown_path;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::archive::{Archive, LinkSigner};
use crate::deliver::RefusedUploads;
use crate::intake::pushes::Pushes;
use crate::intake::webhook::body::Bodies;
use crate::intake::websocket::ConnectionStates;
use crate::intake::{self, backfill};
use crate::model::{Clock, Current};
use crate::store::Store;
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::telemetry::events::PanicCaught;
use crate::triage::Triage;

/// Dependencies of the routes. Clones share it.
#[derive(Clone)]
pub struct WebState {
    pub store: Store,
    /// The bytes of images.
    pub archive: Archive,
    /// Whether the store can be written to, by its last answer.
    pub probed: health::Probed,
    /// Verifies links to images; `None` if `server.public_url` is not set.
    pub links: Current<Option<LinkSigner>>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    /// Handles button actions.
    pub triage: Triage,
    /// Runs work that follows an answer.
    pub tasks: Tasks,
    /// Cancelled once the relay stops.
    pub stopping: CancellationToken,
    /// Why the last reload was refused; `None` if it was not.
    pub reload_refused: Current<Option<String>>,
    /// Names of the configured destinations. Gates and queues of others are ignored.
    pub destinations: Current<Vec<crate::model::DestinationName>>,
    /// `[[digests]]`.
    pub digests: Current<Vec<crate::rules::DigestSettings>>,
    /// The rate limits of each destination.
    pub paces: Current<crate::destination::Paces>,
    /// The results of comparing with the platform's lists.
    pub backfills: backfill::States,
    /// The destinations whose last image upload was refused.
    pub refused_uploads: RefusedUploads,
    /// The settings of intake, with the apps that receive events.
    pub intake: Current<intake::Settings>,
    /// When each app's last event was pushed.
    pub pushes: Pushes,
    /// Reads the bodies of requests.
    pub bodies: Bodies,
    /// The status of the apps' long connections.
    pub connections: ConnectionStates,
}

/// Returns the routes for everyone: images by signed link, and health.
pub fn public_routes(state: WebState) -> Router {
    Router::new()
        .route("/destinations/{name}/actions", post(actions::pressed))
        .route("/images/{id}", get(images::serve))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .fallback(unknown_path::unknown)
        .with_state(state)
}

/// Returns the routes for operators: metrics and problems.
pub fn admin_routes(state: WebState) -> Router {
    Router::new()
        .route("/status", get(health::status))
        .route("/metrics", get(metrics::metrics))
        .with_state(state)
}

/// Catches panics of handlers: the client gets 500, the panic is counted, and connection and relay continue.
pub fn caught(routes: Router, metrics: Arc<Metrics>) -> Router {
    routes.layer(CatchPanicLayer::custom(
        move |_panic: Box<dyn Any + Send>| {
            metrics.emit(PanicCaught { task: "web" });
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        },
    ))
}
