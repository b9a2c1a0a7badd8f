//! The life of a session as a whole, whatever happens to its connections.
//!
//! Invariant: it only goes forward, from running through the stages of a drain to the end, except
//! that a drain whose connection is lost begins again on the next one.

use super::command_error::CommandError;
use crate::disconnect::DisconnectReason;
use std::time::Instant;

#[derive(Debug)]
pub(super) enum Life {
    /// Commands are accepted.
    Running,
    /// The session ends when everything pending is complete, or at the deadline.
    Draining { stage: DrainStage, deadline: Option<Instant> },
    /// The session is over, and `Event::Closed` is still to come, after everything else.
    Ending(DisconnectReason),
    /// Nothing comes any more but the outcomes of commands given too late.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DrainStage {
    /// There is no other stage before the handshake is done.
    Requested,
    /// The server has been told to stop deliveries.
    Subscriptions,
    /// Requests and fences are being completed.
    Requests,
    /// The last fence is out; nothing more may be sent.
    Final,
}

impl Life {
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Ending(_) | Self::Over)
    }

    pub(super) fn is_draining(&self) -> bool {
        matches!(self, Self::Draining { .. })
    }

    pub(super) fn is_at(&self, wanted: DrainStage) -> bool {
        matches!(self, Self::Draining { stage, .. } if *stage == wanted)
    }

    /// Whether the session's last event is still to be reported.
    pub(super) fn has_end(&self) -> bool {
        matches!(self, Self::Ending(_))
    }

    /// When a drain has to be complete.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Draining { deadline, .. } => *deadline,
            _ => None,
        }
    }

    /// Moves a drain to another stage. Without a drain, nothing changes.
    pub(super) fn enter(&mut self, next: DrainStage) {
        if let Self::Draining { stage, .. } = self {
            *stage = next;
        }
    }

    #[inline(always)]
    pub(super) fn is_running(&self) -> bool {
        matches!(self, Self::Running)
    }

    /// Checks that commands which send something are still accepted.
    #[inline(never)]
    pub(super) fn check(&self) -> Result<(), CommandError> {
        match self {
            Self::Draining { stage: DrainStage::Final, .. } => Err(CommandError::Draining),
            Self::Running | Self::Draining { .. } => Ok(()),
            Self::Ending(_) | Self::Over => Err(CommandError::Closed),
        }
    }

    /// The reason that is still to be reported as the session's last event.
    pub(super) fn take_end(&mut self) -> Option<DisconnectReason> {
        match std::mem::replace(self, Self::Over) {
            Self::Ending(reason) => Some(reason),
            life => {
                *self = life;
                None
            }
        }
    }
}
