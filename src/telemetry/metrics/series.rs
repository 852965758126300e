//! Creates and removes series. All series start at zero, at startup and after a reload, so that a
//! rate includes the first increment. If a name leaves the configuration, its series are removed.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::PoisonError;

use prometheus_client::metrics::family::Family;

use super::labels::*;
use super::{Metrics, words};
use crate::model::{
    AppName, ChangeSource, DeliveryState, DestinationName, EventState, IncidentNews, IncidentState,
    NoticeKind, OutcomeKind, RuleName, TriageAction,
};

/// The names of a configuration that labels may contain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The names in `[apps]`.
    pub apps: BTreeSet<AppName>,
    /// The apps that have a long connection.
    pub connected: BTreeSet<AppName>,
    /// The names in `[[rules]]`.
    pub rules: BTreeSet<RuleName>,
    /// The names in `[destinations]`.
    pub destinations: BTreeSet<DestinationName>,
}

/// Whether series are created or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Creates the series; an existing one stays unchanged.
    Begin,
    /// Removes the series.
    End,
}

impl Turn {
    fn take<S: Clone + Eq + Hash, M: Clone>(self, family: &Family<S, M>, labels: &S) {
        match self {
            Self::Begin => drop(family.get_or_create(labels)),
            Self::End => {
                let _was_there = family.remove(labels);
            }
        }
    }
}

/// Removes the series of old names and creates those of new ones.
fn turn<N: Ord>(old: &BTreeSet<N>, new: &BTreeSet<N>, of: impl Fn(&N, Turn)) {
    old.difference(new).for_each(|gone| of(gone, Turn::End));
    new.iter().for_each(|name| of(name, Turn::Begin));
}

impl Metrics {
    /// Applies the names of the active configuration. Series of new names start at zero; series of
    /// other names are removed.
    pub fn name(&self, names: Names) {
        let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        turn(&known.apps, &names.apps, |app, turn| self.of_app(app, turn));
        turn(&known.connected, &names.connected, |app, turn| {
            self.of_connection(app, turn);
        });
        turn(&known.rules, &names.rules, |rule, turn| {
            self.of_rule(rule, turn);
        });
        turn(&known.destinations, &names.destinations, |to, turn| {
            self.of_destination(to, turn);
        });
        *known = names;
    }

    /// Creates the series without a name.
    pub(super) fn begin_unnamed(&self) {
        for reason in [words::NO_SUCH_APP, words::NO_SUCH_PATH] {
            let app = String::new();
            Turn::Begin.take(&self.refused, &AppReason { app, reason });
        }
        for result in words::IMAGES {
            Turn::Begin.take(&self.image_attempts, &Outcome { result });
        }
        let [_retry, _lease_lost, settled @ ..] = words::IMAGES;
        for result in settled {
            Turn::Begin.take(&self.images, &Outcome { result });
        }
        for result in words::RELOADS {
            Turn::Begin.take(&self.reloads, &Outcome { result });
        }
        for state in IncidentState::ALL {
            if *state != IncidentState::Open {
                let state = state.key();
                Turn::Begin.take(&self.incidents_ended, &State { state });
            }
        }
        for news in IncidentNews::ALL {
            let news = news.key();
            Turn::Begin.take(&self.incident_messages, &News { news });
        }
        for kind in NoticeKind::ALL {
            let kind = kind.key();
            Turn::Begin.take(&self.notices, &Kind { kind });
        }
        for through in [ChangeSource::Feishu, ChangeSource::Slack] {
            self.begin_clicks(through);
        }
    }

