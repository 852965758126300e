//! One long connection, from its first ping to its end.
//!
//! One task reads and writes: there is one writer by construction. Each event is handled by a task of
//! its own, at most [`IN_HAND_MAX`] per app; what more comes waits in the socket. Acknowledgements go
//! out in the order in which events are stored.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::connection_states::ConnectionStates;
use super::reconnect::DisconnectReason;
use crate::feishu::LinkSettings;
use crate::feishu::frame::{Ack, Frame, FrameReader, Message, Received};
use crate::model::{AppName, Clock};
use crate::net::{Heard, WebSocket};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::telemetry::events::{
    CardFrameIgnored, FrameAcknowledged, FrameReceived, FrameRefused, PanicCaught,
};

/// How many events of one app are handled at once.
pub(super) const IN_HAND_MAX: usize = 64;
/// Nothing heard for so long after a ping: the peer is gone, whatever TCP believes.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long what we send may take to get away.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// How long a stop waits for what is in hand.
const FINISH_WITHIN: Duration = Duration::from_secs(5);
/// How long a close waits for the peer's.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// What the connections of one app have in common.
pub(super) struct Link {
    pub(super) app: AppName,
    pub(super) board: ConnectionStates,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: Tasks,
    pub(super) room: Arc<Semaphore>,
}

impl Link {
    /// Something came.
    fn received(&self, kind: &'static str) {
        let at = self.clock.now();
        self.board.frame(&self.app, at);
        let app = &self.app;
        self.metrics.emit(FrameReceived { app, kind, at });
    }
}

/// An event that was handled.
struct Handled {
    frame: Frame,
    kept: bool,
    /// The message's id, if it could not be kept.
    failed: Option<String>,
}

/// One connection.
pub(super) struct Session<'a, H> {
    link: &'a Link,
    socket: WebSocket,
    service: i32,
    settings: &'a mut LinkSettings,
    handle: H,
    reader: FrameReader,
    /// When the last ping went out.
    pinged_at: Option<Instant>,
    /// By when something must come.
    answer_by: Option<Instant>,
}

