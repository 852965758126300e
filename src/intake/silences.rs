//! Keeps the active silences, sends their reminders to the operator, and counts what they mute.
//!
//! Silences of a rule or of an incident are applied by the store. Only those with conditions need the content of an
//! event, so intake tests them. A change by a command is seen within a second, like all work of other processes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Intake, Settings};
use crate::feishu::{Found, Reading};
use crate::model::{Notice, NoticeKind, Plan, RuleName, Silence, SilenceId};
use crate::rules::SilenceSet;
use crate::store::{SilenceFilter, Silenceable, StoreError, Topic};
use crate::telemetry::events::MessagesSuppressed;

/// The pause between two rounds while a silence is active.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause while none is. Wake-ups announce new ones.
const IDLE: Duration = Duration::from_secs(60);

/// The messages of each rule that were suppressed in the previous round; `None` before the first.
type Known = Option<BTreeMap<RuleName, u64>>;

impl Intake {
    /// Keeps the silences until the soft stop.
    pub async fn keep_silences(self, stopping: CancellationToken) {
        let mut wakeups = self.store.wakeups(Topic::Silences);
        let mut known = Known::None;
        let mut warned = Vec::new();
        while !stopping.is_cancelled() {
            // A wake-up from here on causes another round, even if it comes during this one.
            wakeups.mark_unchanged();
            let pause = match self.silence_round(&mut known, &mut warned).await {
                Ok(0) => IDLE,
                Ok(_active) => PAUSE,
                Err(error) => {
                    tracing::debug!(%error, "failed to read silences; retrying");
                    PAUSE
                }
            };
            tokio::select! {
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                Ok(()) = wakeups.changed() => {}
            }
        }
    }

    /// Returns the number of active silences.
    async fn silence_round(
        &self,
        known: &mut Known,
        warned: &mut Vec<SilenceId>,
    ) -> Result<usize, StoreError> {
        let (active, wrong) = self.refresh_silences().await?;
        for id in &wrong {
            if !warned.contains(id) {
                tracing::warn!(silence.id = %id, "the silence mutes nothing: its conditions use a name that the configuration no longer has");
            }
        }
        *warned = wrong;
        self.count_suppressed(known).await?;
        for silence in self.store.silences_to_remind().await? {
            self.operator.notify(reminder(&silence)).await;
            self.store.silence_reminded(silence.id).await?;
        }
        Ok(active)
    }

    /// Reads the active silences. Returns their number, and those whose conditions are wrong.
    pub(super) async fn refresh_silences(&self) -> Result<(usize, Vec<SilenceId>), StoreError> {
        let filter = SilenceFilter {
            active: true,
            id: None,
        };
        let active = self.store.silences(filter).await?;
        let (set, wrong) = SilenceSet::build(&active, &self.settings.get().known);
        self.silences.set(set);
        Ok((active.len(), wrong))
    }

    /// Counts the messages that were suppressed since the previous round. The first round only reads.
    async fn count_suppressed(&self, known: &mut Known) -> Result<(), StoreError> {
        let now: BTreeMap<_, _> = self
            .store
            .suppressed_messages()
            .await?
            .into_iter()
            .collect();
        if let Some(before) = known {
            for (rule, count) in &now {
                let before = before.get(rule).copied().unwrap_or_default();
                let messages = count.saturating_sub(before);
                if messages > 0 {
                    self.metrics.emit(MessagesSuppressed { rule, messages });
                }
            }
        }
        *known = Some(now);
        Ok(())
    }
}

/// Returns what silences of the event's messages depend on.
pub(super) fn silenceable(
    reading: &Reading,
    plan: &Plan,
    settings: &Settings,
    silences: &SilenceSet,
) -> Silenceable {
    let deliveries = plan.deliveries.iter();
    let for_people = deliveries.filter(|one| !settings.singly.contains(&one.destination));
    Silenceable {
        rules: for_people
            .map(|one| (one.destination.clone(), one.rules.clone()))
            .collect(),
        matched: match &reading.found {
            Found::Event(event) => silences.matching(event),
            Found::Ignored | Found::Unreadable => Vec::new(),
        },
    }
}

/// Returns the notice that a silence ends soon. Its subject is the silence, so that it is sent once.
fn reminder(silence: &Silence) -> Notice {
    let (id, reports) = (silence.id, silence.reports);
    Notice {
        kind: NoticeKind::SilenceEnding,
        subject: id.to_string(),
        text: format!(
            "Silence {id} ends at {}. It has muted {reports} reports so far: feedback-relay silences show {id}",
            silence.ends_at
        ),
    }
}