    fn begin_clicks(&self, through: ChangeSource) {
        let begin = |act, result| {
            let through = through.key();
            let labels = Click {
                through,
                act,
                result,
            };
            Turn::Begin.take(&self.clicks, &labels);
        };
        for act in TriageAction::ALL {
            for result in words::CLICKS {
                // Only an undo can be too late, and only incidents end.
                let is_possible = match *result {
                    "too_late" => *act == TriageAction::Undo,
                    // A repeated mute extends the silence.
                    "already" => *act != TriageAction::Mute,
                    "ended" => matches!(
                        act,
                        TriageAction::Claim | TriageAction::Done | TriageAction::Mute
                    ),
                    _ => true,
                };
                if is_possible {
                    begin(act.key(), *result);
                }
            }
        }
        begin(words::NO_ACT, words::FORGED);
        if through == ChangeSource::Slack {
            begin(words::NO_ACT, words::CLICK_REFUSED);
        }
    }

    fn of_app(&self, app: &AppName, turn: Turn) {
        let app = || app.to_string();
        for state in EventState::ALL {
            let state = state.key();
            turn.take(&self.events, &AppState { app: app(), state });
        }
        for reason in words::REFUSALS.iter().copied() {
            turn.take(&self.refused, &AppReason { app: app(), reason });
        }
        for result in words::STATUSES {
            turn.take(&self.statuses, &AppResult { app: app(), result });
        }
        for result in words::BACKFILLS {
            turn.take(&self.backfills, &AppResult { app: app(), result });
        }
        for seen in words::SEEN {
            turn.take(&self.backfill_listed, &AppSeen { app: app(), seen });
        }
        turn.take(&self.repeats, &App { app: app() });
        turn.take(&self.too_old, &App { app: app() });
        turn.take(&self.challenges, &App { app: app() });
        turn.take(&self.backfill_taken, &App { app: app() });
        turn.take(&self.last_event, &App { app: app() });
        turn.take(&self.last_push, &App { app: app() });
    }

    fn of_connection(&self, app: &AppName, turn: Turn) {
        let app = || app.to_string();
        for cause in words::CONNECTION_ENDS.iter().copied() {
            turn.take(&self.connection_ends, &AppCause { app: app(), cause });
        }
        for kind in words::FRAMES.iter().copied() {
            turn.take(&self.connection_frames, &AppKind { app: app(), kind });
        }
        for code in words::ACKS {
            turn.take(&self.connection_acks, &AppCode { app: app(), code });
        }
        turn.take(&self.connection_up, &App { app: app() });
        turn.take(&self.connection_last_frame, &App { app: app() });
    }

    fn of_rule(&self, rule: &RuleName, turn: Turn) {
        let rule = || rule.to_string();
        turn.take(&self.taken_by_rule, &Rule { rule: rule() });
        turn.take(&self.planned, &Rule { rule: rule() });
        turn.take(&self.incidents_open, &Rule { rule: rule() });
        turn.take(&self.reports_merged, &Rule { rule: rule() });
        turn.take(&self.suppressed, &Rule { rule: rule() });
    }

    fn of_destination(&self, destination: &DestinationName, turn: Turn) {
        let destination = || destination.to_string();
        let of_outcome = |outcome| DestinationOutcome {
            destination: destination(),
            outcome,
        };
        for outcome in OutcomeKind::ALL {
            turn.take(&self.attempts, &of_outcome(outcome.key()));
        }
        for how in words::ENDS {
            turn.take(&self.deliveries, &of_outcome(how));
        }
        for rang in words::RINGS {
            turn.take(&self.rings, &of_outcome(rang));
        }
        for state in Self::QUEUED {
            let labels = DestinationState {
                destination: destination(),
                state: state.key(),
            };
            turn.take(&self.queue, &labels);
        }
        let of_it = || Destination {
            destination: destination(),
        };
        turn.take(&self.queue_age, &of_it());
        turn.take(&self.delivery_seconds, &of_it());
        turn.take(&self.breaker_open, &of_it());
        turn.take(&self.stopped, &of_it());
        turn.take(&self.pause, &of_it());
        turn.take(&self.template_failures, &of_it());
        turn.take(&self.pages, &of_it());
    }

    /// The states of unfinished deliveries.
    pub(super) const QUEUED: [DeliveryState; 4] = [
        DeliveryState::Pending,
        DeliveryState::Sending,
        DeliveryState::Dead,
        DeliveryState::Held,
    ];
}