impl<'a, H, F> Session<'a, H>
where
    H: Fn(Bytes, Instant) -> F,
    F: Future<Output = Ack> + Send + 'static,
{
    /// A session over `socket`. `handle` keeps the payload of an event, and is given when it came.
    pub(super) fn new(
        link: &'a Link,
        socket: WebSocket,
        service: i32,
        settings: &'a mut LinkSettings,
        handle: H,
    ) -> Self {
        Self {
            link,
            socket,
            service,
            settings,
            handle,
            reader: FrameReader::default(),
            pinged_at: None,
            answer_by: None,
        }
    }

    /// Runs until the connection ends, or until `ending`: then what is in hand is finished and
    /// acknowledged, and the connection closed. On any other end it is dropped, with no word to a peer
    /// that may not be there.
    pub(super) async fn run(mut self, ending: &CancellationToken) -> DisconnectReason {
        let (done, mut handled) = mpsc::channel(IN_HAND_MAX);
        loop {
            let ping_at = self.ping_at();
            // What is due comes before what is new; silence is judged last, when nothing is there.
            let went_on = tokio::select! {
                biased;
                () = ending.cancelled() => {
                    drop(done);
                    return self.finish(handled).await;
                }
                Some(one) = handled.recv() => self.acknowledge(one).await,
                () = sleep_until(ping_at) => self.ping().await,
                heard = hear(&mut self.socket, &self.link.room) => match heard {
                    Ok((Heard::Closed(code), _)) => {
                        self.socket.close(CLOSE_WITHIN).await;
                        return DisconnectReason::Closed(code);
                    }
                    Ok((heard, room)) => self.heard(heard, room, &done).await,
                    Err(error) => Err(DisconnectReason::Lost(error.to_string())),
                },
                () = silence(self.answer_by) => self.silent(),
            };
            if let Err(end) = went_on {
                return end;
            }
        }
    }

    /// The first ping goes out at once, each further one an interval after the last.
    fn ping_at(&self) -> Instant {
        self.pinged_at
            .map_or_else(Instant::now, |at| at + self.settings.ping_interval)
    }

    async fn ping(&mut self) -> Result<(), DisconnectReason> {
        let now = Instant::now();
        self.pinged_at = Some(now);
        // One that is not answered yet keeps its time.
        self.answer_by.get_or_insert(now + ANSWER_WITHIN);
        self.send(Frame::ping(self.service)).await
    }

    fn silent(&mut self) -> Result<(), DisconnectReason> {
        if self.link.room.available_permits() == 0 {
            // It is we who did not listen.
            self.answer_by = Some(Instant::now() + ANSWER_WITHIN);
            return Ok(());
        }
        Err(DisconnectReason::Silent)
    }

    async fn heard(
        &mut self,
        heard: Heard,
        room: OwnedSemaphorePermit,
        done: &mpsc::Sender<Handled>,
    ) -> Result<(), DisconnectReason> {
        self.answer_by = None;
        let Heard::Message(bytes) = heard else {
            self.link.received("websocket");
            return Ok(());
        };
        let now = Instant::now();
        match self.reader.read(bytes, now) {
            Received::Pong(settings) => {
                self.link.received("pong");
                if !settings.is_empty() && !self.settings.update(&settings) {
                    tracing::debug!(app = %self.link.app, "the settings in a pong cannot be read");
                }
            }
            Received::Event(message) => {
                self.link.received("event");
                self.begin(message, now, room, done.clone());
            }
            Received::Unknown(message) => {
                self.link.received("unknown");
                let ack = Ack::Taken(serde_json::json!({}));
                let handled = Handled {
                    frame: message.acknowledge(&ack, now.elapsed()),
                    kept: true,
                    failed: None,
                };
                return self.acknowledge(handled).await;
            }
            Received::Card => {
                self.link.received("card");
                let app = &self.link.app;
                self.link.metrics.emit(CardFrameIgnored { app });
            }
            Received::Fragment => self.link.received("fragment"),
            Received::Ignored(what) => self.link.received(what),
            Received::Refused(reason) => {
                self.link.received("refused");
                let app = &self.link.app;
                self.link.metrics.emit(FrameRefused { app, reason });
            }
        }
        Ok(())
    }

    /// Handles an event beside everything else.
    fn begin(
        &self,
        message: Message,
        arrived: Instant,
        room: OwnedSemaphorePermit,
        done: mpsc::Sender<Handled>,
    ) {
        let handling = (self.handle)(message.payload.clone(), arrived);
        let (tasks, metrics) = (self.link.tasks.clone(), Arc::clone(&self.link.metrics));
        self.link.tasks.spawn_brief(async move {
            let work = tasks.spawn_brief(async move {
                let ack = handling.await;
                let failed = message
                    .id()
                    .filter(|_| ack == Ack::Failed)
                    .map(str::to_owned);
                let handled = Handled {
                    frame: message.acknowledge(&ack, arrived.elapsed()),
                    kept: ack != Ack::Failed,
                    failed,
                };
                // The connection may be gone: then the event comes again, and is known.
                done.send(handled).await.ok();
            });
            if work.await.is_err_and(|error| error.is_panic()) {
                metrics.emit(PanicCaught {
                    task: "long connection",
                });
            }
            drop(room);
        });
    }

    async fn acknowledge(&mut self, handled: Handled) -> Result<(), DisconnectReason> {
        if let Some(message_id) = &handled.failed {
            self.reader.forget(message_id);
        }
        self.send(handled.frame).await?;
        let (app, kept) = (&self.link.app, handled.kept);
        self.link.metrics.emit(FrameAcknowledged { app, kept });
        Ok(())
    }

    async fn send(&mut self, frame: Frame) -> Result<(), DisconnectReason> {
        match timeout(SEND_WITHIN, self.socket.send(frame.bytes())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(DisconnectReason::Lost(error.to_string())),
            Err(_elapsed) => Err(DisconnectReason::Stalled),
        }
    }

    /// Acknowledges what is in hand, and closes.
    async fn finish(mut self, mut handled: mpsc::Receiver<Handled>) -> DisconnectReason {
        let finishing = async {
            while let Some(one) = handled.recv().await {
                if self.acknowledge(one).await.is_err() {
                    break;
                }
            }
        };
        if timeout(FINISH_WITHIN, finishing).await.is_ok() {
            self.socket.close(CLOSE_WITHIN).await;
        }
        DisconnectReason::Left
    }
}

/// What comes next, once there is room for it.
async fn hear(
    socket: &mut WebSocket,
    room: &Arc<Semaphore>,
) -> Result<(Heard, OwnedSemaphorePermit), crate::net::SocketError> {
    let permit = Arc::clone(room).acquire_owned().await;
    let permit = permit.expect("nobody closes the semaphore");
    Ok((socket.hear().await?, permit))
}

async fn silence(answer_by: Option<Instant>) {
    match answer_by {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
