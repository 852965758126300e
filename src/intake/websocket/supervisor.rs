//! Keeps one app connected, forever: no failure ends it, and every step has a deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection_states::{ConnectionStates, Down};
use super::outage::Outage;
use super::reconnect::{DisconnectReason, ReconnectBackoff};
use super::session::{Link, Session};
use crate::feishu::frame::Ack;
use crate::feishu::{App, Envelope, FeishuClient, LinkSettings};
use crate::intake::Intake;
use crate::intake::backfill::Backfill;
use crate::model::{AppName, Notice, NoticeKind};
use crate::notices::Notifier;
use crate::store::StoreError;
use crate::telemetry::events::{ConnectionEnded, ConnectionLeft, ConnectionOpened, RequestRefused};

/// The time limit of a commit, because the acknowledgement must be sent within 3 s of the push. Source: doc
/// "Use long connection".
const STORE_WITHIN: Duration = Duration::from_millis(2500);
/// The time between two checks for an outage.
const CHECK_EVERY: Duration = Duration::from_secs(15);

/// Keeps one app connected.
pub(super) struct Supervisor {
    pub(super) app: App,
    pub(super) client: FeishuClient,
    pub(super) link: Link,
    pub(super) intake: Intake,
    pub(super) operator: Notifier,
    /// Finds events that were pushed while there was no connection.
    pub(super) backfill: Backfill,
    /// Ends a pause early.
    pub(super) wake: Arc<Notify>,
    pub(super) chance: fastrand::Rng,
}

impl Supervisor {
    /// Runs until `ending`.
    pub(super) async fn run(mut self, ending: CancellationToken) {
        let link = &self.link;
        let connecting = Down {
            reason: "connecting".into(),
            refused: false,
        };
        link.board.down(&link.app, connecting, link.clock.now());
        let operator = self.operator.clone();
        let alarm = alarm(operator, self.link.app.clone(), self.link.board.clone());
        tokio::select! {
            () = self.keep_connected(&ending) => {}
            () = alarm => {}
        }
        let link = &self.link;
        link.board.forget(&link.app);
        link.metrics.emit(ConnectionLeft { app: &link.app });
    }

    async fn keep_connected(&mut self, ending: &CancellationToken) {
        let mut settings = LinkSettings::default();
        let mut pauses = ReconnectBackoff::default();
        let mut was_missing = false;
        loop {
            let (end, lasted) = self.connection(&mut settings, was_missing, ending).await;
            was_missing = true;
            if ending.is_cancelled() {
                return;
            }
            let chance = || self.chance.f64();
            let pause = pauses.after(&end, lasted, &settings, chance);
            self.ended(&end, pause).await;
            tokio::select! {
                () = ending.cancelled() => return,
                () = sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Makes one connection, from the request for an address to its end. Returns how long it was open.
    /// `was_missing`: an earlier connection has ended, so events may have been missed.
    async fn connection(
        &self,
        settings: &mut LinkSettings,
        was_missing: bool,
        ending: &CancellationToken,
    ) -> (DisconnectReason, Duration) {
        let opening = async {
            let endpoint = self.client.endpoint(settings).await?;
            let socket = self.client.connect(&endpoint).await?;
            Ok((endpoint, socket))
        };
        let opened = tokio::select! {
            () = ending.cancelled() => return (DisconnectReason::Left, Duration::ZERO),
            opened = opening => opened,
        };
        let (endpoint, socket) = match opened {
            Ok(opened) => opened,
            Err(why) => return (DisconnectReason::Missing(why), Duration::ZERO),
        };
        let (link, began) = (&self.link, Instant::now());
        link.board.up(&link.app, link.clock.now());
        if was_missing {
            self.backfill.wake(&link.app);
        }
        link.metrics.emit(ConnectionOpened {
            app: &link.app,
            device: &endpoint.device,
        });
        let app = Arc::new(self.app.clone());
        let handle = |payload, arrived| {
            let (intake, app) = (self.intake.clone(), Arc::clone(&app));
            async move { take(&intake, &app, payload, arrived).await }
        };
        let session = Session::new(link, socket, endpoint.service, settings, handle);
        (session.run(ending).await, began.elapsed())
    }

    async fn ended(&self, end: &DisconnectReason, retry_in: Duration) {
        let (link, reason) = (&self.link, end.reason());
        let down = Down {
            reason: reason.clone(),
            refused: end.is_refusal(),
        };
        link.board.down(&link.app, down, link.clock.now());
        link.metrics.emit(ConnectionEnded {
            app: &link.app,
            cause: end.cause(),
            reason: &reason,
            retry_in,
        });
        if end.is_refusal() {
            let notice = Notice {
                kind: NoticeKind::ConnectionRefused,
                subject: link.app.to_string(),
                text: format!(
                    "App {} receives no events. {reason}. The connection is retried every few minutes, and at a reload.",
                    link.app
                ),
            };
            self.operator.notify(notice).await;
        }
    }
}

/// Takes in the payload of an event. After an error it may be committed nevertheless; the next push is then a
/// repeat.
async fn take(intake: &Intake, app: &App, payload: bytes::Bytes, arrived: Instant) -> Ack {
    let take = intake.take(app, Envelope::of_connection(&payload), arrived);
    let taken = timeout(STORE_WITHIN, take).await;
    let taken = taken.unwrap_or_else(|_elapsed| Err(StoreError::Busy));
    taken.map_or_else(
        |error| {
            let reason = match error {
                StoreError::Busy => "busy",
                StoreError::Unavailable(_) => "unavailable",
            };
            intake.metrics.emit(RequestRefused {
                app: app.name.as_str(),
                reason,
                hint: Some(&error.to_string()),
            });
            Ack::Failed
        },
        Ack::Taken,
    )
}

/// Notifies the operator of an outage that lasts.
async fn alarm(operator: Notifier, app: AppName, board: ConnectionStates) {
    let mut outage = Outage::default();
    loop {
        let standing = board.standings().remove(&app);
        let down = standing.and_then(|standing| standing.down);
        if let Some(notice) = outage.look(&app, down.as_ref(), Instant::now()) {
            operator.notify(notice).await;
        }
        sleep(CHECK_EVERY).await;
    }
}
