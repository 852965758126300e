//! HTTP in: the routes that are not the intake's, and the server that carries them all.
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
use std::collections::BTreeMap;
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
use crate::triage::Closing;

/// What the routes need. Clones share it.
#[derive(Clone)]
pub struct WebState {
    /// The store.
    pub store: Store,
    /// The bytes of images.
    pub archive: Archive,
    /// Whether it can be written to, as it said last.
    pub probed: health::Probed,
    /// Checks links to images; `None` where `server.public_url` is not set.
    pub links: Current<Option<LinkSigner>>,
    /// The numbers.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Takes clicks.
    pub closing: Closing,
    /// For what is done after an answer.
    pub tasks: Tasks,
    /// Cancelled once the relay drains.
    pub stopping: CancellationToken,
    /// Why the last reload was refused, if it was.
    pub reload_refused: Current<Option<String>>,
    /// The destinations' names: a gate or queue of any other is history.
    pub destinations: Current<Vec<crate::model::DestinationName>>,
    /// The rates of each destination.
    pub paces: Current<BTreeMap<crate::model::DestinationName, Vec<crate::destination::RateLimit>>>,
    /// What came of comparing with the platform's lists.
    pub backfills: backfill::States,
    /// The destinations that took no image last.
    pub refused_uploads: RefusedUploads,
    /// The apps that events come in for.
    pub intake: Current<intake::Settings>,
    /// When each app's last event was pushed.
    pub pushes: Pushes,
    /// Reads the bodies of requests.
    pub bodies: Bodies,
    /// How the apps' long connections stand.
    pub connections: ConnectionStates,
}

/// What everyone may ask: images by signed link, and whether the relay is well.
pub fn public_routes(state: WebState) -> Router {
    Router::new()
        .route("/destinations/{name}/actions", post(actions::pressed))
        .route("/images/{id}", get(images::serve))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .fallback(unknown_path::unknown)
        .with_state(state)
}

/// What operators ask: numbers, and what is not as it should be.
pub fn admin_routes(state: WebState) -> Router {
    Router::new()
        .route("/status", get(health::status))
        .route("/metrics", get(metrics::metrics))
        .with_state(state)
}

/// A handler that panics answers 500 and is counted; the connection and the relay live on.
pub fn caught(routes: Router, metrics: Arc<Metrics>) -> Router {
    routes.layer(CatchPanicLayer::custom(
        move |_panic: Box<dyn Any + Send>| {
            metrics.emit(PanicCaught { task: "web" });
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        },
    ))
}
